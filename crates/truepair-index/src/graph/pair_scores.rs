//! Scores between rows of a part, and between a query and its rows, for the graph that asks by number.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use truepair_core::dataset::Bytes;
use truepair_kernel::product::dots::{Closeness, StoredRows, score_rows};

use crate::settings::{Settings, Storage};
use crate::stored_file::numbers;

/// The number that stands for the query of the calling thread.
pub(super) const QUERY: u32 = u32::MAX;

/// Which row's numbers a thread has at hand: of which part, and which.
type Owner = (u64, u32);

thread_local! {
    /// The query of a search, or the row that is being added, as `f32`.
    static AT_HAND: RefCell<(Owner, Vec<f32>)> = const { RefCell::new(((0, 0), Vec::new())) };
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The rows of a part.
pub(super) struct PairScores {
    /// Tells the rows of one part from those of another.
    serial: u64,
    rows: Bytes,
    half: bool,
    dim: usize,
    closeness: Closeness,
}

impl PairScores {
    pub(super) fn new(settings: &Settings, rows: Bytes) -> Self {
        Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            rows,
            half: settings.storage == Storage::F16,
            dim: settings.dim,
            closeness: settings.measure.closeness(),
        }
    }

    /// A number that no other part's scores have.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    fn row(&self, row: u32) -> StoredRows<'_> {
        let rows = match self.half {
            true => StoredRows::F16(numbers(&self.rows)),
            false => StoredRows::F32(numbers(&self.rows)),
        };
        rows.part(self.dim, row as usize, row as usize + 1)
    }

    /// The score of two rows, one of which may be [`QUERY`], negated: a smaller distance is closer.
    pub(super) fn distance(&self, a: u32, b: u32) -> f32 {
        AT_HAND.with_borrow_mut(|(owner, vector)| {
            // Scores have the same bits either way round.
            let (a, b) = if b == QUERY || *owner == (self.serial, b) {
                (b, a)
            } else {
                (a, b)
            };
            if *owner != (self.serial, a) {
                *vector = self.row(a).to_f32();
                *owner = (self.serial, a);
            }
            let mut score = [0.0];
            score_rows(self.closeness, vector, self.dim, self.row(b), &mut score);
            -score[0]
        })
    }
}

/// Makes `query` what [`QUERY`] stands for on this thread, in the part of this serial number.
pub(super) fn set_query(serial: u64, query: &[f32]) {
    AT_HAND.with_borrow_mut(|(owner, vector)| {
        *owner = (serial, QUERY);
        vector.clear();
        vector.extend_from_slice(query);
    });
}

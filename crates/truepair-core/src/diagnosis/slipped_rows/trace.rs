//! Which image fits each row's caption best: the one that an order of rows names, the row's own, or a
//! neighbor of either.
//!
//! Neighbors are what makes the comparison fair. In data where rows resemble their neighbors, frames of a
//! film or items sorted by class, the image beside a row's own fits its caption well too; but then the one on
//! the other side fits as well, and its own better.

use super::CHUNK;
use super::compare::Compare;
use super::sequence::Sequence;
use super::tried::Tried;
use crate::error::Result;
use crate::lists::{distinct, place};

/// Neighbors on each side, of the row's own image and of the one that the order names.
const AROUND: i64 = 4;

/// Kinds of rivals: every place beside the row's own image and beside the named one.
pub(super) const RIVALS: usize = 4 * AROUND as usize;

/// What fits a row's caption best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Best {
    /// The image that the order names.
    Named,
    /// The row's own image.
    Own,
    /// A rival, by its kind.
    Rival(u8),
}

/// A row whose own image is not the one that the order names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traced {
    pub(super) row: u32,
    pub(super) best: Best,
    /// Images compared, the named one among them.
    pub(super) n_compared: u8,
}

/// The images that are compared for one row, as positions.
struct Candidates {
    row: u32,
    named: u32,
    own: u32,
    rivals: Vec<(u8, u32)>,
}

impl Candidates {
    /// `None` where the order names the row's own image, or nothing can be told.
    fn new(sequence: &Sequence<'_>, row: u32, named: Option<u32>) -> Option<Self> {
        let own = sequence.rows.position[row as usize];
        let named = named?;
        let tells = sequence.tells[row as usize]
            && !sequence.is_same(own, named)
            && !sequence.has_caption_of(row, named);
        if !tells {
            return None;
        }
        let mut rivals: Vec<(u8, u32)> = Vec::with_capacity(RIVALS);
        let mut kind = 0;
        for center in [own, named] {
            for step in (-AROUND..=AROUND).filter(|step| *step != 0) {
                let position = u32::try_from(i64::from(center) + step).ok();
                let position = position.filter(|p| (*p as usize) < sequence.n_positions());
                let is_new = |position: &u32| {
                    !sequence.is_same(*position, own)
                        && !sequence.is_same(*position, named)
                        && rivals.iter().all(|(_, other)| other != position)
                };
                rivals.extend(position.filter(is_new).map(|position| (kind, position)));
                kind += 1;
            }
        }
        (!rivals.is_empty()).then_some(Self {
            row,
            named,
            own,
            rivals,
        })
    }

    fn positions(&self) -> impl Iterator<Item = u32> {
        let rivals = self.rivals.iter().map(|(_, position)| *position);
        [self.named, self.own].into_iter().chain(rivals)
    }

    /// Ties count against the named image.
    fn best(&self, score: impl Fn(u32) -> f32) -> Traced {
        let (mut best, mut largest) = (Best::Own, score(self.own));
        for &(kind, position) in &self.rivals {
            if score(position) > largest {
                (best, largest) = (Best::Rival(kind), score(position));
            }
        }
        if score(self.named) > largest {
            best = Best::Named;
        }
        Traced {
            row: self.row,
            best,
            n_compared: 2 + self.rivals.len() as u8,
        }
    }
}

/// Per order, what fits best in each of `rows` (ascending).
///
/// # Errors
/// If a row cannot be read.
pub(super) fn trace(
    sequence: &Sequence<'_>,
    compare: &dyn Compare,
    tried: &[&Tried],
    rows: &[u32],
) -> Result<Vec<Vec<Traced>>> {
    let mut traced = vec![Vec::new(); tried.len()];
    // Chunks begin at multiples of their length, so that one matcher scores all rows of a chunk.
    for rows in rows.chunk_by(|a, b| a / CHUNK as u32 == b / CHUNK as u32) {
        let of_order = |tried: &&Tried| -> Vec<Candidates> {
            let of_row = |&row: &u32| Candidates::new(sequence, row, tried.named(sequence, row));
            rows.iter().filter_map(of_row).collect()
        };
        let candidates: Vec<Vec<Candidates>> = tried.iter().map(of_order).collect();
        let positions = candidates.iter().flatten().flat_map(Candidates::positions);
        let positions = distinct(positions);
        if positions.is_empty() {
            continue;
        }
        let tile = compare.tile(&positions, rows)?;
        let at = |position: u32| place(&positions, position) as usize;
        for (candidates, traced) in candidates.iter().zip(&mut traced) {
            for one in candidates {
                let column = place(rows, one.row) as usize;
                traced.push(one.best(|position| tile[at(position) * rows.len() + column]));
            }
        }
    }
    Ok(traced)
}

//! All records to a store, in batches, going on after a stop.

use std::path::Path;

use truepair_core::error::{ErrorKind, Result};
use truepair_core::watch::Watch;

use crate::layout::Layout;
use crate::progress::{Progress, digest_of};
use crate::record::Record;
use crate::store::{Prepared, VectorWriter};

/// How records are sent.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// Records of a batch, at least 1; a stop costs at most one batch.
    pub n_batch: usize,
    /// Records in all, for the progress that is shown.
    pub n_records: u64,
    /// A file that remembers what was confirmed. It is removed at the end.
    pub progress: Option<&'a Path>,
}

impl Default for Upload<'_> {
    fn default() -> Self {
        Self {
            n_batch: 1000,
            n_records: 0,
            progress: None,
        }
    }
}

/// What became of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Sent now.
    pub n_sent: u64,
    /// Confirmed before.
    pub n_skipped: u64,
}

/// Prepares the table, writes the records and makes them searchable. A batch that was confirmed in an
/// earlier attempt and is the same today is not sent again.
///
/// # Errors
/// Those of the records, of the store and of the progress file; [`ErrorKind::Stopped`] where `watch` asks to stop.
pub fn upload(
    store: &mut (impl VectorWriter + ?Sized),
    layout: &Layout,
    records: &mut dyn Iterator<Item = Result<Record>>,
    options: &Upload<'_>,
    watch: &mut dyn Watch,
) -> Result<Uploaded> {
    let mut progress = Progress::open(options.progress, store.place(), layout)?;
    if store.prepare(layout)? == Prepared::Made {
        progress.forget();
    }
    let mut uploaded = Uploaded::default();
    let total = |uploaded: &Uploaded| options.n_records.max(uploaded.n_sent + uploaded.n_skipped);
    for at in 0.. {
        let batch: Vec<Record> = records
            .take(options.n_batch.max(1))
            .collect::<Result<_>>()?;
        if batch.is_empty() {
            break;
        }
        if watch.is_stopped() {
            return Err(ErrorKind::Stopped.into());
        }
        let digest = digest_of(&batch);
        let n_batch = batch.len() as u64;
        if progress.has(at, &digest) {
            uploaded.n_skipped += n_batch;
        } else {
            store.upsert(&batch)?;
            progress.confirm(at, digest)?;
            uploaded.n_sent += n_batch;
        }
        let done = uploaded.n_sent + uploaded.n_skipped;
        watch.advance("upload", done, total(&uploaded));
    }
    store.finish()?;
    progress.end()?;
    Ok(uploaded)
}

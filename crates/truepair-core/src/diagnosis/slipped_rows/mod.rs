//! Captions that belong to the image of another row: slipped by some rows, in blocks, sorted as text, in
//! reverse.
//!
//! Every order of rows that such an accident makes is tried. Where images and captions share a space, their
//! embeddings are compared as they are; where they do not, matchers of the closed form are fitted to each
//! order and asked about rows that they never saw. An order is named where its images fit the captions
//! better than the rows' own do, by a test that holds for all orders and all runs of rows together.

mod closed_form;
mod compare;
mod gallery;
mod segment;
mod sequence;
mod told;
mod trace;
mod tried;
mod whitening;

use self::closed_form::Prepared;
use self::compare::AsGiven;
use self::gallery::Gallery;
use self::segment::{Segment, strongest};
use self::sequence::Sequence;
use self::told::{Looked, in_another_order, tell};
use self::trace::{Best, Traced, trace};
use self::tried::{Tried, orders};
use super::{Diagnose, Diagnosis, Subject};
use crate::error::Result;
use crate::linear::{Pooling, SideVectors};

pub use told::Slip;

/// Rows that are scored together, and stand in one fold.
const CHUNK: usize = 32;

/// Fewest rows, and distinct images, of which an order can be told.
const LEAST_ROWS: usize = 30;
const LEAST_IMAGES: usize = 10;

/// Rows on which slips are looked for, and numbers that are read for it.
const SCANNED: usize = 1 << 17;
const NUMBERS: usize = 1 << 29;

/// Rows on which orders other than slips are tried.
const SAMPLED: usize = 512;

/// Rows that matchers are fitted to, and times that a row's features are read for it.
const FITTED: usize = 2048;
const READINGS: usize = 16;

/// Runs of rows that are told of one slip.
const RUNS: usize = 5;

/// Share of the rows whose own image is the best of about a dozen, from which embeddings are readable as
/// they are.
const READABLE: f64 = 0.2;

/// Rows out of step.
pub(super) struct SlippedRows;

impl Diagnose for SlippedRows {
    fn name(&self) -> &'static str {
        "slipped-rows"
    }

    fn summary(&self) -> &'static str {
        "Captions that fit the image of another row: slipped by some rows, all or a part; in blocks, all \
         first captions before all second ones; one side sorted as text; in reverse; or in an order that no \
         rule names. `--pairs` reads them so."
    }

    fn threshold(&self) -> &'static str {
        "a run of rows in which the other image fits best, at p ≤ 10⁻⁴ over all orders and rows, and more \
         often than the row's own and than every neighbor; from 30 rows on"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let sequence = Sequence::new(subject);
        let images = &subject.dataset.images;
        let too_small = sequence.len() < LEAST_ROWS || sequence.n_positions() < LEAST_IMAGES;
        let Ok(images) = SideVectors::new(images, Pooling::Mean) else {
            return Ok(Vec::new());
        };
        if too_small || subject.dataset.images.are_pictures() || subject.is_broken() {
            return Ok(Vec::new());
        }
        let tried = orders(&sequence);
        if let Some(found) = as_given(subject, &sequence, images, &tried)? {
            return Ok(found);
        }
        by_closed_form(subject, &sequence, &tried)
    }
}

/// A run of rows that an order explains.
struct Found<'a> {
    tried: &'a Tried,
    segment: Segment,
    /// The rows that were traced.
    traced: Vec<Traced>,
}

/// By the embeddings as they are; `None` where they do not compare, or say nothing of what belongs
/// together.
fn as_given(
    subject: &Subject<'_>,
    sequence: &Sequence<'_>,
    images: SideVectors<'_>,
    tried: &[Tried],
) -> Result<Option<Vec<Diagnosis>>> {
    let Some(named) = &subject.dataset.caption_features else {
        return Ok(None);
    };
    let captions = SideVectors::new(&named.features, Pooling::Mean);
    let captions = captions
        .ok()
        .filter(|captions| captions.dim() == images.dim());
    let Some(captions) = captions else {
        return Ok(None);
    };
    let compare = AsGiven {
        sequence,
        images,
        captions,
    };
    let gallery = Gallery::ask(sequence, &compare, images.dim())?;
    let far = gallery.as_ref().and_then(|gallery| gallery.slip(sequence));
    let far = far.map(Tried::shift);
    let is_new = |far: &&Tried| tried.iter().all(|known| known.order != far.order);
    let all: Vec<&Tried> = tried.iter().chain(far.as_ref().filter(is_new)).collect();
    let (shifts, others): (Vec<&Tried>, Vec<&Tried>) = all.iter().partition(|one| one.is_shift());
    let scanned = tried::rows(sequence.len(), SCANNED.min(NUMBERS / row_len(subject)));
    let traced = trace(sequence, &compare, &shifts, &scanned)?;
    let is_read = traced.iter().any(|traced| own_share(traced) >= READABLE);
    let mut found = runs(shifts.into_iter().zip(traced), all.len());
    let sampled = tried::rows(sequence.len(), SAMPLED);
    let traced = trace(sequence, &compare, &others, &sampled)?;
    found.extend(runs(others.into_iter().zip(traced), all.len()));
    let looked = Looked {
        sequence,
        scanned: scanned.len(),
        by: "embeddings as given",
    };
    let told = tell(found, &looked);
    if !told.is_empty() || is_read {
        return Ok(Some(told));
    }
    let mutual = gallery.map(|gallery| gallery.mutual(sequence, &compare));
    let mutual = mutual.transpose()?.flatten();
    Ok(mutual.map(|mutual| vec![in_another_order(mutual)]))
}

/// By matchers that are fitted to every order.
fn by_closed_form(
    subject: &Subject<'_>,
    sequence: &Sequence<'_>,
    tried: &[Tried],
) -> Result<Vec<Diagnosis>> {
    let most = NUMBERS / READINGS / row_len(subject);
    let rows = tried::rows(sequence.len(), FITTED.min(most.max(SAMPLED)));
    let (dataset, seed) = (subject.dataset, subject.seed);
    let far: Vec<Tried> = tried::far_shifts(tried).collect();
    let all: Vec<&Tried> = tried.iter().chain(&far).collect();
    let Some(prepared) = Prepared::new(dataset, sequence, &all, rows, seed)? else {
        return Ok(Vec::new());
    };
    // Where most rows are in step, what they teach finds those that are not.
    let in_step = prepared.fitted(None);
    let shifts: Vec<&Tried> = tried.iter().filter(|one| one.is_shift()).collect();
    let scanned = tried::rows(sequence.len(), SCANNED.min(NUMBERS / row_len(subject)));
    let traced = trace(sequence, &in_step, &shifts, &scanned)?;
    let is_read = traced.iter().any(|traced| own_share(traced) >= READABLE);
    let mut found = runs(shifts.into_iter().zip(traced), all.len());
    for one in all.iter().filter(|_| !is_read) {
        let compare = prepared.fitted(Some(one));
        let traced = trace(sequence, &compare, &[one], prepared.rows())?;
        found.extend(runs([*one].into_iter().zip(traced), all.len()));
    }
    let looked = Looked {
        sequence,
        scanned: scanned.len(),
        by: "matchers of the closed form",
    };
    Ok(tell(found, &looked))
}

/// Numbers that are read for a row.
fn row_len(subject: &Subject<'_>) -> usize {
    let captions = subject.dataset.caption_features.as_ref();
    subject.dataset.images.row_len() + captions.map_or(0, |named| named.features.row_len())
}

fn own_share(traced: &[Traced]) -> f64 {
    let own = traced.iter().filter(|one| one.best == Best::Own).count();
    own as f64 / traced.len().max(1) as f64
}

/// The runs of rows that orders explain, several for a slip, one for any other order.
fn runs<'a>(
    traced: impl Iterator<Item = (&'a Tried, Vec<Traced>)>,
    n_orders: usize,
) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for (tried, traced) in traced {
        let most = if tried.is_shift() { RUNS } else { 1 };
        let mut open = vec![traced];
        let mut n = 0;
        while let (Some(traced), true) = (open.pop(), n < most) {
            let Some(segment) = strongest(&traced, n_orders) else {
                continue;
            };
            n += 1;
            let (before, after) = (&traced[..segment.first], &traced[segment.last + 1..]);
            open.extend([before.to_vec(), after.to_vec()]);
            found.push(Found {
                tried,
                segment,
                traced,
            });
        }
    }
    found
}

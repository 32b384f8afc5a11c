//! Which of the orders that fit is named, and in which words.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::gallery::Mutual;
use super::sequence::Sequence;
use super::{Diagnose, Diagnosis, Found, SlippedRows};
use crate::dataset::{RowOrder, TextSide};
use crate::diagnosis::{grouped, percent};

/// Traced rows beyond a run that still belong to it at either end of the data.
const EDGE: usize = 2;

/// Share of the rows that an order must explain, other than a slip; and for most to be out of step.
const MOST: f64 = 0.5;

/// An order of rows that fits the data better than the order given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Slip {
    /// What `--pairs` reads it by; nothing where no rule names the order.
    pub order: Option<RowOrder>,
    /// Rows of which it could be told.
    pub told: u64,
    /// Of them, rows whose caption fits the image that the order names better than any other compared.
    pub fits: u64,
    /// Of them, rows whose caption fits the row's own image best.
    pub own: u64,
    /// Bound on the probability of such a finding by chance, over all orders and rows.
    pub p: f64,
    /// What compared captions and images.
    pub compared_by: String,
    /// Whether at least half of all rows are out of step.
    pub is_most: bool,
}

/// How it was looked.
pub(super) struct Looked<'a> {
    pub(super) sequence: &'a Sequence<'a>,
    /// Rows that were looked at.
    pub(super) scanned: usize,
    pub(super) by: &'static str,
}

/// The orders that explain different rows, the strongest first; one finding an order.
pub(super) fn tell(mut found: Vec<Found<'_>>, looked: &Looked<'_>) -> Vec<Diagnosis> {
    found.sort_by(|a, b| b.segment.gain.total_cmp(&a.segment.gain));
    let mut accepted: Vec<(Found<'_>, RangeInclusive<u32>)> = Vec::new();
    for one in found {
        let range = range(&one, looked.sequence.len());
        let explains_most = one.segment.last - one.segment.first + 1;
        let explains_most = explains_most as f64 >= MOST * one.traced.len() as f64;
        let is_new = accepted.iter().all(|(_, other)| !overlap(other, &range));
        if is_new && (one.tried.is_shift() || explains_most) {
            accepted.push((one, range));
        }
    }
    let mut told: Vec<Diagnosis> = Vec::new();
    while !accepted.is_empty() {
        let order = accepted[0].0.tried.order.clone();
        let (of_order, others): (Vec<_>, Vec<_>) =
            (accepted.into_iter()).partition(|(one, _)| one.tried.order == order);
        told.push(of_one_order(&of_order, looked));
        accepted = others;
    }
    told
}

/// The rows of a run, the first and the last of the data where nothing else stands beyond it.
fn range(found: &Found<'_>, n_rows: usize) -> RangeInclusive<u32> {
    let (segment, traced) = (&found.segment, &found.traced);
    let begins = segment.first <= EDGE && traced[0].row < super::CHUNK as u32;
    let last = n_rows as u32 - 1;
    let ends = segment.last + EDGE + 1 >= traced.len()
        && traced
            .last()
            .is_some_and(|one| one.row + super::CHUNK as u32 > last);
    let first = if begins { 0 } else { traced[segment.first].row };
    first..=(if ends { last } else { traced[segment.last].row })
}

fn overlap(a: &RangeInclusive<u32>, b: &RangeInclusive<u32>) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}

fn of_one_order(found: &[(Found<'_>, RangeInclusive<u32>)], looked: &Looked<'_>) -> Diagnosis {
    let n_rows = looked.sequence.len();
    let mut ranges: Vec<RangeInclusive<u32>> =
        found.iter().map(|(_, range)| range.clone()).collect();
    ranges.sort_by_key(|range| *range.start());
    let concerned: usize = ranges.iter().map(|range| range.clone().count()).sum();
    let is_all = ranges.len() == 1 && concerned == n_rows;
    let order = match &found[0].0.tried.order {
        RowOrder::Shift { by, .. } => RowOrder::Shift {
            by: *by,
            rows: if is_all { Vec::new() } else { ranges.clone() },
        },
        other => other.clone(),
    };
    let sum =
        |of: &dyn Fn(&Found<'_>) -> usize| found.iter().map(|(one, _)| of(one)).sum::<usize>();
    let told = sum(&|one| one.segment.last - one.segment.first + 1);
    let (fits, own) = (sum(&|one| one.segment.named), sum(&|one| one.segment.own));
    let log_p = found
        .iter()
        .map(|(one, _)| one.segment.log_p)
        .fold(0.0, f64::min);
    let is_slip = matches!(order, RowOrder::Shift { .. });
    let some = if looked.scanned < n_rows && is_slip {
        format!(
            "; {} of {} rows were looked at",
            grouped(looked.scanned),
            grouped(n_rows)
        )
    } else {
        String::new()
    };
    let sentence = format!(
        "{}: of {} rows that tell, {} fit it best and {} their own image ({}{some})",
        what(&order, &ranges),
        grouped(told),
        grouped(fits),
        grouped(own),
        p_text(log_p),
    );
    let count = if is_slip { concerned } else { n_rows };
    Diagnosis {
        slip: Some(Slip {
            told: told as u64,
            fits: fits as u64,
            own: own as u64,
            p: log_p.exp(),
            compared_by: looked.by.to_owned(),
            is_most: count as f64 >= MOST * n_rows as f64,
            order: Some(order.clone()),
        }),
        ..Diagnosis::new(
            SlippedRows.name(),
            count,
            sentence,
            format!("`--pairs {order}` reads it so"),
        )
    }
}

fn p_text(log_p: f64) -> String {
    format!("p < 1e{}", (log_p / std::f64::consts::LN_10).ceil() as i64)
}

fn what(order: &RowOrder, ranges: &[RangeInclusive<u32>]) -> String {
    match order {
        RowOrder::Shift { by, rows } => {
            let sign = if *by < 0 { '-' } else { '+' };
            let named = format!(
                "row i's caption fits row i{sign}{}'s image",
                by.unsigned_abs()
            );
            let ranges: Vec<String> = (ranges.iter())
                .map(|range| format!("{} to {}", range.start(), range.end()))
                .collect();
            if rows.is_empty() {
                format!("{named} in all rows")
            } else {
                format!("{named} in rows {}", ranges.join(" and "))
            }
        }
        RowOrder::Blocks { each } => format!(
            "captions stand in {each} blocks, each with one caption of every image in turn, and not {each} \
             captions an image together"
        ),
        RowOrder::TextOrder { side, first } => {
            let [text, numbers] = match side {
                TextSide::Images => ["images", "captions"],
                TextSide::Captions => ["captions", "images"],
            };
            let from = if *first == 0 { "0, 1" } else { "1" };
            format!("{text} are sorted as text ({from}, 10, ..., 2) and {numbers} by number")
        }
        RowOrder::Reversed => "images stand in reverse order".to_owned(),
    }
}

/// Sets that match one to one in an order that no rule names.
pub(super) fn in_another_order(found: Mutual) -> Diagnosis {
    let Mutual { asked, mutual } = found;
    let share = percent(mutual as f64 / asked as f64);
    let sentence = format!(
        "rows are permuted: of {asked} captions {mutual} ({share}) fit the image of another row, and no other \
         caption fits it better; the two sets match one to one in another order"
    );
    let help = "pair them by their names: `--pairs FILE` reads image row and caption row";
    Diagnosis {
        slip: Some(Slip {
            order: None,
            told: asked as u64,
            fits: mutual as u64,
            own: 0,
            p: (-12f64).exp(),
            compared_by: "embeddings as given".to_owned(),
            is_most: true,
        }),
        ..Diagnosis::new(SlippedRows.name(), asked, sentence, help)
    }
}

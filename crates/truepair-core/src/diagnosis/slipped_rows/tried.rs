//! The orders of rows that are tried, and which rows they are tried on.

use super::CHUNK;
use super::sequence::Sequence;
use crate::dataset::{RowOrder, TextSide};

/// Rows by which captions may have slipped, either way.
const SHIFTS: i64 = 8;

/// Rows by which captions may have slipped where every slip needs a matcher of its own.
const FAR_SHIFTS: i64 = 64;

/// Distinct images up to which orders by text are tried: sorting more takes too long.
const TEXT_ORDERED: usize = 1 << 20;

/// Stretches that are looked at where there are too many rows to look at all.
const STRETCHES: usize = 16;

/// An order with the image that it names for every row.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) order: RowOrder,
    /// Position for every row, `u32::MAX` for none; empty for shifts, which need no table.
    table: Vec<u32>,
}

impl Tried {
    /// The position of the image that the order names for a row.
    pub(super) fn named(&self, sequence: &Sequence<'_>, row: u32) -> Option<u32> {
        match &self.order {
            RowOrder::Shift { by, .. } => {
                let at = usize::try_from(i64::from(row) + by).ok()?;
                sequence.rows.position.get(at).copied()
            }
            _ => Some(self.table[row as usize]).filter(|position| *position != u32::MAX),
        }
    }

    pub(super) fn is_shift(&self) -> bool {
        matches!(self.order, RowOrder::Shift { .. })
    }

    pub(super) fn shift(by: i64) -> Self {
        let rows = Vec::new();
        Self {
            order: RowOrder::Shift { by, rows },
            table: Vec::new(),
        }
    }

    /// `None` where the order does not fit the rows.
    fn of(sequence: &Sequence<'_>, order: RowOrder) -> Option<Self> {
        let images = order.images(&sequence.rows).ok()?;
        let position = |image: Option<u32>| image.map_or(u32::MAX, |i| sequence.position(i));
        Some(Self {
            order,
            table: images.into_iter().map(position).collect(),
        })
    }
}

/// Every order that is tried on these rows.
pub(super) fn orders(sequence: &Sequence<'_>) -> Vec<Tried> {
    let each = sequence.captions_an_image().unwrap_or(1) as i64;
    let mut shifts: Vec<i64> = (1..=SHIFTS).collect();
    shifts.extend([each, 2 * each].iter().filter(|by| **by > SHIFTS));
    let shifts = shifts
        .into_iter()
        .flat_map(|by| [-by, by])
        .map(Tried::shift);
    let mut others = vec![RowOrder::Reversed];
    if each >= 2 {
        others.push(RowOrder::Blocks { each: each as u32 });
    }
    if sequence.n_positions() <= TEXT_ORDERED {
        for side in [TextSide::Images, TextSide::Captions] {
            others.extend([0, 1].map(|first| RowOrder::TextOrder { side, first }));
        }
    }
    let others = others
        .into_iter()
        .filter_map(|order| Tried::of(sequence, order));
    shifts.chain(others).collect()
}

/// Longer slips than those among `tried`.
pub(super) fn far_shifts(tried: &[Tried]) -> impl Iterator<Item = Tried> {
    let far = (SHIFTS + 1..=FAR_SHIFTS)
        .flat_map(|by| [-by, by])
        .map(Tried::shift);
    far.filter(|far| tried.iter().all(|known| known.order != far.order))
}

/// All of `n` rows, or evenly spaced stretches of about `most` in all; ascending.
pub(super) fn rows(n: usize, most: usize) -> Vec<u32> {
    if n <= most {
        return (0..n as u32).collect();
    }
    let chunks = n / CHUNK;
    let a_stretch = (most / CHUNK / STRETCHES).max(1);
    let stretches = STRETCHES.min(most / CHUNK).max(1);
    let stretch = |at: usize| {
        let first = (chunks - a_stretch) * at / (stretches - 1).max(1) * CHUNK;
        (first..first + a_stretch * CHUNK).map(|row| row as u32)
    };
    let mut rows: Vec<u32> = (0..stretches).flat_map(stretch).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_whole_chunks_from_the_first_row_to_the_last() {
        assert_eq!(rows(5, 10), [0, 1, 2, 3, 4]);
        let some = rows(100_000, 2048);
        assert_eq!((some.len(), some[0]), (2048, 0));
        assert!(*some.last().unwrap() >= 100_000 - 2 * CHUNK as u32);
        assert!(
            some.chunks(CHUNK)
                .all(|rows| (rows[0] as usize).is_multiple_of(CHUNK))
        );
        assert!(some.is_sorted());
    }
}

//! What the rows of features hold: which are equal, which are zeros, which are not finite.
//!
//! One pass over the file serves everything that is asked about rows as a whole.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;

use super::Features;
use crate::error::Result;

/// Numbers a row must have for equal numbers throughout to be a sign: shorter rows are so by chance.
const LEAST_WIDTH: usize = 4;

/// What a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowContent {
    /// Numbers that differ.
    Numbers,
    /// Zeros only.
    Zeros,
    /// One number over and over, not 0.
    Constant,
    /// A NaN or an infinite number among others.
    NotFinite,
}

/// What every row of features holds, and a hash of each.
///
/// ```
/// use truepair_core::dataset::{Features, RowContent, RowContents};
///
/// let features = Features::from_rows(vec![1.0, 2.0, 0.0, 0.0, 1.0, 2.0], 2);
/// let rows = RowContents::of(&features)?;
/// assert_eq!(rows.content(1), RowContent::Zeros);
/// assert_eq!(rows.groups(), [0, 1, 0]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowContents {
    content: Vec<RowContent>,
    hash: Vec<u64>,
}

impl RowContents {
    /// Looks at every row once. Pictures are not decoded: nothing is said about them.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn of(features: &Features) -> Result<Self> {
        if features.are_pictures() {
            return Ok(Self::default());
        }
        let rows = (0..features.len()).into_par_iter().with_min_len(64);
        let rows = rows.map_init(
            || vec![0.0; features.row_len()],
            |row, index| {
                features.copy_row(index, row)?;
                Ok((content(row), hash(row)))
            },
        );
        let rows: Vec<(RowContent, u64)> = rows.collect::<Result<_>>()?;
        let (content, hash) = rows.into_iter().unzip();
        Ok(Self { content, hash })
    }

    /// Number of rows that were looked at.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether no row was looked at.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// What a row holds.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn content(&self, row: usize) -> RowContent {
        self.content[row]
    }

    /// Whether a row says nothing about its item: zeros, or one number throughout.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn is_blank(&self, row: usize) -> bool {
        matches!(self.content[row], RowContent::Zeros | RowContent::Constant)
    }

    /// Per row a hash of its numbers: equal for rows that are equal to the bit, and for others only by
    /// a chance of about one in 10^19 a pair of rows.
    pub fn hashes(&self) -> &[u64] {
        &self.hash
    }

    /// Per row a number that equal rows share, counted from 0 in order of first appearance.
    pub fn groups(&self) -> Vec<u32> {
        let mut known = HashMap::with_capacity(self.hash.len());
        (self.hash.iter())
            .map(|hash| {
                let next = known.len() as u32;
                *known.entry(*hash).or_insert(next)
            })
            .collect()
    }
}

fn content(row: &[f32]) -> RowContent {
    // Without an early exit, so that the loop runs on wide registers.
    if !row.iter().fold(true, |finite, x| finite & x.is_finite()) {
        return RowContent::NotFinite;
    }
    if row.iter().fold(true, |zeros, x| zeros & (*x == 0.0)) {
        return RowContent::Zeros;
    }
    let first = row[0];
    if row.len() >= LEAST_WIDTH && row.iter().all(|x| *x == first) {
        RowContent::Constant
    } else {
        RowContent::Numbers
    }
}

fn hash(row: &[f32]) -> u64 {
    let mut hash = DefaultHasher::new();
    bytemuck::cast_slice::<f32, u8>(row).hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_by_what_they_hold() {
        let rows = [
            [1.0, 2.0, 3.0, 4.0],
            [0.0, -0.0, 0.0, 0.0],
            [0.5; 4],
            [f32::NAN, 0.0, 0.0, 0.0],
            [1.0, 2.0, 3.0, 4.0],
        ];
        let found = RowContents::of(&Features::from_rows(rows.concat(), 4)).unwrap();
        let content: Vec<RowContent> = (0..found.len()).map(|row| found.content(row)).collect();
        use RowContent::{Constant, NotFinite, Numbers, Zeros};
        assert_eq!(content, [Numbers, Zeros, Constant, NotFinite, Numbers]);
        assert_eq!(found.groups(), [0, 1, 2, 3, 0]);
        assert!(found.is_blank(1) && found.is_blank(2) && !found.is_blank(3));
        assert_ne!(found.hashes()[0], found.hashes()[1]);
    }

    #[test]
    fn short_rows_may_be_constant() {
        let found = RowContents::of(&Features::from_rows(vec![1.0, 1.0, 0.0, 0.0], 2)).unwrap();
        assert_eq!(
            (found.content(0), found.content(1)),
            (RowContent::Numbers, RowContent::Zeros)
        );
    }
}

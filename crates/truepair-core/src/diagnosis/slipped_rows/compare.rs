//! Scores of rows' captions against images, from whatever makes the two comparable.

use super::sequence::Sequence;
use crate::error::Result;
use crate::linear::SideVectors;
use crate::scores::multiply_transposed;

/// Scores captions of rows against images.
pub(super) trait Compare {
    /// `[positions, rows]`: every image against the caption of every row; larger fits better. Scores of one
    /// row compare with one another, those of different rows need not.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn tile(&self, positions: &[u32], rows: &[u32]) -> Result<Vec<f32>>;
}

/// Cosines of the embeddings as they are.
pub(super) struct AsGiven<'a> {
    pub(super) sequence: &'a Sequence<'a>,
    pub(super) images: SideVectors<'a>,
    pub(super) captions: SideVectors<'a>,
}

impl Compare for AsGiven<'_> {
    fn tile(&self, positions: &[u32], rows: &[u32]) -> Result<Vec<f32>> {
        let images: Vec<u32> = (positions.iter())
            .map(|&position| self.sequence.rows.images[position as usize])
            .collect();
        let captions: Vec<u32> = (rows.iter())
            .map(|&row| self.sequence.caption[row as usize])
            .collect();
        let (images, captions) = (
            self.images.gather(&images)?,
            self.captions.gather(&captions)?,
        );
        let mut tile = vec![0.0; images.len() * captions.len()];
        multiply_transposed(images.values(), captions.values(), images.dim(), &mut tile);
        Ok(tile)
    }
}

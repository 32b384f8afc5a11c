//! The score matrix cut into tiles of one shape.

use std::ops::Range;

use crate::error::Result;
use crate::relevance::Relevance;
use crate::scores::{Scorer, TileShape};

/// The score matrix cut into tiles of one shape. The last tiles of a row or column start early enough
/// to be whole; what they share with the previous tiles does not belong to them.
pub(super) struct Grid {
    images: Vec<u32>,
    captions: Vec<u32>,
    /// Column of every caption in `captions`.
    column: Vec<u32>,
    shape: TileShape,
}

/// The part of the matrix that belongs to a tile.
pub(super) struct Tile<'a> {
    /// Images of its rows.
    pub(super) images: &'a [u32],
    /// Captions of its columns.
    pub(super) captions: &'a [u32],
    /// Offset of the first of its own scores.
    pub(super) offset: usize,
}

impl Grid {
    pub(super) fn new(relevance: &Relevance, tile: TileShape) -> Self {
        let (n_images, n_captions) = (relevance.n_images(), relevance.n_captions());
        let mut captions: Vec<u32> = (0..n_captions as u32).collect();
        captions.sort_by_key(|&caption| relevance.images_of(caption).first().copied());
        let mut column = vec![0; n_captions];
        for (position, &caption) in captions.iter().enumerate() {
            column[caption as usize] = position as u32;
        }
        Self {
            images: (0..n_images as u32).collect(),
            captions,
            column,
            shape: TileShape {
                images: even_share(n_images, tile.images),
                captions: even_share(n_captions, tile.captions),
            },
        }
    }

    pub(super) fn n_tiles(&self) -> usize {
        self.n_strips() * self.tiles_per_strip()
    }

    /// Rows of tiles.
    pub(super) fn n_strips(&self) -> usize {
        self.images.len().div_ceil(self.shape.images)
    }

    /// Columns of tiles.
    pub(super) fn tiles_per_strip(&self) -> usize {
        self.captions.len().div_ceil(self.shape.captions)
    }

    /// Row and column of a tile among the tiles.
    pub(super) fn position(&self, tile: usize) -> (usize, usize) {
        (tile / self.tiles_per_strip(), tile % self.tiles_per_strip())
    }

    /// Number of scores per row of a tile.
    pub(super) fn stride(&self) -> usize {
        self.shape.captions
    }

    /// Number of scores that a tile computes.
    pub(super) fn scores_per_tile(&self) -> usize {
        self.shape.images * self.shape.captions
    }

    /// A tile's own part.
    pub(super) fn tile(&self, tile: usize) -> Tile<'_> {
        let (row, column) = self.position(tile);
        let rows = span(row, self.shape.images, self.images.len());
        let columns = span(column, self.shape.captions, self.captions.len());
        let own = (row * self.shape.images, column * self.shape.captions);
        Tile {
            images: &self.images[own.0..rows.end],
            captions: &self.captions[own.1..columns.end],
            offset: (own.0 - rows.start) * self.stride() + own.1 - columns.start,
        }
    }

    /// Tile, and offset inside the tile, of an image and a caption.
    pub(super) fn locate(&self, image: u32, caption: u32) -> (usize, usize) {
        let (row, column) = (image as usize, self.column[caption as usize] as usize);
        let (strip, part) = (row / self.shape.images, column / self.shape.captions);
        let rows = span(strip, self.shape.images, self.images.len());
        let columns = span(part, self.shape.captions, self.captions.len());
        let offset = (row - rows.start) * self.stride() + column - columns.start;
        (strip * self.tiles_per_strip() + part, offset)
    }

    /// Fills `scores` with all that a tile computes, `[shape.images, shape.captions]`.
    pub(super) fn scores(
        &self,
        scorer: &dyn Scorer,
        tile: usize,
        scores: &mut [f32],
    ) -> Result<()> {
        let (row, column) = self.position(tile);
        let rows = span(row, self.shape.images, self.images.len());
        let columns = span(column, self.shape.captions, self.captions.len());
        scorer.tile(&self.images[rows], &self.captions[columns], scores)
    }
}

/// The range of part `at` of `n` when every part has `share`.
fn span(at: usize, share: usize, n: usize) -> Range<usize> {
    let end = ((at + 1) * share).min(n);
    end - share..end
}

/// The size, at most `limit`, of about equal parts of `n`.
fn even_share(n: usize, limit: usize) -> usize {
    n.div_ceil(n.div_ceil(limit.max(1)))
}

//! Scores of images against captions, always `[n_images, n_captions]` and larger = more similar.
//!
//! Nothing here ever holds the whole matrix: a [`Scorer`] fills one tile at a time, so scores that are
//! not inner products (attention heads) and data sets of millions of pairs are handled alike.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pair::Pair;
use truepair_kernel::product::{RowCache, Side};

pub use truepair_kernel::product::multiply_transposed;

/// Which side the queries are on.
///
/// ```
/// use truepair_core::pair::Pair;
/// use truepair_core::relevance::Relevance;
/// use truepair_core::scores::Direction;
///
/// // One image, two captions: one query if images are the queries, two if captions are.
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 0, caption: 1 }];
/// let relevance = Relevance::from_pairs(1, 2, &pairs);
/// assert_eq!(relevance.n_queries(Direction::ImageToText), 1);
/// assert_eq!(relevance.n_queries(Direction::TextToImage), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// The query is an image, the gallery holds captions; printed `i2t`.
    #[serde(rename = "i2t")]
    ImageToText,
    /// The query is a caption, the gallery holds images; printed `t2i`.
    #[serde(rename = "t2i")]
    TextToImage,
}

/// Anything that can score a block of images against a block of captions.
///
/// ```
/// use truepair_core::Result;
/// use truepair_core::scores::Scorer;
///
/// /// Captions are described by how many words of an image's tags they hold.
/// struct Tags(Vec<Vec<f32>>);
///
/// impl Scorer for Tags {
///     fn n_images(&self) -> usize {
///         self.0.len()
///     }
///     fn n_captions(&self) -> usize {
///         self.0[0].len()
///     }
///     fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
///         for (row, &image) in out.chunks_exact_mut(captions.len()).zip(images) {
///             for (score, &caption) in row.iter_mut().zip(captions) {
///                 *score = self.0[image as usize][caption as usize];
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let mut tile = [0.0; 2];
/// Tags(vec![vec![3.0, 0.0, 1.0]]).tile(&[0], &[2, 0], &mut tile)?;
/// assert_eq!(tile, [1.0, 3.0]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
pub trait Scorer {
    /// Rows of the score matrix.
    fn n_images(&self) -> usize;
    /// Columns of the score matrix.
    fn n_captions(&self) -> usize;
    /// Fills `out` `[images.len(), captions.len()]`, row-major, with the scores of these rows
    /// against these columns; larger = more similar, every value finite.
    ///
    /// # Errors
    /// If a score is not finite or the model behind the scores fails.
    ///
    /// # Panics
    /// If `out` has the wrong length or an index is out of range.
    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()>;

    /// The tile that code going through all scores should ask for at a time.
    fn tile_shape(&self) -> TileShape {
        TileShape::default()
    }
}

/// Images and captions of one tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileShape {
    /// Rows.
    pub images: usize,
    /// Columns.
    pub captions: usize,
}

impl Default for TileShape {
    /// 8 MiB of scores: large enough that computing a matrix product of usual width takes longer than
    /// counting.
    fn default() -> Self {
        Self {
            images: 1024,
            captions: 2048,
        }
    }
}

/// Row-major `f32` vectors `[n, d]`.
///
/// ```
/// use truepair_core::scores::Matrix;
///
/// let mut rows = Matrix::new(vec![3.0, 4.0, 0.0, 2.0], 2);
/// rows.normalize();
/// assert_eq!((rows.len(), rows.row(0)), (2, &[0.6, 0.8][..]));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    values: Vec<f32>,
    dim: usize,
}

impl Matrix {
    /// Takes `values` as rows of `dim` numbers.
    ///
    /// # Panics
    /// If `dim` is 0 or does not divide the number of values.
    pub fn new(values: Vec<f32>, dim: usize) -> Self {
        assert!(
            dim > 0 && values.len().is_multiple_of(dim),
            "{} values do not make rows of {dim}",
            values.len()
        );
        Self { values, dim }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers per row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// One row `[d]`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// All rows `[n, d]`, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All rows, by value.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Scales every row to length 1; rows of length 0 stay 0.
    pub fn normalize(&mut self) {
        let rows = self.values.par_chunks_exact_mut(self.dim);
        rows.with_min_len(64).for_each(|row| {
            let norm = row
                .iter()
                .map(|x| f64::from(*x).powi(2))
                .sum::<f64>()
                .sqrt();
            if norm > 0.0 {
                let scale = (1.0 / norm) as f32;
                match scale.is_normal() {
                    true => row.iter_mut().for_each(|x| *x *= scale),
                    // Of vectors that are very short or long the factor is no number of single precision.
                    false => (row.iter_mut()).for_each(|x| *x = (f64::from(*x) / norm) as f32),
                }
            }
        });
    }
}

/// Scores as inner products of two sets of embeddings; normalize them for cosine.
///
/// ```
/// use truepair_core::scores::{InnerProduct, Matrix, Scorer};
///
/// let images = Matrix::new(vec![1.0, 0.0, 0.0, 1.0], 2);
/// let captions = Matrix::new(vec![0.6, 0.8], 2);
/// let scorer = InnerProduct::new(images, captions)?;
/// let mut tile = [0.0; 2];
/// scorer.tile(&[0, 1], &[0], &mut tile)?;
/// assert_eq!(tile, [0.6, 0.8]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct InnerProduct {
    images: Matrix,
    captions: Matrix,
    image_rows: RowCache,
    caption_rows: RowCache,
}

impl InnerProduct {
    /// Joins image embeddings `[n_images, d]` and caption embeddings `[n_captions, d]`.
    ///
    /// # Errors
    /// If the widths differ.
    pub fn new(images: Matrix, captions: Matrix) -> Result<Self> {
        if images.dim() != captions.dim() {
            return Err(Error::argument(
                format!(
                    "image embeddings have {} numbers and caption embeddings {}",
                    images.dim(),
                    captions.dim()
                ),
                "frozen embeddings must share one space; train a matcher to join two spaces",
            ));
        }
        Ok(Self {
            images,
            captions,
            image_rows: RowCache::new(Side::Left),
            caption_rows: RowCache::new(Side::Right),
        })
    }

    /// The image embeddings `[n_images, d]`.
    pub fn images(&self) -> &Matrix {
        &self.images
    }

    /// The caption embeddings `[n_captions, d]`.
    pub fn captions(&self) -> &Matrix {
        &self.captions
    }
}

impl Scorer for InnerProduct {
    fn n_images(&self) -> usize {
        self.images.len()
    }

    fn n_captions(&self) -> usize {
        self.captions.len()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        let dim = self.images.dim();
        let rows = (self.image_rows).prepare(self.images.values(), dim, images);
        let columns = (self.caption_rows).prepare(self.captions.values(), dim, captions);
        rows.multiply(&columns, out);
        Ok(())
    }
}

/// Scores that another program computed, `[n_images, n_captions]` row-major.
///
/// ```
/// use truepair_core::scores::{Matrix, MeanScorer, ScoreMatrix, Scorer};
///
/// let matrix = |values: [f32; 2]| ScoreMatrix(Matrix::new(values.to_vec(), 2));
/// let (first, second) = (matrix([1.0, 0.0]), matrix([0.5, 0.5]));
/// // Two networks score one image against two captions; their mean ranks.
/// let both = MeanScorer(vec![Box::new(first), Box::new(second)]);
/// let mut tile = [0.0; 2];
/// both.tile(&[0], &[0, 1], &mut tile)?;
/// assert_eq!(tile, [0.75, 0.25]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ScoreMatrix(pub Matrix);

impl Scorer for ScoreMatrix {
    fn n_images(&self) -> usize {
        self.0.len()
    }

    fn n_captions(&self) -> usize {
        self.0.dim()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        assert_eq!(
            out.len(),
            images.len() * captions.len(),
            "tile of another size"
        );
        for (out, &image) in out.chunks_exact_mut(captions.len().max(1)).zip(images) {
            let row = self.0.row(image as usize);
            for (out, &caption) in out.iter_mut().zip(captions) {
                *out = row[caption as usize];
            }
        }
        Ok(())
    }
}

/// The mean of several scorers' tiles: the two-network ensemble of co-teaching.
pub struct MeanScorer<'a>(pub Vec<Box<dyn Scorer + 'a>>);

impl Scorer for MeanScorer<'_> {
    fn n_images(&self) -> usize {
        self.0[0].n_images()
    }

    fn n_captions(&self) -> usize {
        self.0[0].n_captions()
    }

    fn tile_shape(&self) -> TileShape {
        self.0[0].tile_shape()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        let mut one = vec![0.0; out.len()];
        out.fill(0.0);
        let share = 1.0 / self.0.len() as f32;
        for scorer in &self.0 {
            scorer.tile(images, captions, &mut one)?;
            out.iter_mut()
                .zip(&one)
                .for_each(|(sum, x)| *sum += share * x);
        }
        Ok(())
    }
}

/// The scores of single pairs, in the order given; an image's captions are scored together.
///
/// # Errors
/// If the scorer fails.
///
/// # Panics
/// If a pair is not of the scorer's items.
pub fn score_pairs(scorer: &dyn Scorer, pairs: &[Pair]) -> Result<Vec<f32>> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by_key(|&at| pairs[at].image);
    let mut scores = vec![0.0; pairs.len()];
    for of_image in order.chunk_by(|&a, &b| pairs[a].image == pairs[b].image) {
        let captions: Vec<u32> = of_image.iter().map(|&at| pairs[at].caption).collect();
        let mut found = vec![0.0; captions.len()];
        scorer.tile(&[pairs[of_image[0]].image], &captions, &mut found)?;
        for (&at, score) in of_image.iter().zip(found) {
            scores[at] = score;
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(n: usize, dim: usize, step: f32) -> Matrix {
        Matrix::new(
            (0..n * dim).map(|i| ((i as f32) * step).sin()).collect(),
            dim,
        )
    }

    #[test]
    fn very_short_and_long_rows_have_length_1_too() {
        for size in [1e-44, 1e-39, 1e-20, 1.0, 1e20, 3e38] {
            let mut rows = Matrix::new(vec![size, -size], 2);
            rows.normalize();
            let half = 0.5f32.sqrt();
            let [a, b] = [rows.values()[0] - half, rows.values()[1] + half];
            assert!(
                a.abs() < 1e-6 && b.abs() < 1e-6,
                "{size} {:?}",
                rows.values()
            );
        }
    }

    #[test]
    fn a_tile_holds_the_inner_products_of_the_rows_asked_for() {
        let scorer = InnerProduct::new(matrix(7, 5, 0.7), matrix(9, 5, 1.3)).unwrap();
        let (images, captions) = ([6, 0, 3], [8, 2]);
        let mut tile = [0.0; 6];
        scorer.tile(&images, &captions, &mut tile).unwrap();
        for (i, &image) in images.iter().enumerate() {
            for (j, &caption) in captions.iter().enumerate() {
                let expected: f32 = (scorer.images().row(image as usize).iter())
                    .zip(scorer.captions().row(caption as usize))
                    .map(|(a, b)| a * b)
                    .sum();
                assert!((tile[i * 2 + j] - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn an_ensemble_is_the_mean() {
        let a = ScoreMatrix(matrix(3, 4, 0.7));
        let b = ScoreMatrix(matrix(3, 4, 0.9));
        let mut tile = [0.0; 2];
        let mean = MeanScorer(vec![Box::new(a.clone()), Box::new(b.clone())]);
        mean.tile(&[1], &[0, 3], &mut tile).unwrap();
        assert!((tile[1] - (a.0.row(1)[3] + b.0.row(1)[3]) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn widths_must_agree() {
        assert!(InnerProduct::new(matrix(3, 4, 0.1), matrix(3, 5, 0.1)).is_err());
    }

    #[test]
    fn single_pairs_are_scored_in_their_own_order() {
        let scores = ScoreMatrix(Matrix::new(vec![0.0, 0.1, 0.2, 1.0, 1.1, 1.2], 3));
        let pair = |image, caption| Pair { image, caption };
        let pairs = [pair(1, 2), pair(0, 0), pair(1, 0), pair(0, 0)];
        assert_eq!(score_pairs(&scores, &pairs).unwrap(), [1.2, 0.0, 1.0, 0.0]);
        assert!(score_pairs(&scores, &[]).unwrap().is_empty());
    }
}

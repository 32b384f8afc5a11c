//! One modality as vectors of length 1, read a few rows at a time.

use rayon::prelude::*;

use super::Pooling;
use crate::audit::Likeness;
use crate::dataset::Features;
use crate::error::{Error, Result};
use crate::scores::Matrix;

/// Width of the widest vectors whose covariance is decomposed; its square is kept in memory several times.
const WIDEST: usize = 8192;

/// The rows of a modality as a linear matcher reads them: regions pooled, then scaled to length 1.
/// Vectors of zeros stay zeros.
#[derive(Debug, Clone, Copy)]
pub struct SideVectors<'a> {
    features: &'a Features,
    pooling: Pooling,
}

impl<'a> SideVectors<'a> {
    /// Reads `features` with their regions pooled.
    ///
    /// # Errors
    /// If the vectors are too wide for a covariance.
    pub fn new(features: &'a Features, pooling: Pooling) -> Result<Self> {
        let side = Self { features, pooling };
        if side.dim() > WIDEST {
            return Err(Error::argument(
                format!(
                    "vectors of {} numbers are too wide for a linear matcher, which takes at most \
                     {WIDEST}",
                    side.dim()
                ),
                "give embeddings, or train networks (`--matcher network`)",
            ));
        }
        Ok(side)
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// Numbers per vector.
    pub fn dim(&self) -> usize {
        self.pooling
            .width(self.features.dim(), self.features.regions())
    }

    /// The vectors of `rows`, `[rows, dim]`.
    ///
    /// # Errors
    /// If a row does not exist or cannot be read.
    pub fn gather(&self, rows: &[u32]) -> Result<Matrix> {
        let (dim, width) = (self.dim(), self.features.dim());
        let mut out = vec![0.0; rows.len() * dim];
        out.par_chunks_exact_mut(dim)
            .zip(rows)
            .with_min_len(16)
            .try_for_each_init(
                || vec![0.0; self.features.row_len()],
                |regions, (out, &row)| {
                    self.features.copy_row(row as usize, regions)?;
                    self.pooling.pool(regions, width, out);
                    Ok::<(), Error>(())
                },
            )?;
        let mut vectors = Matrix::new(out, dim);
        vectors.normalize();
        Ok(vectors)
    }
}

/// Both modalities as vectors, by which items resemble each other.
#[derive(Debug, Clone, Copy)]
pub struct ItemVectors<'a> {
    /// The images.
    pub images: SideVectors<'a>,
    /// The captions.
    pub captions: SideVectors<'a>,
}

impl Likeness for ItemVectors<'_> {
    fn images(&self, rows: &[u32]) -> Result<Matrix> {
        self.images.gather(rows)
    }

    fn captions(&self, rows: &[u32]) -> Result<Matrix> {
        self.captions.gather(rows)
    }
}

impl Pooling {
    /// Numbers per pooled vector.
    pub fn width(self, dim: usize, regions: usize) -> usize {
        match self {
            Pooling::MeanDeviation if regions > 1 => 2 * dim,
            Pooling::Mean | Pooling::MeanDeviation => dim,
        }
    }

    /// Pools `regions` `[r, dim]` into `out`. Regions of zeros stand for missing regions.
    fn pool(self, regions: &[f32], dim: usize, out: &mut [f32]) {
        if regions.len() == dim {
            return out.copy_from_slice(regions);
        }
        let there = || {
            let regions = regions.chunks_exact(dim);
            regions.filter(|region| region.iter().any(|x| *x != 0.0))
        };
        let share = 1.0 / there().count().max(1) as f32;
        let (mean, rest) = out.split_at_mut(dim);
        mean.fill(0.0);
        for region in there() {
            (mean.iter_mut().zip(region)).for_each(|(sum, x)| *sum += share * x);
        }
        if self == Pooling::Mean {
            return;
        }
        rest.fill(0.0);
        for region in there() {
            let squares = region
                .iter()
                .zip(mean.iter())
                .map(|(x, mean)| (x - mean) * (x - mean));
            (rest.iter_mut().zip(squares)).for_each(|(sum, square)| *sum += share * square);
        }
        rest.iter_mut().for_each(|x| *x = x.sqrt());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_are_there_are_pooled() {
        let features = Features::from_regions(vec![3.0, 0.0, 1.0, 4.0, 0.0, 0.0], 3, 2);
        let side = SideVectors::new(&features, Pooling::MeanDeviation).unwrap();
        let row = side.gather(&[0]).unwrap();
        // Mean (2, 2), deviation (1, 2), length √13.
        let length = 13f32.sqrt();
        let expected = [2.0, 2.0, 1.0, 2.0].map(|x| x / length);
        for (found, expected) in row.values().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{:?}", row.values());
        }
        let mean = SideVectors::new(&features, Pooling::Mean).unwrap();
        assert!((mean.gather(&[0]).unwrap().row(0)[0] - 0.5f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn vectors_too_wide_are_refused_and_zeros_stay() {
        let wide = Features::from_rows(vec![0.0; WIDEST + 1], WIDEST + 1);
        assert!(SideVectors::new(&wide, Pooling::Mean).is_err());
        let zeros = Features::from_rows(vec![0.0; 4], 2);
        let side = SideVectors::new(&zeros, Pooling::MeanDeviation).unwrap();
        assert_eq!(side.dim(), 2);
        assert_eq!(side.gather(&[1]).unwrap().values(), [0.0, 0.0]);
    }
}

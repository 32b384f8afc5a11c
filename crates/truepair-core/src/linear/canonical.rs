//! Canonical directions under any ridge, from one decomposition of each covariance.

use super::Chosen;
use super::moments::{Covariance, Moments, Shift};
use crate::dense::{Eigen, product, product_transposed, symmetric};
use crate::error::{Error, Result};
use crate::scores::Matrix;

/// The covariances of pairs in the coordinates of their eigenvectors. A ridge changes only the
/// eigenvalues, so all ridges share them.
#[derive(Debug, Clone)]
pub(super) struct Rotated {
    mean_x: Vec<f64>,
    mean_y: Vec<f64>,
    x: Eigen,
    y: Eigen,
    /// `Vxᵀ Cxy Vy` `[dx, dy]`.
    cross: Vec<f64>,
}

/// Canonical directions of both modalities.
#[derive(Debug, Clone)]
pub(super) struct Directions {
    pub(super) mean_x: Vec<f64>,
    pub(super) mean_y: Vec<f64>,
    /// `[dx, k]`, one direction per column, the most correlated first.
    pub(super) x: Vec<f64>,
    /// `[dy, k]`.
    pub(super) y: Vec<f64>,
    /// Canonical correlations `[k]` in [0, 1], descending.
    pub(super) correlations: Vec<f64>,
    /// Variance of the fitted pairs along every direction `[k]`, at most 1.
    pub(super) spread_x: Vec<f64>,
    pub(super) spread_y: Vec<f64>,
}

impl Rotated {
    /// # Errors
    /// If there is no pair, or a vector is not finite.
    pub(super) fn new(moments: &Moments, shift: &Shift) -> Result<Self> {
        if moments.weight <= 0.0 {
            return Err(Error::argument(
                "no pair to fit a linear matcher to",
                "every pair has weight 0; lower the threshold for leaving pairs out",
            ));
        }
        let Covariance {
            mean_x,
            mean_y,
            xx,
            yy,
            xy,
        } = moments.covariance(shift);
        let (dx, dy) = (mean_x.len(), mean_y.len());
        let (x, y) = (symmetric(&xx, dx)?, symmetric(&yy, dy)?);
        let half = product_transposed(&x.vectors, &xy, [dx, dx, dy]);
        let cross = product(&half, &y.vectors, [dx, dy, dy]);
        Ok(Self {
            mean_x,
            mean_y,
            x,
            y,
            cross,
        })
    }

    /// ```text
    /// (Cxx + λx I)^-½ Cxy (Cyy + λy I)^-½ = U diag(ρ) Vᵀ,   λ = ridge · tr C / d
    /// ```
    /// with directions `(Cxx + λx I)^-½ U` and `(Cyy + λy I)^-½ V`, at most `width` of them, in the
    /// coordinates of the eigenvectors.
    ///
    /// # Errors
    /// If a number is not finite.
    pub(super) fn canonical(&self, ridge: f64, width: usize) -> Result<Canonical> {
        let (dx, dy) = (self.mean_x.len(), self.mean_y.len());
        let scale_x = inverse_roots(&self.x.values, ridge);
        let scale_y = inverse_roots(&self.y.values, ridge);
        let mut whitened = self.cross.clone();
        for (row, scale) in whitened.chunks_exact_mut(dy).zip(&scale_x) {
            (row.iter_mut().zip(&scale_y)).for_each(|(x, other)| *x *= scale * other);
        }
        let mut found = Canonical::of(&whitened, [dx, dy], width)?;
        let k = found.correlations.len().max(1);
        for (vectors, scale) in [(&mut found.left, &scale_x), (&mut found.right, &scale_y)] {
            for (row, scale) in vectors.chunks_exact_mut(k).zip(scale) {
                row.iter_mut().for_each(|x| *x *= scale);
            }
        }
        Ok(found)
    }

    /// The directions of [`canonical`](Self::canonical) in the coordinates of the features.
    ///
    /// # Errors
    /// If a number is not finite.
    pub(super) fn directions(&self, ridge: f64, width: usize) -> Result<Directions> {
        let Canonical {
            correlations,
            left,
            right,
        } = self.canonical(ridge, width)?;
        let (dx, dy, k) = (self.mean_x.len(), self.mean_y.len(), correlations.len());
        let spread = |eigen: &Eigen, vectors: &[f64]| {
            let mut spread = vec![0.0; k];
            for (row, variance) in vectors.chunks_exact(k.max(1)).zip(&eigen.values) {
                (spread.iter_mut().zip(row)).for_each(|(sum, x)| *sum += variance * x * x);
            }
            spread
        };
        Ok(Directions {
            spread_x: spread(&self.x, &left),
            spread_y: spread(&self.y, &right),
            mean_x: self.mean_x.clone(),
            mean_y: self.mean_y.clone(),
            x: product(&self.x.vectors, &left, [dx, dx, k]),
            y: product(&self.y.vectors, &right, [dy, dy, k]),
            correlations,
        })
    }

    /// Images' and captions' vectors, minus the mean, in the coordinates of the eigenvectors.
    pub(super) fn rotate(&self, images: &Matrix, captions: &Matrix) -> [Vec<f64>; 2] {
        let rotate = |rows: &Matrix, mean: &[f64], eigen: &Eigen| {
            let d = mean.len();
            let mut centered = Vec::with_capacity(rows.values().len());
            for row in rows.values().chunks_exact(d) {
                centered.extend(row.iter().zip(mean).map(|(x, mean)| f64::from(*x) - mean));
            }
            product(&centered, &eigen.vectors, [rows.len(), d, d])
        };
        [
            rotate(images, &self.mean_x, &self.x),
            rotate(captions, &self.mean_y, &self.y),
        ]
    }
}

/// Leading singular values and vectors of a whitened cross-covariance.
#[derive(Debug, Clone)]
pub(super) struct Canonical {
    pub(super) correlations: Vec<f64>,
    /// `[dx, k]`.
    pub(super) left: Vec<f64>,
    /// `[dy, k]`.
    pub(super) right: Vec<f64>,
}

impl Canonical {
    /// Uses the eigenvectors of `MᵀM` or `MMᵀ`, whichever is smaller: this takes half the time of a
    /// singular value decomposition and is exact enough for correlations above [`LEAST_CORRELATION`].
    fn of(matrix: &[f64], [dx, dy]: [usize; 2], width: usize) -> Result<Self> {
        let turned = dx < dy;
        let (small, large) = if turned { (dx, dy) } else { (dy, dx) };
        // `tall` is `[large, small]`.
        let tall: Vec<f64> = if turned {
            transposed(matrix, dx, dy)
        } else {
            matrix.to_vec()
        };
        let gram = product_transposed(&tall, &tall, [large, small, small]);
        let Eigen { values, vectors } = symmetric(&gram, small)?;
        let correlations = values.iter().map(|value| value.max(0.0).sqrt().min(1.0));
        let correlations: Vec<f64> = correlations
            .take(width)
            .take_while(|rho| *rho > LEAST_CORRELATION)
            .collect();
        let k = correlations.len();
        let of_small: Vec<f64> = (vectors.chunks_exact(small))
            .flat_map(|row| row[..k].iter().copied())
            .collect();
        let mut of_large = product(&tall, &of_small, [large, small, k]);
        for row in of_large.chunks_exact_mut(k.max(1)) {
            (row.iter_mut().zip(&correlations)).for_each(|(x, rho)| *x /= rho);
        }
        let (left, right) = if turned {
            (of_small, of_large)
        } else {
            (of_large, of_small)
        };
        Ok(Self {
            correlations,
            left,
            right,
        })
    }
}

/// Directions that correlate less are uninformative, and rounding errors would be divided by this.
const LEAST_CORRELATION: f64 = 1e-5;

fn transposed(matrix: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns)
        .map(|at| matrix[at % rows * columns + at / rows])
        .collect()
}

/// The scales of directions with these correlations under the chosen power; at most as many as chosen.
pub(super) fn scales(correlations: &[f64], chosen: Chosen) -> Vec<f64> {
    let kept = correlations.iter().take(chosen.width);
    kept.map(|value| value.powf(chosen.power)).collect()
}

/// `1 / √(value + λ)`; 0 for directions without any variance.
fn inverse_roots(values: &[f64], ridge: f64) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    // Rounding leaves eigenvalues of about this size where there are none.
    let least = 1e-10 * values.first().copied().unwrap_or(0.0);
    let root = |value: &f64| match value.max(0.0) + ridge * mean {
        sum if sum > least => 1.0 / sum.sqrt(),
        _ => 0.0,
    };
    values.iter().map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_side_may_be_the_narrower() {
        let (dx, dy) = (5, 3);
        let matrix: Vec<f64> = (0..dx * dy)
            .map(|i| ((i * i) as f64 * 0.37).sin() / 4.0)
            .collect();
        let wide = Canonical::of(&matrix, [dx, dy], 9).unwrap();
        let tall = Canonical::of(&transposed(&matrix, dx, dy), [dy, dx], 9).unwrap();
        let k = wide.correlations.len();
        assert_eq!(k, 3);
        for (a, b) in wide.correlations.iter().zip(&tall.correlations) {
            assert!((a - b).abs() < 1e-12);
        }
        for i in 0..dx {
            for j in 0..dy {
                let sum = |left: &[f64], right: &[f64]| -> f64 {
                    (0..k)
                        .map(|at| left[i * k + at] * wide.correlations[at] * right[j * k + at])
                        .sum()
                };
                let exact = matrix[i * dy + j];
                assert!((sum(&wide.left, &wide.right) - exact).abs() < 1e-9);
                assert!((sum(&tall.right, &tall.left) - exact).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn directions_whiten_what_they_were_fitted_to() {
        let (dx, dy) = (4, 3);
        let mut moments = Moments::new(dx, dy);
        let mut shift = Shift {
            x: vec![0.0; dx],
            y: vec![0.0; dy],
        };
        shift.x[1] = 2.0;
        // A common signal in both sides, and noise.
        let rows = |n: usize| -> (Vec<f64>, Vec<f64>) {
            let wave = |k: usize| ((n * (k + 3)) as f64 * 0.618).sin();
            let x = (0..dx).map(|k| wave(k) + if k < 2 { wave(9) } else { 0.0 });
            let y = (0..dy).map(|k| wave(k + 4) + if k == 1 { 2.0 * wave(9) } else { 0.0 });
            (x.collect(), y.collect())
        };
        let n = 500;
        for row in 0..n {
            let (x, y) = rows(row);
            moments.weight += 1.0;
            (moments.sum_x.iter_mut().zip(&x)).for_each(|(sum, x)| *sum += x);
            (moments.sum_y.iter_mut().zip(&y)).for_each(|(sum, y)| *sum += y);
            moments.add_outer(&x, &y);
        }
        let rotated = Rotated::new(&moments, &shift).unwrap();
        let found = rotated.directions(0.0, 2).unwrap();
        assert_eq!(found.correlations.len(), 2);
        assert!(
            found.correlations[0] > 0.5 && found.correlations[1] < 0.3,
            "{:?}",
            found.correlations
        );
        let along = |row: &[f64], mean: &[f64], shift: &[f32], map: &[f64], k: usize| -> f64 {
            (0..row.len())
                .map(|i| (row[i] - (mean[i] - f64::from(shift[i]))) * map[i * 2 + k])
                .sum()
        };
        let mut products = [0.0; 3];
        for row in 0..n {
            let (x, y) = rows(row);
            let a = along(&x, &found.mean_x, &shift.x, &found.x, 0);
            let b = along(&y, &found.mean_y, &shift.y, &found.y, 0);
            for (sum, product) in products.iter_mut().zip([a * a, b * b, a * b]) {
                *sum += product / n as f64;
            }
        }
        assert!((found.spread_x[0] - 1.0).abs() < 1e-9 && (found.spread_y[1] - 1.0).abs() < 1e-9);
        let expected = [1.0, 1.0, found.correlations[0]];
        for (found, expected) in products.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{products:?}");
        }
    }
}

//! Means and covariances of pairs, gathered in one pass over any number of them.

use super::SideVectors;
use crate::error::Result;
use crate::pair::Pair;
use crate::scores::Matrix;
use crate::watch::{self, Watch};
use truepair_kernel::product::{Precision, Threads, View};

/// How many images are multiplied together. Their products are sums of this many terms in single
/// precision, which are then added in double precision.
const CHUNK: usize = 2048;

/// Rows of a symmetric product that are multiplied together, with the columns from there on.
const BAND: usize = 128;

/// How many pairs the shift is the mean of.
const SHIFT_SAMPLE: usize = 1024;

/// Weighted sums of products of pairs' vectors, each minus the same shift, in double precision.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    /// Sum of the weights.
    pub(super) weight: f64,
    pub(super) sum_x: Vec<f64>,
    pub(super) sum_y: Vec<f64>,
    /// `Σ w x xᵀ` `[dx, dx]`; filled only from the band on the diagonal to the right.
    xx: Vec<f64>,
    yy: Vec<f64>,
    /// `Σ w x yᵀ` `[dx, dy]`.
    xy: Vec<f64>,
}

/// Means and covariances.
#[derive(Debug, Clone)]
pub(super) struct Covariance {
    pub(super) mean_x: Vec<f64>,
    pub(super) mean_y: Vec<f64>,
    /// `[dx, dx]`.
    pub(super) xx: Vec<f64>,
    /// `[dy, dy]`.
    pub(super) yy: Vec<f64>,
    /// `[dx, dy]`.
    pub(super) xy: Vec<f64>,
}

/// The pairs whose moments are wanted, with their vectors.
#[derive(Clone, Copy)]
pub(super) struct Weighted<'a> {
    pub(super) images: SideVectors<'a>,
    pub(super) captions: SideVectors<'a>,
    pub(super) pairs: &'a [Pair],
    /// The weight of every pair, `[pairs]`, at least 0; `None` = all alike.
    pub(super) weights: Option<&'a [f32]>,
}

impl Weighted<'_> {
    pub(super) fn weight(&self, pair: u32) -> f32 {
        self.weights.map_or(1.0, |weights| weights[pair as usize])
    }

    /// What is subtracted from every vector, so that squares of large means do not swallow variances:
    /// the mean over some pairs. Moments that are to be added must share the same shift.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn shift(&self) -> Result<Shift> {
        let step = self.pairs.len().div_ceil(SHIFT_SAMPLE).max(1);
        let sample = self.pairs.iter().step_by(step);
        let (images, captions): (Vec<u32>, Vec<u32>) =
            sample.map(|pair| (pair.image, pair.caption)).unzip();
        Ok(Shift {
            x: mean(&self.images.gather(&images)?),
            y: mean(&self.captions.gather(&captions)?),
        })
    }

    /// The moments of the pairs of every part; `part_of_pair` `[pairs]` names the part of each, below
    /// `n_parts`. The bits depend only on the pairs and parts.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub(super) fn moments(
        &self,
        shift: &Shift,
        part_of_pair: &[u32],
        n_parts: usize,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Moments>> {
        let mut order: Vec<u32> = (0..self.pairs.len() as u32)
            .filter(|&pair| self.weight(pair) > 0.0)
            .collect();
        // Pairs of one image are kept together, so that its vector is multiplied once.
        order.sort_unstable_by_key(|&pair| {
            (
                part_of_pair[pair as usize],
                self.pairs[pair as usize].image,
                pair,
            )
        });
        let mut parts = vec![Moments::new(shift.x.len(), shift.y.len()); n_parts];
        let mut work = Work::default();
        let mut done = 0;
        for members in order.chunk_by(|&a, &b| part_of_pair[a as usize] == part_of_pair[b as usize])
        {
            let part = part_of_pair[members[0] as usize] as usize;
            let image = |pair: u32| self.pairs[pair as usize].image;
            let by_image: Vec<&[u32]> = members.chunk_by(|&a, &b| image(a) == image(b)).collect();
            for chunk in by_image.chunks(CHUNK) {
                watch::check(watch)?;
                self.add(&mut parts[part], shift, chunk, &mut work)?;
                done += chunk.iter().map(|pairs| pairs.len()).sum::<usize>();
                watch.advance("covariances", done as u64, order.len() as u64);
            }
        }
        Ok(parts)
    }

    /// Adds the pairs of some images.
    fn add(
        &self,
        moments: &mut Moments,
        shift: &Shift,
        by_image: &[&[u32]],
        work: &mut Work,
    ) -> Result<()> {
        let members = by_image.concat();
        let pair = |n: u32| self.pairs[n as usize];
        let images: Vec<u32> = by_image.iter().map(|pairs| pair(pairs[0]).image).collect();
        let captions: Vec<u32> = members.iter().map(|&n| pair(n).caption).collect();
        let x = shifted(self.images.gather(&images)?, &shift.x);
        let y = shifted(self.captions.gather(&captions)?, &shift.y);
        let (dx, dy) = (shift.x.len(), shift.y.len());

        // The weight of each image, and the weighted sum of its captions.
        let mut total = vec![0.0f32; images.len()];
        let mut sums = vec![0.0f32; images.len() * dy];
        let mut weighted_y = y.clone();
        let mut at = 0;
        for (image, pairs) in by_image.iter().enumerate() {
            let sum = &mut sums[image * dy..][..dy];
            for &n in *pairs {
                let weight = self.weight(n);
                total[image] += weight;
                let row = &mut weighted_y[at * dy..][..dy];
                row.iter_mut().for_each(|x| *x *= weight);
                (sum.iter_mut().zip(row)).for_each(|(sum, x)| *sum += *x);
                at += 1;
            }
        }
        let mut weighted_x = x.clone();
        for (row, weight) in weighted_x.chunks_exact_mut(dx).zip(&total) {
            row.iter_mut().for_each(|x| *x *= weight);
        }
        moments.weight += total.iter().map(|weight| f64::from(*weight)).sum::<f64>();
        add_rows(&mut moments.sum_x, &weighted_x);
        add_rows(&mut moments.sum_y, &sums);
        work.add_symmetric(&mut moments.xx, &x, &weighted_x, dx);
        work.add_symmetric(&mut moments.yy, &y, &weighted_y, dy);
        work.add_product(
            &mut moments.xy,
            View::rows(&x, dx),
            View::rows(&sums, dy),
            dy,
        );
        Ok(())
    }
}

/// What is subtracted from every vector before products are summed.
#[derive(Debug, Clone)]
pub(super) struct Shift {
    pub(super) x: Vec<f32>,
    pub(super) y: Vec<f32>,
}

impl Moments {
    pub(super) fn new(dx: usize, dy: usize) -> Self {
        Self {
            weight: 0.0,
            sum_x: vec![0.0; dx],
            sum_y: vec![0.0; dy],
            xx: vec![0.0; dx * dx],
            yy: vec![0.0; dy * dy],
            xy: vec![0.0; dx * dy],
        }
    }

    /// Adds the products of one pair's vectors, for tests.
    #[cfg(test)]
    pub(super) fn add_outer(&mut self, x: &[f64], y: &[f64]) {
        for (sum, a, b) in [
            (&mut self.xx, x, x),
            (&mut self.yy, y, y),
            (&mut self.xy, x, y),
        ] {
            for (row, a) in sum.chunks_exact_mut(b.len()).zip(a) {
                (row.iter_mut().zip(b)).for_each(|(sum, b)| *sum += a * b);
            }
        }
    }

    /// The moments of all of `parts` together; zeros if there are none.
    pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Moments>, shift: &Shift) -> Moments {
        let add = |sum: &mut [f64], part: &[f64]| {
            (sum.iter_mut().zip(part)).for_each(|(sum, x)| *sum += x);
        };
        let mut sum = Moments::new(shift.x.len(), shift.y.len());
        for part in parts {
            sum.weight += part.weight;
            add(&mut sum.sum_x, &part.sum_x);
            add(&mut sum.sum_y, &part.sum_y);
            add(&mut sum.xx, &part.xx);
            add(&mut sum.yy, &part.yy);
            add(&mut sum.xy, &part.xy);
        }
        sum
    }

    /// Means, the shift added again, and covariances.
    pub(super) fn covariance(&self, shift: &Shift) -> Covariance {
        let scale = 1.0 / self.weight.max(f64::MIN_POSITIVE);
        let center = |sums: &[f64]| sums.iter().map(|sum| sum * scale).collect::<Vec<f64>>();
        let (x, y) = (center(&self.sum_x), center(&self.sum_y));
        let central = |products: &[f64], a: &[f64], b: &[f64]| {
            let mut out: Vec<f64> = products.iter().map(|product| product * scale).collect();
            for (row, a) in out.chunks_exact_mut(b.len()).zip(a) {
                (row.iter_mut().zip(b)).for_each(|(out, b)| *out -= a * b);
            }
            out
        };
        let back = |mean: &[f64], shift: &[f32]| {
            let both = mean.iter().zip(shift);
            both.map(|(mean, shift)| mean + f64::from(*shift)).collect()
        };
        Covariance {
            mean_x: back(&x, &shift.x),
            mean_y: back(&y, &shift.y),
            xx: mirrored(central(&self.xx, &x, &x), x.len()),
            yy: mirrored(central(&self.yy, &y, &y), y.len()),
            xy: central(&self.xy, &x, &y),
        }
    }
}

/// Copies what is right of the diagonal to its left.
fn mirrored(mut square: Vec<f64>, n: usize) -> Vec<f64> {
    for row in 0..n {
        for column in 0..row {
            square[row * n + column] = square[column * n + row];
        }
    }
    square
}

/// Space for products in single precision.
#[derive(Default)]
struct Work(Vec<f32>);

impl Work {
    /// `out += AᵀB`, `[columns of A, columns of B]`.
    fn add_product(&mut self, out: &mut [f64], a: View<'_>, b: View<'_>, columns: usize) {
        self.0.resize(out.len(), 0.0);
        let (precision, threads) = (Precision::F32, Threads::All);
        a.t()
            .times(b)
            .with(precision)
            .on(threads)
            .write(&mut self.0, columns);
        (out.iter_mut().zip(&self.0)).for_each(|(sum, x)| *sum += f64::from(*x));
    }

    /// `out += AᵀB` where that is symmetric: the columns right of the diagonal, in bands.
    fn add_symmetric(&mut self, out: &mut [f64], a: &[f32], b: &[f32], d: usize) {
        let n = a.len() / d;
        for start in (0..d).step_by(BAND) {
            let (rows, columns) = (BAND.min(d - start), d - start);
            self.0.resize(rows * columns, 0.0);
            let left = View::strided(&a[start..], n, rows, d);
            let right = View::strided(&b[start..], n, columns, d);
            let (precision, threads) = (Precision::F32, Threads::All);
            left.t()
                .times(right)
                .with(precision)
                .on(threads)
                .write(&mut self.0, columns);
            for (row, products) in self.0.chunks_exact(columns).enumerate() {
                let out = &mut out[(start + row) * d + start..][..columns];
                (out.iter_mut().zip(products)).for_each(|(sum, x)| *sum += f64::from(*x));
            }
        }
    }
}

fn mean(rows: &Matrix) -> Vec<f32> {
    let mut sum = vec![0.0; rows.dim()];
    add_rows(&mut sum, rows.values());
    let share = 1.0 / rows.len().max(1) as f64;
    sum.into_iter().map(|sum| (sum * share) as f32).collect()
}

fn add_rows(sum: &mut [f64], rows: &[f32]) {
    for row in rows.chunks_exact(sum.len()) {
        (sum.iter_mut().zip(row)).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

fn shifted(rows: Matrix, shift: &[f32]) -> Vec<f32> {
    let mut values = rows.into_values();
    for row in values.chunks_exact_mut(shift.len()) {
        (row.iter_mut().zip(shift)).for_each(|(x, shift)| *x -= shift);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Features;
    use crate::linear::Pooling;

    /// From the definition, in double precision.
    fn direct(x: &[Vec<f64>], y: &[Vec<f64>], w: &[f64]) -> [Vec<f64>; 3] {
        let total: f64 = w.iter().sum();
        let mean = |rows: &[Vec<f64>], k: usize| {
            rows.iter().zip(w).map(|(row, w)| w * row[k]).sum::<f64>() / total
        };
        let covariance = |a: &[Vec<f64>], b: &[Vec<f64>]| {
            let mut out = Vec::new();
            for i in 0..a[0].len() {
                for j in 0..b[0].len() {
                    let (ma, mb) = (mean(a, i), mean(b, j));
                    let products =
                        (a.iter().zip(b).zip(w)).map(|((a, b), w)| w * (a[i] - ma) * (b[j] - mb));
                    out.push(products.sum::<f64>() / total);
                }
            }
            out
        };
        [covariance(x, x), covariance(y, y), covariance(x, y)]
    }

    #[test]
    fn moments_are_those_of_the_definition_in_any_parts() {
        let (n_images, dx, dy) = (40, 150, 7);
        let wave = |n: usize, step: f32| -> Vec<f32> {
            (0..n).map(|i| 3.0 + (i as f32 * step).sin()).collect()
        };
        let images = Features::from_rows(wave(n_images * dx, 0.37), dx);
        let captions = Features::from_rows(wave(100 * dy, 0.73), dy);
        let pairs: Vec<Pair> = (0..100)
            .map(|n| Pair {
                image: n * 7 % n_images as u32,
                caption: n,
            })
            .collect();
        let weights: Vec<f32> = (0..100).map(|n| (n % 4) as f32 / 2.0).collect();
        let weighted = Weighted {
            images: SideVectors::new(&images, Pooling::Mean).unwrap(),
            captions: SideVectors::new(&captions, Pooling::Mean).unwrap(),
            pairs: &pairs,
            weights: Some(&weights),
        };
        let shift = weighted.shift().unwrap();
        let parts: Vec<u32> = (0..100).map(|n| n % 3).collect();
        let moments = weighted.moments(&shift, &parts, 3, &mut ()).unwrap();
        let found = Moments::sum(moments.iter(), &shift).covariance(&shift);

        let rows = |side: &SideVectors<'_>, of: &dyn Fn(&Pair) -> u32| -> Vec<Vec<f64>> {
            let rows: Vec<u32> = pairs.iter().map(of).collect();
            let rows = side.gather(&rows).unwrap();
            (0..100)
                .map(|n| rows.row(n).iter().map(|x| f64::from(*x)).collect())
                .collect()
        };
        let x = rows(&weighted.images, &|pair| pair.image);
        let y = rows(&weighted.captions, &|pair| pair.caption);
        let w: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
        let expected = direct(&x, &y, &w);
        for (found, expected) in [&found.xx, &found.yy, &found.xy].into_iter().zip(&expected) {
            let largest = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6 * largest,
                    "{found} {expected}"
                );
            }
        }
    }
}

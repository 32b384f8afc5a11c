//! How far apart the images of two splits lie.

use super::Dataset;
use crate::error::Result;
use crate::rng::{Seed, sample};
use crate::scores::Matrix;

/// Images of a split that are looked at.
const AT_MOST: usize = 1_000;

/// The distance of the mean images of two splits, in standard deviations of the first one's images, all numbers taken
/// together.
///
/// Two samples of the same images are about [`Apart::by_chance`] apart, whatever the images are. On RSICD, whose `dev` has
/// four classes of photos, two of them absent from `train`, 0.33 was found, on a part of it where all four are absent
/// 0.42, on splits drawn at random 0.06.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// The distance, at least 0.
    pub distance: f64,
    /// The root of the expected square of the distance between two samples as large as these.
    pub by_chance: f64,
}

impl Dataset {
    /// How far the images of `other` lie from these, judged by a thousand of either; a vector an image, the mean where it has
    /// regions. `None` where that says nothing: images are pictures, have other numbers, are all the same, or there is none.
    ///
    /// # Errors
    /// Those of [`Features::copy_row`](super::Features::copy_row).
    pub fn images_apart(&self, other: &Dataset) -> Result<Option<Apart>> {
        let comparable = !self.images.are_pictures()
            && !other.images.are_pictures()
            && self.images.dim() == other.images.dim();
        if !comparable || self.images.is_empty() || other.images.is_empty() {
            return Ok(None);
        }
        let (own, others) = (some_images(self)?, some_images(other)?);
        let (mean, variance) = moments(&own);
        let (other_mean, _) = moments(&others);
        // Equal rows differ by rounding of their mean.
        let rounding = 1e-12 * mean.iter().map(|m| m.powi(2)).sum::<f64>();
        if variance <= rounding || !variance.is_finite() {
            return Ok(None);
        }
        let squared: f64 = (mean.iter().zip(&other_mean))
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        let by_chance = 1.0 / own.len() as f64 + 1.0 / others.len() as f64;
        Ok(Some(Apart {
            distance: (squared / variance).sqrt(),
            by_chance: by_chance.sqrt(),
        }))
    }
}

/// Vectors of images drawn at random.
fn some_images(data: &Dataset) -> Result<Matrix> {
    let mut stream = Seed(0).stream("images apart", &[]);
    let rows = sample(&mut stream, data.images.len(), AT_MOST);
    data.images.select(&rows).pooled()
}

/// The mean row, and the variances of all numbers in sum.
fn moments(rows: &Matrix) -> (Vec<f64>, f64) {
    let n = rows.len() as f64;
    let mut mean = vec![0.0; rows.dim()];
    for row in 0..rows.len() {
        (mean.iter_mut().zip(rows.row(row))).for_each(|(sum, x)| *sum += f64::from(*x) / n);
    }
    let squares = (0..rows.len()).map(|row| {
        let apart = rows.row(row).iter().zip(&mean);
        apart.map(|(x, m)| (f64::from(*x) - m).powi(2)).sum::<f64>()
    });
    let variance = squares.sum::<f64>() / n;
    (mean, variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Features;
    use crate::pair::Pair;
    use crate::rng::normal;

    /// Images of `regions` regions around `center` in the first of eight numbers.
    fn split(n: usize, regions: usize, center: f32, seed: u64) -> Dataset {
        let stream = &mut Seed(seed).stream("split", &[]);
        let numbers = (0..n * regions * 8).map(|at| {
            let offset = if at % 8 == 0 { center } else { 0.0 };
            offset + normal(stream) as f32
        });
        Dataset {
            name: "toy".into(),
            format: "memory",
            split: "train".into(),
            images: Features::from_regions(numbers.collect(), regions, 8),
            image_ids: (0..n).map(|n| n.to_string()).collect(),
            image_files: Vec::new(),
            captions: None,
            caption_features: None,
            pairs: (0..n as u32)
                .map(|n| Pair {
                    image: n,
                    caption: n,
                })
                .collect(),
            labels: None,
            files: Vec::new(),
            account: Default::default(),
        }
    }

    #[test]
    fn samples_of_the_same_images_are_as_far_apart_as_by_chance() {
        for (n, regions) in [(50, 1), (200, 4), (3_000, 1)] {
            let train = split(1_200, regions, 0.0, 1);
            let far = |seed| train.images_apart(&split(n, regions, 0.0, seed));
            let found: Vec<Apart> = (2..12).map(|seed| far(seed).unwrap().unwrap()).collect();
            let squares = found
                .iter()
                .map(|apart| apart.distance.powi(2))
                .sum::<f64>();
            let expected = found
                .iter()
                .map(|apart| apart.by_chance.powi(2))
                .sum::<f64>();
            let ratio = squares / expected;
            assert!((0.6..1.6).contains(&ratio), "{n}, {regions}: {ratio}");
        }
    }

    #[test]
    fn other_images_lie_elsewhere() {
        let found = split(500, 1, 0.0, 1).images_apart(&split(200, 1, 2.0, 2));
        let found = found.unwrap().unwrap();
        // Two standard deviations of one number among eight.
        let expected = 2.0 / 8f64.sqrt();
        assert!((found.distance - expected).abs() < 0.1, "{found:?}");
        assert!(found.distance > 5.0 * found.by_chance, "{found:?}");
    }

    #[test]
    fn where_there_is_nothing_to_compare_nothing_is_said() {
        let train = split(50, 1, 0.0, 1);
        let mut wider = train.clone();
        wider.images = Features::from_rows(vec![0.5; 50 * 9], 9);
        assert_eq!(train.images_apart(&wider).unwrap(), None);
        let mut same = train.clone();
        same.images = Features::from_rows(vec![0.5; 50 * 8], 8);
        assert_eq!(same.images_apart(&train).unwrap(), None);
    }
}

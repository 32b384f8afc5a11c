//! Caption-level noise: some captions exchange their images.

use super::NoiseModel;
use super::share::share;
use crate::dataset::Dataset;
use crate::rng::{Stream, sample, shuffle};

/// Picks `⌊rate · n_pairs⌋` pairs at random and permutes their images among them.
///
/// At 60 % and five captions per image, only about 8 % of the images lose all their captions.
///
/// # Source
/// Huang et al., NeurIPS 2021. Code read at XLearning-SCU/2021-NeurIPS-NCR@60256ba; also used by
/// MSCN, BiCro, PC², GSC and CREAM.
#[derive(Debug, Clone, Copy)]
pub struct ShuffleCaptions;

impl NoiseModel for ShuffleCaptions {
    fn name(&self) -> &'static str {
        "caption"
    }

    fn summary(&self) -> &'static str {
        "That share of the captions exchange their images with each other (NCR's protocol)."
    }

    fn plant(&self, dataset: &Dataset, rate: f64, rng: &mut Stream) -> Vec<u32> {
        let mut images: Vec<u32> = dataset.pairs.iter().map(|pair| pair.image).collect();
        let chosen = sample(rng, images.len(), share(rate, images.len()));
        let mut moved: Vec<u32> = chosen.iter().map(|&pair| images[pair as usize]).collect();
        shuffle(rng, &mut moved);
        for (&pair, image) in chosen.iter().zip(moved) {
            images[pair as usize] = image;
        }
        images
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dataset::{Account, Features};
    use crate::pair::Pair;
    use crate::rng::Seed;

    /// `n` images with `each` captions and no content.
    pub(crate) fn dataset(n: u32, each: u32) -> Dataset {
        Dataset {
            name: "toy".into(),
            format: "test",
            split: "train".into(),
            images: Features::from_rows(vec![0.0; n as usize], 1),
            image_ids: (0..n).map(|image| image.to_string()).collect(),
            image_files: Vec::new(),
            captions: Some(
                (0..n * each)
                    .map(|caption| format!("caption {caption}"))
                    .collect(),
            ),
            caption_features: None,
            pairs: (0..n * each)
                .map(|caption| Pair {
                    image: caption / each,
                    caption,
                })
                .collect(),
            labels: None,
            files: Vec::new(),
            account: Account::default(),
        }
    }

    #[test]
    fn the_share_that_moves_is_the_rate_up_to_fixed_points() {
        let data = dataset(400, 5);
        let images = ShuffleCaptions.plant(&data, 0.4, &mut Seed(3).stream("noise", &[]));
        let moved = data
            .pairs
            .iter()
            .zip(&images)
            .filter(|(pair, image)| pair.image != **image);
        let moved = moved.count();
        assert!((790..=800).contains(&moved), "{moved} of 2000");
    }

    /// At 60 %, an image loses all five captions with probability 0.6⁵ = 7.8 %.
    #[test]
    fn most_images_keep_a_right_caption() {
        let data = dataset(2000, 5);
        let images = ShuffleCaptions.plant(&data, 0.6, &mut Seed(3).stream("noise", &[]));
        let lost = images.chunks(5).enumerate();
        let lost = lost.filter(|(own, given)| given.iter().all(|image| *image as usize != *own));
        let share = lost.count() as f64 / 2000.0;
        assert!((share - 0.0778).abs() < 0.02, "{share}");
    }
}

//! Image-level noise: some images exchange all their captions.

use super::NoiseModel;
use super::share::share;
use crate::dataset::Dataset;
use crate::rng::{Stream, sample, shuffle};

/// Picks `⌊rate · n_images⌋` images at random and permutes them among each other; every caption
/// moves with its image.
///
/// # Source
/// Qin et al., ACM MM 2022 (DECL) and Hu et al., TPAMI 2023 (RCL). Index files read as published
/// with QinYang79/DECL@1b0a775 and penghu-cs/RCL@1096a24; also used by L2RM and CRCL.
#[derive(Debug, Clone, Copy)]
pub struct ShuffleImages;

impl NoiseModel for ShuffleImages {
    fn name(&self) -> &'static str {
        "image"
    }

    fn summary(&self) -> &'static str {
        "That share of the images exchange all their captions (the protocol of DECL and RCL)."
    }

    fn plant(&self, dataset: &Dataset, rate: f64, rng: &mut Stream) -> Vec<u32> {
        let n_images = dataset.n_images();
        let mut place: Vec<u32> = (0..n_images as u32).collect();
        let chosen = sample(rng, n_images, share(rate, n_images));
        let mut moved = chosen.clone();
        shuffle(rng, &mut moved);
        for (&image, other) in chosen.iter().zip(moved) {
            place[image as usize] = other;
        }
        dataset
            .pairs
            .iter()
            .map(|pair| place[pair.image as usize])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::shuffle_captions::tests::dataset;
    use crate::rng::Seed;

    #[test]
    fn images_keep_all_their_captions_or_lose_all() {
        let data = dataset(500, 5);
        let images = ShuffleImages.plant(&data, 0.6, &mut Seed(3).stream("noise", &[]));
        let mut moved = 0;
        for (own, given) in images.chunks(5).enumerate() {
            assert!(given.iter().all(|image| *image == given[0]));
            moved += usize::from(given[0] as usize != own);
        }
        assert!((290..=300).contains(&moved), "{moved} of 500");
    }
}

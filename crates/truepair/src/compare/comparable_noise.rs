//! What the noise of a grid comes to, in the words of published results.

use anyhow::Result;
use truepair_core::dataset::Dataset;
use truepair_core::noise::{NoiseSpec, corrupt};
use truepair_core::rng::Seed;

/// The noise that a published result would have to name to stand beside a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ComparableNoise {
    /// `none`, `caption`, `image` or `label`.
    pub(crate) protocol: String,
    /// Share that was asked for, [0, 1]; of a file of pairs the share that is mismatched since, of a file of labels unknown.
    pub(crate) rate: Option<f64>,
}

impl ComparableNoise {
    /// What `noise` plants in `train`. A file moves single captions or whole images, and its share is taken for the
    /// nearest twentieth within a hundredth of it. How the file's noise was drawn cannot be told.
    ///
    /// # Errors
    /// If a file cannot be read or does not fit the data.
    pub(super) fn of(noise: &NoiseSpec, train: &Dataset) -> Result<Self> {
        let planted = |protocol: &str, rate| Self {
            protocol: protocol.to_owned(),
            rate: Some(rate),
        };
        Ok(match noise {
            NoiseSpec::None => planted("none", 0.0),
            NoiseSpec::Rate { model, rate } => planted(model, *rate),
            NoiseSpec::File(_) => {
                let (_, manifest) = corrupt(train, noise, Seed(0))?;
                let share = manifest.realized;
                let even = (share * 20.0).round() / 20.0;
                let rate = if (share - even).abs() <= 0.01 {
                    even
                } else {
                    share
                };
                match (share == 0.0, manifest.moves_whole_images) {
                    (true, _) => planted("none", 0.0),
                    (false, true) => planted("image", rate),
                    (false, false) => planted("caption", rate),
                }
            }
        })
    }

    /// Whether a result of noise at `rate` was measured under as much.
    pub(super) fn has_rate(&self, rate: f64) -> bool {
        self.rate.is_some_and(|own| (own - rate).abs() < 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::specimen::with_pictures;

    /// A noise file of the image of every caption, 40 captions of 20 images.
    fn noise_file(file: &Path, images: &[i64; 40]) -> NoiseSpec {
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (40,), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").bytes());
        bytes.extend(images.iter().flat_map(|image| image.to_le_bytes()));
        std::fs::write(file, bytes).unwrap();
        NoiseSpec::File(file.to_owned())
    }

    #[test]
    fn a_noise_file_stands_for_the_noise_that_it_plants() {
        let home = tempfile::tempdir().unwrap();
        let train = with_pictures(home.path());
        let file = home.path().join("noise.npy");
        let given: [i64; 40] = std::array::from_fn(|caption| caption as i64 / 2);
        let planted = |images: &[i64; 40]| {
            let noise = ComparableNoise::of(&noise_file(&file, images), &train).unwrap();
            (noise.protocol, noise.rate)
        };
        assert_eq!(planted(&given), ("none".to_owned(), Some(0.0)));
        // Both captions of four images move on, then one caption each of eight.
        let whole = std::array::from_fn(|at| match at < 8 {
            true => (given[at] + 1) % 4,
            false => given[at],
        });
        assert_eq!(planted(&whole), ("image".to_owned(), Some(0.2)));
        let single = std::array::from_fn(|at| match at < 16 && at % 2 == 0 {
            true => (given[at] + 1) % 8,
            false => given[at],
        });
        assert_eq!(planted(&single), ("caption".to_owned(), Some(0.2)));
    }
}

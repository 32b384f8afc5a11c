//! The truth about planted noise, kept apart from the data.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{NoiseSpec, stored};
use crate::dataset::Dataset;
use crate::digest::Digest;
use crate::error::Result;
use crate::pair::Pair;
use crate::relevance::Relevance;
use crate::rng::Seed;

/// Truth about injected noise. Nothing in the training crate names this type.
///
/// ```
/// # use truepair_core::dataset::{Dataset, Features};
/// # use truepair_core::pair::Pair;
/// # let data = Dataset {
/// #     name: "toy".into(), format: "memory", split: "train".into(),
/// #     images: Features::from_rows((0..100).map(|n| n as f32).collect(), 1),
/// #     image_ids: (0..100).map(|n| n.to_string()).collect(), image_files: Vec::new(),
/// #     captions: Some((0..100).map(|n| format!("caption {n}")).collect()), caption_features: None,
/// #     pairs: (0..100).map(|n| Pair { image: n, caption: n }).collect(), labels: None, files: Vec::new(), account: Default::default(),
/// # };
/// use truepair_core::noise::{Manifest, NoiseSpec, corrupt};
/// use truepair_core::rng::Seed;
///
/// let (_, manifest) = corrupt(&data, &NoiseSpec::None, Seed(1))?;
/// assert_eq!((manifest.protocol.as_str(), manifest.realized), ("none", 0.0));
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("manifest.json");
/// manifest.write(&path)?;
/// assert_eq!(Manifest::read(&path)?, manifest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Manifest {
    /// `none`, `file`, or the name of the noise model: `caption`, `image`.
    pub protocol: String,
    /// Share of pairs or images that was requested; `None` for a file and without noise.
    pub requested: Option<f64>,
    /// Share of pairs that actually lost their own image.
    pub realized: f64,
    /// Seed of the shuffle; `None` for a file and without noise.
    pub seed: Option<u64>,
    /// SHA-256 of the resulting image index of every pair as little-endian `int64`.
    pub sha256: String,
    /// The noise file, when there was one.
    pub file: Option<String>,
    /// Whether images have several captions and these moved together, as after an image-level shuffle.
    #[serde(default)]
    pub moves_whole_images: bool,
    /// Whether each pair is now mismatched, `[n_pairs]`.
    pub mismatched: Vec<bool>,
    /// What the reader should know, for instance how an ambiguous file was interpreted.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Manifest {
    /// Compares the given pairs with their `images` `[n_pairs]` after corruption.
    pub(super) fn new(
        dataset: &Dataset,
        images: &[u32],
        spec: &NoiseSpec,
        seed: Seed,
        notes: Vec<String>,
    ) -> Self {
        let given = Relevance::from_pairs(dataset.n_images(), dataset.n_captions(), &dataset.pairs);
        let now = dataset
            .pairs
            .iter()
            .zip(images)
            .map(|(pair, &image)| Pair { image, ..*pair });
        // A pair that has become another given pair of its caption still belongs together.
        let mismatched: Vec<bool> = now.map(|pair| !given.contains(pair)).collect();
        let n_mismatched = mismatched.iter().filter(|&&wrong| wrong).count();
        let (protocol, requested, file) = match spec {
            NoiseSpec::None => ("none", None, None),
            NoiseSpec::Rate { model, rate } => (model.as_str(), Some(*rate), None),
            NoiseSpec::File(path) => ("file", None, Some(path.display().to_string())),
        };
        Self {
            protocol: protocol.into(),
            requested,
            realized: n_mismatched as f64 / mismatched.len() as f64,
            seed: requested.map(|_| seed.0),
            sha256: hash(images),
            file,
            moves_whole_images: moves_whole_images(dataset, images),
            mismatched,
            notes,
        }
    }

    /// Writes the manifest as JSON so that `path` holds either the old or the new file.
    ///
    /// # Errors
    /// If the folder cannot be written or the disk is full.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        stored::write(self, path.as_ref())
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// If the file cannot be read or is not a manifest (line and cause are named).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        stored::read(path.as_ref(), "not a noise manifest")
    }
}

/// Whether pairs that shared an image still share one although some of them have moved; where no image that moved
/// has several pairs, this cannot be told from moved captions.
pub(super) fn moves_whole_images(dataset: &Dataset, images: &[u32]) -> bool {
    let mut n_pairs = vec![0; dataset.n_images()];
    for pair in &dataset.pairs {
        n_pairs[pair.image as usize] += 1;
    }
    let mut now = vec![None; dataset.n_images()];
    let pairs = || dataset.pairs.iter().zip(images);
    pairs().any(|(pair, &image)| pair.image != image && n_pairs[pair.image as usize] > 1)
        && pairs().all(|(pair, &image)| *now[pair.image as usize].get_or_insert(image) == image)
}

fn hash(images: &[u32]) -> String {
    let mut digest = Digest::new();
    for &image in images {
        digest.add(&i64::from(image).to_le_bytes());
    }
    digest.hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::corrupt;
    use crate::noise::shuffle_captions::tests::dataset;

    #[test]
    fn a_manifest_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        let spec = "caption:0.5".parse().unwrap();
        let (_, manifest) = corrupt(&dataset(20, 2), &spec, Seed(9)).unwrap();
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
        assert_eq!((manifest.seed, manifest.requested), (Some(9), Some(0.5)));
    }

    #[test]
    fn whole_images_move_where_their_captions_stay_together() {
        let moves = |data: &Dataset, spec: &str| {
            let spec = spec.parse().unwrap();
            corrupt(data, &spec, Seed(9)).unwrap().1.moves_whole_images
        };
        let data = dataset(20, 2);
        assert!(moves(&data, "image:0.5"));
        assert!(!moves(&data, "caption:0.5") && !moves(&data, "image:0"));
        assert!(!moves(&dataset(20, 1), "image:0.5"));
        // Of three images two with a single pair changed places; the one with two pairs did not.
        let mut uneven = dataset(3, 2);
        uneven
            .pairs
            .retain(|pair| pair.image == 0 || pair.caption % 2 == 0);
        assert!(!moves_whole_images(&uneven, &[0, 0, 2, 1]));
        assert!(moves_whole_images(&uneven, &[1, 1, 0, 2]));
    }

    #[test]
    fn a_file_that_is_not_a_manifest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        for content in ["", "{}", "{\"protocol\": 3"] {
            std::fs::write(&path, content).unwrap();
            let error = Manifest::read(&path).unwrap_err().to_string();
            assert!(error.contains("manifest.json") && error.contains("not a noise manifest"));
        }
    }

    #[test]
    fn the_hash_is_of_little_endian_int64() {
        let mut expected = Digest::new();
        expected.add(&[3u8, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(hash(&[3, 257]), expected.hex());
    }

    #[test]
    fn another_given_image_of_the_same_caption_is_not_a_mismatch() {
        let mut data = dataset(3, 1);
        data.pairs = vec![
            Pair {
                image: 0,
                caption: 0,
            },
            Pair {
                image: 1,
                caption: 0,
            },
            Pair {
                image: 2,
                caption: 1,
            },
        ];
        let manifest = Manifest::new(&data, &[1, 2, 0], &NoiseSpec::None, Seed(0), Vec::new());
        assert_eq!(manifest.mismatched, [false, true, true]);
    }
}

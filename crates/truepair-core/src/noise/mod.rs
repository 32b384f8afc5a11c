//! Planted noise and its record.
//!
//! [`corrupt`] returns the data that training may see and, apart from it, the [`Manifest`] that only
//! the audit's scoring and the evaluation may see. Two protocols share the name "x % noise" in the
//! literature and give very different data: shuffling captions leaves most images with some right
//! caption, shuffling images takes all of them away. The protocol is therefore always named.

mod from_file;
mod label;
mod manifest;
mod share;
mod shuffle_captions;
mod shuffle_images;
mod spec;
mod stored;
mod word;

pub use label::{
    Asymmetric, Halves, LABEL_NOISES, LabelManifest, LabelNoiseModel, LabelNoiseSpec, Symmetric,
    corrupt_labels,
};
pub use manifest::Manifest;
pub use shuffle_captions::ShuffleCaptions;
pub use shuffle_images::ShuffleImages;
pub use spec::NoiseSpec;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::pair::Pair;
use crate::rng::{Seed, Stream};

/// Every noise model that takes a rate, by name.
pub const NOISES: &[&dyn NoiseModel] = &[&ShuffleCaptions, &ShuffleImages];

/// A way to give pairs a wrong image at random.
///
/// ```
/// use truepair_core::noise::NOISES;
///
/// let names: Vec<&str> = NOISES.iter().map(|model| model.name()).collect();
/// assert_eq!(names, ["caption", "image"]);
/// assert!(NOISES.iter().all(|model| model.summary().ends_with('.')));
/// ```
pub trait NoiseModel: Sync {
    /// Name in `NAME:RATE` and in the manifest.
    fn name(&self) -> &'static str;
    /// One sentence for the table of noise models.
    fn summary(&self) -> &'static str;
    /// The image of every pair after corruption, `[n_pairs]`, for a `rate` in [0, 1].
    fn plant(&self, dataset: &Dataset, rate: f64, rng: &mut Stream) -> Vec<u32>;
}

/// The data with planted noise, and the truth about it.
///
/// Only the images of the pairs change; images, captions and their order stay. The shuffle draws
/// from the stream `noise`, so the same seed gives the same noise whatever else is drawn.
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
/// use truepair_core::noise::corrupt;
/// use truepair_core::rng::Seed;
///
/// // `data` holds a hundred images with a caption each.
/// let (noisy, manifest) = corrupt(&data, &"caption:0.3".parse()?, Seed(1))?;
/// assert_eq!((manifest.requested, noisy.pairs.len()), (Some(0.3), 100));
/// for (pair, mismatched) in noisy.pairs.iter().zip(&manifest.mismatched) {
///     assert_eq!(pair.image != pair.caption, *mismatched);
/// }
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Errors
/// If the data has no pair, the noise model or its rate does not exist, or the noise file cannot be
/// read or does not fit the data.
pub fn corrupt(dataset: &Dataset, spec: &NoiseSpec, seed: Seed) -> Result<(Dataset, Manifest)> {
    if dataset.pairs.is_empty() {
        return Err(Error::argument(
            format!("{} has no pairs to plant noise in", dataset.name),
            "choose a split with pairs",
        ));
    }
    let given = || dataset.pairs.iter().map(|pair| pair.image).collect();
    let (images, notes) = match spec {
        NoiseSpec::None => (given(), Vec::new()),
        NoiseSpec::Rate { model, rate } => {
            let model = spec::WORDS.checked(model, *rate)?;
            (
                model.plant(dataset, *rate, &mut seed.stream("noise", &[])),
                Vec::new(),
            )
        }
        NoiseSpec::File(path) => from_file::images(dataset, path)?,
    };
    let manifest = Manifest::new(dataset, &images, spec, seed, notes);
    let pairs = dataset
        .pairs
        .iter()
        .zip(images)
        .map(|(pair, image)| Pair { image, ..*pair });
    Ok((
        Dataset {
            pairs: pairs.collect(),
            ..dataset.clone()
        },
        manifest,
    ))
}

/// The page `docs/noise.md`, written from [`NOISES`].
pub fn page() -> String {
    let mut page = String::from(PAGE_HEAD);
    for model in NOISES {
        page.push_str(&format!(
            "| `{}:RATE` | {} |\n",
            model.name(),
            model.summary()
        ));
    }
    page.push_str(PAGE_FOOT);
    page.push_str(LABEL_HEAD);
    page.push_str(&label::table());
    page.push_str(LABEL_FOOT);
    page
}

const PAGE_HEAD: &str = "\
# Planted noise

`--noise` takes one of these; rates are fractions in [0, 1].

| spelling | what happens |
|---|---|
| `none` | Nothing. |
";

const PAGE_FOOT: &str = "\
| a path | Images are read from a published noise file, an `int64` `.npy` array. |

A noise file with one number per pair (or per caption) holds the image of each; the images must be
those of the data in another order. One with one number per image holds a permutation of the images:
every caption moves with its image. Where both readings fit, the first is taken and the manifest
says so.

Only the images of pairs change. A shuffled pair can keep its own image by chance, so the manifest
records the requested and the realized rate, with the seed, the SHA-256 of the resulting image index
(little-endian `int64`, one per pair) and which pairs are mismatched. Training never reads it.
";

const LABEL_HEAD: &str = "
## Label noise

`truepair labels` takes one of these as `--noise`.

| spelling | what happens |
|---|---|
| `none` | Nothing. |
";

const LABEL_FOOT: &str = "\
| a path | Labels are read from an `int64` `.npy` array `[n]`, or `[n, m]` with one column per modality, numbered as in the data. |

Every modality is corrupted separately, unless `:shared` follows the rate (`symmetric:0.4:shared`):
then all modalities of an item have one label. Labels outside the classes are never planted and
never accepted. The manifest holds the requested rate, the realized rate of every modality, the seed,
the SHA-256 of the resulting labels, which labels are wrong, and the original labels.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::shuffle_captions::tests::dataset;

    #[test]
    fn rate_zero_is_the_identity_and_only_images_of_pairs_change() {
        let data = dataset(40, 5);
        for model in NOISES {
            let name = model.name();
            let spec = NoiseSpec::Rate {
                model: name.into(),
                rate: 0.0,
            };
            let (same, manifest) = corrupt(&data, &spec, Seed(1)).unwrap();
            assert_eq!(same.pairs, data.pairs, "{name}");
            assert_eq!(manifest.realized, 0.0);

            let spec = NoiseSpec::Rate {
                model: name.into(),
                rate: 1.0,
            };
            let (noisy, manifest) = corrupt(&data, &spec, Seed(1)).unwrap();
            assert_eq!(noisy.captions, data.captions);
            assert_eq!(noisy.image_ids, data.image_ids);
            let captions =
                |data: &Dataset| -> Vec<u32> { data.pairs.iter().map(|p| p.caption).collect() };
            assert_eq!(captions(&noisy), captions(&data));
            assert!(manifest.realized > 0.9, "{name}: {}", manifest.realized);
            for ((old, new), wrong) in data.pairs.iter().zip(&noisy.pairs).zip(manifest.mismatched)
            {
                assert_eq!(old.image != new.image, wrong, "{name}");
            }
        }
    }

    #[test]
    fn the_seed_decides_and_images_are_permuted() {
        let data = dataset(60, 3);
        for model in NOISES {
            let spec = NoiseSpec::Rate {
                model: model.name().into(),
                rate: 0.4,
            };
            let noisy = |seed| corrupt(&data, &spec, Seed(seed)).unwrap();
            assert_eq!(noisy(1).0.pairs, noisy(1).0.pairs);
            assert_ne!(noisy(1).1.sha256, noisy(2).1.sha256);
            let sorted = |data: &Dataset| {
                let mut images: Vec<u32> = data.pairs.iter().map(|pair| pair.image).collect();
                images.sort_unstable();
                images
            };
            assert_eq!(sorted(&noisy(1).0), sorted(&data));
        }
    }

    #[test]
    fn data_without_pairs_is_refused() {
        let mut data = dataset(3, 1);
        data.pairs.clear();
        assert!(corrupt(&data, &NoiseSpec::None, Seed(1)).is_err());
    }
}

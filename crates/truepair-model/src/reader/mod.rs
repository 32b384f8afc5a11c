//! From a data set's rows to what backbones read.

mod texts;

use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::dataset::{Dataset, Features};
use truepair_core::error::Place;
use truepair_core::rng::Seed;
use truepair_core::{Error, Result};

use crate::backbone::InputShape;
use crate::encoding::Input;

pub use texts::Texts;

/// Reads batches of one data set for a pair of backbones.
#[derive(Debug)]
pub struct Reader<'a> {
    images: &'a Features,
    captions: Captions<'a>,
    n_shortened: usize,
    device: Device,
}

#[derive(Debug)]
enum Captions<'a> {
    Features(&'a Features),
    Made(Features),
    Tokens(Vec<Vec<u32>>),
}

impl<'a> Reader<'a> {
    /// Reads captions as `texts` says, tokens with their markers cut to `max_tokens`; or, where that is
    /// `None`, as the data set's caption features.
    ///
    /// # Errors
    /// If the data set lacks the texts or the caption features that are wanted.
    pub fn new(
        dataset: &'a Dataset,
        texts: Option<&Texts>,
        max_tokens: usize,
        device: &Device,
    ) -> Result<Self> {
        let mut n_shortened = 0;
        let captions = match (texts, &dataset.caption_features) {
            (Some(Texts::Vectors(analysis)), _) => {
                Captions::Made(analysis.features(dataset.require_captions()?))
            }
            (Some(Texts::Tokens(vocabulary)), _) => {
                let texts = dataset.require_captions()?;
                let encode = |text: &String| {
                    let encoded = vocabulary.encode(text, max_tokens);
                    n_shortened += usize::from(encoded.n_truncated > 0);
                    encoded.ids
                };
                Captions::Tokens(texts.iter().map(encode).collect())
            }
            (None, Some(named)) => Captions::Features(&named.features),
            (None, None) => {
                return Err(Error::argument(
                    format!(
                        "`{}` has no caption features for this matcher",
                        dataset.name
                    ),
                    "use the `gru` caption backbone, or give caption features",
                ));
            }
        };
        Ok(Self {
            images: &dataset.images,
            captions,
            n_shortened,
            device: device.clone(),
        })
    }

    /// What to tell the user about captions that were cut to `max_tokens`, if there are any.
    pub fn warning(&self, max_tokens: usize) -> Option<String> {
        (self.n_shortened > 0).then(|| {
            format!(
                "{} of {} captions are longer than training.max_tokens = {max_tokens} and were cut",
                self.n_shortened,
                self.n_captions()
            )
        })
    }

    /// Number of images.
    pub fn n_images(&self) -> usize {
        self.images.len()
    }

    /// Number of captions.
    pub fn n_captions(&self) -> usize {
        match &self.captions {
            Captions::Features(features) => features.len(),
            Captions::Made(features) => features.len(),
            Captions::Tokens(tokens) => tokens.len(),
        }
    }

    /// The images of these rows, `[n, regions, d]`.
    ///
    /// # Errors
    /// If a feature row holds a value that is not finite or cannot be read.
    pub fn images(&self, rows: &[u32]) -> Result<Input> {
        self.features(self.images, rows)
    }

    /// As [`images`](Self::images), pictures varied as training wants it; `key` names the step.
    ///
    /// # Errors
    /// As for [`images`](Self::images).
    pub fn varied_images(&self, rows: &[u32], seed: Seed, key: &[u64]) -> Result<Input> {
        if !self.images.are_pictures() {
            return self.images(rows);
        }
        let shape = [rows.len(), self.images.regions(), self.images.dim()];
        let values = self.images.gather_varied(rows, seed, key)?;
        Ok(Input::Features {
            values: Tensor::from_data(TensorData::new(values, shape), &self.device),
            mask: None,
        })
    }

    /// Images that are encoded at a time: fewer where a network computes many planes of each.
    pub fn image_shard(&self) -> usize {
        if self.images.are_pictures() { 64 } else { 512 }
    }

    /// The captions of these rows: features `[n, 1, d]` or token ids `[n, t]`.
    ///
    /// # Errors
    /// As for [`images`](Self::images).
    pub fn captions(&self, rows: &[u32]) -> Result<Input> {
        match &self.captions {
            Captions::Features(features) => self.features(features, rows),
            Captions::Made(features) => self.features(features, rows),
            Captions::Tokens(tokens) => Ok(self.tokens(tokens, rows)),
        }
    }

    /// Images and captions as features; `None` where captions are read as tokens.
    pub fn as_features(&self) -> Option<[&Features; 2]> {
        match &self.captions {
            Captions::Features(features) => Some([self.images, features]),
            Captions::Made(features) => Some([self.images, features]),
            Captions::Tokens(_) => None,
        }
    }

    fn features(&self, features: &Features, rows: &[u32]) -> Result<Input> {
        let shape = [rows.len(), features.regions(), features.dim()];
        let values = features.gather(rows)?;
        // A plane of zeros is a color, not a missing region.
        let mask = match features.are_pictures() {
            true => None,
            false => occupied(&values, shape),
        };
        let mask = mask.map(|mask| {
            Tensor::from_data(TensorData::new(mask, [shape[0], shape[1]]), &self.device)
        });
        Ok(Input::Features {
            values: Tensor::from_data(TensorData::new(values, shape), &self.device),
            mask,
        })
    }

    fn tokens(&self, tokens: &[Vec<u32>], rows: &[u32]) -> Input {
        let longest = rows
            .iter()
            .map(|&row| tokens[row as usize].len())
            .max()
            .unwrap_or(0)
            .max(1);
        let mut ids = vec![0i64; rows.len() * longest];
        let mut mask = vec![0f32; rows.len() * longest];
        for (at, &row) in rows.iter().enumerate() {
            for (step, &id) in tokens[row as usize].iter().enumerate() {
                ids[at * longest + step] = i64::from(id);
                mask[at * longest + step] = 1.0;
            }
        }
        let shape = [rows.len(), longest];
        Input::Tokens {
            ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &self.device),
            mask: Tensor::from_data(TensorData::new(mask, shape), &self.device),
        }
    }
}

/// The image and caption shapes that a matcher for this data is built for.
///
/// # Errors
/// If the data set has no caption features and none are made of its texts.
pub fn input_shapes(dataset: &Dataset, texts: Option<&Texts>) -> Result<(InputShape, InputShape)> {
    let caption = match (texts, &dataset.caption_features) {
        (Some(Texts::Tokens(vocabulary)), _) => InputShape::Tokens(vocabulary.len()),
        (Some(Texts::Vectors(analysis)), _) => InputShape::Features {
            width: analysis.dim(),
            regions: 1,
        },
        (None, Some(named)) => shape_of(&named.features),
        (None, None) => {
            return Err(Error::argument(
                format!(
                    "`{}` has neither caption texts nor caption features",
                    dataset.name
                ),
                "give at least one of them",
            ));
        }
    };
    Ok((shape_of(&dataset.images), caption))
}

/// Refuses data whose vectors are of other widths than those that a matcher was built for; captions
/// that are read as `texts` have the width of that.
///
/// # Errors
/// If they are; the message names the file and both widths.
pub fn check_widths(
    dataset: &Dataset,
    (image, caption): (InputShape, InputShape),
    texts: Option<&Texts>,
) -> Result<()> {
    check_width(&dataset.images, "image", image)?;
    match (&dataset.caption_features, texts) {
        (Some(named), None) => check_width(&named.features, "caption", caption),
        _ => Ok(()),
    }
}

/// Refuses images of more regions than a matcher has places for.
///
/// # Errors
/// If they have; the message names the file and both numbers.
pub fn check_regions(dataset: &Dataset, built_for: InputShape) -> Result<()> {
    let found = dataset.images.regions();
    match built_for {
        InputShape::Features { regions, .. } if found > regions => Err(Error::data(
            dataset.images.path(),
            Place::Whole,
            format!("images have {found} regions, but the matcher has places for {regions}"),
            "extract as many regions as for the data that the matcher was trained on",
        )),
        _ => Ok(()),
    }
}

fn check_width(features: &Features, side: &str, built_for: InputShape) -> Result<()> {
    match built_for {
        InputShape::Features { width, .. } if width != features.dim() => Err(Error::data(
            features.path(),
            Place::Whole,
            format!(
                "{side} vectors have {} numbers, but the matcher reads {width}",
                features.dim()
            ),
            "extract the features as for the data that the matcher was trained on",
        )),
        _ => Ok(()),
    }
}

fn shape_of(features: &Features) -> InputShape {
    InputShape::Features {
        width: features.dim(),
        regions: features.regions(),
    }
}

/// 0 for every vector of zeros: items with fewer regions than the file has places are padded with
/// them. `None` when no place is empty, or when items have one vector only.
fn occupied(values: &[f32], [n, regions, width]: [usize; 3]) -> Option<Vec<f32>> {
    if regions == 1 {
        return None;
    }
    let mask: Vec<f32> = (values.chunks_exact(width))
        .map(|vector| f32::from(vector.iter().any(|x| *x != 0.0)))
        .collect();
    debug_assert_eq!(mask.len(), n * regions);
    mask.contains(&0.0).then_some(mask)
}

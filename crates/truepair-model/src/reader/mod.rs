//! From a data set's rows to what backbones read.

mod texts;

use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::dataset::{Augmentation, Dataset, Features};
use truepair_core::error::Place;
use truepair_core::rng::{Seed, Stream, below, unit};
use truepair_core::text::UNKNOWN;
use truepair_core::{Error, Result};

use crate::backbone::InputShape;
use crate::encoding::Input;
use crate::similarity::ItemSide;

pub use texts::Texts;

/// Reads batches of one data set for a pair of backbones.
#[derive(Debug)]
pub struct Reader<'a> {
    /// Its images.
    pub images: ImageReader<'a>,
    /// Its captions.
    pub captions: CaptionReader<'a>,
}

/// Reads batches of images.
#[derive(Debug)]
pub struct ImageReader<'a> {
    features: &'a Features,
    device: Device,
}

/// Reads batches of captions.
#[derive(Debug)]
pub struct CaptionReader<'a> {
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
        let captions = match (texts, &dataset.caption_features) {
            (Some(texts), _) => {
                CaptionReader::of_texts(dataset.require_captions()?, texts, max_tokens, device)
            }
            (None, Some(named)) => CaptionReader::of_features(&named.features, device),
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
            images: ImageReader::new(&dataset.images, device),
            captions,
        })
    }

    /// Images and captions as features; `None` where captions are read as tokens.
    pub fn as_features(&self) -> Option<[&Features; 2]> {
        match &self.captions.captions {
            Captions::Features(features) => Some([self.images.features, features]),
            Captions::Made(features) => Some([self.images.features, features]),
            Captions::Tokens(_) => None,
        }
    }
}

impl<'a> ImageReader<'a> {
    /// A reader of all rows.
    pub fn new(features: &'a Features, device: &Device) -> Self {
        Self {
            features,
            device: device.clone(),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The images of these rows, `[n, regions, d]`.
    ///
    /// # Errors
    /// If a feature row holds a value that is not finite or cannot be read.
    pub fn read(&self, rows: &[u32]) -> Result<Input> {
        gathered(self.features, rows, &self.device)
    }

    /// As [`read`](Self::read), pictures varied; `key` names the step.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_varied(
        &self,
        rows: &[u32],
        how: &Augmentation,
        seed: Seed,
        key: &[u64],
    ) -> Result<Input> {
        if !self.features.are_pictures() {
            return self.read(rows);
        }
        let shape = [rows.len(), self.features.regions(), self.features.dim()];
        let values = self.features.gather_varied(rows, how, seed, key)?;
        Ok(Input::Features {
            values: Tensor::from_data(TensorData::new(values, shape), &self.device),
            mask: None,
        })
    }

    /// Images that are encoded at a time: fewer where a network computes many planes of each.
    pub fn shard(&self) -> usize {
        if self.features.are_pictures() {
            64
        } else {
            512
        }
    }
}

impl<'a> CaptionReader<'a> {
    /// Reads texts as a matcher's vocabulary or analysis says, tokens with their markers cut to
    /// `max_tokens`.
    pub fn of_texts(
        captions: &[String],
        texts: &Texts,
        max_tokens: usize,
        device: &Device,
    ) -> Self {
        let mut n_shortened = 0;
        let captions = match texts {
            Texts::Vectors(analysis) => Captions::Made(analysis.features(captions)),
            Texts::Tokens(vocabulary) => {
                let encode = |text: &String| {
                    let encoded = vocabulary.encode(text, max_tokens);
                    n_shortened += usize::from(encoded.n_truncated > 0);
                    encoded.ids
                };
                Captions::Tokens(captions.iter().map(encode).collect())
            }
        };
        Self {
            captions,
            n_shortened,
            device: device.clone(),
        }
    }

    /// Reads captions that are features already.
    pub fn of_features(features: &'a Features, device: &Device) -> Self {
        Self {
            captions: Captions::Features(features),
            n_shortened: 0,
            device: device.clone(),
        }
    }

    /// Number of captions.
    pub fn len(&self) -> usize {
        match &self.captions {
            Captions::Features(features) => features.len(),
            Captions::Made(features) => features.len(),
            Captions::Tokens(tokens) => tokens.len(),
        }
    }

    /// Whether there is no caption.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What to tell the user about captions that were cut to `max_tokens`, if there are any.
    pub fn warning(&self, max_tokens: usize) -> Option<String> {
        (self.n_shortened > 0).then(|| {
            format!(
                "{} of {} captions are longer than training.max_tokens = {max_tokens} and were cut",
                self.n_shortened,
                self.len()
            )
        })
    }

    /// The captions of these rows: features `[n, 1, d]` or token ids `[n, t]`.
    ///
    /// # Errors
    /// If a feature row holds a value that is not finite or cannot be read.
    pub fn read(&self, rows: &[u32]) -> Result<Input> {
        match &self.captions {
            Captions::Features(features) => gathered(features, rows, &self.device),
            Captions::Made(features) => gathered(features, rows, &self.device),
            Captions::Tokens(tokens) => Ok(padded(tokens, rows, &self.device)),
        }
    }

    /// As [`read`](Self::read), with a share `drop` of every caption's words made unknown at random and
    /// as large a share removed; features stay as they are. `key` names the step.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_varied(&self, rows: &[u32], drop: f64, seed: Seed, key: &[u64]) -> Result<Input> {
        let Captions::Tokens(tokens) = &self.captions else {
            return self.read(rows);
        };
        if drop == 0.0 {
            return self.read(rows);
        }
        let varied = rows.iter().enumerate().map(|(at, &row)| {
            let key: Vec<u64> = key.iter().copied().chain([at as u64]).collect();
            let mut rng = seed.stream("caption-drop", &key);
            dropped(&tokens[row as usize], drop, &mut rng)
        });
        let varied: Vec<Vec<u32>> = varied.collect();
        let all: Vec<u32> = (0..varied.len() as u32).collect();
        Ok(padded(&varied, &all, &self.device))
    }
}

/// A caption's tokens between its markers, each unknown with probability `share`, and then
/// `⌊share · n⌋` of the `n` removed.
///
/// # Source
/// PCME's caption drop. Code read at naver-ai/pcme@4947684, `tokenize`.
fn dropped(ids: &[u32], share: f64, rng: &mut Stream) -> Vec<u32> {
    let [start, words @ .., end] = ids else {
        return ids.to_vec();
    };
    let mut left = vec![*start];
    for &word in words {
        left.push(if unit(rng) < share { UNKNOWN } else { word });
    }
    for _ in 0..(share * words.len() as f64) as usize {
        let n_words = left.len() as u64 - 1;
        left.remove(1 + below(rng, n_words) as usize);
    }
    left.push(*end);
    left
}

fn gathered(features: &Features, rows: &[u32], device: &Device) -> Result<Input> {
    let shape = [rows.len(), features.regions(), features.dim()];
    let values = features.gather(rows)?;
    // A plane of zeros is a color, not a missing region.
    let mask = if features.are_pictures() {
        None
    } else {
        occupied(&values, shape)
    };
    let mask =
        mask.map(|mask| Tensor::from_data(TensorData::new(mask, [shape[0], shape[1]]), device));
    Ok(Input::Features {
        values: Tensor::from_data(TensorData::new(values, shape), device),
        mask,
    })
}

fn padded(tokens: &[Vec<u32>], rows: &[u32], device: &Device) -> Input {
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
        ids: Tensor::<2, Int>::from_data(TensorData::new(ids, shape), device),
        mask: Tensor::from_data(TensorData::new(mask, shape), device),
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
    check_width(&dataset.images, ItemSide::Image, image)?;
    match (&dataset.caption_features, texts) {
        (Some(named), None) => check_width(&named.features, ItemSide::Caption, caption),
        _ => Ok(()),
    }
}

/// Refuses images of more regions than a matcher has places for.
///
/// # Errors
/// If they have; the message names the file and both numbers.
pub fn check_regions(images: &Features, built_for: InputShape) -> Result<()> {
    let found = images.regions();
    match built_for {
        InputShape::Features { regions, .. } if found > regions => Err(Error::data(
            images.path(),
            Place::Whole,
            format!("images have {found} regions, but the matcher has places for {regions}"),
            "extract as many regions as for the data that the matcher was trained on",
        )),
        _ => Ok(()),
    }
}

/// Refuses vectors of another width than that which a matcher was built for.
///
/// # Errors
/// If they are; the message names the file and both widths.
pub fn check_width(features: &Features, side: ItemSide, built_for: InputShape) -> Result<()> {
    let side = match side {
        ItemSide::Image => "image",
        ItemSide::Caption => "caption",
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::floats;
    use truepair_core::text::{END, START, Vocabulary};

    #[test]
    fn a_tenth_of_the_words_is_unknown_a_tenth_is_gone_and_markers_stay() {
        let words: Vec<u32> = (10..30).collect();
        let ids = [&[START], &words[..], &[END]].concat();
        let (mut unknown, n) = (0, 2000);
        for step in 0..n {
            let mut rng = Seed(1).stream("caption-drop", &[step]);
            let left = dropped(&ids, 0.1, &mut rng);
            assert_eq!((left.len(), left[0], left[19]), (20, START, END));
            let known: Vec<u32> = left[1..19]
                .iter()
                .copied()
                .filter(|id| *id != UNKNOWN)
                .collect();
            assert!(known.is_sorted() && known.iter().all(|id| words.contains(id)));
            unknown += 18 - known.len();
        }
        let share = unknown as f64 / (18 * n) as f64;
        assert!((share - 0.1).abs() < 0.01, "{share}");
        let rng = &mut Seed(1).stream("caption-drop", &[]);
        assert_eq!(dropped(&[START, END], 0.9, rng), [START, END]);
        assert_eq!(dropped(&[START, 7, END], 0.9, rng).len(), 3);
    }

    #[test]
    fn varied_captions_follow_their_key() {
        let captions = ["a red ball on a green lawn".to_owned(), "a ball".to_owned()];
        let texts = Texts::Tokens(Vocabulary::build(captions.iter().map(String::as_str), 1));
        let reader = CaptionReader::of_texts(&captions, &texts, 50, &Device::flex());
        let read = |input: Input| match input {
            Input::Tokens { ids, mask } => {
                let ids: Vec<i64> = ids.to_data().iter().collect();
                (ids, floats(mask))
            }
            Input::Features { .. } => panic!("captions are tokens"),
        };
        let varied = |drop, key| {
            read(
                reader
                    .read_varied(&[0, 1, 0], drop, Seed(1), &[key])
                    .unwrap(),
            )
        };
        assert_eq!(varied(0.0, 1), read(reader.read(&[0, 1, 0]).unwrap()));
        assert_eq!(varied(0.5, 1), varied(0.5, 1));
        assert_ne!(varied(0.5, 1), varied(0.5, 2));
        let (ids, mask) = varied(0.5, 1);
        // Three of seven words are gone from the longest caption, and its place in the batch counts.
        let width = ids.len() / 3;
        assert_eq!(width, 6);
        assert_ne!(ids[..width], ids[2 * width..]);
        assert_eq!(mask.iter().sum::<f32>(), (6 + 3 + 6) as f32);
    }
}

//! From a trained matcher and a data set to encoded items and their scores.

mod items;
mod vectors;

use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::pair::Pair;
use truepair_core::scores::{InnerProduct, MeanScorer, Scorer, TileShape};
use truepair_core::watch::Watch;
use truepair_core::{Error, Result};

use self::items::PeerItems;
use crate::encoding::{Encoding, Gaussian, Input};
use crate::layer::Mode;
use crate::matcher::Matcher;
use crate::numbers::floats;
use crate::reader::Reader;
use crate::similarity::Similarity;

pub use items::{EncodedItems, GaussianItems};
pub use vectors::{SearchMeasure, SearchVectors};

/// A scorer of all of the reader's images against all of its captions; see [`scorer_of`].
///
/// # Errors
/// As [`EncodedItems::images`] and [`scorer_of`].
pub fn scorer(
    peers: &[Matcher],
    reader: &Reader<'_>,
    tile_mib: usize,
    watch: &mut dyn Watch,
) -> Result<Box<dyn Scorer>> {
    let images = EncodedItems::images(peers, &reader.images, watch)?;
    let captions = EncodedItems::captions(peers, &reader.captions, watch)?;
    scorer_of(&images, &captions, tile_mib)
}

/// A scorer of images against captions that the same peers encoded: the mean over the peers.
///
/// Scores that are inner products become vectors once; see [`EncodedItems::embeddings`]. Other
/// similarities keep encoded items and score tiles of at most `tile_mib` MiB.
///
/// # Errors
/// If one image against one caption needs more than `tile_mib`.
pub fn scorer_of(
    images: &EncodedItems,
    captions: &EncodedItems,
    tile_mib: usize,
) -> Result<Box<dyn Scorer>> {
    if let (Some(images), Some(captions)) = (images.embeddings(), captions.embeddings()) {
        return Ok(Box::new(InnerProduct::new(images, captions)?));
    }
    let pairs = images.peers.iter().zip(&captions.peers);
    let splits = pairs.map(|(images, captions)| {
        let split = EncodedSplit::new(images, captions, tile_mib)?;
        Ok(Box::new(split) as Box<dyn Scorer>)
    });
    Ok(Box::new(MeanScorer(splits.collect::<Result<_>>()?)))
}

/// How uncertain every item of a split is, [0, 1): the share of the variance in the mean squared
/// length of its draws, mean over peers.
#[derive(Debug, Clone, PartialEq)]
pub struct Uncertainty {
    /// One number per image.
    pub images: Vec<f32>,
    /// One number per caption.
    pub captions: Vec<f32>,
}

impl Uncertainty {
    /// Mean over the pair's image and caption.
    ///
    /// # Panics
    /// If the pair is of other data.
    pub fn of_pair(&self, pair: Pair) -> f64 {
        let image = f64::from(self.images[pair.image as usize]);
        (image + f64::from(self.captions[pair.caption as usize])) / 2.0
    }
}

/// Every image and caption of a split, encoded by one matcher without gradients.
struct EncodedSplit {
    similarity: Similarity,
    images: Encoding,
    captions: Encoding,
    device: Device,
    part: TileShape,
}

impl EncodedSplit {
    fn new(images: &PeerItems, captions: &PeerItems, tile_mib: usize) -> Result<Self> {
        let bytes = images.similarity.pair_bytes(&images.items, &captions.items);
        Ok(Self {
            part: part(bytes, tile_mib)?,
            similarity: images.similarity.clone(),
            device: images.items.values.device(),
            images: images.items.clone(),
            captions: captions.items.clone(),
        })
    }

    fn select(&self, items: &Encoding, rows: &[u32]) -> Encoding {
        let rows: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
        let n = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &self.device);
        let gaussian = items
            .gaussian
            .as_ref()
            .map(|gaussian| Gaussian::new(gaussian.log_deviation.clone().select(0, rows.clone())));
        let mask = items.mask.clone();
        Encoding {
            gaussian,
            ..Encoding::new(
                items.values.clone().select(0, rows.clone()),
                mask.map(|mask| mask.select(0, rows)),
            )
        }
    }
}

impl Scorer for EncodedSplit {
    fn n_images(&self) -> usize {
        self.images.values.dims()[0]
    }

    fn n_captions(&self) -> usize {
        self.captions.values.dims()[0]
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<(), Error> {
        let width = captions.len();
        for (row, images) in images.chunks(self.part.images).enumerate() {
            let rows = &mut out[row * self.part.images * width..];
            let images = self.select(&self.images, images);
            for (column, captions) in captions.chunks(self.part.captions).enumerate() {
                let captions = self.select(&self.captions, captions);
                let scores = self
                    .similarity
                    .scores(&images, &captions, &mut Mode::Evaluate);
                let scores = finite(floats(scores))?;
                let n_captions = captions.values.dims()[0];
                for (out, scores) in rows.chunks_mut(width).zip(scores.chunks_exact(n_captions)) {
                    out[column * self.part.captions..][..n_captions].copy_from_slice(scores);
                }
            }
        }
        Ok(())
    }

    fn tile_shape(&self) -> TileShape {
        TileShape {
            images: self.part.images.max(128),
            captions: self.part.captions.max(512),
        }
    }
}

fn finite(scores: Vec<f32>) -> Result<Vec<f32>, Error> {
    if scores.iter().all(|score| score.is_finite()) {
        return Ok(scores);
    }
    Err(Error::argument(
        "the matcher gave a score that is not a finite number",
        "its weights may have diverged; train again with a lower rate",
    ))
}

/// The largest part of a tile that fits `tile_mib` when a pair takes `bytes`.
fn part(bytes: usize, tile_mib: usize) -> Result<TileShape> {
    let pairs = (tile_mib << 20) / bytes.max(1);
    if pairs == 0 {
        return Err(Error::argument(
            format!(
                "training.tile_mib = {tile_mib} is too little: one image against one caption takes \
                 {:.1} MiB",
                bytes as f64 / (1 << 20) as f64
            ),
            "give a tile more memory",
        ));
    }
    let images = pairs.isqrt().clamp(1, 512);
    Ok(TileShape {
        images,
        captions: (pairs / images).clamp(1, 2048),
    })
}

/// Batches of `valid` modules must not carry the autodiff device of the training reader.
pub fn plain(input: Input) -> Input {
    match input {
        Input::Features { values, mask } => Input::Features {
            values: values.inner(),
            mask: mask.map(Tensor::inner),
        },
        Input::Tokens { ids, mask } => Input::Tokens {
            ids: ids.inner(),
            mask: mask.inner(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_the_memory_or_say_what_is_needed() {
        let shape = part(1 << 14, 64).unwrap();
        assert_eq!((shape.images, shape.captions), (64, 64));
        let shape = part(4, 256).unwrap();
        assert_eq!((shape.images, shape.captions), (512, 2048));
        for bytes in [1, 500, 46_080, (1 << 20) + 1, 5 << 20] {
            let shape = part(bytes, 5).unwrap();
            assert!(
                shape.images * shape.captions * bytes <= 5 << 20,
                "{shape:?}"
            );
        }
        let message = part(3 << 20, 2).unwrap_err().to_string();
        assert!(
            message.contains("tile_mib = 2") && message.contains("3.0 MiB"),
            "{message}"
        );
    }
}

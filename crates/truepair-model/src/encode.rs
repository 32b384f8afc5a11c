//! From a trained matcher and a data set to a scorer.

use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::pair::Pair;
use truepair_core::scores::{InnerProduct, Matrix, MeanScorer, Scorer, TileShape};
use truepair_core::watch::Watch;
use truepair_core::{Error, Result};

use crate::encoding::{Encoding, Gaussian, Input};
use crate::layer::Mode;
use crate::matcher::Matcher;
use crate::numbers::floats;
use crate::reader::Reader;
use crate::similarity::Similarity;

/// Captions encoded at a time.
const SHARD: usize = 512;

/// A scorer of all of the reader's images against all of its captions: the mean over the peers.
///
/// Scores that are inner products become vectors once; peers' vectors are laid side by side, scaled
/// so that their inner product is the mean of the peers' scores. Other similarities keep encoded
/// items and score tiles of at most `tile_mib` MiB.
///
/// # Errors
/// If a feature row cannot be read or holds a value that is not finite, or if one image against
/// one caption needs more than `tile_mib`.
pub fn scorer(
    peers: &[Matcher],
    reader: &Reader<'_>,
    tile_mib: usize,
    watch: &mut dyn Watch,
) -> Result<Box<dyn Scorer>> {
    let mut encoded = Vec::new();
    for peer in peers {
        encoded.push(EncodedSplit::new(peer, reader, tile_mib, watch)?);
    }
    let vectors: Option<Vec<_>> = encoded.iter().map(EncodedSplit::embeddings).collect();
    match vectors {
        Some(vectors) => Ok(Box::new(joined(vectors)?)),
        None => Ok(Box::new(MeanScorer(
            encoded
                .into_iter()
                .map(|split| Box::new(split) as Box<dyn Scorer>)
                .collect(),
        ))),
    }
}

fn joined(peers: Vec<(Matrix, Matrix)>) -> Result<InnerProduct> {
    let (images, captions): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
    Ok(InnerProduct::new(
        side_by_side(&images),
        side_by_side(&captions),
    )?)
}

fn side_by_side(parts: &[Matrix]) -> Matrix {
    if let [one] = parts {
        return one.clone();
    }
    let scale = (1.0 / parts.len() as f32).sqrt();
    let dim = parts.iter().map(Matrix::dim).sum();
    let mut values = Vec::with_capacity(parts[0].len() * dim);
    for row in 0..parts[0].len() {
        for part in parts {
            values.extend(part.row(row).iter().map(|x| x * scale));
        }
    }
    Matrix::new(values, dim)
}

/// How uncertain every item of a split is, [0, 1): the share of the variance in the mean squared
/// length of its draws, mean over peers.
#[derive(Debug, Clone, PartialEq)]
pub struct Uncertainty {
    /// One number an image.
    pub images: Vec<f32>,
    /// One number a caption.
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

/// The uncertainty of all of the reader's items; `None` where a peer's items are no Gaussians.
///
/// # Errors
/// If a feature row cannot be read or holds a value that is not finite.
pub fn uncertainty(
    peers: &[Matcher],
    reader: &Reader<'_>,
    watch: &mut dyn Watch,
) -> Result<Option<Uncertainty>> {
    let mut sum: Option<Uncertainty> = None;
    let share = 1.0 / peers.len() as f32;
    for peer in peers {
        let split = EncodedSplit::new(peer, reader, usize::MAX >> 20, watch)?;
        let (Some(images), Some(captions)) =
            (split.images.uncertainty(), split.captions.uncertainty())
        else {
            return Ok(None);
        };
        let sum = sum.get_or_insert_with(|| Uncertainty {
            images: vec![0.0; reader.n_images()],
            captions: vec![0.0; reader.n_captions()],
        });
        for (sum, values) in [(&mut sum.images, images), (&mut sum.captions, captions)] {
            let values = floats(values);
            (sum.iter_mut().zip(values)).for_each(|(sum, value)| *sum += share * value);
        }
    }
    Ok(sum)
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
    fn new(
        matcher: &Matcher,
        reader: &Reader<'_>,
        tile_mib: usize,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        use burn::module::Module;
        let matcher = matcher.valid();
        let (n_images, n_captions) = (reader.n_images(), reader.n_captions());
        let images = encode_all(
            [n_images, reader.image_shard()],
            "encode images",
            watch,
            |rows| {
                Ok(matcher
                    .image
                    .encode(&plain(reader.images(rows)?), &mut Mode::Evaluate))
            },
        )?;
        let captions = encode_all([n_captions, SHARD], "encode captions", watch, |rows| {
            Ok(matcher
                .caption
                .encode(&plain(reader.captions(rows)?), &mut Mode::Evaluate))
        })?;
        let device = images.values.device();
        let bytes = matcher.similarity.pair_bytes(&images, &captions);
        Ok(Self {
            part: part(bytes, tile_mib)?,
            similarity: matcher.similarity,
            images,
            captions,
            device,
        })
    }

    fn embeddings(&self) -> Option<(Matrix, Matrix)> {
        let matrix = |items| {
            let vectors = self.similarity.embeddings(items)?;
            let dim = vectors.dims()[1];
            Some(Matrix::new(floats(vectors), dim))
        };
        Some((matrix(&self.images)?, matrix(&self.captions)?))
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

fn encode_all(
    [n, shard]: [usize; 2],
    stage: &str,
    watch: &mut dyn Watch,
    mut encode: impl FnMut(&[u32]) -> Result<Encoding>,
) -> Result<Encoding> {
    let rows: Vec<u32> = (0..n as u32).collect();
    let mut shards = Vec::new();
    for rows in rows.chunks(shard) {
        shards.push(encode(rows)?);
        watch.advance(stage, (shards.len() * shard).min(n) as u64, n as u64);
    }
    Ok(concatenated(shards))
}

/// Joins shards, padding each to the longest item of all.
fn concatenated(shards: Vec<Encoding>) -> Encoding {
    let longest = shards
        .iter()
        .map(|shard| shard.values.dims()[1])
        .max()
        .unwrap_or(1);
    let masked = shards.iter().any(|shard| shard.mask.is_some());
    let (mut values, mut masks, mut deviations) = (Vec::new(), Vec::new(), Vec::new());
    for shard in shards {
        deviations.extend(shard.gaussian.map(|gaussian| gaussian.log_deviation));
        let [n, m, d] = shard.values.dims();
        let device = shard.values.device();
        let mask = shard.mask.unwrap_or_else(|| Tensor::ones([n, m], &device));
        if m == longest {
            values.push(shard.values);
            masks.push(mask);
        } else {
            let gap = longest - m;
            values.push(Tensor::cat(
                vec![shard.values, Tensor::zeros([n, gap, d], &device)],
                1,
            ));
            masks.push(Tensor::cat(vec![mask, Tensor::zeros([n, gap], &device)], 1));
        }
    }
    let mask = masked.then(|| Tensor::cat(masks, 0));
    let gaussian = (!deviations.is_empty()).then(|| Gaussian::new(Tensor::cat(deviations, 0)));
    Encoding {
        gaussian,
        ..Encoding::new(Tensor::cat(values, 0), mask)
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

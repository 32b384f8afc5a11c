//! From a trained matcher and a data set to a scorer.

use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::Error as CoreError;
use truepair_core::scores::{InnerProduct, Matrix, MeanScorer, Scorer};
use truepair_core::watch::Watch;

use crate::encoding::{Encoding, Input};
use crate::error::Result;
use crate::matcher::Matcher;
use crate::mode::Mode;
use crate::optimizer::floats;
use crate::reader::Reader;
use crate::similarity::Similarity;

/// Items encoded at a time.
const SHARD: usize = 512;

/// A scorer of all of the reader's images against all of its captions: the mean over the peers.
///
/// Scores that are inner products become vectors once; peers' vectors are laid side by side, scaled
/// so that their inner product is the mean of the peers' scores. Other similarities keep encoded
/// items and score tiles.
///
/// # Errors
/// If a feature row cannot be read or holds a value that is not finite.
pub(crate) fn scorer(
    peers: &[Matcher],
    reader: &Reader<'_>,
    watch: &mut dyn Watch,
) -> Result<Box<dyn Scorer>> {
    let mut encoded = Vec::new();
    for peer in peers {
        encoded.push(EncodedSplit::new(peer, reader, watch)?);
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

/// Every image and caption of a split, encoded by one matcher without gradients.
struct EncodedSplit {
    similarity: Similarity,
    images: Encoding,
    captions: Encoding,
    device: Device,
}

impl EncodedSplit {
    fn new(matcher: &Matcher, reader: &Reader<'_>, watch: &mut dyn Watch) -> Result<Self> {
        use burn::module::Module;
        let matcher = matcher.valid();
        let (n_images, n_captions) = (reader.n_images(), reader.n_captions());
        let images = encode_all(n_images, "encode images", watch, |rows| {
            Ok(matcher
                .image
                .encode(&plain(reader.images(rows)?), &mut Mode::Evaluate))
        })?;
        let captions = encode_all(n_captions, "encode captions", watch, |rows| {
            Ok(matcher
                .caption
                .encode(&plain(reader.captions(rows)?), &mut Mode::Evaluate))
        })?;
        let device = images.values.device();
        Ok(Self {
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
        Encoding {
            values: items.values.clone().select(0, rows.clone()),
            mask: items.mask.clone().map(|mask| mask.select(0, rows)),
            regions: None,
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

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<(), CoreError> {
        let images = self.select(&self.images, images);
        let captions = self.select(&self.captions, captions);
        let scores = floats(
            self.similarity
                .scores(&images, &captions, &mut Mode::Evaluate),
        );
        if scores.iter().any(|score| !score.is_finite()) {
            return Err(CoreError::argument(
                "the matcher gave a score that is not a finite number",
                "its weights may have diverged; train again with a lower rate",
            ));
        }
        out.copy_from_slice(&scores);
        Ok(())
    }
}

/// Batches of `valid` modules must not carry the autodiff device of the training reader.
pub(crate) fn plain(input: Input) -> Input {
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
    n: usize,
    stage: &str,
    watch: &mut dyn Watch,
    mut encode: impl FnMut(&[u32]) -> Result<Encoding>,
) -> Result<Encoding> {
    let rows: Vec<u32> = (0..n as u32).collect();
    let mut shards = Vec::new();
    for shard in rows.chunks(SHARD) {
        shards.push(encode(shard)?);
        watch.advance(stage, (shards.len() * SHARD).min(n) as u64, n as u64);
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
    let (mut values, mut masks) = (Vec::new(), Vec::new());
    for shard in shards {
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
    Encoding {
        values: Tensor::cat(values, 0),
        mask,
        regions: None,
    }
}

//! Items of one modality, encoded: what leaves a matcher to be compared, stored or indexed.

use burn::module::Module;
use burn::tensor::Tensor;
use truepair_core::Result;
use truepair_core::scores::Matrix;
use truepair_core::watch::Watch;

use super::plain;
use crate::encoding::{Encoding, Gaussian};
use crate::layer::Mode;
use crate::matcher::Matcher;
use crate::numbers::floats;
use crate::reader::{CaptionReader, ImageReader};
use crate::similarity::Similarity;

/// Captions encoded at a time.
const SHARD: usize = 512;

/// Images, or captions, as every peer encodes them, without gradients.
#[derive(Debug, Clone)]
pub struct EncodedItems {
    pub(super) peers: Vec<PeerItems>,
}

/// The items as one peer encodes them, with the similarity that compares them.
#[derive(Debug, Clone)]
pub(super) struct PeerItems {
    pub(super) similarity: Similarity,
    pub(super) items: Encoding,
}

/// Items as Gaussians with independent dimensions.
#[derive(Debug, Clone)]
pub struct GaussianItems {
    /// Means `[n, d]`.
    pub means: Matrix,
    /// Standard deviations `[n, d]`, above 0.
    pub deviations: Matrix,
}

impl EncodedItems {
    /// All of the reader's images.
    ///
    /// # Errors
    /// If a feature row cannot be read or holds a value that is not finite.
    ///
    /// # Panics
    /// If there is no peer.
    pub fn images(
        peers: &[Matcher],
        reader: &ImageReader<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        Self::of_peers(peers, |matcher| {
            let shape = [reader.len(), reader.shard()];
            encode_all(shape, "encode images", watch, |rows| {
                let images = plain(reader.read(rows)?);
                Ok(matcher.image.encode(&images, &mut Mode::Evaluate))
            })
        })
    }

    /// All of the reader's captions.
    ///
    /// # Errors
    /// As [`images`](Self::images).
    ///
    /// # Panics
    /// If there is no peer.
    pub fn captions(
        peers: &[Matcher],
        reader: &CaptionReader<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        Self::of_peers(peers, |matcher| {
            encode_all([reader.len(), SHARD], "encode captions", watch, |rows| {
                let captions = plain(reader.read(rows)?);
                Ok(matcher.caption.encode(&captions, &mut Mode::Evaluate))
            })
        })
    }

    fn of_peers(
        peers: &[Matcher],
        mut encode: impl FnMut(&Matcher) -> Result<Encoding>,
    ) -> Result<Self> {
        assert!(!peers.is_empty(), "items that nothing encodes");
        let one = |peer: &Matcher| {
            let matcher = peer.valid();
            Ok(PeerItems {
                items: encode(&matcher)?,
                similarity: matcher.similarity,
            })
        };
        Ok(Self {
            peers: peers.iter().map(one).collect::<Result<_>>()?,
        })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.peers[0].items.values.dims()[0]
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Vectors `[n, d]` whose inner products with those of the other side are the scores: the peers' own,
    /// side by side and scaled so that an inner product is the mean of the peers' scores. `None` where
    /// the similarity is not an inner product.
    pub fn embeddings(&self) -> Option<Matrix> {
        let of_peer = |peer: &PeerItems| {
            let vectors = peer.similarity.embeddings(&peer.items)?;
            let dim = vectors.dims()[1];
            Some(Matrix::new(floats(vectors), dim))
        };
        let peers: Option<Vec<Matrix>> = self.peers.iter().map(of_peer).collect();
        Some(side_by_side(&peers?))
    }

    /// The items of each peer as Gaussians; `None` where they are points.
    pub fn gaussians(&self) -> Option<Vec<GaussianItems>> {
        let of_peer = |peer: &PeerItems| {
            let gaussian = peer.items.gaussian.as_ref()?;
            let dim = gaussian.log_deviation.dims()[1];
            Some(GaussianItems {
                means: Matrix::new(floats(peer.items.pooled()), dim),
                deviations: Matrix::new(floats(gaussian.log_deviation.clone().exp()), dim),
            })
        };
        self.peers.iter().map(of_peer).collect()
    }

    /// How uncertain every item is, [0, 1): the share of the variance in the mean squared length of its
    /// draws, mean over peers. `None` where items are points.
    pub fn uncertainty(&self) -> Option<Vec<f32>> {
        let share = 1.0 / self.peers.len() as f32;
        let mut sum = vec![0.0; self.len()];
        for peer in &self.peers {
            let own = floats(peer.items.uncertainty()?);
            (sum.iter_mut().zip(own)).for_each(|(sum, own)| *sum += share * own);
        }
        Some(sum)
    }
}

/// Vectors of several peers as one, so that inner products and squared distances are the peers' mean.
pub(super) fn side_by_side(parts: &[Matrix]) -> Matrix {
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

//! Draws from Gaussian embeddings.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rayon::prelude::*;
use truepair_core::rng::{Seed, Stream};

use super::ItemSide;
use crate::encoding::Encoding;
use crate::layer::Mode;

/// The draws `[n, j, d]` that `items` come with, or `j` fresh ones `z = μ + ε σ`.
///
/// While training, draws come from the pass's own stream. While evaluating, every item of a side is
/// drawn with the same `j` standard normal vectors, so that a score depends on nothing but its two
/// items.
pub(super) fn draws(items: &Encoding, j: usize, side: ItemSide, mode: &mut Mode<'_>) -> Tensor<3> {
    if let Some(samples) = items.gaussian.as_ref().and_then(|g| g.samples.clone()) {
        return samples;
    }
    let log_deviation = items.log_deviation();
    let [n, d] = log_deviation.dims();
    let (rows, noise) = match mode {
        Mode::Train(rng) => (n, normals(rng, n * j * d)),
        Mode::Evaluate => (1, normals(&mut Seed(0).stream(side.name(), &[]), j * d)),
    };
    let noise = TensorData::new(noise, [rows, j, d]);
    let noise = Tensor::<3>::from_data(noise, &log_deviation.device());
    let deviation: Tensor<3> = log_deviation.exp().unsqueeze_dim(1);
    noise * deviation + items.pooled().unsqueeze_dim(1)
}

/// [`draws`] of images and captions, in this order.
pub(super) fn both(
    images: &Encoding,
    captions: &Encoding,
    j: usize,
    mode: &mut Mode<'_>,
) -> [Tensor<3>; 2] {
    let images = draws(images, j, ItemSide::Image, mode);
    [images, draws(captions, j, ItemSide::Caption, mode)]
}

/// Standard normal numbers (Box and Muller, 1958), two from a pair of uniform ones of 24 bits, so
/// none is beyond 5.8.
fn normals(rng: &mut Stream, n: usize) -> Vec<f32> {
    const PAIR: usize = 8;
    let mut bytes = vec![0u8; n.div_ceil(2) * PAIR];
    rng.fill_bytes(&mut bytes);
    let uniform = |bytes: &[u8]| {
        let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        (bits + 1) as f32 / (1 << 24) as f32
    };
    let pairs = bytes.par_chunks_exact(PAIR).with_min_len(1 << 12);
    let mut values: Vec<f32> = pairs
        .flat_map_iter(|pair| {
            let radius = (-2.0 * uniform(&pair[..4]).ln()).sqrt();
            let (sine, cosine) = (std::f32::consts::TAU * uniform(&pair[4..])).sin_cos();
            [radius * cosine, radius * sine]
        })
        .collect();
    values.truncate(n);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_standard_normal_and_independent_in_pairs() {
        for n in [1, 7, 200_000] {
            let mut rng = Seed(1).stream("test", &[]);
            assert_eq!(normals(&mut rng, n).len(), n);
        }
        let mut rng = Seed(2).stream("test", &[]);
        let values = normals(&mut rng, 200_000);
        let mean = |f: &dyn Fn(f64) -> f64| {
            values.iter().map(|x| f(f64::from(*x))).sum::<f64>() / 200_000.0
        };
        assert!(mean(&|x| x).abs() < 0.01);
        assert!((mean(&|x| x * x) - 1.0).abs() < 0.015);
        assert!((mean(&|x| x.powi(4)) - 3.0).abs() < 0.1);
        let pairs = values.chunks_exact(2);
        let product: f32 = pairs.map(|pair| pair[0] * pair[1]).sum();
        assert!((product / 100_000.0).abs() < 0.015);
    }
}

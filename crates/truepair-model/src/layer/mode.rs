//! Whether a forward pass trains or evaluates, and where its randomness comes from.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use truepair_core::rng::Stream;

/// The mode of one forward pass.
#[derive(Debug)]
pub enum Mode<'a> {
    /// No dropout, no randomness.
    Evaluate,
    /// Dropout masks come from this stream, so that a run repeats to the bit.
    Train(&'a mut Stream),
}

impl Mode<'_> {
    /// Zeroes a share `rate` of the values and scales the rest by `1 / (1 - rate)`; the identity
    /// when evaluating.
    pub fn dropout<const D: usize>(&mut self, values: Tensor<D>, rate: f64) -> Tensor<D> {
        let Mode::Train(rng) = self else {
            return values;
        };
        if rate <= 0.0 {
            return values;
        }
        let shape = values.dims();
        let n = shape.iter().product::<usize>();
        let mut bytes = vec![0u8; 2 * n];
        rng.fill_bytes(&mut bytes);
        let limit = (rate * 65_536.0).round() as u32;
        let kept = (65_536.0 / f64::from(65_536 - limit.min(65_535))) as f32;
        let mask: Vec<f32> = (bytes.chunks_exact(2))
            .map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])))
            .map(|draw| if draw < limit { 0.0 } else { kept })
            .collect();
        let device = values.device();
        values * Tensor::from_data(TensorData::new(mask, shape), &device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    #[test]
    fn dropout_keeps_the_mean_and_evaluation_is_the_identity() {
        let device = Device::flex();
        let ones: Tensor<2> = Tensor::ones([200, 100], &device);
        let same = Mode::Evaluate.dropout(ones.clone(), 0.5);
        assert_eq!(same.to_data(), ones.to_data());
        let mut rng = Seed(1).stream("dropout", &[]);
        let dropped = Mode::Train(&mut rng).dropout(ones, 0.3);
        let values = dropped.into_data().try_into_vec::<f32>().unwrap();
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let zeros = values.iter().filter(|x| **x == 0.0).count() as f32 / 20_000.0;
        assert!(
            (mean - 1.0).abs() < 0.02 && (zeros - 0.3).abs() < 0.02,
            "{mean} {zeros}"
        );
    }
}

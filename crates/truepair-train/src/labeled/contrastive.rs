//! The loss that draws an item's modalities together without any label.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Whether an embedding is compared with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelfTerm {
    /// It is left out of both sums, and an item's terms are averaged and doubled: the released code.
    Excluded,
    /// It counts among the matches and among all, and an item's terms are added: the paper's Eq. (6).
    Included,
}

/// Multimodal contrastive loss of `m ≥ 2` modalities: `[b]`.
///
/// ```text
/// P(i, a) = Σ_{c ≠ a} e(zᵢₐ · zᵢ꜀ / τ) / Σ_{(j, c) ≠ (i, a)} e(zᵢₐ · zⱼ꜀ / τ)
/// Lᵢ = −(2/m) Σₐ log P(i, a)
/// ```
/// With [`SelfTerm::Included`] neither sum leaves `(i, a)` out, and `Lᵢ = −Σₐ log P(i, a)`: the factor
/// `2/m` is the released code's, and 1 for two modalities.
///
/// # Shapes
/// - `embeddings`: per modality `[b, d]` of length 1; returns `[b]`
///
/// # Panics
/// If there are fewer than two modalities or shapes differ.
///
/// # Source
/// Hu et al., CVPR 2021, Eq. (6). Code read at penghu-cs/MRL@e0f5c8f, whose two terms are equal
/// because similarities are symmetric. Golden `u11_mrl_*`.
///
/// # Deviations
/// 1. Similarities are lowered by their largest possible value before they are exponentiated, which
///    changes no ratio.
pub fn multimodal_contrastive(
    embeddings: &[Tensor<2>],
    temperature: f64,
    self_term: SelfTerm,
) -> Tensor<1> {
    let (m, [b, _]) = (embeddings.len(), embeddings[0].dims());
    assert!(m >= 2, "{m} modality: nothing to contrast");
    let all = Tensor::cat(embeddings.to_vec(), 0);
    let device = all.device();
    let scores = (all.clone().matmul(all.transpose()) - 1.0) / temperature;
    let exponential = scores.exp();
    let mask = |kept: &dyn Fn(usize, usize) -> bool| -> Tensor<2> {
        let n = m * b;
        let value = |at: usize| f32::from(u8::from(kept(at / n, at % n)));
        let values: Vec<f32> = (0..n * n).map(value).collect();
        Tensor::from_data(TensorData::new(values, [n, n]), &device)
    };
    let with_self = self_term == SelfTerm::Included;
    let matching = mask(&|row, column| row % b == column % b && (with_self || row != column));
    let matches = (exponential.clone() * matching).sum_dim(1);
    let counted = match with_self {
        true => exponential,
        false => exponential * mask(&|row, column| row != column),
    };
    let log = (matches / counted.sum_dim(1)).log();
    let per_item: Tensor<1> = log.reshape([m, b]).sum_dim(0).reshape([b]);
    per_item
        * match self_term {
            SelfTerm::Excluded => -2.0 / m as f64,
            SelfTerm::Included => -1.0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use truepair_model::numbers::floats;

    /// The equations pair by pair, in double precision, of modalities `[b][d]`.
    fn expected(modalities: &[Vec<Vec<f64>>], tau: f64, self_term: SelfTerm) -> Vec<f64> {
        let (m, b) = (modalities.len(), modalities[0].len());
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let mut losses = vec![0.0; b];
        for (i, loss) in losses.iter_mut().enumerate() {
            for a in 0..m {
                let (mut matches, mut all) = (0.0, 0.0);
                for (c, other) in modalities.iter().enumerate() {
                    for (j, vector) in other.iter().enumerate() {
                        if (j, c) == (i, a) && self_term == SelfTerm::Excluded {
                            continue;
                        }
                        let e = (dot(&modalities[a][i], vector) / tau).exp();
                        all += e;
                        if j == i {
                            matches += e;
                        }
                    }
                }
                *loss -= f64::ln(matches / all);
            }
            if self_term == SelfTerm::Excluded {
                *loss *= 2.0 / m as f64;
            }
        }
        losses
    }

    /// `b` vectors of length 1 without structure, `[b * d]`.
    fn unit_rows(b: usize, d: usize, salt: usize) -> Vec<f32> {
        let raw: Vec<f32> = (0..b * d)
            .map(|at| ((at * at + 7 * salt + 3 * at) as f32 * 0.37).sin())
            .collect();
        let rows = raw.chunks_exact(d);
        rows.flat_map(|row| {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter().map(move |x| x / norm)
        })
        .collect()
    }

    #[test]
    fn any_number_of_modalities_has_the_loss_of_the_equations() {
        let (b, d) = (5, 4);
        for m in 2..=4 {
            let values: Vec<Vec<f32>> = (0..m).map(|a| unit_rows(b, d, a)).collect();
            let tensors: Vec<Tensor<2>> = (values.iter())
                .map(|rows| {
                    let data = TensorData::new(rows.clone(), [b, d]);
                    Tensor::from_data(data, &Device::flex())
                })
                .collect();
            let exact: Vec<Vec<Vec<f64>>> = (values.iter())
                .map(|rows| {
                    let rows = rows.chunks_exact(d);
                    rows.map(|row| row.iter().map(|&x| x.into()).collect())
                        .collect()
                })
                .collect();
            for self_term in [SelfTerm::Excluded, SelfTerm::Included] {
                for tau in [1.0, 0.2] {
                    let found = floats(multimodal_contrastive(&tensors, tau, self_term));
                    let expected = expected(&exact, tau, self_term);
                    for (a, b) in found.iter().zip(&expected) {
                        let close = (f64::from(*a) - b).abs() < 1e-5 * (1.0 + b.abs());
                        assert!(close, "{m} {self_term:?} {tau}: {found:?} {expected:?}");
                    }
                }
            }
        }
    }

    /// Two modalities of two items, worked by hand: the released form and the paper's.
    #[test]
    fn two_modalities_have_the_worked_values() {
        let tensor = |values: [f32; 4]| {
            Tensor::from_data(TensorData::new(values.to_vec(), [2, 2]), &Device::flex())
        };
        let both = [tensor([1.0, 0.0, 0.0, 1.0]), tensor([0.8, 0.6, 0.6, 0.8])];
        for (self_term, expected) in [
            (SelfTerm::Excluded, 1.914_947_5),
            (SelfTerm::Included, 1.091_798),
        ] {
            let losses = floats(multimodal_contrastive(&both, 1.0, self_term));
            let mean = losses.iter().sum::<f32>() / 2.0;
            assert!((mean - expected).abs() < 1e-5, "{self_term:?}: {mean}");
        }
    }
}

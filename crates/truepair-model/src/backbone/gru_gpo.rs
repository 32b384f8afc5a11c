//! Token embedding, a bidirectional GRU and generalized pooling: the text side of VSE∞.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use truepair_core::rng::{Stream, below, unit};
use truepair_core::{Error, Result};

use super::InputShape;
use crate::encoding::{Encoding, Input, lengths, unit_length};
use crate::kernel::{self, States};
use crate::layer::{Gpo, GruLayer, Init, Mode};
use crate::numbers::floats;

/// Settings of [`GruGpo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GruGpoConfig {
    /// Width of a token's embedding.
    pub word_dim: usize,
    /// Width of the joint space and of each direction's state.
    pub dim: usize,
    /// Share of tokens masked, replaced or deleted while training, [0, 1).
    pub token_change: f64,
}

impl Default for GruGpoConfig {
    fn default() -> Self {
        Self {
            word_dim: 300,
            dim: 1024,
            token_change: 0.2,
        }
    }
}

/// One vector a caption: `v = l2(GPO((h→ₜ + h←ₜ) / 2))` over the states of both directions.
///
/// While training, a share `token_change` of the tokens, markers included, is changed: half of
/// those become the mask token, whose embedding is an extra row behind the vocabulary, a tenth
/// become a random token, the others are deleted.
///
/// # Shapes
/// - input: token ids `[n, t]`; output: `[n, 1, dim]`, every vector of length 1
/// # Source
/// Chen et al., CVPR 2021 (VSE∞). Code read at woodfrog/vse_infty@8600f89 (branch `bigru`),
/// `EncoderText` and `process_caption`. Golden `u06_vseinf_text`.
/// # Deviations
/// 1. A random token is neither padding nor the mask token; the source draws from all of its
///    vocabulary.
/// 2. A caption that would lose every token keeps a random one; the source fails on it.
#[derive(Module, Debug)]
pub struct GruGpo {
    /// `[vocabulary + 1, word_dim]`; the last row is the mask token's.
    embed: Param<Tensor<2>>,
    forward: GruLayer,
    backward: GruLayer,
    pool: Gpo,
    #[module(skip)]
    token_change: f64,
}

impl GruGpoConfig {
    pub(super) fn build(&self, shape: InputShape, init: &mut Init) -> Result<GruGpo> {
        let InputShape::Tokens(vocabulary) = shape else {
            return Err(Error::argument(
                "backbone `gru_gpo` reads token ids, the data has feature vectors",
                "use `mlp` or `region_gpo` for features, or decline caption features",
            ));
        };
        if self.word_dim == 0 || self.dim == 0 || !(0.0..1.0).contains(&self.token_change) {
            return Err(Error::argument(
                format!(
                    "backbone `gru_gpo` cannot have word_dim = {}, dim = {}, token_change = {}",
                    self.word_dim, self.dim, self.token_change
                ),
                "widths are at least 1 and token_change is in [0, 1)",
            ));
        }
        Ok(GruGpo {
            embed: init.uniform([vocabulary + 1, self.word_dim], 0.1),
            forward: GruLayer::new(init, self.word_dim, self.dim),
            backward: GruLayer::new(init, self.word_dim, self.dim),
            pool: Gpo::new(init),
            token_change: self.token_change,
        })
    }
}

impl GruGpo {
    pub(super) fn measure(self, _sample: &Input) -> Self {
        self
    }

    pub(super) fn encode(&self, input: &Input, mode: &mut Mode<'_>) -> Encoding {
        let Input::Tokens { ids, mask } = input else {
            panic!("`gru_gpo` was built for tokens")
        };
        let (ids, mask) = match mode {
            Mode::Train(rng) if self.token_change > 0.0 => self.changed(ids, mask, rng),
            _ => (ids.clone(), mask.clone()),
        };
        let states = self.forward.run(
            Some(&self.backward),
            kernel::embedding(self.embed.val(), ids),
            &lengths(&mask),
            States::EveryToken,
        );
        let pooled = self.pool.pool(states, Some(&mask));
        Encoding::new(unit_length(pooled).unsqueeze_dim(1), None)
    }

    /// The captions with some tokens masked, replaced or deleted, and their mask.
    fn changed(
        &self,
        ids: &Tensor<2, Int>,
        mask: &Tensor<2>,
        rng: &mut Stream,
    ) -> (Tensor<2, Int>, Tensor<2>) {
        let ([n, t], device) = (mask.dims(), mask.device());
        let given: Vec<i64> = ids.to_data().iter().collect();
        let valid = floats(mask.clone());
        let mask_token = self.embed.dims()[0] as i64 - 1;
        let captions: Vec<Vec<i64>> = (0..n)
            .map(|i| {
                let tokens = (i * t..(i + 1) * t).filter(|&at| valid[at] != 0.0);
                let tokens = tokens.map(|at| given[at]).collect();
                altered(tokens, self.token_change, mask_token, rng)
            })
            .collect();
        let longest = captions.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let (mut ids, mut mask) = (vec![0; n * longest], vec![0f32; n * longest]);
        for (i, tokens) in captions.iter().enumerate() {
            ids[i * longest..][..tokens.len()].copy_from_slice(tokens);
            mask[i * longest..][..tokens.len()].fill(1.0);
        }
        (
            Tensor::from_data(TensorData::new(ids, [n, longest]), &device),
            Tensor::from_data(TensorData::new(mask, [n, longest]), &device),
        )
    }
}

/// Masks, replaces or deletes a share `rate` of the tokens; one stays.
fn altered(tokens: Vec<i64>, rate: f64, mask_token: i64, rng: &mut Stream) -> Vec<i64> {
    if tokens.is_empty() {
        return tokens;
    }
    let mut kept = Vec::with_capacity(tokens.len());
    for &token in &tokens {
        let draw = unit(rng) / rate;
        if draw >= 1.0 {
            kept.push(token);
        } else if draw < 0.5 {
            kept.push(mask_token);
        } else if draw < 0.6 {
            // Neither padding, which is 0, nor the mask token.
            kept.push(1 + below(rng, (mask_token - 1).max(1) as u64) as i64);
        }
    }
    if kept.is_empty() {
        kept.push(tokens[below(rng, tokens.len() as u64) as usize]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::Seed;

    #[test]
    fn a_fifth_of_the_tokens_changes_half_masked_a_tenth_random_the_rest_deleted() {
        let mut rng = Seed(1).stream("tokens", &[]);
        let n = 50_000;
        let out = altered(vec![7; n], 0.2, 1000, &mut rng);
        let share = |count: usize| count as f64 / n as f64;
        let masked = share(out.iter().filter(|&&id| id == 1000).count());
        let random = share(out.iter().filter(|&&id| id != 1000 && id != 7).count());
        assert!((masked - 0.1).abs() < 0.01, "{masked}");
        assert!((random - 0.02).abs() < 0.005, "{random}");
        assert!((share(n - out.len()) - 0.08).abs() < 0.01, "{}", out.len());
        assert!(out.iter().all(|id| (1..=1000).contains(id)));
    }

    #[test]
    fn a_caption_keeps_a_token_and_an_empty_one_stays_empty() {
        let mut rng = Seed(2).stream("tokens", &[]);
        for _ in 0..200 {
            assert_eq!(altered(vec![5], 0.99, 9, &mut rng).len(), 1);
        }
        assert!(altered(vec![], 0.99, 9, &mut rng).is_empty());
    }
}

//! One vector a caption from the states of two directions side by side.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{GruLayer, Init};
use crate::kernel::States;

/// Where the backward direction's state is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackwardState {
    /// After its last step, at the first token: it has seen the whole caption.
    Final,
    /// At the last token, after its first step: it has seen that token alone. What PCME's code and
    /// an option of PVSE's read.
    LastToken,
}

/// `[h→ after the last token; h←]` of two GRU layers, half the width each.
///
/// # Shapes
/// - words `[n, t, w]` to `[n, d]`; a caption without tokens gives 0
/// # Source
/// `EncoderText` in yalesong/pvse@874aa16 and naver-ai/pcme@4947684. Golden `u08_pvse_text`,
/// `u09_pcme_text`.
#[derive(Module, Debug)]
pub struct Sentence {
    /// Reads from the first token.
    pub forward: GruLayer,
    /// Reads from the last token.
    pub backward: GruLayer,
}

impl Sentence {
    /// For words of width `w` and an even width `d`.
    pub fn new(init: &mut Init, w: usize, d: usize) -> Self {
        Self {
            forward: GruLayer::new(init, w, d / 2),
            backward: GruLayer::new(init, w, d / 2),
        }
    }

    /// The caption's vector.
    ///
    /// # Panics
    /// If there is not one length of at most `t` a caption.
    pub fn read(&self, words: &Tensor<3>, lengths: &[usize], state: BackwardState) -> Tensor<2> {
        let [n, t, w] = words.dims();
        let forward = self.forward.run(None, words.clone(), lengths, States::Last);
        let forward: Tensor<2> = forward.squeeze_dim(1);
        let backward: Tensor<2> = match state {
            BackwardState::Final => {
                let reversed = select(words, &reversed(lengths, t)).reshape([n, t, w]);
                let states = self.backward.run(None, reversed, lengths, States::Last);
                states.squeeze_dim(1)
            }
            BackwardState::LastToken => {
                let last = select(words, &last(lengths, t));
                let h = forward.dims()[1];
                let start = Tensor::zeros([n, h], &words.device());
                let some = lengths.iter().map(|&length| f32::from(length > 0));
                let some = TensorData::new(some.collect::<Vec<_>>(), [n, 1]);
                let some = Tensor::<2>::from_data(some, &words.device());
                self.backward.step(last, start) * some
            }
        };
        Tensor::cat(vec![forward, backward], 1)
    }
}

/// Rows of `[n, t, w]` by their place among all, `[rows, w]`.
fn select(words: &Tensor<3>, rows: &[i64]) -> Tensor<2> {
    let [n, t, w] = words.dims();
    let rows = TensorData::new(rows.to_vec(), [rows.len()]);
    let rows = Tensor::<1, Int>::from_data(rows, &words.device());
    words.clone().reshape([n * t, w]).select(0, rows)
}

/// The places of every caption's tokens from the last to the first; padding stays where it is.
fn reversed(lengths: &[usize], t: usize) -> Vec<i64> {
    let items = lengths.iter().enumerate();
    items
        .flat_map(|(item, &length)| {
            (0..t).map(move |at| (item * t + if at < length { length - 1 - at } else { at }) as i64)
        })
        .collect()
}

/// The place of every caption's last token.
fn last(lengths: &[usize], t: usize) -> Vec<i64> {
    let items = lengths.iter().enumerate();
    items
        .map(|(item, &length)| (item * t + length.saturating_sub(1)) as i64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_reversed_and_padding_is_not() {
        assert_eq!(reversed(&[3, 1], 3), [2, 1, 0, 3, 4, 5]);
        assert_eq!(last(&[3, 1, 0], 3), [2, 3, 6]);
    }
}

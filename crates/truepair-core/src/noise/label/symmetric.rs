//! Labels drawn evenly from all classes.

use super::LabelNoiseModel;
use crate::rng::{Stream, below};

/// A chosen item gets a label drawn from all classes, its own included, so that a rate `r` makes
/// `r (1 − 1/k)` of the labels wrong.
///
/// # Source
/// Hu et al., CVPR 2021 (MRL). Code read at penghu-cs/MRL@e0f5c8f.
///
/// # Deviations
/// 1. The released code draws from one class too many, so that it can plant a label that does not
///    exist; here every label is a class.
/// 2. Noise is seeded; the released code caches the first draw in a file.
#[derive(Debug, Clone, Copy)]
pub struct Symmetric;

impl LabelNoiseModel for Symmetric {
    fn name(&self) -> &'static str {
        "symmetric"
    }

    fn summary(&self) -> &'static str {
        "That share of the items draw a label from all classes, their own included (MRL's protocol)."
    }

    fn relabel(&self, _label: u32, order: &[u32], rng: &mut Stream) -> u32 {
        below(rng, order.len() as u64) as u32
    }
}

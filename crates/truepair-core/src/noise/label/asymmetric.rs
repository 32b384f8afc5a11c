//! Labels that slip to one other class.

use super::LabelNoiseModel;
use crate::rng::Stream;

/// A chosen item of class `c` gets class `c + 1`, one of the last class gets the first: a confusion of
/// two classes, in which wrong labels are not a noise floor but a bias.
///
/// # Source
/// The pair flips of the label-noise literature (Han et al., NeurIPS 2018; recalled).
#[derive(Debug, Clone, Copy)]
pub struct Asymmetric;

impl LabelNoiseModel for Asymmetric {
    fn name(&self) -> &'static str {
        "asymmetric"
    }

    fn summary(&self) -> &'static str {
        "That share of the items get the next class; those of the last class get the first."
    }

    fn relabel(&self, label: u32, order: &[u32], _rng: &mut Stream) -> u32 {
        (label + 1) % order.len() as u32
    }
}

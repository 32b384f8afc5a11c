//! InfoNCE on a matrix of scores: both directions in one operation.

use burn::tensor::Tensor;
use truepair_kernel::InfoNce;

use super::apply;

/// `Lᵢ = −½ log softmaxⱼ(Sᵢⱼ / τ)ᵢ − ½ log softmaxⱼ(Sⱼᵢ / τ)ᵢ`.
///
/// # Shapes
/// - `scores`: `[b, b]`; returns `[b]`
pub(crate) fn info_nce(scores: Tensor<2>, temperature: f64) -> Tensor<1> {
    apply(InfoNce::new(temperature), [scores.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};
    use crate::objective::InfoNce as Objective;

    #[test]
    fn equals_its_twin() {
        let objective = Objective { temperature: 0.3 };
        check_against_twin(
            &[Input::scaled(&[21, 21], 0.5)],
            |x| info_nce(x[0].rank(), 0.3),
            |x| objective.twin(&x[0].rank()),
        );
    }
}

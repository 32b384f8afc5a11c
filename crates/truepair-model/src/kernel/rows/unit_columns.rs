//! Channels of an item scaled to length 1 over its rows.

use burn::tensor::Tensor;
use truepair_kernel::UnitColumns;

use crate::encoding::unit_length_along;
use crate::kernel::{Items, apply, is_fused};

/// `x / (‖x‖ + 1e-8)` for every channel of every item, `‖x‖` over the item's rows; 0 for a channel
/// of zeros.
///
/// # Shapes
/// - `[rows, d]`, an item's rows one after another; rows beyond those of the items give 0
/// # Panics
/// If there are fewer rows than the items have.
pub(crate) fn unit_columns(x: Tensor<2>, items: &Items) -> Tensor<2> {
    if !is_fused(&x.device()) {
        return twin(x, items);
    }
    let lengths = items.lengths().to_vec();
    apply(UnitColumns { lengths }, [x.into()])
}

fn twin(x: Tensor<2>, items: &Items) -> Tensor<2> {
    items.pack(unit_length_along(items.spread(x), 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{Input, check_against_twin, check_threads};
    use burn::tensor::Device;

    #[test]
    fn equals_its_twin() {
        for lengths in [vec![3, 3], vec![2, 0, 4, 1]] {
            let rows = lengths.iter().sum();
            let items = Items::new(lengths, 4);
            let input = [Input::normal(&[rows, 37])];
            check_against_twin(
                &input,
                |x| unit_columns(x[0].rank(), &items),
                |x| twin(x[0].rank(), &items),
            );
            check_threads(&input, |x| unit_columns(x[0].rank(), &items));
        }
    }

    #[test]
    fn zero_stays_zero_with_the_twin_s_gradient() {
        let items = Items::new(vec![2], 2);
        let run = |operation: fn(Tensor<2>, &Items) -> Tensor<2>| {
            let x: Tensor<2> = Tensor::zeros([2, 3], &Device::flex().autodiff());
            let x = x.require_grad();
            let out = operation(x.clone(), &items);
            let tape = out.clone().sum().backward();
            (out.into_data(), x.grad(&tape).unwrap().into_data())
        };
        let (found, expected) = (run(unit_columns), run(twin));
        assert!(found.1.iter::<f32>().all(f32::is_finite));
        assert_eq!(found, expected);
    }
}

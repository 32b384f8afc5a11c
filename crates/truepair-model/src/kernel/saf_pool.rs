//! Nodes of every pair pooled by signed attention.

use burn::tensor::{Tensor, TensorData};
use truepair_kernel::SafPool;

use super::{apply, is_fused};
use crate::encoding::unit_length;

/// Added to sums that divide.
const GUARD: f64 = 1e-8;

/// Of every pair with nodes `X` and attention `a`
///
/// ```text
/// y = Σⱼ aⱼ Xⱼ / (Σⱼ |aⱼ| + 1e-8)     y / (‖y‖ + 1e-8)
/// ```
///
/// Where all attention is 0 the result is 0. The gradient by an attention of 0 takes the slope of
/// its magnitude as 0, and a `‖y‖` below 1e-15 counts as constant.
///
/// # Shapes
/// - `nodes`: `[n, total, s]`, of every image the nodes of its pair with the first caption, then of
///   that with the second, and so on; `attention`: `[n, total]`, of any sign; `lengths`: nodes of
///   each caption, at least 1
/// - returns `[n, c, s]`
/// # Panics
/// If a length is 0 or the lengths do not add up to `total`.
/// # Source
/// Diao et al., AAAI 2021, similarity attention filtration; Paranioar/SGRAF@a19d1a9,
/// `AttentionFiltration` (golden `u01_saf_head`).
pub(crate) fn saf_pool(nodes: Tensor<3>, attention: Tensor<2>, lengths: &[usize]) -> Tensor<3> {
    if !is_fused(&nodes.device()) {
        return twin(nodes, attention, lengths);
    }
    let operation = SafPool {
        lengths: lengths.to_vec(),
    };
    apply(operation, [nodes.into(), attention.into()])
}

/// Sums over captions are products with a matrix that says which node belongs to which caption.
fn twin(nodes: Tensor<3>, attention: Tensor<2>, lengths: &[usize]) -> Tensor<3> {
    let [_, total, _] = nodes.dims();
    let captions = lengths.len();
    let owners = (lengths.iter().enumerate()).flat_map(|(j, m)| std::iter::repeat_n(j, *m));
    let mut belongs = vec![0f32; total * captions];
    for (node, caption) in owners.enumerate() {
        belongs[node * captions + caption] = 1.0;
    }
    let belongs = TensorData::new(belongs, [total, captions]);
    let belongs = Tensor::<2>::from_data(belongs, &nodes.device());
    let sizes = attention.clone().abs().matmul(belongs.clone()) + GUARD;
    let weights = attention / sizes.matmul(belongs.clone().transpose());
    let weighted = nodes * weights.unsqueeze_dim::<3>(2);
    unit_length(belongs.transpose().unsqueeze::<3>().matmul(weighted))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::kernel::tests::{Input, check_against_twin};

    #[test]
    fn equals_its_twin() {
        let cases: [(usize, &[usize], usize); 4] = [
            (3, &[3, 1, 5], 7),
            (1, &[4], 3),
            (1, &[1, 2], 4),
            (50, &[2, 3], 2),
        ];
        for (n, lengths, s) in cases {
            let total = lengths.iter().sum();
            check_against_twin(
                &[Input::normal(&[n, total, s]), Input::normal(&[n, total])],
                |x| saf_pool(x[0].rank(), x[1].rank(), lengths),
                |x| twin(x[0].rank(), x[1].rank(), lengths),
            );
        }
    }

    fn tensor<const D: usize>(shape: [usize; D], values: &[f32]) -> Tensor<D> {
        let device = Device::flex().autodiff();
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &device).require_grad()
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn three_nodes_give_the_worked_numbers() {
        let nodes = [0.6, 0.8, 1.0, 0.0, 0.0, 1.0];
        let raw = [0.6f32 - 0.8, 1.0, -1.0];
        // Normalized with mean 0 and variance 1 as a trained batch norm does.
        let attention = raw.map(|x| 1.0 / (1.0 + (-x / 1.00001f32.sqrt()).exp()));
        let found = saf_pool(tensor([1, 3, 2], &nodes), tensor([1, 3], &attention), &[3]);
        for (a, b) in floats(found).iter().zip([0.846_721_7, 0.532_036_04]) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn attention_of_zero_gives_zero_and_a_finite_gradient() {
        let (nodes, attention) = (tensor([1, 2, 2], &[0.3; 4]), tensor([1, 2], &[0.0; 2]));
        let output = saf_pool(nodes.clone(), attention.clone(), &[2]);
        let graph = output.clone().sum().backward();
        assert_eq!(floats(output), [0.0; 2]);
        let finite = |values: Vec<f32>| values.iter().all(|x| x.is_finite());
        assert!(finite(floats(nodes.grad(&graph).unwrap())));
        assert!(finite(floats(attention.grad(&graph).unwrap())));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let wave =
            |count: usize| -> Vec<f32> { (0..count).map(|i| (i as f32 * 0.37).sin()).collect() };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let nodes = tensor([40, 8, 33], &wave(40 * 8 * 33));
                let attention = tensor([40, 8], &wave(40 * 8));
                let output = saf_pool(nodes.clone(), attention.clone(), &[5, 1, 2]);
                let graph = (output.clone() * output.clone().cos()).sum().backward();
                let all = [
                    floats(output),
                    floats(nodes.grad(&graph).unwrap()),
                    floats(attention.grad(&graph).unwrap()),
                ];
                all.map(|values| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            })
        };
        assert!(run(1) == run(2));
    }
}

//! Every fused operation against its twin and against finite differences.

use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::rng::{Seed, normal};

/// One input of an operation under test.
pub(crate) struct Input {
    values: Vec<f32>,
    shape: Vec<usize>,
    differentiable: bool,
}

/// An input on its way into the operation or its twin.
pub(crate) struct Given(Tensor<1>, Vec<usize>);

impl Given {
    /// The tensor with its rank.
    pub(crate) fn rank<const D: usize>(&self) -> Tensor<D> {
        let shape: [usize; D] = self.1.clone().try_into().expect("the rank of the input");
        self.0.clone().reshape(shape)
    }
}

impl Input {
    /// Standard normal values.
    pub(crate) fn normal(shape: &[usize]) -> Self {
        Self::scaled(shape, 1.0)
    }

    /// Normal values with this deviation. Inputs of the same size are alike unless their shapes
    /// differ.
    pub(crate) fn scaled(shape: &[usize], deviation: f64) -> Self {
        let key: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        let mut rng = Seed(7).stream("kernel", &key);
        let n = shape.iter().product();
        Self {
            values: (0..n)
                .map(|_| (normal(&mut rng) * deviation) as f32)
                .collect(),
            shape: shape.to_vec(),
            differentiable: true,
        }
    }

    /// Given values, without a gradient: masks and lengths.
    pub(crate) fn constant(shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Self {
            values,
            shape: shape.to_vec(),
            differentiable: false,
        }
    }

    /// The same with a gradient.
    pub(crate) fn differentiable(mut self) -> Self {
        self.differentiable = true;
        self
    }

    /// Other values than every other input of the same shape.
    pub(crate) fn salted(mut self, salt: u64) -> Self {
        let mut rng = Seed(salt).stream("kernel", &[]);
        self.values
            .iter_mut()
            .for_each(|x| *x += 0.5 * normal(&mut rng) as f32);
        self
    }
}

#[derive(Debug, PartialEq)]
struct Ran {
    output: Vec<f32>,
    gradients: Vec<Vec<f32>>,
}

fn weights(n: usize) -> Vec<f32> {
    let mut rng = Seed(11).stream("cotangent", &[]);
    (0..n).map(|_| normal(&mut rng) as f32).collect()
}

fn run<const D: usize>(inputs: &[Input], operation: &impl Fn(&[Given]) -> Tensor<D>) -> Ran {
    let device = Device::flex().autodiff();
    let leaves: Vec<Tensor<1>> = (inputs.iter())
        .map(|input| {
            let n = input.values.len();
            let tensor = Tensor::from_data(TensorData::new(input.values.clone(), [n]), &device);
            match input.differentiable {
                true => tensor.require_grad(),
                false => tensor,
            }
        })
        .collect();
    let given: Vec<Given> = (leaves.iter().zip(inputs))
        .map(|(leaf, input)| Given(leaf.clone(), input.shape.clone()))
        .collect();
    let output = operation(&given);
    let shape = output.dims();
    let n = shape.iter().product();
    let cotangent: Tensor<D> = Tensor::from_data(TensorData::new(weights(n), shape), &device);
    let graph = (output.clone() * cotangent).sum().backward();
    let gradients = (leaves.iter().zip(inputs))
        .filter(|(_, input)| input.differentiable)
        .map(|(leaf, input)| match leaf.grad(&graph) {
            Some(gradient) => floats(gradient),
            None => vec![0.0; input.values.len()],
        })
        .collect();
    Ran {
        output: floats(output),
        gradients,
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn assert_close(what: &str, found: &[f32], expected: &[f32], relative: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= relative * largest,
            "{what}[{at}]: {a} where the twin has {b}"
        );
    }
}

/// The fused operation gives what its twin gives, forward and backward, and its gradient is the
/// slope of its output along that gradient.
pub(crate) fn check_against_twin<const D: usize>(
    inputs: &[Input],
    fused: impl Fn(&[Given]) -> Tensor<D>,
    twin: impl Fn(&[Given]) -> Tensor<D>,
) {
    let (found, expected) = (run(inputs, &fused), run(inputs, &twin));
    assert_close("output", &found.output, &expected.output, 1e-5);
    for (at, (a, b)) in found.gradients.iter().zip(&expected.gradients).enumerate() {
        assert_close(&format!("gradient of input {at}"), a, b, 1e-4);
    }
    check_slopes(inputs, &fused, &found.gradients);
}

/// Output and gradients are the same to the bit with one thread and with three.
pub(crate) fn check_threads<const D: usize>(
    inputs: &[Input],
    operation: impl Fn(&[Given]) -> Tensor<D> + Sync,
) {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().expect("a pool of threads");
        pool.install(|| run(inputs, &operation))
    };
    assert_eq!(with(1), with(3));
}

fn check_slopes<const D: usize>(
    inputs: &[Input],
    fused: &impl Fn(&[Given]) -> Tensor<D>,
    gradients: &[Vec<f32>],
) {
    let differentiable = (0..inputs.len()).filter(|&at| inputs[at].differentiable);
    for (at, gradient) in differentiable.zip(gradients) {
        let length = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        if length < 1e-3 {
            continue;
        }
        let step = 1e-2 / length.max(1.0);
        let moved = |sign: f64| -> f64 {
            let shifted: Vec<Input> = (inputs.iter().enumerate())
                .map(|(index, input)| {
                    let mut values = input.values.clone();
                    if index == at {
                        let moves = values.iter_mut().zip(gradient);
                        moves
                            .for_each(|(x, g)| *x += (sign * step * f64::from(*g) / length) as f32);
                    }
                    Input {
                        values,
                        shape: input.shape.clone(),
                        differentiable: input.differentiable,
                    }
                })
                .collect();
            let output = run(&shifted, fused).output;
            let weights = weights(output.len());
            output
                .iter()
                .zip(weights)
                .map(|(x, w)| f64::from(*x) * f64::from(w))
                .sum()
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        assert!(
            (slope - length).abs() < 0.02 * length + 2e-3,
            "input {at}: slope {slope} where the gradient is {length} long"
        );
    }
}

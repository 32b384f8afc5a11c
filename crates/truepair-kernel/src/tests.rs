//! Every operation against its equations in `f64`, one number at a time; repeatable numbers.

mod layers;
mod losses;
mod nodes;
mod rows;
mod scores;

use crate::{Array, Gradients, Operation, Output};

/// A stream of numbers that a name fixes (SplitMix64; Steele et al., OOPSLA 2014).
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(name: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Uniform in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Permutes in place (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

/// One input of an operation under test.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    values: Vec<f32>,
    shape: Vec<usize>,
    wants_gradient: bool,
}

impl Input {
    /// Normal values with this deviation; the name keeps inputs of one shape apart.
    pub(crate) fn normal(name: &str, shape: &[usize], deviation: f64) -> Self {
        let mut draws = Draws::new(name);
        let n = shape.iter().product();
        Self {
            values: (0..n)
                .map(|_| (draws.normal() * deviation) as f32)
                .collect(),
            shape: shape.to_vec(),
            wants_gradient: true,
        }
    }

    /// Given values.
    pub(crate) fn of(shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Self {
            values,
            shape: shape.to_vec(),
            wants_gradient: true,
        }
    }

    /// 1 for the first `counts[i]` of `m` places of every item, then 0; a mask `[n, m]`.
    pub(crate) fn mask(counts: &[usize], m: usize) -> Self {
        let values = counts
            .iter()
            .flat_map(|&count| (0..m).map(move |at| f32::from(at < count)));
        Self::of(&[counts.len(), m], values.collect()).constant()
    }

    /// The same without a gradient.
    pub(crate) fn constant(self) -> Self {
        Self {
            wants_gradient: false,
            ..self
        }
    }

    fn array(&self) -> Array<'_> {
        Array {
            values: &self.values,
            shape: &self.shape,
        }
    }
}

/// Output and gradients, under the upstream gradient `upstream(n)`.
#[derive(Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) output: Output,
    pub(crate) gradients: Vec<Option<Vec<f32>>>,
}

/// Runs an operation forward and backward.
pub(crate) fn run<O: Operation>(operation: &O, inputs: &[Input]) -> Ran {
    let arrays: Vec<Array<'_>> = inputs.iter().map(Input::array).collect();
    let (output, saved) = operation.forward(&arrays);
    assert_eq!(operation.output(&arrays), output);
    let wanted = |input: &Input| input.wants_gradient.then_some(input.values.len());
    let mut gradients = Gradients::zero(inputs.iter().map(wanted));
    let kept = O::KEEPS_OUTPUT.then_some(Array {
        values: &output.values,
        shape: &output.shape,
    });
    let arrays: Vec<Array<'_>> = arrays.into_iter().chain(kept).collect();
    let upstream = upstream(output.values.len());
    operation.backward(&arrays, &saved, &upstream, &mut gradients);
    Ran {
        gradients: gradients.into_values().collect(),
        output,
    }
}

fn upstream(n: usize) -> Vec<f32> {
    let mut draws = Draws::new("upstream");
    (0..n).map(|_| draws.normal() as f32).collect()
}

/// The operation gives what `equations` give in `f64`, its gradients are their slopes, and both are
/// the same to the bit on one thread and on three.
pub(crate) fn check<O: Operation>(
    operation: &O,
    inputs: &[Input],
    equations: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let found = check_threads(operation, inputs);
    let wide = |input: &Input| input.values.iter().copied().map(f64::from).collect();
    let mut given: Vec<Vec<f64>> = inputs.iter().map(wide).collect();
    assert_close("output", &found.output.values, &equations(&given), 1e-5);
    let upstream = upstream(found.output.values.len());
    for (at, gradient) in found.gradients.iter().enumerate() {
        let Some(gradient) = gradient else { continue };
        let slopes: Vec<f64> = (0..gradient.len())
            .map(|place| {
                let own = given[at][place];
                let mut moved = |step: f64| -> f64 {
                    given[at][place] = own + step;
                    let output = equations(&given);
                    output
                        .iter()
                        .zip(&upstream)
                        .map(|(x, g)| x * f64::from(*g))
                        .sum()
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                given[at][place] = own;
                slope
            })
            .collect();
        assert_close(&format!("gradient of input {at}"), gradient, &slopes, 1e-4);
    }
}

/// Output and gradients are the same to the bit with one thread and with three.
pub(crate) fn check_threads<O: Operation>(operation: &O, inputs: &[Input]) -> Ran {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().expect("a pool of threads");
        pool.install(|| run(operation, inputs))
    };
    let one = with(1);
    assert_eq!(one, with(3));
    one
}

fn assert_close(what: &str, found: &[f32], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*a) - b).abs() <= relative * largest,
            "{what}[{at}]: {a} where the equations have {b}"
        );
    }
}

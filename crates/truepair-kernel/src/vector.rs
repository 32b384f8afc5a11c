//! Element-wise loops compiled for the widest vectors that the processor has.

use rayon::prelude::*;

/// Runs `loops` with the widest vector instructions of this processor. What is to be vectorized
/// must be inlined: the closure itself, `wide(#[inline(always)] || ..)`, and all that it calls.
pub fn wide<R>(loops: impl FnOnce() -> R) -> R {
    struct Loops<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Loops<F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            self.0()
        }
    }
    pulp::Arch::new().dispatch(Loops(loops))
}

/// Values that one call of [`collect`]'s closure computes.
pub(crate) const BLOCK: usize = 1024;

/// Zeros from which several threads write them faster than one: half a mebibyte.
const PARALLEL_ZEROS: usize = 1 << 17;

/// A vector of `n` values, computed by blocks on all threads into memory that was not zeroed before:
/// for large results that would be a separate pass.
///
/// `fill` gets the index of a block's first value and the block, zero at first, and is inlined into
/// vector code as by [`wide`].
pub(crate) fn collect(n: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut blocks: Vec<[f32; BLOCK]> = Vec::new();
    (0..n.div_ceil(BLOCK))
        .into_par_iter()
        .with_min_len(16)
        .map(|at| {
            let mut block = [0f32; BLOCK];
            let len = BLOCK.min(n - at * BLOCK);
            wide(
                #[inline(always)]
                || fill(at * BLOCK, &mut block[..len]),
            );
            block
        })
        .collect_into_vec(&mut blocks);
    let mut values = blocks.into_flattened();
    values.truncate(n);
    values
}

/// A vector of `n` zeros, written by all threads where that pays.
pub(crate) fn zeros(n: usize) -> Vec<f32> {
    if n < PARALLEL_ZEROS {
        vec![0.0; n]
    } else {
        collect(n, |_, _| {})
    }
}

/// `eˣ` to 2 units in the last place; 0 below −87.3 and `e^88.3` above 88.3.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.3, 88.3);
    // Added to 1.5 · 2²³ a float rounds to an integer, which its low bits then hold.
    let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    // x = n ln 2 + r with |r| ≤ ln 2 / 2; ln 2 in two parts so that r is exact.
    let r = (x - n * 0.693_145_75) - n * 1.428_606_8e-6;
    let p = 1.987_569_1e-4f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// `1 / (1 + e⁻ˣ)`
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `tanh x`
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Near 0 the quotient cancels; the odd series is exact enough there.
    let square = x * x;
    let small = x * (1.0 + square * (-1.0 / 3.0 + square * (2.0 / 15.0 - square * (17.0 / 315.0))));
    let e = exp(2.0 * x.clamp(-15.0, 15.0));
    let large = (e - 1.0) / (e + 1.0);
    if x.abs() < 0.15 { small } else { large }
}

/// `Σ aᵢ bᵢ`
///
/// ```
/// use truepair_kernel::vector::dot;
///
/// assert_eq!(dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = (a_chunks.remainder().iter())
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The largest value; −∞ of none.
#[inline(always)]
pub(crate) fn largest(values: &[f32]) -> f32 {
    const LANES: usize = 64;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        raise(&mut lanes, chunk);
    }
    raise(&mut lanes, rest);
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// `largest = max(largest, x)`
#[inline(always)]
pub(crate) fn raise(largest: &mut [f32], x: &[f32]) {
    for (largest, &x) in largest.iter_mut().zip(x) {
        *largest = if x > *largest { x } else { *largest };
    }
}

/// `sum += x`
#[inline(always)]
pub(crate) fn add(sum: &mut [f32], x: &[f32]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
}

/// `sum += scale · x`
#[inline(always)]
pub(crate) fn add_scaled(sum: &mut [f32], scale: f32, x: &[f32]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += scale * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_equal_the_standard_library() {
        wide(
            #[inline(always)]
            || {
                for i in -20_000..20_000 {
                    let x = i as f32 * 4e-3;
                    let exact = f64::from(x).exp();
                    assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "exp {x}");
                    let exact = f64::from(x).tanh();
                    assert!(
                        (f64::from(tanh(x)) - exact).abs() < 3e-7 * exact.abs().max(1e-3),
                        "tanh {x}"
                    );
                    let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
                    assert!((f64::from(sigmoid(x)) - exact).abs() < 3e-7, "sigmoid {x}");
                }
            },
        );
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 1.3e-38 && exp(1000.0).is_finite());
        let (a, b): (Vec<f32>, Vec<f32>) = (0..77).map(|i| (i as f32, 0.5)).unzip();
        assert_eq!(dot(&a, &b), 77.0 * 76.0 / 4.0);
        assert_eq!(largest(&a), 76.0);
        assert_eq!(largest(&a[..3]), 2.0);
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn vectors_of_any_length_are_filled_whole() {
        for n in [0, 1, BLOCK, 40 * BLOCK + 7] {
            let values = collect(n, |first, out| {
                (out.iter_mut().enumerate()).for_each(|(at, x)| *x = (first + at) as f32)
            });
            assert_eq!(values.len(), n);
            assert!(values.iter().enumerate().all(|(at, x)| *x == at as f32));
        }
        for n in [5, PARALLEL_ZEROS + 5] {
            assert_eq!(zeros(n), vec![0.0; n]);
        }
    }
}

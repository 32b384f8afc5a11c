//! The optimizer's pass over weights, gradient and moments, and the norm that is taken before it.

use rayon::prelude::*;

use super::vector::wide;

/// Numbers that one task handles; fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 1 << 15;

/// The constants of one step of Adam or AdamW:
///
/// ```text
/// g ← scale · gradient + coupled · w
/// m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
/// w ← shrink · w − rate · m / (√(v · inverse_second) + ε)
/// ```
///
/// ```
/// use truepair_kernel::AdamStep;
///
/// // The first step of Adam moves every weight by the rate, whatever the gradient's size.
/// let (beta1, beta2, rate) = (0.9, 0.999, 0.01);
/// let step = AdamStep {
///     beta1,
///     beta2,
///     epsilon: 1e-8,
///     scale: 1.0,
///     rate: rate / (1.0 - beta1),
///     inverse_second: 1.0 / (1.0 - beta2),
///     shrink: 1.0,
///     coupled: 0.0,
/// };
/// let (mut weights, mut first, mut second) = ([1.0, 1.0], [0.0; 2], [0.0; 2]);
/// step.apply(&mut weights, &[100.0, -0.001], &mut first, &mut second);
/// assert!((weights[0] - 0.99).abs() < 1e-4 && (weights[1] - 1.01).abs() < 1e-4);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// β₁, how much of the first moment stays.
    pub beta1: f32,
    /// β₂, how much of the second moment stays.
    pub beta2: f32,
    /// ε, added to the root.
    pub epsilon: f32,
    /// The share of the gradient that clipping leaves.
    pub scale: f32,
    /// Rate over the first moment's bias.
    pub rate: f32,
    /// One over the second moment's bias.
    pub inverse_second: f32,
    /// The share of a weight that decoupled decay leaves.
    pub shrink: f32,
    /// Strength of coupled decay.
    pub coupled: f32,
}

impl AdamStep {
    /// Moves weights and moments in one pass; all slices have one length.
    pub fn apply(
        self,
        weights: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        (weights.par_chunks_mut(BLOCK))
            .zip(gradient.par_chunks(BLOCK))
            .zip(first.par_chunks_mut(BLOCK))
            .zip(second.par_chunks_mut(BLOCK))
            .for_each(|(((weights, gradient), first), second)| {
                wide(
                    #[inline(always)]
                    || {
                        let state = first.iter_mut().zip(second);
                        for ((w, g), (m, v)) in weights.iter_mut().zip(gradient).zip(state) {
                            let g = g * self.scale + self.coupled * *w;
                            *m = self.beta1 * *m + (1.0 - self.beta1) * g;
                            *v = self.beta2 * *v + (1.0 - self.beta2) * g * g;
                            let root = (*v * self.inverse_second).sqrt() + self.epsilon;
                            *w = self.shrink * *w - self.rate * *m / root;
                        }
                    },
                );
            });
    }
}

/// `Σ x²` in double precision.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let parts: Vec<f64> = (values.par_chunks(BLOCK))
        .map(|block| {
            wide(
                #[inline(always)]
                || squares(block),
            )
        })
        .collect();
    parts.iter().sum()
}

#[inline(always)]
fn squares(block: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0f64; LANES];
    let chunks = block.chunks_exact(LANES);
    let rest: f64 = chunks
        .remainder()
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum();
    for chunk in chunks {
        for lane in 0..LANES {
            let x = f64::from(chunk[lane]);
            sums[lane] += x * x;
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_odd_lengths_are_summed_whole() {
        for n in [0, 1, 17, BLOCK + 5] {
            let values: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
            let expected: f64 = values.iter().map(|x| f64::from(*x * *x)).sum();
            assert_eq!(sum_of_squares(&values), expected);
        }
    }
}

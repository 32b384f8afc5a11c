//! A query's scores as a distribution over items: how surprising the given item is, and how many
//! items the query could mean.

/// Exponents at least this far below the largest contribute nothing that matters.
const NEGLIGIBLE: f32 = -40.0;

/// Running sums side by side, so that the loop over a row compiles to vector instructions.
const LANES: usize = 16;

/// The scores of a query's null items as the weights `w_m = exp(β s_m)` of a distribution over them,
/// to which a given item is then added.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Softmax {
    /// `β`, the inverse of the temperature.
    sharpness: f64,
    /// The largest score.
    top: f64,
    /// `Σ w_m / w_top`
    weight: f64,
    /// `Σ (w_m / w_top) β (s_m − top)`
    tilt: f64,
}

impl Softmax {
    /// The distribution of the scores `row`, in which excluded items are negative infinity; `top` is
    /// the largest of the others, or negative infinity if there is none.
    pub(super) fn of(row: &[f32], sharpness: f64, top: f32) -> Self {
        if top == f32::NEG_INFINITY {
            return Self::default();
        }
        let (mut weights, mut tilts) = ([0.0; LANES], [0.0; LANES]);
        let mut add = |lane: usize, score: f32| {
            let exponent = (sharpness as f32 * (score - top)).max(NEGLIGIBLE);
            let weight = exp(exponent);
            weights[lane] += weight;
            tilts[lane] += weight * exponent;
        };
        let chunks = row.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            (chunk.iter().enumerate()).for_each(|(lane, &score)| add(lane, score));
        }
        (rest.iter().enumerate()).for_each(|(lane, &score)| add(lane, score));
        let total = |lanes: [f32; LANES]| lanes.iter().map(|lane| f64::from(*lane)).sum();
        Self {
            sharpness,
            top: f64::from(top),
            weight: total(weights),
            tilt: total(tilts),
        }
    }

    /// `−ln (w_own / (w_own + Σ w_m))` in nats, at least 0, of an item with score `own` when the items
    /// with the scores `left_out` are not among the others.
    pub(super) fn surprisal(&self, own: f32, left_out: impl Iterator<Item = f32>) -> f64 {
        let exponent = |score: f32| self.sharpness * (f64::from(score) - self.top);
        let out: f64 = left_out.map(|score| exponent(score).exp()).sum();
        let others = self.weight - out;
        if others <= 0.0 {
            return 0.0;
        }
        // ln(1 + eˣ) without overflow.
        let x = others.ln() - exponent(own);
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    /// Entropy in nats of the distribution when the given item, of score `own`, is among the null
    /// items: 0 = one item has all the weight, `ln k` = `k` items share it equally.
    pub(super) fn entropy_with(&self, own: f32) -> f64 {
        if self.weight <= 0.0 {
            return 0.0;
        }
        let exponent = self.sharpness * (f64::from(own) - self.top);
        // Weights relative to the larger of the two tops, so that none overflows.
        let shift = exponent.max(0.0);
        let scale = (-shift).exp();
        let own = (exponent - shift).exp();
        let total = self.weight * scale + own;
        let mean = (scale * (self.tilt - shift * self.weight)
            + own * (exponent - shift).max(-700.0))
            / total;
        (total.ln() - mean).max(0.0)
    }
}

/// `eˣ` of x in [-80, 0] to five digits and without a branch: two to the integer part of `x log₂ e`,
/// set through the bits of a float, times a polynomial in the rest.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// `lnⁿ 2 / n!`
    const TAYLOR: [f32; 6] = [
        1.0,
        std::f32::consts::LN_2,
        0.240_226_5,
        0.055_504_11,
        0.009_618_129,
        0.001_333_355_8,
    ];
    let doublings = x * std::f32::consts::LOG2_E;
    let rounded = doublings + ROUND;
    let rest = doublings - (rounded - ROUND);
    let mantissa = TAYLOR.iter().rev().fold(0.0, |sum, c| sum * rest + c);
    mantissa * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_have_five_digits() {
        for hundredth in 0..8000 {
            let x = -hundredth as f32 / 100.0;
            let exact = f64::from(x).exp();
            let off = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(off < 1e-5, "{x}: off by {off}");
        }
    }

    const SHARPNESS: f64 = 3.0;

    fn bulk() -> Vec<f32> {
        let wave = |i: usize| ((i * 37 % 101) as f32 * 0.7).sin();
        (0..500).map(wave).collect()
    }

    fn softmax(null: &[f32]) -> Softmax {
        let top = null.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Softmax::of(null, SHARPNESS, top)
    }

    /// The weights of the null items and the given one, from the definition.
    fn weights(null: &[f32], own: f32) -> Vec<f64> {
        let scores = null.iter().chain([&own]);
        scores.map(|s| (SHARPNESS * f64::from(*s)).exp()).collect()
    }

    #[test]
    fn surprisal_and_entropy_are_those_of_the_definition() {
        let bulk = bulk();
        for own in [-3.0, 0.2, 0.99, 1.5, 4.0] {
            let weights = weights(&bulk, own);
            let total: f64 = weights.iter().sum();
            let surprisal = -(weights[500] / total).ln();
            let found = softmax(&bulk).surprisal(own, std::iter::empty());
            assert!(
                (found - surprisal).abs() < 1e-4,
                "{own}: {found} {surprisal}"
            );
            let entropy: f64 = weights.iter().map(|w| -w / total * (w / total).ln()).sum();
            let found = softmax(&bulk).entropy_with(own);
            assert!((found - entropy).abs() < 1e-3, "{own}: {found} {entropy}");
        }
    }

    #[test]
    fn what_is_left_out_does_not_count() {
        let bulk = bulk();
        let rest = &bulk[2..];
        let found = softmax(&bulk).surprisal(0.3, bulk[..2].iter().copied());
        let expected = softmax(rest).surprisal(0.3, std::iter::empty());
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        let alone = softmax(&[2.0]).surprisal(1.0, [2.0].into_iter());
        assert_eq!(alone, 0.0);
    }

    #[test]
    fn far_scores_neither_overflow_nor_turn_negative() {
        for own in [-1e6, 1e6] {
            let found = softmax(&bulk()).surprisal(own, std::iter::empty());
            assert!(found.is_finite() && found >= 0.0, "{found}");
            assert!((found > 1e6) == (own < 0.0));
        }
    }

    #[test]
    fn one_that_stands_out_is_certain_and_equals_share() {
        let mut bulk = bulk();
        assert!(softmax(&bulk).entropy_with(8.0) < 0.01);
        bulk[..3].fill(8.0);
        let four = softmax(&bulk).entropy_with(8.0);
        assert!((four - 4f64.ln()).abs() < 0.01, "{four}");
        // The others stand out, whatever the given one scores.
        let three = softmax(&bulk).entropy_with(-0.5);
        assert!((three - 3f64.ln()).abs() < 0.01, "{three}");
    }

    #[test]
    fn nothing_to_compare_with_is_not_surprising() {
        let none = Softmax::of(&[f32::NEG_INFINITY; 4], SHARPNESS, f32::NEG_INFINITY);
        assert_eq!(none.entropy_with(2.0), 0.0);
        assert_eq!(none.surprisal(2.0, std::iter::empty()), 0.0);
    }
}

//! How many items a query could mean: what its scores say besides where the given item stands.
//!
//! A caption that several images fit ranks as badly as a mildly wrong one. The difference shows in
//! the query's other scores: where it is ambiguous, several items stand out from the rest together.

/// Exponents this far below the largest and further add nothing that counts.
const NEGLIGIBLE: f32 = -40.0;

/// Running sums side by side, so that the loop over a row compiles to vector instructions.
const LANES: usize = 16;

/// The scores of a query's null items as the weights of a distribution over them:
///
/// ```text
/// w_m = exp(β s_m),   β = √(2 ln M) / σ
/// ```
///
/// with the standard deviation `σ` of its `M` scores. That is the sharpness at which the extremes of
/// `M` normal draws begin to outweigh the bulk (Derrida's random energy model), so an item that
/// stands out from the bulk takes nearly all of the weight, and items that stand out together share
/// it, whatever the scale of the scores.
///
/// # Source
/// The entropy of a query's answers as its ambiguity: Cronen-Townsend, Zhou and Croft, SIGIR 2002
/// (against the collection, with language models). The sharpness is ours.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Crowd {
    sharpness: f64,
    /// The largest score.
    top: f64,
    /// `Σ w_m / w_top`
    weight: f64,
    /// `Σ (w_m / w_top) β (s_m − top)`
    tilt: f64,
}

impl Crowd {
    /// Of the scores `row`, in which excluded items are negative infinity; `deviation` and `n` are
    /// the standard deviation and the number of the others. Nothing is told apart where all scores
    /// are alike.
    pub(super) fn of(row: &[f32], deviation: f64, n: u32, top: f32) -> Self {
        if n < 2 || deviation <= 0.0 {
            return Self::default();
        }
        let sharpness = (2.0 * f64::from(n).ln()).sqrt() / deviation;
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

    /// Entropy in nats of the distribution when the given item, of score `own`, stands among the
    /// null items: 0 = one item takes all, `ln k` = `k` items share alike.
    pub(super) fn entropy_with(&self, own: f32) -> f64 {
        if self.weight <= 0.0 {
            return 0.0;
        }
        let exponent = self.sharpness * (f64::from(own) - self.top);
        // Weights by the larger of the two tops, so that none overflows.
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

/// `eˣ` of x in [-80, 0] to five digits and without a branch: two to the whole part of `x log₂ e` by
/// the bits of a float, times a polynomial in the rest.
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

    /// From the definition.
    fn entropy(null: &[f32], own: f32) -> f64 {
        let n = null.len() as f64;
        let scores = || null.iter().map(|&s| f64::from(s));
        let mean = scores().sum::<f64>() / n;
        let variance = scores().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        let sharpness = (2.0 * n.ln() / variance).sqrt();
        let exponents: Vec<f64> = scores()
            .chain([f64::from(own)])
            .map(|s| sharpness * s)
            .collect();
        let top = exponents.iter().copied().fold(f64::MIN, f64::max);
        let total: f64 = exponents.iter().map(|x| (x - top).exp()).sum();
        let share = |x: &f64| (x - top).exp() / total;
        let terms = exponents.iter().map(share).filter(|share| *share > 0.0);
        -terms.map(|share| share * share.ln()).sum::<f64>()
    }

    fn crowd(null: &[f32]) -> Crowd {
        let n = null.len() as f64;
        let mean = null.iter().map(|&s| f64::from(s)).sum::<f64>() / n;
        let squares = null.iter().map(|&s| (f64::from(s) - mean).powi(2));
        let deviation = (squares.sum::<f64>() / n).sqrt();
        let top = null.iter().copied().fold(f32::MIN, f32::max);
        Crowd::of(null, deviation, null.len() as u32, top)
    }

    #[test]
    fn it_is_the_entropy_of_the_sharpened_scores() {
        let bulk: Vec<f32> = (0..500)
            .map(|i| ((i * 37 % 101) as f32 * 0.7).sin())
            .collect();
        for own in [-3.0, 0.2, 0.99, 1.5, 4.0] {
            let (found, expected) = (crowd(&bulk).entropy_with(own), entropy(&bulk, own));
            assert!((found - expected).abs() < 1e-3, "{own}: {found} {expected}");
        }
    }

    #[test]
    fn one_that_stands_out_is_certain_and_equals_share() {
        let mut bulk: Vec<f32> = (0..1000).map(|i| ((i * 37 % 101) as f32).sin()).collect();
        assert!(crowd(&bulk).entropy_with(8.0) < 0.01);
        bulk[..3].fill(8.0);
        let four = crowd(&bulk).entropy_with(8.0);
        assert!((four - 4f64.ln()).abs() < 0.01, "{four}");
        // The others stand out, whatever the given one scores.
        let three = crowd(&bulk).entropy_with(-0.5);
        assert!((three - 3f64.ln()).abs() < 0.01, "{three}");
    }

    #[test]
    fn alike_or_absent_scores_tell_nothing() {
        assert_eq!(Crowd::of(&[0.1; 9], 0.0, 9, 0.1).entropy_with(0.1), 0.0);
        assert_eq!(Crowd::of(&[], 0.0, 0, f32::MIN).entropy_with(2.0), 0.0);
    }
}

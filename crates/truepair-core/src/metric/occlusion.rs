//! Whether a matcher grows more uncertain the less it sees: uncertainty against the share erased.

use serde::{Deserialize, Serialize};

use super::Correlation;
use super::uncertainty::mid_ranks;
use crate::error::{Error, Result};
use crate::lists::distinct;
use crate::rng::{Seed, below};

/// Draws of the bootstrap.
const N_RESAMPLES: usize = 1000;

/// Uncertainties of the same items as growing shares of them are erased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OcclusionCurve {
    /// Items measured.
    pub n: usize,
    /// One point per share, in the order in which they were given.
    pub points: Vec<OcclusionPoint>,
    /// Spearman's correlation of share and uncertainty over all items and shares: 1 when every
    /// erasure makes every item more uncertain than any smaller one does.
    pub correlation: Correlation,
}

/// The mean over the items at one share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OcclusionPoint {
    /// Share erased, [0, 1].
    pub share: f64,
    /// Mean uncertainty.
    pub uncertainty: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
}

/// Uncertainty against the share erased.
///
/// `uncertainties` `[shares][items]` belong to the same items in the same order; `units` `[items]` says
/// which items the bootstrap draws together, for instance by the image of every caption. All shares see
/// the same draws; intervals are percentiles over the draws.
///
/// # Source
/// Chun et al., CVPR 2021, section 4.4: pictures with a growing part occluded and captions with a
/// growing number of words removed [recalled; the paper prints figures, and its code holds no such
/// script].
///
/// # Errors
/// If there is no item or no share, rows differ in length, or an uncertainty is not finite.
pub fn occlusion_curve(
    shares: &[f64],
    uncertainties: &[Vec<f32>],
    units: &[u32],
    seed: Seed,
) -> Result<OcclusionCurve> {
    check(shares, uncertainties, units)?;
    let units = numbered(units);
    let n_units = 1 + units.iter().copied().max().unwrap_or(0);
    let mut counts = vec![0.0; n_units];
    units.iter().for_each(|&unit| counts[unit] += 1.0);
    let sums: Vec<Vec<f64>> = (uncertainties.iter())
        .map(|row| {
            let mut sums = vec![0.0; n_units];
            (row.iter().zip(&units)).for_each(|(&x, &unit)| sums[unit] += f64::from(x));
            sums
        })
        .collect();
    let draws = draws(&sums, &counts, seed);
    let points = shares.iter().enumerate().map(|(at, &share)| {
        let mut means: Vec<f64> = draws.iter().map(|draw| draw[at]).collect();
        means.sort_unstable_by(f64::total_cmp);
        let quantile = |q: f64| means[(q * (means.len() - 1) as f64).round() as usize];
        let mean = sums[at].iter().sum::<f64>() / units.len() as f64;
        OcclusionPoint {
            share,
            uncertainty: mean,
            low: quantile(0.025).min(mean),
            high: quantile(0.975).max(mean),
        }
    });
    Ok(OcclusionCurve {
        n: units.len(),
        points: points.collect(),
        correlation: correlation(shares, uncertainties, &units, seed),
    })
}

fn check(shares: &[f64], uncertainties: &[Vec<f32>], units: &[u32]) -> Result<()> {
    let fits = !shares.is_empty()
        && !units.is_empty()
        && shares.len() == uncertainties.len()
        && uncertainties.iter().all(|row| row.len() == units.len());
    if !fits {
        return Err(Error::argument(
            format!(
                "uncertainties at {} shares for {}, of {} items",
                uncertainties.len(),
                shares.len(),
                units.len()
            ),
            "give one uncertainty per share and item, and at least one of each",
        ));
    }
    match uncertainties.iter().flatten().all(|x| x.is_finite()) {
        true => Ok(()),
        false => Err(Error::argument(
            "an uncertainty is not a finite number",
            "the matcher's weights may have diverged; train again with a lower rate",
        )),
    }
}

/// The units numbered from 0 without gaps.
fn numbered(units: &[u32]) -> Vec<usize> {
    let known = distinct(units.iter().copied());
    let number = |unit| known.partition_point(|&other| other < unit);
    units.iter().map(|&unit| number(unit)).collect()
}

/// Means `[draws][shares]` of resampled units.
fn draws(sums: &[Vec<f64>], counts: &[f64], seed: Seed) -> Vec<Vec<f64>> {
    let mut rng = seed.stream("occlusion bootstrap", &[]);
    (0..N_RESAMPLES)
        .map(|_| {
            let (mut totals, mut n) = (vec![0.0; sums.len()], 0.0);
            for _ in 0..counts.len() {
                let unit = below(&mut rng, counts.len() as u64) as usize;
                n += counts[unit];
                (totals.iter_mut().zip(sums)).for_each(|(total, sums)| *total += sums[unit]);
            }
            totals.iter_mut().for_each(|total| *total /= n);
            totals
        })
        .collect()
}

fn correlation(
    shares: &[f64],
    uncertainties: &[Vec<f32>],
    units: &[usize],
    seed: Seed,
) -> Correlation {
    let by_item = |values: &dyn Fn(usize) -> f64| -> Vec<f64> {
        mid_ranks((0..shares.len() * units.len()).map(values))
    };
    let x = by_item(&|at| shares[at / units.len()]);
    let y = by_item(&|at| f64::from(uncertainties[at / units.len()][at % units.len()]));
    let units: Vec<u32> = (0..x.len())
        .map(|at| units[at % units.len()] as u32)
        .collect();
    let mut rng = seed.stream("occlusion correlation", &[]);
    Correlation::new(&x, &y, &units, &mut |n| below(&mut rng, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal;

    const SHARES: [f64; 3] = [0.0, 0.5, 1.0];

    fn curve(rows: &[Vec<f32>]) -> OcclusionCurve {
        let units: Vec<u32> = (0..rows[0].len() as u32).map(|item| item / 2 * 7).collect();
        occlusion_curve(&SHARES, rows, &units, Seed(1)).unwrap()
    }

    #[test]
    fn means_and_correlation_are_those_of_the_definition() {
        let found = curve(&[vec![0.1, 0.2], vec![0.3, 0.4], vec![0.5, 0.6]]);
        let means: Vec<f64> = found.points.iter().map(|point| point.uncertainty).collect();
        for (mean, expected) in means.iter().zip([0.15, 0.35, 0.55]) {
            assert!((mean - expected).abs() < 1e-7, "{means:?}");
        }
        // Ranks 1 1, 3 3, 5 5 with ties against 1 to 6: covariance and variances by hand.
        let expected = 16.0 / (16.0f64 * 17.5).sqrt();
        assert!((found.correlation.rho - expected).abs() < 1e-9, "{found:?}");
        assert_eq!(found.n, 2);
    }

    #[test]
    fn an_uncertainty_that_ignores_the_share_does_not_correlate() {
        let mut rng = Seed(3).stream("occlusion", &[]);
        let mut row = |shift: f64| -> Vec<f32> {
            (0..400)
                .map(|_| (shift + 0.1 * normal(&mut rng)) as f32)
                .collect()
        };
        let flat = curve(&[row(0.5), row(0.5), row(0.5)]);
        assert!(flat.correlation.low < 0.0 && flat.correlation.high > 0.0);
        let rising = curve(&[row(0.3), row(0.4), row(0.5)]);
        assert!(rising.correlation.low > 0.5, "{:?}", rising.correlation);
        let middle = rising.points[1];
        assert!(middle.low < middle.uncertainty && middle.uncertainty < middle.high);
        // 400 draws of deviation 0.1: the interval is about four standard errors wide.
        assert!(
            (0.012..0.03).contains(&(middle.high - middle.low)),
            "{middle:?}"
        );
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let refused = |shares: &[f64], rows: &[Vec<f32>], units: &[u32]| {
            occlusion_curve(shares, rows, units, Seed(0))
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[0.0], &[vec![0.1]], &[0, 1]).contains("2 items"));
        assert!(refused(&[0.0, 1.0], &[vec![0.1]], &[0]).contains("1 shares for 2"));
        assert!(refused(&[], &[], &[]).contains("at least one"));
        assert!(refused(&[0.0], &[vec![f32::NAN]], &[0]).contains("not a finite"));
    }
}

//! Whether a matcher knows which queries it will fail on: answers by the uncertainty of the query.

use serde::{Deserialize, Serialize};

use super::Recall;
use crate::error::{Error, Result};
use crate::ranking::Ranks;
use crate::relevance::Relevance;
use crate::rng::{Seed, below};

/// Parts into which queries are cut by their uncertainty.
const PARTS: usize = 10;
/// Draws of the bootstrap.
const N_RESAMPLES: usize = 1000;

/// The queries of both directions by their uncertainty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ByUncertainty {
    /// Image queries.
    pub image_to_text: UncertainQueries,
    /// Caption queries.
    pub text_to_image: UncertainQueries,
}

/// The queries of one direction by their uncertainty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UncertainQueries {
    /// Tenths of the queries, the most certain first; fewer parts when there are fewer queries.
    pub tenths: Vec<Tenth>,
    /// Between a query's uncertainty and the rank of its answer: above 0 when uncertain queries
    /// fail more.
    pub correlation: Correlation,
}

/// A tenth of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tenth {
    /// Queries in it.
    pub n: usize,
    /// Mean uncertainty.
    pub uncertainty: f64,
    /// Share of queries whose first answer is relevant, [0, 1].
    #[serde(rename = "recall@1", alias = "recall_at_1")]
    pub recall_at_1: f64,
}

/// Spearman's rank correlation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// In [-1, 1]; 0 where one side is constant.
    pub rho: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// Cuts queries by the uncertainty of their item, one number per image and per caption. `ranks` are by
/// `relevance`; `pairs` says which captions belong to which images.
///
/// The interval of the correlation is a percentile bootstrap over images, each with its captions,
/// with the ranks of the whole sample. A caption without an image is drawn on its own.
///
/// # Source
/// Tenths: Chun et al., CVPR 2021 and ICLR 2024, which print Recall@1 by tenths of uncertainty.
///
/// # Errors
/// If there is not one uncertainty for each item, or one is not finite.
///
/// # Panics
/// If the ranks belong to queries other than those of `relevance`.
pub fn by_uncertainty(
    ranks: &Ranks,
    relevance: &Relevance,
    pairs: &Relevance,
    [images, captions]: [&[f32]; 2],
    seed: Seed,
) -> Result<ByUncertainty> {
    let given = (images.len(), captions.len());
    let known = (relevance.n_images(), relevance.n_captions());
    if given != known || images.iter().chain(captions).any(|x| !x.is_finite()) {
        return Err(Error::argument(
            format!(
                "uncertainties of {} images and {} captions, for {} and {}, or not all finite",
                given.0, given.1, known.0, known.1
            ),
            "give one finite number per item",
        ));
    }
    let image_queries = (0..images.len() as u32)
        .filter(|&image| !relevance.captions_of(image).is_empty())
        .map(|image| (images[image as usize], image));
    let unit = |caption: u32| match pairs.images_of(caption).first() {
        Some(&image) => image,
        None => images.len() as u32 + caption,
    };
    let caption_queries = (0..captions.len() as u32)
        .filter(|&caption| !relevance.images_of(caption).is_empty())
        .map(|caption| (captions[caption as usize], unit(caption)));
    let cut = |queries: Vec<(f32, u32)>, ranks: &[u32], name| {
        assert_eq!(queries.len(), ranks.len(), "one rank per query");
        let mut rng = seed.stream(name, &[]);
        let mut next = |n: u64| below(&mut rng, n);
        UncertainQueries::new(&queries, ranks, &mut next)
    };
    Ok(ByUncertainty {
        image_to_text: cut(
            image_queries.collect(),
            &ranks.image_to_text,
            "uncertain images",
        ),
        text_to_image: cut(
            caption_queries.collect(),
            &ranks.text_to_image,
            "uncertain captions",
        ),
    })
}

impl UncertainQueries {
    /// `queries` hold the uncertainty of each query and the image that it belongs to.
    fn new(queries: &[(f32, u32)], ranks: &[u32], next: &mut dyn FnMut(u64) -> u64) -> Self {
        let mut order: Vec<usize> = (0..queries.len()).collect();
        order.sort_by(|&a, &b| queries[a].0.total_cmp(&queries[b].0).then(a.cmp(&b)));
        let n = order.len();
        let parts = PARTS.min(n);
        let tenths = (0..parts).map(|part| {
            let part = &order[part * n / parts..(part + 1) * n / parts];
            let count = part.len() as f64;
            let uncertainty: f64 = part.iter().map(|&at| f64::from(queries[at].0)).sum();
            let first = part
                .iter()
                .filter(|&&at| ranks[at] <= Recall::AT_1.k())
                .count();
            Tenth {
                n: part.len(),
                uncertainty: uncertainty / count,
                recall_at_1: first as f64 / count,
            }
        });
        let uncertainty = mid_ranks(queries.iter().map(|query| f64::from(query.0)));
        let failure = mid_ranks(ranks.iter().map(|&rank| f64::from(rank)));
        let units: Vec<u32> = queries.iter().map(|query| query.1).collect();
        Self {
            tenths: tenths.collect(),
            correlation: Correlation::new(&uncertainty, &failure, &units, next),
        }
    }
}

impl Correlation {
    /// The correlation of mid-ranks; queries with the same number in `units` are drawn together.
    pub(super) fn new(
        x: &[f64],
        y: &[f64],
        units: &[u32],
        next: &mut dyn FnMut(u64) -> u64,
    ) -> Self {
        let mut of_unit: std::collections::BTreeMap<u32, Moments> = Default::default();
        for ((&x, &y), &unit) in x.iter().zip(y).zip(units) {
            of_unit.entry(unit).or_default().add(Moments::of(x, y));
        }
        let units: Vec<Moments> = of_unit.into_values().collect();
        let sum = |parts: &mut dyn Iterator<Item = &Moments>| {
            let mut sum = Moments::default();
            parts.for_each(|part| sum.add(*part));
            sum.correlation()
        };
        let mut draws: Vec<f64> = (0..N_RESAMPLES)
            .map(|_| {
                let drawn = (0..units.len()).map(|_| next(units.len() as u64) as usize);
                let drawn: Vec<usize> = drawn.collect();
                sum(&mut drawn.iter().map(|&at| &units[at]))
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        let quantile = |share: f64| draws[(share * (draws.len() - 1) as f64).round() as usize];
        Self {
            rho: sum(&mut units.iter()),
            low: quantile(0.025),
            high: quantile(0.975),
        }
    }
}

/// The sums that make up a correlation.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Moments {
    fn of(x: f64, y: f64) -> Self {
        Self {
            n: 1.0,
            x,
            y,
            xx: x * x,
            yy: y * y,
            xy: x * y,
        }
    }

    fn add(&mut self, other: Self) {
        self.n += other.n;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }

    fn correlation(&self) -> f64 {
        let n = self.n.max(1.0);
        let covariance = self.xy / n - self.x / n * (self.y / n);
        let [x, y] = [(self.xx, self.x), (self.yy, self.y)].map(|(s, m)| s / n - (m / n).powi(2));
        match x > 1e-12 && y > 1e-12 {
            true => (covariance / (x * y).sqrt()).clamp(-1.0, 1.0),
            false => 0.0,
        }
    }
}

/// Ranks in (0, 1), centered at ½; equal values share their mean.
pub(super) fn mid_ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut order: Vec<(f64, usize)> = values.enumerate().map(|(at, x)| (x, at)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = order.len() as f64;
    let mut ranks = vec![0.0; order.len()];
    let mut first = 0.0;
    for tied in order.chunk_by(|a, b| a.0 == b.0) {
        let count = tied.len() as f64;
        for (_, at) in tied {
            ranks[*at] = (first + count / 2.0) / n - 0.5;
        }
        first += count;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Pair;

    fn relevance(n: u32) -> Relevance {
        let pairs: Vec<Pair> = (0..n)
            .map(|at| Pair {
                image: at,
                caption: at,
            })
            .collect();
        Relevance::from_pairs(n as usize, n as usize, &pairs)
    }

    fn ranks(image_to_text: Vec<u32>, text_to_image: Vec<u32>) -> Ranks {
        Ranks {
            image_to_text,
            text_to_image,
            ..Ranks::default()
        }
    }

    #[test]
    fn tenths_go_from_certain_to_uncertain() {
        let n = 40;
        let uncertainty: Vec<f32> = (0..n).rev().map(|at| at as f32).collect();
        // The most uncertain images come first and fail.
        let image_ranks = (0..n).map(|at| if at < 20 { 3 } else { 1 }).collect();
        let found = by_uncertainty(
            &ranks(image_ranks, vec![2; n as usize]),
            &relevance(n as u32),
            &relevance(n as u32),
            [&uncertainty, &uncertainty],
            Seed(1),
        )
        .unwrap();
        let tenths = &found.image_to_text.tenths;
        assert_eq!(tenths.len(), 10);
        assert!(tenths.iter().all(|tenth| tenth.n == 4));
        let recalls: Vec<f64> = tenths.iter().map(|tenth| tenth.recall_at_1).collect();
        assert_eq!(recalls, [1., 1., 1., 1., 1., 0., 0., 0., 0., 0.]);
        assert_eq!(tenths[0].uncertainty, 1.5);
        let correlation = found.image_to_text.correlation;
        assert!(
            correlation.rho > 0.8 && correlation.low > 0.7,
            "{correlation:?}"
        );
        // All caption queries have the same rank.
        assert_eq!(found.text_to_image.correlation.rho, 0.0);
    }

    #[test]
    fn the_correlation_is_spearman_s_with_an_interval_that_holds_it() {
        let x = mid_ranks([3.0, 1.0, 4.0, 1.5, 9.0].into_iter());
        let y = mid_ranks([2.0, 1.0, 5.0, 3.0, 4.0].into_iter());
        // Ranks 3 1 4 2 5 and 2 1 5 3 4: 1 − 6 Σ d² / (n (n² − 1)) with Σ d² = 4.
        let mut rng = Seed(3).stream("test", &[]);
        let units = [0, 1, 2, 3, 4];
        let found = Correlation::new(&x, &y, &units, &mut |n| below(&mut rng, n));
        assert!(
            (found.rho - (1.0 - 24.0 / 120.0)).abs() < 1e-12,
            "{found:?}"
        );
        assert!(found.low <= found.rho && found.rho <= found.high);
    }

    #[test]
    fn captions_of_one_image_are_drawn_together() {
        let (mut alone, mut together) = (Seed(4).stream("a", &[]), Seed(4).stream("a", &[]));
        let mut rng = Seed(5).stream("x", &[]);
        let base: Vec<f64> = (0..60).map(|_| crate::rng::normal(&mut rng)).collect();
        let other: Vec<f64> = (0..60).map(|_| crate::rng::normal(&mut rng)).collect();
        let five = |values: &[f64]| mid_ranks(values.iter().flat_map(|x| [*x; 5]));
        let (x, y) = (five(&base), five(&other));
        let each: Vec<u32> = (0..300).collect();
        let images: Vec<u32> = (0..300).map(|at| at / 5).collect();
        let narrow = Correlation::new(&x, &y, &each, &mut |n| below(&mut alone, n));
        let wide = Correlation::new(&x, &y, &images, &mut |n| below(&mut together, n));
        assert!((narrow.rho - wide.rho).abs() < 1e-12);
        assert!(wide.high - wide.low > 1.7 * (narrow.high - narrow.low));
    }

    #[test]
    fn a_tenth_is_read_under_its_former_name_too() {
        let tenth = Tenth {
            n: 4,
            uncertainty: 0.5,
            recall_at_1: 0.25,
        };
        let text = serde_json::to_string(&tenth).unwrap();
        assert_eq!(text, r#"{"n":4,"uncertainty":0.5,"recall@1":0.25}"#);
        let former = text.replace("recall@1", "recall_at_1");
        for text in [text, former] {
            assert_eq!(serde_json::from_str::<Tenth>(&text).unwrap(), tenth);
        }
    }

    #[test]
    fn few_queries_make_few_parts_and_other_items_are_refused() {
        let pairs = relevance(3);
        let few = by_uncertainty(
            &ranks(vec![1, 2, 1], vec![1, 1, 1]),
            &pairs,
            &pairs,
            [&[0.1, 0.2, 0.3], &[0.1; 3]],
            Seed(1),
        )
        .unwrap();
        assert_eq!(few.image_to_text.tenths.len(), 3);
        let ranks = ranks(vec![1; 3], vec![1; 3]);
        for images in [vec![0.1; 2], vec![f32::NAN; 3]] {
            let both = [&images[..], &[0.1; 3]];
            assert!(by_uncertainty(&ranks, &pairs, &pairs, both, Seed(1)).is_err());
        }
    }
}

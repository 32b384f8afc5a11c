//! An evaluation's numbers together with the protocol that gave them.
//!
//! A [`Report`] carries its [`Protocol`], and [`Report::compare`] refuses reports whose protocols
//! differ.

use serde::{Deserialize, Serialize};

use super::{METRICS, MeanRank, Measure, MedianRank, Metric, Protocol, RSum, Recall};
use crate::error::{Error, Result};
use crate::ranking::{Ranks, ranks, ranks_in_favor};
use crate::relevance::Relevance;
use crate::scores::{Direction, Scorer};
use crate::watch::Watch;

/// The result of one evaluation; the mean over folds where the protocol has several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Images ask, captions answer.
    #[serde(rename = "i2t")]
    pub image_to_text: Retrieval,
    /// Captions ask, images answer.
    #[serde(rename = "t2i")]
    pub text_to_image: Retrieval,
    /// Sum of the six recalls, in [0, 6].
    pub rsum: f64,
    /// What was measured, on what, and how.
    pub protocol: Protocol,
}

/// The numbers of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Share of queries whose first item is relevant, [0, 1].
    pub recall1: f64,
    /// Share of queries with a relevant item among the first 5, [0, 1].
    pub recall5: f64,
    /// Share of queries with a relevant item among the first 10, [0, 1].
    pub recall10: f64,
    /// Median rank, 1-based.
    pub median: f64,
    /// Mean rank, 1-based.
    pub mean: f64,
    /// Queries measured, over all folds.
    pub n_queries: u64,
    /// Queries left out because nothing is relevant to them, over all folds.
    pub n_excluded: u64,
}

/// Ranks a split, or each of its folds, and measures it.
///
/// Counts and captions per image in the report's protocol come from `relevance`; folds are runs of
/// consecutive images with all their captions.
///
/// # Errors
/// If the number of folds is 0 or does not divide the number of images, and as
/// [`crate::ranking::ranks`].
pub fn evaluate(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    protocol: Protocol,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let parts = fold_ranks(scorer, relevance, protocol.folds, ranks, watch)?;
    let measured = Protocol::new(&*protocol.data, &*protocol.split, relevance);
    let protocol = Protocol {
        n_images: measured.n_images,
        n_captions: measured.n_captions,
        captions_per_image: measured.captions_per_image,
        ..protocol
    };
    Ok(Report::new(&parts, protocol))
}

/// How far the six recalls could rise if every tie fell the model's way: the largest difference of
/// one of them, [0, 1]. Saturated scores tie; above a thousandth the tie rule is part of the result.
///
/// # Errors
/// As [`evaluate`].
pub fn tie_gap(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    folds: u32,
    watch: &mut dyn Watch,
) -> Result<f64> {
    let recalls = |parts: &[Ranks]| {
        let report = Report::new(parts, Protocol::new("", "", relevance));
        let (i2t, t2i) = (report.image_to_text, report.text_to_image);
        let of = |side: Retrieval| [side.recall1, side.recall5, side.recall10];
        [of(i2t), of(t2i)].concat()
    };
    let against = recalls(&fold_ranks(scorer, relevance, folds, ranks, watch)?);
    let in_favor = recalls(&fold_ranks(
        scorer,
        relevance,
        folds,
        ranks_in_favor,
        watch,
    )?);
    let gaps = in_favor.iter().zip(&against).map(|(a, b)| a - b);
    Ok(gaps.fold(0.0, f64::max))
}

/// How the items of a whole score matrix are ranked.
type Rank = fn(&dyn Scorer, &Relevance, &mut dyn Watch) -> Result<Ranks>;

fn fold_ranks(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    n_folds: u32,
    rank: Rank,
    watch: &mut dyn Watch,
) -> Result<Vec<Ranks>> {
    let folds = folds(relevance, n_folds)?;
    if n_folds == 1 {
        return Ok(vec![rank(scorer, relevance, watch)?]);
    }
    let mut parts = Vec::with_capacity(folds.len());
    for (fold, (images, captions)) in (1..).zip(folds) {
        let known = relevance.part(&images, &captions);
        let part = Part::new(scorer, images, captions);
        parts.push(rank(&part, &known, &mut ())?);
        watch.advance("rank folds", fold, n_folds.into());
    }
    Ok(parts)
}

/// Some images and captions of a split.
pub(super) struct Part<'a> {
    scorer: &'a dyn Scorer,
    images: Vec<u32>,
    captions: Vec<u32>,
}

impl<'a> Part<'a> {
    pub(super) fn new(scorer: &'a dyn Scorer, images: Vec<u32>, captions: Vec<u32>) -> Self {
        Self {
            scorer,
            images,
            captions,
        }
    }
}

/// Images of each fold, runs of the same length, with the captions that belong to them.
///
/// # Errors
/// If the number of folds is 0 or does not divide the number of images.
pub(super) fn folds(pairs: &Relevance, folds: u32) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
    let (n_images, folds) = (pairs.n_images(), folds as usize);
    if folds == 0 || n_images % folds != 0 {
        return Err(Error::argument(
            format!("{n_images} images cannot be cut into {folds} equal folds"),
            "choose a number of folds that divides the number of images, or 1",
        ));
    }
    let size = n_images / folds;
    let fold = |fold: usize| {
        let images: Vec<u32> = (fold * size..(fold + 1) * size).map(|i| i as u32).collect();
        let captions = images.iter().flat_map(|&image| pairs.captions_of(image));
        let mut captions: Vec<u32> = captions.copied().collect();
        captions.sort_unstable();
        captions.dedup();
        (images, captions)
    };
    Ok((0..folds).map(fold).collect())
}

impl Scorer for Part<'_> {
    fn n_images(&self) -> usize {
        self.images.len()
    }

    fn n_captions(&self) -> usize {
        self.captions.len()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        let images: Vec<u32> = images
            .iter()
            .map(|&image| self.images[image as usize])
            .collect();
        let captions: Vec<u32> = captions
            .iter()
            .map(|&caption| self.captions[caption as usize])
            .collect();
        self.scorer.tile(&images, &captions, out)
    }
}

impl Report {
    /// Averages every number over `folds`, one entry of ranks each.
    ///
    /// # Panics
    /// If there is no fold, or a fold without a query in a direction.
    pub fn new(folds: &[Ranks], protocol: Protocol) -> Self {
        assert!(!folds.is_empty(), "a report needs at least one fold");
        Self {
            image_to_text: Retrieval::mean_of(
                folds
                    .iter()
                    .map(|ranks| Retrieval::of(&ranks.image_to_text, ranks.images_without_caption)),
            ),
            text_to_image: Retrieval::mean_of(
                folds
                    .iter()
                    .map(|ranks| Retrieval::of(&ranks.text_to_image, ranks.captions_without_image)),
            ),
            rsum: folds.iter().map(|ranks| RSum.of(ranks)).sum::<f64>() / folds.len() as f64,
            protocol,
        }
    }

    /// The numbers of one direction.
    pub fn direction(&self, direction: Direction) -> &Retrieval {
        match direction {
            Direction::ImageToText => &self.image_to_text,
            Direction::TextToImage => &self.text_to_image,
        }
    }

    /// Every number that a report keeps, in the order of [`METRICS`].
    pub fn rows(&self) -> Vec<ReportRow> {
        let rows = METRICS.iter().flat_map(|&metric| {
            let values = (metric.read(self)).into_iter().flat_map(Measure::values);
            values.map(move |(direction, value)| ReportRow {
                metric,
                direction,
                value,
            })
        });
        rows.collect()
    }

    /// Sets another report beside this one.
    ///
    /// # Errors
    /// If the protocols differ; the message names each field with both values.
    pub fn compare(&self, other: &Report) -> Result<Comparison> {
        self.protocol.check_like(&other.protocol)?;
        let rows = self
            .rows()
            .into_iter()
            .zip(other.rows())
            .map(|(first, second)| ComparisonRow {
                metric: first.metric,
                direction: first.direction,
                first: first.value,
                second: second.value,
            });
        Ok(Comparison {
            rows: rows.collect(),
        })
    }
}

impl Retrieval {
    fn of(ranks: &[u32], n_excluded: u32) -> Self {
        Self {
            recall1: Recall::AT_1.of(ranks),
            recall5: Recall::AT_5.of(ranks),
            recall10: Recall::AT_10.of(ranks),
            median: MedianRank.of(ranks),
            mean: MeanRank.of(ranks),
            n_queries: ranks.len() as u64,
            n_excluded: n_excluded.into(),
        }
    }

    fn mean_of(folds: impl ExactSizeIterator<Item = Retrieval>) -> Self {
        let share = 1.0 / folds.len() as f64;
        let sum = folds.fold(Retrieval::default(), |sum, fold| Retrieval {
            recall1: sum.recall1 + fold.recall1,
            recall5: sum.recall5 + fold.recall5,
            recall10: sum.recall10 + fold.recall10,
            median: sum.median + fold.median,
            mean: sum.mean + fold.mean,
            n_queries: sum.n_queries + fold.n_queries,
            n_excluded: sum.n_excluded + fold.n_excluded,
        });
        Retrieval {
            recall1: sum.recall1 * share,
            recall5: sum.recall5 * share,
            recall10: sum.recall10 * share,
            median: sum.median * share,
            mean: sum.mean * share,
            ..sum
        }
    }
}

/// One number of a report with the metric that it belongs to.
#[derive(Clone, Copy)]
pub struct ReportRow {
    /// The metric: name, unit, arrow.
    pub metric: &'static dyn Metric,
    /// The direction, or `None` for both together.
    pub direction: Option<Direction>,
    /// The number, in the metric's unit.
    pub value: f64,
}

/// Two reports with the same protocol side by side.
#[derive(Clone)]
pub struct Comparison {
    /// One row per number, in the order of [`METRICS`].
    pub rows: Vec<ComparisonRow>,
}

/// One number of two reports.
#[derive(Clone, Copy)]
pub struct ComparisonRow {
    /// The metric: name, unit, arrow.
    pub metric: &'static dyn Metric,
    /// The direction, or `None` for both together.
    pub direction: Option<Direction>,
    /// The first report's number.
    pub first: f64,
    /// The second report's number.
    pub second: f64,
}

impl ComparisonRow {
    /// How much better the second number is, negative when it is worse.
    pub fn gain(&self) -> f64 {
        let difference = self.second - self.first;
        if self.metric.higher_is_better() {
            difference
        } else {
            -difference
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::TrainingNoise;
    use crate::pair::Pair;
    use crate::rng::{Seed, normal};
    use crate::scores::{Matrix, ScoreMatrix};

    fn five_each(n_images: u32) -> Relevance {
        let pairs: Vec<Pair> = (0..n_images * 5)
            .map(|caption| Pair {
                image: caption / 5,
                caption,
            })
            .collect();
        Relevance::from_pairs(n_images as usize, n_images as usize * 5, &pairs)
    }

    fn scores(n_images: usize) -> ScoreMatrix {
        let mut rng = Seed(4).stream("test", &[]);
        let values = (0..n_images * n_images * 5)
            .map(|_| normal(&mut rng) as f32)
            .collect();
        ScoreMatrix(Matrix::new(values, n_images * 5))
    }

    fn report(folds: u32) -> Report {
        let relevance = five_each(20);
        let protocol = Protocol {
            folds,
            ..Protocol::new("toy", "test", &relevance)
        };
        evaluate(&scores(20), &relevance, protocol, &mut ()).unwrap()
    }

    #[test]
    fn folds_are_means_over_diagonal_blocks() {
        let whole = scores(20);
        let mut sum = 0.0;
        for fold in 0..4 {
            let rows = (fold * 5..fold * 5 + 5)
                .flat_map(|image| whole.0.row(image)[fold * 25..fold * 25 + 25].to_vec());
            let block = ScoreMatrix(Matrix::new(rows.collect(), 25));
            let relevance = five_each(5);
            let protocol = Protocol::new("toy", "test", &relevance);
            sum += evaluate(&block, &relevance, protocol, &mut ())
                .unwrap()
                .rsum;
        }
        let report = report(4);
        assert!((report.rsum - sum / 4.0).abs() < 1e-12);
        assert_eq!(
            (
                report.image_to_text.n_queries,
                report.text_to_image.n_queries
            ),
            (20, 100)
        );
    }

    #[test]
    fn saturated_scores_leave_a_gap_and_distinct_ones_none() {
        let relevance = five_each(20);
        assert_eq!(tie_gap(&scores(20), &relevance, 4, &mut ()).unwrap(), 0.0);
        let saturated = ScoreMatrix(Matrix::new(vec![1.0; 20 * 100], 100));
        assert_eq!(tie_gap(&saturated, &relevance, 1, &mut ()).unwrap(), 1.0);
    }

    #[test]
    fn folds_must_divide_the_images() {
        let relevance = five_each(20);
        for folds in [0, 3, 40] {
            let protocol = Protocol {
                folds,
                ..Protocol::new("toy", "test", &relevance)
            };
            let error = evaluate(&scores(20), &relevance, protocol, &mut ()).unwrap_err();
            assert!(error.to_string().contains("20 images"), "{error}");
        }
    }

    #[test]
    fn reports_survive_json() {
        let mut report = report(2);
        report.protocol.noise = Some(TrainingNoise {
            sha256: "ab".into(),
            protocol: "caption".into(),
            rate: 0.4,
        });
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains(r#""i2t":{"recall1":"#) && json.contains(r#""ties":"against""#));
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn rows_hold_the_fields_in_the_order_of_the_table() {
        let report = report(1);
        let rows = report.rows();
        let (i2t, t2i) = (report.image_to_text, report.text_to_image);
        let expected = [
            ("recall@1", i2t.recall1, t2i.recall1),
            ("recall@5", i2t.recall5, t2i.recall5),
            ("recall@10", i2t.recall10, t2i.recall10),
            ("median-rank", i2t.median, t2i.median),
            ("mean-rank", i2t.mean, t2i.mean),
        ];
        assert_eq!(rows.len(), 5 * 2 + 1);
        for (rows, (name, i2t, t2i)) in rows.chunks(2).zip(expected) {
            assert!(rows.iter().all(|row| row.metric.name() == name));
            assert_eq!((rows[0].value, rows[1].value), (i2t, t2i));
        }
        assert_eq!(
            (rows[10].metric.name(), rows[10].value),
            ("rsum", report.rsum)
        );
    }

    #[test]
    fn like_protocols_are_compared_and_gains_point_to_the_better() {
        let first = report(1);
        let mut second = first.clone();
        second.rsum += 0.25;
        second.image_to_text.median += 2.0;
        let comparison = first.compare(&second).unwrap();
        let gain = |name| {
            comparison
                .rows
                .iter()
                .find(|row| row.metric.name() == name)
                .unwrap()
                .gain()
        };
        assert!((gain("rsum") - 0.25).abs() < 1e-12);
        assert_eq!(gain("median-rank"), -2.0);
    }

    #[test]
    fn unlike_protocols_are_refused_by_the_names_of_their_fields() {
        let first = report(1);
        let mut second = first.clone();
        second.protocol.ensemble = 2;
        second.protocol.folds = 5;
        let error = first.compare(&second).err().unwrap().to_string();
        assert!(
            error.contains("folds: 1, not 5; ensemble: 1, not 2"),
            "{error}"
        );
    }
}

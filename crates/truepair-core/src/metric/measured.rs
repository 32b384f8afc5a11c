//! An evaluation that keeps the value of every query: figures, intervals and comparisons follow from it.

use super::folds::{Part, folds};
use super::{Figure, METRICS, Metric, Protocol, QueryCounts, Report};
use crate::error::Result;
use crate::ranking::{
    Answers, Placed, PlacedQueries, RankedLists, Ranks, placements, sorted_by_labels,
};
use crate::relevance::{LabelRelevance, Relevance};
use crate::scores::{Direction, Scorer};
use crate::watch::Watch;

/// What ranks the items.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Scores of every image against every caption.
    Scores(&'a dyn Scorer),
    /// Lists that another program ranked.
    Lists(&'a RankedLists),
}

/// Who counts as right.
#[derive(Clone, Copy)]
pub enum Relevant<'a> {
    /// The items named in lists.
    Lists(&'a Relevance),
    /// The items with matching labels.
    Labels(&'a LabelRelevance),
}

/// One evaluation, query by query.
#[derive(Clone)]
pub struct Measured {
    /// What was measured, on what, and how.
    pub protocol: Protocol,
    /// The metrics of every row's values.
    pub metrics: Vec<&'static dyn Metric>,
    /// Image queries.
    pub image_to_text: Asked,
    /// Caption queries.
    pub text_to_image: Asked,
}

/// The queries of one direction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Queries with a relevant item, fold by fold.
    pub rows: Vec<QueryRow>,
    /// Queries left out because nothing is relevant to them.
    pub n_excluded: u64,
}

/// The values of one query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryRow {
    /// Index of the image or caption that is the query.
    pub query: u32,
    /// Fold, from 0.
    pub fold: u32,
    /// Queries of one unit are drawn together by the bootstrap: an image and its captions.
    pub unit: u32,
    /// Relevant items, in the gallery or not, at the strictest level.
    pub n_relevant: u32,
    /// Rank of the best relevant item; `None` where a list was cut off before it.
    pub first_rank: Option<u32>,
    /// One value per metric; NaN where a list was cut off too early to know it.
    pub values: Vec<f64>,
}

/// A number for which lists are too short.
#[derive(Clone, Copy)]
pub struct Unmeasured {
    /// The metric.
    pub metric: &'static dyn Metric,
    /// The direction.
    pub direction: Direction,
    /// Queries whose list ends too early.
    pub n_queries: u64,
}

/// What is evaluated: a ranking, who counts as right in it, and by which metrics.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// What ranks the items.
    pub source: Source<'a>,
    /// Who counts as right.
    pub relevant: Relevant<'a>,
    /// Which captions belong to which images; see [`measure`].
    pub pairs: &'a Relevance,
    /// What every query is measured by, where it applies; [`METRICS`], or metrics of your own.
    pub metrics: &'a [&'static dyn Metric],
}

/// Ranks a split, or each of its folds, and measures every query by every metric that applies.
///
/// `pairs` says which captions belong to which images: folds are runs of consecutive images with
/// their captions, and an image and its captions are one unit of the bootstrap. Counts and captions
/// per image in the protocol come from it.
///
/// # Errors
/// If the number of folds is 0 or does not divide the number of images, sizes differ, no query has
/// a relevant item, a score is not finite, a judged query has no list, or the scorer fails.
pub fn measure(
    source: Source<'_>,
    relevant: Relevant<'_>,
    pairs: &Relevance,
    protocol: Protocol,
    watch: &mut dyn Watch,
) -> Result<Measured> {
    let metrics = METRICS;
    let evaluation = Evaluation {
        source,
        relevant,
        pairs,
        metrics,
    };
    evaluation.measure(protocol, watch)
}

impl Evaluation<'_> {
    /// Ranks a split, or each of its folds, and measures every query.
    ///
    /// # Errors
    /// As [`measure`].
    pub fn measure(self, protocol: Protocol, watch: &mut dyn Watch) -> Result<Measured> {
        let Self {
            source,
            relevant,
            pairs,
            metrics,
        } = self;
        let n_levels = match relevant {
            Relevant::Lists(_) => 1,
            Relevant::Labels(labels) => labels.n_levels(),
        };
        let metrics = metrics.iter().filter(|metric| metric.applies(n_levels));
        let metrics: Vec<&'static dyn Metric> = metrics.copied().collect();
        let known = Protocol::new(&*protocol.data, &*protocol.split, pairs);
        let mut measured = Measured {
            protocol: Protocol {
                n_images: known.n_images,
                n_captions: known.n_captions,
                captions_per_image: known.captions_per_image,
                ..protocol
            },
            metrics,
            image_to_text: Asked::default(),
            text_to_image: Asked::default(),
        };
        let folds = folds(pairs, measured.protocol.folds)?;
        let n_folds = folds.len();
        for (fold, (images, captions)) in folds.into_iter().enumerate() {
            let answers = match n_folds {
                1 => measured.ask(source, relevant, watch)?,
                _ => {
                    watch.advance("rank folds", fold as u64, n_folds as u64);
                    measured.ask_part(source, relevant, &images, &captions)?
                }
            };
            let names = match n_folds {
                1 => [None, None],
                _ => [Some(&images[..]), Some(&captions[..])],
            };
            measured.take(fold as u32, answers, names, pairs);
        }
        Ok(measured)
    }
}

/// Ranks a split, or each of its folds, by scores, with the split's own pairs as relevant; see
/// [`measure`] for other sources and judgments, and for the values of every query.
///
/// # Errors
/// As [`measure`].
pub fn evaluate(
    scorer: &dyn Scorer,
    relevance: &Relevance,
    protocol: Protocol,
    watch: &mut dyn Watch,
) -> Result<Report> {
    let (source, relevant) = (Source::Scores(scorer), Relevant::Lists(relevance));
    Ok(measure(source, relevant, relevance, protocol, watch)?.report())
}

/// A query's values before it has its place.
struct Worth {
    n_relevant: u32,
    first_rank: Option<u32>,
    values: Vec<f64>,
}

impl Worth {
    fn of(metrics: &[&'static dyn Metric], placed: &Placed<'_>) -> Self {
        let value = |metric: &&'static dyn Metric| {
            if metric.depth(placed) <= placed.depth {
                metric.of_query(placed)
            } else {
                f64::NAN
            }
        };
        let whole = placed.depth >= placed.n_gallery;
        let first_rank = placed.first_rank();
        Self {
            n_relevant: placed.strict().n_relevant,
            first_rank: (whole || first_rank <= placed.depth).then_some(first_rank),
            values: metrics.iter().map(value).collect(),
        }
    }
}

impl Measured {
    fn ask(
        &self,
        source: Source<'_>,
        relevant: Relevant<'_>,
        watch: &mut dyn Watch,
    ) -> Result<[Answers<Worth>; 2]> {
        let worth = |placed: &Placed<'_>| Worth::of(&self.metrics, placed);
        match (source, relevant) {
            (Source::Scores(scorer), Relevant::Lists(relevance)) => {
                let found = placements(scorer, relevance, watch)?;
                let answers = |side: &PlacedQueries| {
                    let mut answers = Answers {
                        queries: Vec::with_capacity(side.len()),
                        n_excluded: side.n_excluded(),
                    };
                    side.each(|query, placed| answers.queries.push((query, worth(placed))));
                    answers
                };
                Ok([answers(&found.image_to_text), answers(&found.text_to_image)])
            }
            (Source::Scores(scorer), Relevant::Labels(labels)) => {
                sorted_by_labels(scorer, labels, watch, worth)
            }
            (Source::Lists(lists), Relevant::Lists(relevance)) => {
                lists.placements(relevance, worth)
            }
            (Source::Lists(lists), Relevant::Labels(labels)) => {
                lists.placements_by_labels(labels, worth)
            }
        }
    }

    fn ask_part(
        &self,
        source: Source<'_>,
        relevant: Relevant<'_>,
        images: &[u32],
        captions: &[u32],
    ) -> Result<[Answers<Worth>; 2]> {
        let (lists, labels);
        let relevant = match relevant {
            Relevant::Lists(relevance) => {
                lists = relevance.part(images, captions);
                Relevant::Lists(&lists)
            }
            Relevant::Labels(relevance) => {
                labels = relevance.part(images, captions);
                Relevant::Labels(&labels)
            }
        };
        match source {
            Source::Scores(scorer) => {
                let part = Part::new(scorer, images.to_vec(), captions.to_vec());
                self.ask(Source::Scores(&part), relevant, &mut ())
            }
            Source::Lists(lists) => {
                let part = lists.part(images, captions);
                self.ask(Source::Lists(&part), relevant, &mut ())
            }
        }
    }

    /// Adds a fold's answers under the indices that its images and captions have in the whole split.
    fn take(
        &mut self,
        fold: u32,
        answers: [Answers<Worth>; 2],
        names: [Option<&[u32]>; 2],
        pairs: &Relevance,
    ) {
        let n_images = pairs.n_images() as u32;
        let [of_images, of_captions] = answers;
        let row = |query: u32, unit: u32, worth: Worth| QueryRow {
            query,
            fold,
            unit,
            n_relevant: worth.n_relevant,
            first_rank: worth.first_rank,
            values: worth.values,
        };
        let name = |names: Option<&[u32]>, at: u32| names.map_or(at, |names| names[at as usize]);
        self.image_to_text.n_excluded += u64::from(of_images.n_excluded);
        for (at, worth) in of_images.queries {
            let image = name(names[0], at);
            self.image_to_text.rows.push(row(image, image, worth));
        }
        self.text_to_image.n_excluded += u64::from(of_captions.n_excluded);
        for (at, worth) in of_captions.queries {
            let caption = name(names[1], at);
            let owner = pairs.images_of(caption).first().copied();
            let unit = owner.unwrap_or(n_images + caption);
            self.text_to_image.rows.push(row(caption, unit, worth));
        }
    }

    /// The queries of one direction.
    pub fn asked(&self, direction: Direction) -> &Asked {
        match direction {
            Direction::ImageToText => &self.image_to_text,
            Direction::TextToImage => &self.text_to_image,
        }
    }

    /// Every number that is known, in the order of [`METRICS`].
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (at, &metric) in self.metrics.iter().enumerate() {
            let values = [Direction::ImageToText, Direction::TextToImage]
                .map(|direction| (direction, self.value(direction, at)));
            if !metric.is_joint() {
                figures.extend(values.into_iter().filter_map(|(direction, value)| {
                    Some(Figure {
                        metric,
                        direction: Some(direction),
                        value: value?,
                    })
                }));
            } else if let [(_, Some(first)), (_, Some(second))] = values {
                figures.push(Figure {
                    metric,
                    direction: None,
                    value: first + second,
                });
            }
        }
        figures
    }

    /// The number of one metric, by its name.
    pub fn figure(&self, name: &str, direction: Option<Direction>) -> Option<f64> {
        let at = self
            .metrics
            .iter()
            .position(|metric| metric.name() == name)?;
        match direction {
            Some(direction) => self.value(direction, at),
            None => Some(
                self.value(Direction::ImageToText, at)? + self.value(Direction::TextToImage, at)?,
            ),
        }
    }

    /// Mean over folds of the pooled values of one metric, if the value of every query is known.
    pub(super) fn value(&self, direction: Direction, metric: usize) -> Option<f64> {
        let rows = &self.asked(direction).rows;
        let folds: Vec<f64> = (rows.chunk_by(|a, b| a.fold == b.fold))
            .map(|fold| {
                let values: Vec<f64> = fold.iter().map(|row| row.values[metric]).collect();
                if values.iter().any(|value| value.is_nan()) {
                    f64::NAN
                } else {
                    self.metrics[metric].pool().of(&values)
                }
            })
            .collect();
        let mean = folds.iter().sum::<f64>() / folds.len() as f64;
        mean.is_finite().then_some(mean)
    }

    /// Numbers for which lists are too short, with the number of queries concerned.
    pub fn unmeasured(&self) -> Vec<Unmeasured> {
        let directions = [Direction::ImageToText, Direction::TextToImage];
        let all = directions.iter().flat_map(|&direction| {
            self.metrics.iter().enumerate().map(move |(at, &metric)| {
                let rows = self.asked(direction).rows.iter();
                Unmeasured {
                    metric,
                    direction,
                    n_queries: rows.filter(|row| row.values[at].is_nan()).count() as u64,
                }
            })
        });
        all.filter(|one| one.n_queries > 0).collect()
    }

    /// The same evaluation without its queries.
    pub fn report(&self) -> Report {
        Report {
            figures: self.figures(),
            image_to_text: self.image_to_text.counts(),
            text_to_image: self.text_to_image.counts(),
            protocol: self.protocol.clone(),
        }
    }

    /// The rank of the best relevant item of every query, unless lists were cut off before one.
    pub fn first_ranks(&self) -> Option<Ranks> {
        let of = |asked: &Asked| -> Option<Vec<u32>> {
            asked.rows.iter().map(|row| row.first_rank).collect()
        };
        Some(Ranks {
            image_to_text: of(&self.image_to_text)?,
            text_to_image: of(&self.text_to_image)?,
            images_without_caption: self.image_to_text.n_excluded as u32,
            captions_without_image: self.text_to_image.n_excluded as u32,
        })
    }
}

impl Asked {
    fn counts(&self) -> QueryCounts {
        QueryCounts {
            n_queries: self.rows.len() as u64,
            n_excluded: self.n_excluded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Pair;
    use crate::relevance::{Codes, MatchRule};
    use crate::scores::{Matrix, ScoreMatrix};

    /// Three images of two captions each.
    fn example() -> (ScoreMatrix, Relevance) {
        let scores = [
            0.9, 0.2, 0.5, 0.1, 0.8, 0.3, //
            0.4, 0.6, 0.3, 0.2, 0.7, 0.1, //
            0.1, 0.3, 0.2, 0.9, 0.5, 0.6,
        ];
        let pairs: Vec<Pair> = (0..6)
            .map(|caption| Pair {
                image: caption / 2,
                caption,
            })
            .collect();
        let scores = ScoreMatrix(Matrix::new(scores.to_vec(), 6));
        (scores, Relevance::from_pairs(3, 6, &pairs))
    }

    fn of(source: Source<'_>, relevant: Relevant<'_>, pairs: &Relevance) -> Measured {
        let protocol = Protocol::new("toy", "test", pairs);
        measure(source, relevant, pairs, protocol, &mut ()).unwrap()
    }

    fn values(measured: &Measured, name: &str) -> Vec<f64> {
        let at = measured
            .metrics
            .iter()
            .position(|metric| metric.name() == name);
        let rows = measured.image_to_text.rows.iter();
        rows.map(|row| row.values[at.unwrap()]).collect()
    }

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} against {expected:?}");
        }
    }

    /// Values computed by hand from the definitions.
    #[test]
    fn the_worked_example_of_every_metric() {
        let (scores, pairs) = example();
        let measured = of(Source::Scores(&scores), Relevant::Lists(&pairs), &pairs);
        near(&values(&measured, "mean-rank"), &[1.0, 4.0, 2.0]);
        near(&values(&measured, "recall@1"), &[1.0, 0.0, 0.0]);
        near(&values(&measured, "set-recall@1"), &[0.5, 0.0, 0.0]);
        near(&values(&measured, "precision@5"), &[0.4, 0.4, 0.4]);
        near(&values(&measured, "r-precision"), &[0.5, 0.0, 0.5]);
        near(&values(&measured, "map"), &[0.7, 0.325, 0.583_333_333]);
        near(&values(&measured, "map@r"), &[0.5, 0.0, 0.25]);
        near(&values(&measured, "mrr"), &[1.0, 0.25, 0.5]);
        // Ranks 1 and 5 of two relevant items: (1 + 1 / log2 6) / (1 + 1 / log2 3).
        near(&values(&measured, "ndcg")[..1], &[0.850_345_0]);
        let figure = |name, direction| measured.figure(name, direction).unwrap();
        let (i2t, t2i) = (Some(Direction::ImageToText), Some(Direction::TextToImage));
        near(
            &[figure("median-rank", i2t), figure("mean-rank", i2t)],
            &[2.0, 7.0 / 3.0],
        );
        near(
            &[figure("median-rank", t2i), figure("mean-rank", t2i)],
            &[2.0, 2.0],
        );
        near(
            &[figure("rsum", None)],
            &[1.0 / 3.0 + 2.0 + 1.0 / 3.0 + 2.0],
        );
        assert!(measured.figure("pmrp", i2t).is_none() && measured.unmeasured().is_empty());
    }

    #[test]
    fn the_recalls_are_those_of_the_first_ranks() {
        let (scores, pairs) = example();
        let measured = of(Source::Scores(&scores), Relevant::Lists(&pairs), &pairs);
        let ranks = crate::ranking::ranks(&scores, &pairs, &mut ()).unwrap();
        assert_eq!(measured.first_ranks().unwrap(), ranks);
        let rsum = crate::metric::RSum.of(&ranks);
        near(&[measured.report().figure("rsum", None).unwrap()], &[rsum]);
    }

    #[test]
    fn folds_are_means_over_diagonal_blocks() {
        let whole = crate::metric::test_data::scores(20);
        let five_each = crate::metric::test_data::five_each;
        let evaluated = |scores: &ScoreMatrix, n_images, folds| {
            let relevance = five_each(n_images);
            let protocol = Protocol {
                folds,
                ..Protocol::new("toy", "test", &relevance)
            };
            evaluate(scores, &relevance, protocol, &mut ())
        };
        let mut sum = 0.0;
        for fold in 0..4 {
            let rows = (fold * 5..fold * 5 + 5)
                .flat_map(|image| whole.0.row(image)[fold * 25..fold * 25 + 25].to_vec());
            let block = ScoreMatrix(Matrix::new(rows.collect(), 25));
            let report = evaluated(&block, 5, 1).unwrap();
            sum += report.figure("rsum", None).unwrap();
        }
        let report = evaluated(&whole, 20, 4).unwrap();
        near(&[report.figure("rsum", None).unwrap()], &[sum / 4.0]);
        let counts = (
            report.image_to_text.n_queries,
            report.text_to_image.n_queries,
        );
        assert_eq!(counts, (20, 100));
        for folds in [0, 3, 40] {
            let error = evaluated(&whole, 20, folds).unwrap_err();
            assert!(error.to_string().contains("20 images"), "{error}");
        }
    }

    /// Codes 11000, 11000, 11100, 00011 and the ranking C, A, D, B for every query.
    #[test]
    fn the_worked_example_of_plausible_matches() {
        let codes = [1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1];
        let codes = Codes::sets(&codes, 5).unwrap();
        let labels = LabelRelevance::new(codes.clone(), codes, MatchRule::Plausible).unwrap();
        let pairs: Vec<Pair> = (0..4)
            .map(|n| Pair {
                image: n,
                caption: n,
            })
            .collect();
        let pairs = Relevance::from_pairs(4, 4, &pairs);
        let scores = ScoreMatrix(Matrix::new([3.0, 1.0, 4.0, 2.0].repeat(4), 4));
        let measured = of(Source::Scores(&scores), Relevant::Labels(&labels), &pairs);
        near(&values(&measured, "pmrp@0"), &[0.5, 0.5, 1.0, 0.0]);
        near(&values(&measured, "pmrp@1")[..1], &[2.0 / 3.0]);
        let pmrp = values(&measured, "pmrp");
        near(
            &[pmrp[0], pmrp[2], pmrp[3]],
            &[0.611_111_1, 0.777_777_8, 0.0],
        );
        near(
            &values(&measured, "r-precision"),
            &values(&measured, "pmrp@0"),
        );
    }

    #[test]
    fn items_without_a_label_ask_nothing_and_stand_nowhere() {
        let (scores, pairs) = example();
        let images = Codes::classes(&[7, -1, 7], None).unwrap();
        let owners: Vec<Option<u32>> = (0..6).map(|caption| Some(caption / 2)).collect();
        let captions = images.inherited(&owners);
        let labels = LabelRelevance::new(images, captions, MatchRule::Same).unwrap();
        let measured = of(Source::Scores(&scores), Relevant::Labels(&labels), &pairs);
        let asked = &measured.image_to_text;
        assert_eq!((asked.rows.len(), asked.n_excluded), (2, 1));
        assert!(asked.rows.iter().all(|row| row.n_relevant == 4));
        near(&values(&measured, "map"), &[1.0, 1.0]);
        assert_eq!(measured.text_to_image.n_excluded, 2);
    }
}

//! Ranking and measuring from embeddings, both directions, five captions an image.

use burn::tensor::Device;
use truepair_core::metric::{
    AveragePrecision, MeanRank, MedianRank, Metric, Protocol, RPrecision, RSum, Relevant, Source,
    measure,
};
use truepair_core::pair::Pair;
use truepair_core::ranking::{PlacedQueries, placements, ranks};
use truepair_core::relevance::{Codes, LabelRelevance, MatchRule, Relevance};
use truepair_core::rng::{Seed, below};
use truepair_core::scores::{InnerProduct, Matrix};

use super::{Setup, Step, Workload, random};
use crate::error::Result;
use truepair_model::numbers::floats;

const DIM: usize = 512;
const CAPTIONS: usize = 5;
/// Classes of which every image has one to four.
const LABELS: usize = 80;

pub(super) fn workloads() -> Vec<Workload> {
    vec![
        row("recall", 1000, 1, recall),
        row("recall", 5000, 1, recall),
        row("map_at_r", 5000, 1, map_at_r),
        row("metrics", 5000, 1, metrics),
        // Rows of both directions are sorted, each from scores of its own.
        row("pmrp", 5000, 2, pmrp),
    ]
}

/// `products` of all images with all captions are counted.
fn row(name: &str, n: usize, products: usize, work: fn(&Split)) -> Workload {
    let gflop = 2.0 * (products * n * n * CAPTIONS * DIM) as f64 / 1e9;
    let name = format!("eval/{name}/{n}x{}", n * CAPTIONS);
    // Metrics are computed on the processor whatever the device.
    Workload::new(name, gflop, move |_: &Setup| -> Result<Step> {
        let split = Split::new(n)?;
        Ok(Box::new(move || work(&split)))
    })
}

/// Random embeddings, their pairs, and classes of the images that captions inherit.
struct Split {
    scorer: InnerProduct,
    pairs: Relevance,
    labels: LabelRelevance,
}

impl Split {
    fn new(n: usize) -> Result<Self> {
        let vectors = |name, rows| {
            let mut matrix = Matrix::new(floats(random(name, [rows, DIM], &Device::flex())), DIM);
            matrix.normalize();
            matrix
        };
        let scorer = InnerProduct::new(vectors("images", n), vectors("captions", n * CAPTIONS))?;
        let owner = |caption: u32| caption / CAPTIONS as u32;
        let pair = |caption| Pair {
            image: owner(caption),
            caption,
        };
        let captions = 0..(n * CAPTIONS) as u32;
        let pairs: Vec<Pair> = captions.clone().map(pair).collect();
        let images = classes(n)?;
        let owners: Vec<Option<u32>> = captions.map(|caption| Some(owner(caption))).collect();
        let of_captions = images.inherited(&owners);
        Ok(Self {
            scorer,
            pairs: Relevance::from_pairs(n, n * CAPTIONS, &pairs),
            labels: LabelRelevance::new(images, of_captions, MatchRule::Plausible)?,
        })
    }

    fn protocol(&self) -> Protocol {
        Protocol::new("random", "test", &self.pairs)
    }
}

fn classes(n: usize) -> Result<Codes> {
    let mut rng = Seed(0).stream("classes", &[]);
    let mut sets = vec![0; n * LABELS];
    for set in sets.chunks_mut(LABELS) {
        for _ in 0..=below(&mut rng, 4) {
            set[below(&mut rng, LABELS as u64) as usize] = 1;
        }
    }
    Ok(Codes::sets(&sets, LABELS)?)
}

/// Recalls, median and mean rank, rSum.
fn recall(split: &Split) {
    let ranks = ranks(&split.scorer, &split.pairs, &mut ()).expect("finite scores can be ranked");
    std::hint::black_box(RSum.of(&ranks));
    for side in [&ranks.image_to_text, &ranks.text_to_image] {
        std::hint::black_box((MedianRank.of(side), MeanRank.of(side)));
    }
}

/// mAP@R and R-Precision.
fn map_at_r(split: &Split) {
    let placed = placements(&split.scorer, &split.pairs, &mut ()).expect("finite scores");
    for queries in [&placed.image_to_text, &placed.text_to_image] {
        for metric in [&AveragePrecision::AT_R as &dyn Metric, &RPrecision] {
            std::hint::black_box(mean(metric, queries));
        }
    }
}

fn mean(metric: &dyn Metric, queries: &PlacedQueries) -> f64 {
    let mut sum = 0.0;
    queries.each(|_, placed| sum += metric.of_query(placed));
    sum / queries.len() as f64
}

/// Every metric of pairs.
fn metrics(split: &Split) {
    all_metrics(split, Relevant::Lists(&split.pairs));
}

/// Every metric of sets of classes: PMRP at three distances and the others.
fn pmrp(split: &Split) {
    all_metrics(split, Relevant::Labels(&split.labels));
}

fn all_metrics(split: &Split, relevant: Relevant<'_>) {
    let source = Source::Scores(&split.scorer);
    measure(source, relevant, &split.pairs, split.protocol(), &mut ())
        .expect("finite scores can be ranked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_measures_what_it_names() {
        let split = Split::new(20).unwrap();
        for work in [recall, map_at_r, metrics, pmrp] {
            work(&split);
        }
        let placed = placements(&split.scorer, &split.pairs, &mut ()).unwrap();
        let precision = mean(&AveragePrecision::AT_R, &placed.image_to_text);
        let report = measure(
            Source::Scores(&split.scorer),
            Relevant::Lists(&split.pairs),
            &split.pairs,
            split.protocol(),
            &mut (),
        );
        let direction = truepair_core::scores::Direction::ImageToText;
        assert_eq!(
            report.unwrap().figure("map@r", Some(direction)),
            Some(precision)
        );
    }
}

//! A metric of your own: implement one trait and measure by it beside the known ones.
//!
//! ```sh
//! cargo run --release -p truepair-core --example 03_your_own_metric
//! ```
//!
//! Recall at 10 is easy in a gallery of a hundred and hard in one of a hundred thousand. This metric asks
//! for the best percent of the gallery instead, whatever its size.

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use truepair_core::Result;
use truepair_core::metric::{Evaluation, Metric, Protocol, Recall, Relevant, Source, Unit};
use truepair_core::pair::Pair;
use truepair_core::ranking::Placed;
use truepair_core::relevance::Relevance;
use truepair_core::rng::{Seed, normal};
use truepair_core::scores::{Direction, InnerProduct, Matrix};

/// The share of queries with a relevant item in the best percent of the gallery.
struct BestPercent;

impl BestPercent {
    /// The last rank that counts; at least the first one does.
    fn last_rank(&self, placed: &Placed<'_>) -> u32 {
        (placed.n_gallery / 100).max(1)
    }
}

impl Metric for BestPercent {
    fn name(&self) -> &'static str {
        "best-percent"
    }

    fn unit(&self) -> Unit {
        Unit::Fraction
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn summary(&self) -> &'static str {
        "Share of queries with a relevant item in the best percent of the gallery."
    }

    // A query is seen by the ranks of its relevant items. Ties are settled before: against the model.
    fn of_query(&self, placed: &Placed<'_>) -> f64 {
        f64::from(u8::from(placed.first_rank() <= self.last_rank(placed)))
    }

    // Lists that end before this rank leave the query unmeasured instead of counting as a miss.
    fn depth(&self, placed: &Placed<'_>) -> u32 {
        self.last_rank(placed)
    }
}

fn main() -> Result<()> {
    // Embeddings of 500 images and of one caption each, near enough that some are found.
    let stream = &mut Seed(1).stream("toy", &[]);
    let images: Vec<f32> = (0..500 * 32).map(|_| normal(stream) as f32).collect();
    let captions = images
        .iter()
        .map(|x| x + 2.5 * normal(stream) as f32)
        .collect();
    let scorer = InnerProduct::new(Matrix::new(images, 32), Matrix::new(captions, 32))?;

    let pairs: Vec<Pair> = (0..500)
        .map(|n| Pair {
            image: n,
            caption: n,
        })
        .collect();
    let relevance = Relevance::from_pairs(500, 500, &pairs);
    let evaluation = Evaluation {
        source: Source::Scores(&scorer),
        relevant: Relevant::Lists(&relevance),
        pairs: &relevance,
        metrics: &[&Recall::AT_1, &Recall::AT_5, &BestPercent],
    };
    let protocol = Protocol::new("toy", "test", &relevance);
    let measured = evaluation.measure(protocol, &mut ())?;

    let ask = |name| measured.figure(name, Some(Direction::ImageToText));
    for metric in &measured.metrics {
        let value = ask(metric.name()).expect("every query is ranked to the end");
        println!("{} {} {value:.3}", metric.name(), metric.arrow());
    }
    // The best percent of 500 captions are five.
    assert_eq!(ask("best-percent"), ask("recall@5"));
    // Intervals come free: images are drawn anew with their captions.
    for (figure, interval) in measured.intervals(200, Seed(0)) {
        assert!(interval.low <= figure.value && figure.value <= interval.high);
    }
    Ok(())
}

/// `cargo test` runs the example.
#[test]
fn it_runs() -> Result<()> {
    main()
}

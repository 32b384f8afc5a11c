//! How long ranking and measuring take, from random embeddings in memory.
//!
//! ```sh
//! cargo run --release -p truepair-core --example retrieval_speed -- recall 5000 25000 512
//! ```
//!
//! The first argument is `recall` (best ranks), `metrics` (every metric of pairs), `pmrp` (every
//! metric of 80 labels, three distances) or `part` (recalls of the first 2,000 images against all
//! captions, with all embeddings in memory). A number after the others says how many runs.

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use truepair_core::metric::{Protocol, Relevant, Source, measure};
use truepair_core::pair::Pair;
use truepair_core::ranking::ranks;
use truepair_core::relevance::{Codes, LabelRelevance, MatchRule, Relevance};
use truepair_core::rng::{Seed, below, unit};
use truepair_core::scores::{InnerProduct, Matrix, Scorer};
use truepair_core::{Error, Result};

const RUNS: usize = 7;
const N_LABELS: usize = 80;
const PART: usize = 2000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, n_images, n_captions, dim, runs @ ..] = arguments.as_slice() else {
        return Err(usage());
    };
    let number = |text: &String| text.parse::<usize>().map_err(|_| usage());
    let runs = runs.first().map_or(Ok(RUNS), number)?.max(1);
    let (n_images, n_captions, dim) = (number(n_images)?, number(n_captions)?, number(dim)?);
    let scorer = InnerProduct::new(random(n_images, dim, 1), random(n_captions, dim, 2))?;
    let each = n_captions / n_images;
    let pairs = |n_images: usize| {
        let pair = |caption| Pair {
            image: caption / each as u32,
            caption,
        };
        let pairs: Vec<Pair> = (0..(n_images * each) as u32).map(pair).collect();
        Relevance::from_pairs(n_images, n_captions, &pairs)
    };
    match what.as_str() {
        "recall" => {
            let pairs = pairs(n_images);
            report(runs, || ranks(&scorer, &pairs, &mut ()).map(|_| ()))
        }
        "metrics" => {
            let pairs = pairs(n_images);
            report(runs, || measured(&scorer, Relevant::Lists(&pairs), &pairs))
        }
        "pmrp" => {
            let (pairs, labels) = (pairs(n_images), labels(n_images, n_captions)?);
            report(runs, || {
                measured(&scorer, Relevant::Labels(&labels), &pairs)
            })
        }
        "part" => {
            let (part, pairs) = (FirstImages(&scorer), pairs(PART));
            report(1, || ranks(&part, &pairs, &mut ()).map(|_| ()))?;
            println!("the whole: {} such parts", n_images.div_ceil(PART));
            Ok(())
        }
        _ => Err(usage()),
    }
}

fn usage() -> Error {
    Error::argument(
        "expected what to measure, images, captions and numbers per embedding",
        "for instance `recall 5000 25000 512`",
    )
}

fn random(n: usize, dim: usize, seed: u64) -> Matrix {
    let mut rng = Seed(seed).stream("embeddings", &[]);
    let values = (0..n * dim).map(|_| (unit(&mut rng) - 0.5) as f32);
    let mut matrix = Matrix::new(values.collect(), dim);
    matrix.normalize();
    matrix
}

/// One to four of 80 classes for every image, and the same for its captions.
fn labels(n_images: usize, n_captions: usize) -> Result<LabelRelevance> {
    let mut rng = Seed(3).stream("labels", &[]);
    let mut sets = vec![0; n_images * N_LABELS];
    for set in sets.chunks_mut(N_LABELS) {
        for _ in 0..=below(&mut rng, 4) {
            set[below(&mut rng, N_LABELS as u64) as usize] = 1;
        }
    }
    let images = Codes::sets(&sets, N_LABELS)?;
    let each = n_captions / n_images;
    let owners: Vec<Option<u32>> = (0..n_captions)
        .map(|caption| Some((caption / each) as u32))
        .collect();
    let captions = images.inherited(&owners);
    LabelRelevance::new(images, captions, MatchRule::Plausible)
}

fn measured(scorer: &InnerProduct, relevant: Relevant<'_>, pairs: &Relevance) -> Result<()> {
    let protocol = Protocol::new("random", "test", pairs);
    let measured = measure(Source::Scores(scorer), relevant, pairs, protocol, &mut ())?;
    assert!(measured.figures().len() > 30);
    Ok(())
}

/// The best and the middle of several runs.
fn report(n_runs: usize, work: impl Fn() -> Result<()>) -> Result<()> {
    let mut seconds = Vec::new();
    for _ in 0..n_runs {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "best {:.3} s, median {:.3} s of {n_runs}, peak memory {}",
        seconds[0],
        seconds[n_runs / 2],
        peak_memory()
    );
    Ok(())
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

/// The first images against all captions.
struct FirstImages<'a>(&'a InnerProduct);

impl Scorer for FirstImages<'_> {
    fn n_images(&self) -> usize {
        PART
    }

    fn n_captions(&self) -> usize {
        self.0.n_captions()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        self.0.tile(images, captions, out)
    }
}

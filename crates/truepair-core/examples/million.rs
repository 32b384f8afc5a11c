//! How fast and how calibrated the audit is on a million pairs of frozen embeddings.
//!
//! ```sh
//! cargo run --release -p truepair-core --example million -- 1000000 0.4
//! ```
//!
//! A caption's vector is its image's plus Gaussian noise, strong enough that many matched pairs
//! rank below some null captions; a share of the captions is then shuffled.

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use truepair_core::Result;
use truepair_core::audit::{AuditOptions, Evidence, Fold, Links, Truth, conclude, judge_fold};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, normal, sample, shuffle};
use truepair_core::scores::{InnerProduct, Matrix};

const DIM: usize = 512;
/// Length of the noise relative to the image vector.
const NOISE: f64 = 7.0;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let n: usize = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000);
    let rate: f64 = arguments
        .next()
        .and_then(|rate| rate.parse().ok())
        .unwrap_or(0.4);
    let null_size: usize = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10_000);

    let start = Instant::now();
    let scorer = InnerProduct::new(images(n), captions(n))?;
    let (pairs, mismatched) = planted(n, rate);
    println!(
        "made     {:6.1} s, {n} pairs of {DIM} numbers",
        start.elapsed().as_secs_f64()
    );

    let start = Instant::now();
    let options = AuditOptions {
        null_size,
        ..Default::default()
    };
    let links = Links::without_duplicates(&pairs, n, n)?;
    let judged: Vec<u32> = (0..n as u32).collect();
    let fold = Fold {
        scorer: &scorer,
        pairs: &pairs,
        judged: &judged,
        links: &links,
        cells: None,
        plan: None,
    };
    let statistics = judge_fold(&fold, &options, Seed(1), &mut ())?;
    println!("ranked   {:6.1} s", start.elapsed().as_secs_f64());
    let findings = conclude(
        &pairs,
        &links,
        &Evidence::of(&[statistics]),
        &options,
        Seed(1),
    )?;
    println!(
        "audited  {:6.1} s, peak memory {}",
        start.elapsed().as_secs_f64(),
        peak_memory()
    );

    let posteriors: Vec<f64> = findings
        .verdicts
        .iter()
        .map(|verdict| verdict.posterior)
        .collect();
    let truth = Truth::measure(&posteriors, &mismatched);
    let found = findings.noise_rate;
    println!(
        "rate     {:.4} [{:.4}, {:.4}]",
        found.estimate, found.low, found.high
    );
    println!("realized {:.4}", truth.realized);
    println!(
        "AUC {:.4}  ECE {:.4}  Brier {:.4}",
        truth.auc, truth.ece, truth.brier
    );
    Ok(())
}

fn image_row(n: usize) -> impl Iterator<Item = f64> {
    let mut stream = Seed(7).stream("image", &[n as u64]);
    let scale = (DIM as f64).sqrt().recip();
    (0..DIM).map(move |_| scale * normal(&mut stream))
}

fn images(n: usize) -> Matrix {
    let mut values = Vec::with_capacity(n * DIM);
    (0..n).for_each(|row| values.extend(image_row(row).map(|x| x as f32)));
    normalized(Matrix::new(values, DIM))
}

fn captions(n: usize) -> Matrix {
    let scale = NOISE / (DIM as f64).sqrt();
    let mut values = Vec::with_capacity(n * DIM);
    for row in 0..n {
        let mut stream = Seed(7).stream("caption", &[row as u64]);
        values.extend(image_row(row).map(|x| (x + scale * normal(&mut stream)) as f32));
    }
    normalized(Matrix::new(values, DIM))
}

fn normalized(mut matrix: Matrix) -> Matrix {
    matrix.normalize();
    matrix
}

/// Pair `n` joins image `n` with caption `n`, except that a share of the captions is shuffled.
fn planted(n: usize, rate: f64) -> (Vec<Pair>, Vec<bool>) {
    let stream = &mut Seed(7).stream("noise", &[]);
    let chosen = sample(stream, n, (rate * n as f64) as usize);
    let mut moved = chosen.clone();
    shuffle(stream, &mut moved);
    let mut captions: Vec<u32> = (0..n as u32).collect();
    chosen
        .iter()
        .zip(&moved)
        .for_each(|(&to, &from)| captions[to as usize] = from);
    let pairs = captions
        .iter()
        .zip(0..)
        .map(|(&caption, image)| Pair { image, caption });
    (
        pairs.collect(),
        captions
            .iter()
            .zip(0..)
            .map(|(&caption, image)| caption != image)
            .collect(),
    )
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}

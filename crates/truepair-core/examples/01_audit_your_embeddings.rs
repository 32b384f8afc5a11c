//! Which of your pairs are mismatched? You need two matrices of embeddings from one space.
//!
//! ```sh
//! cargo run --release -p truepair-core --example 01_audit_your_embeddings
//! ```

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use truepair_core::Result;
use truepair_core::audit::{
    AuditOptions, Evidence, Fold, Links, Outcome, Rule, conclude, decide, group_captions,
    judge_fold,
};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, normal};
use truepair_core::scores::{InnerProduct, Matrix};

fn main() -> Result<()> {
    // Put your own rows here: one embedding per image, one per caption, normalized for cosine.
    let (images, captions, texts) = toy_embeddings();
    let n_images = images.len();

    // The pairs as given. Here caption n comes with image n, but the first fifty are rotated.
    let pairs: Vec<Pair> = (0..n_images as u32)
        .map(|n| Pair {
            image: n,
            caption: if n < 50 { (n + 1) % 50 } else { n },
        })
        .collect();

    // A caption is never compared with copies of itself. Images are taken as distinct here;
    // `group_images` finds equal ones.
    let links = Links::new(
        &pairs,
        group_captions(&texts),
        (0..n_images as u32).collect(),
    )?;

    // The embeddings were not trained on these pairs, so all of them are judged in one fold.
    let scorer = InnerProduct::new(images, captions)?;
    let judged: Vec<u32> = (0..pairs.len() as u32).collect();
    let fold = Fold {
        scorer: &scorer,
        pairs: &pairs,
        judged: &judged,
        links: &links,
        cells: None,
        plan: None,
    };
    let (options, seed) = (AuditOptions::default(), Seed(0));
    let statistics = judge_fold(&fold, &options, seed, &mut ())?;
    let findings = conclude(&pairs, &links, &Evidence::of(&[statistics]), &options, seed)?;

    if let Outcome::Refused { reason } = &findings.outcome {
        println!("no verdicts: {reason}");
        return Ok(());
    }
    let rate = findings.noise_rate;
    println!(
        "{:.1} % of the pairs are mismatched (95 % interval {:.1} to {:.1})",
        100.0 * rate.estimate,
        100.0 * rate.low,
        100.0 * rate.high
    );
    let mut worst = findings.verdicts.clone();
    worst.sort_by(|a, b| b.p.total_cmp(&a.p));
    for verdict in &worst[..5] {
        println!(
            "pair {}: P(mismatched) {:.2}, {}",
            verdict.pair, verdict.posterior, verdict.reason
        );
    }
    let posteriors: Vec<f64> = findings
        .verdicts
        .iter()
        .map(|verdict| verdict.posterior)
        .collect();
    let decision = decide(&posteriors, Rule::KeepBadAtMost(0.01))?;
    println!(
        "{} pairs stay when at most 1 % of them may be bad",
        decision.n_kept
    );
    Ok(())
}

/// 500 images in 64 dimensions, each with one caption nearby.
fn toy_embeddings() -> (Matrix, Matrix, Vec<String>) {
    let stream = &mut Seed(1).stream("toy", &[]);
    let images: Vec<f32> = (0..500 * 64).map(|_| normal(stream) as f32).collect();
    let captions = images
        .iter()
        .map(|x| x + 1.5 * normal(stream) as f32)
        .collect();
    let (mut images, mut captions) = (Matrix::new(images, 64), Matrix::new(captions, 64));
    images.normalize();
    captions.normalize();
    (
        images,
        captions,
        (0..500).map(|n| format!("caption {n}")).collect(),
    )
}

/// `cargo test` runs the example.
#[test]
fn it_runs() -> Result<()> {
    main()
}

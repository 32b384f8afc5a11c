//! Train a retrieval model on pairs of which two fifths are wrong.
//!
//! ```sh
//! cargo run --release -p truepair-train --example 02_train_ncr
//! ```
//!
//! NCR trains two networks, tells clean pairs from others by a mixture of their losses, and lets each
//! network learn from what the other holds clean.

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use std::sync::atomic::AtomicBool;

use truepair_core::dataset::{Dataset, Features, NamedFeatures};
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::noise::corrupt;
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::rng::{Seed, normal};
use truepair_model::Accelerator;
use truepair_train::{Recipe, Result, Session, Trained, train};

fn main() -> Result<()> {
    // Read your own with `truepair_read::dataset::open`. The noise is planted so that the effect can be
    // measured; its manifest stays out here, where no training sees it.
    let (clean, dev, test) = (toy(400, 1), toy(150, 2), toy(300, 3));
    let (noisy, manifest) = corrupt(&clean, &"caption:0.4".parse()?, Seed(1))?;
    println!("{:.0} % of the pairs are wrong", 100.0 * manifest.realized);

    let plain = fit("[strategy]\nkind = \"plain\"\n", &noisy, &dev)?;
    let ncr = fit("[strategy]\nkind = \"ncr\"\n", &noisy, &dev)?;
    let (plain, recalls) = (rsum(&plain, &test)?, rsum(&ncr, &test)?);
    println!("sum of recalls on clean test pairs: plain {plain:.2}, ncr {recalls:.2} of 6");
    assert!(recalls > plain, "the rectifier pays on data like this");

    // What it believes of each pair is in its ledger.
    let belief = &ncr.ledgers[0].clean_posterior;
    let mean = |wrong: bool| {
        let rows = (manifest.mismatched.iter().zip(belief)).filter(|(is, _)| **is == wrong);
        let beliefs: Vec<f64> = rows.map(|(_, &belief)| f64::from(belief)).collect();
        beliefs.iter().sum::<f64>() / beliefs.len() as f64
    };
    println!(
        "P(clean): {:.2} on average for right pairs, {:.2} for wrong ones",
        mean(false),
        mean(true)
    );
    assert!(mean(false) > mean(true));
    Ok(())
}

/// A recipe is what a TOML file says; what it leaves open the data fills in.
fn fit(recipe: &str, data: &Dataset, dev: &Dataset) -> Result<Trained> {
    let mut recipe = Recipe::from_toml(recipe).expect("a recipe that is known to read");
    recipe.training.batch = 64;
    let config = recipe.resolve(data)?;
    // No directory: nothing is written. With `dir`, the run could be stopped and resumed to the bit.
    let (stop, watch) = (AtomicBool::new(false), &mut ());
    let mut session = Session::unkept(Accelerator::Cpu, &stop, watch, || 0.0);
    train(data, Some(dev), &config, Seed(0), &mut session)
}

/// The sum of six recalls, as fractions.
fn rsum(trained: &Trained, test: &Dataset) -> Result<f64> {
    let scorer = trained.scorer(test, &mut ())?;
    let relevance = Relevance::from_pairs(test.n_images(), test.n_captions(), &test.pairs);
    let protocol = Protocol::new("toy", "test", &relevance);
    let report = evaluate(&*scorer, &relevance, protocol, &mut ())?;
    Ok(report.figure("rsum", None).expect("pairs have recalls"))
}

/// `n` images with one caption each: two noisy views of a hidden vector, in spaces of their own.
fn toy(n: usize, seed: u64) -> Dataset {
    const HIDDEN: usize = 12;
    let world = &mut Seed(99).stream("world", &[]);
    let mut map = |dim: usize| -> Vec<f64> { (0..HIDDEN * dim).map(|_| normal(world)).collect() };
    let sides = [(map(32), 32), (map(24), 24)];
    let stream = &mut Seed(seed).stream("toy", &[]);
    let mut views = [Vec::new(), Vec::new()];
    for _ in 0..n {
        let hidden: Vec<f64> = (0..HIDDEN).map(|_| normal(stream)).collect();
        for ((map, dim), view) in sides.iter().zip(&mut views) {
            view.extend((0..*dim).map(|at| {
                let signal = (0..HIDDEN).map(|h| hidden[h] * map[h * dim + at]);
                (signal.sum::<f64>() + 2.0 * normal(stream)) as f32
            }));
        }
    }
    let [images, captions] = views;
    Dataset {
        name: "toy".into(),
        format: "memory",
        split: "train".into(),
        images: Features::from_rows(images, 32),
        image_ids: (0..n).map(|n| n.to_string()).collect(),
        image_files: Vec::new(),
        captions: None,
        caption_features: Some(NamedFeatures {
            name: "toy".into(),
            features: Features::from_rows(captions, 24),
        }),
        pairs: (0..n as u32)
            .map(|n| Pair {
                image: n,
                caption: n,
            })
            .collect(),
        labels: None,
        files: Vec::new(),
        account: Default::default(),
    }
}

/// `cargo test` runs the example.
#[test]
fn it_runs() -> Result<()> {
    main()
}

//! A strategy of your own: say what is believed of each pair and what is minimized, and the trainer does
//! the rest.
//!
//! ```sh
//! cargo run --release -p truepair-train --example 04_your_own_strategy
//! ```
//!
//! The small-loss trick: networks learn right pairs before wrong ones, so after a warm-up the pairs of the
//! largest losses are left out. A strategy keeps no network, no loop and no memory of pairs: what it
//! remembers stands in the ledger.

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use std::sync::atomic::AtomicBool;

use truepair_core::dataset::{Dataset, Features, NamedFeatures};
use truepair_core::noise::corrupt;
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, normal};
use truepair_model::Accelerator;
use truepair_model::objective::InfoNce;
use truepair_train::strategy::{BatchView, Epoch, Judgement, Plan, Planning, Strategy};
use truepair_train::{Recipe, Result, Session, Splits, train_by};

/// After the warm-up trains on this share of the pairs, those of the smallest losses.
#[derive(Debug)]
struct SmallLoss {
    kept: f64,
    objective: InfoNce,
}

impl Strategy for SmallLoss {
    fn n_warm_up(&self) -> usize {
        3
    }

    /// The ledger holds every pair's last loss; the belief about it goes there, too.
    fn divide(&mut self, planning: Planning<'_>) -> Result<Plan> {
        let ledger = &mut planning.ledgers[0];
        let mut order: Vec<u32> = (0..ledger.len() as u32).collect();
        order.sort_by(|&a, &b| ledger.loss[a as usize].total_cmp(&ledger.loss[b as usize]));
        // A pair that is left out keeps its loss, so it comes back when others overtake it.
        let dropped = order.split_off((self.kept * order.len() as f64) as usize);
        for (pairs, belief) in [(&order, 1.0), (&dropped, 0.0)] {
            for &pair in pairs {
                ledger.clean_posterior[pair as usize] = belief;
            }
        }
        Ok(Plan::same(1, vec![order]))
    }

    /// One loss per pair: only the trainer reduces, so that the ledger sees each.
    fn pair_loss(&mut self, _: Epoch, view: &mut BatchView<'_>) -> Judgement {
        self.objective.pair_loss(view.scores).into()
    }
}

fn main() -> Result<()> {
    let (noisy, manifest) = corrupt(&toy(400), &"caption:0.4".parse()?, Seed(1))?;
    let mut recipe = Recipe::default();
    recipe.training.batch = 64;
    recipe.training.epochs = 5;
    let config = recipe.resolve(&noisy)?;
    let strategy = Box::new(SmallLoss {
        kept: 0.6,
        objective: InfoNce::default(),
    });
    let (train, dev) = (&noisy, None);
    let splits = Splits { train, dev };
    let (stop, watch) = (AtomicBool::new(false), &mut ());
    let mut session = Session::unkept(Accelerator::Cpu, &stop, watch, || 0.0);
    let trained = train_by(strategy, splits, &config, Seed(0), &mut session)?;

    let kept = &trained.ledgers[0].clean_posterior;
    let share = |wrong: bool| {
        let rows = (manifest.mismatched.iter().zip(kept)).filter(|(is, _)| **is == wrong);
        let kept: Vec<f32> = rows.map(|(_, &kept)| kept).collect();
        kept.iter().sum::<f32>() / kept.len() as f32
    };
    println!(
        "kept {:.0} % of the right pairs and {:.0} % of the wrong ones",
        100.0 * share(false),
        100.0 * share(true)
    );
    assert!(share(false) > share(true) + 0.2);
    Ok(())
}

/// `n` images with a caption each: the image, turned around and blurred.
fn toy(n: usize) -> Dataset {
    let stream = &mut Seed(1).stream("toy", &[]);
    let images: Vec<f32> = (0..n * 16).map(|_| normal(stream) as f32).collect();
    let captions = (images.iter().map(|x| 0.5 * normal(stream) as f32 - x)).collect();
    let pair = |n| Pair {
        image: n,
        caption: n,
    };
    Dataset {
        name: "toy".into(),
        format: "memory",
        split: "train".into(),
        images: Features::from_rows(images, 16),
        image_ids: (0..n).map(|n| n.to_string()).collect(),
        image_files: Vec::new(),
        captions: None,
        caption_features: Some(NamedFeatures {
            name: "toy".into(),
            features: Features::from_rows(captions, 16),
        }),
        pairs: (0..n as u32).map(pair).collect(),
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

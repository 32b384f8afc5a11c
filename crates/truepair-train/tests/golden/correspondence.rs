//! Methods that doubt the given correspondences.

use burn::tensor::{Tensor, TensorData};
use truepair_core::ledger::Ledger;
use truepair_core::rng::Seed;
use truepair_model::objective::Tal;
use truepair_train::strategy::{
    BatchView, CrclConfig, DeclConfig, Epoch, Judgement, LabelMemory, Strategy, StrategyConfig,
};

use crate::basics::check_loss;
use crate::support::{Golden, assert_close, device, vector};

/// What a strategy with one peer says of the batch of all pairs at an epoch.
fn judge(config: StrategyConfig, index: usize, scores: &Tensor<2>, labels: &[f32]) -> Judgement {
    let mut strategy: Box<dyn Strategy> = config.build(30).unwrap();
    let mut ledger = Ledger::new(labels.len());
    ledger.soft_label = labels.to_vec();
    let pairs: Vec<u32> = (0..labels.len() as u32).collect();
    let mut view = BatchView {
        peer: 0,
        group: 0,
        step: 0,
        n_steps: 1,
        pairs: &pairs,
        scores,
        structure: None,
        opinions: &[],
        ledgers: &[ledger],
        rng: &mut Seed(0).stream("test", &[]),
    };
    let epoch = Epoch {
        index,
        n_warm_up: strategy.n_warm_up(),
        n_main: 30,
    };
    strategy.pair_loss(epoch, &mut view)
}

#[test]
fn golden_crcl_losses_and_labels_of_every_phase() {
    let golden = Golden::open("u04_crcl.safetensors");
    let stored = golden.floats("in.y_last");
    let paper = CrclConfig {
        temperature: golden.number("tau"),
        momentum: golden.number("alpha"),
        warm_up: golden.count("warm_epoch"),
        ..CrclConfig::default()
    };
    let (warm_up, later) = (paper.warm_up, paper.stages[0] + 2 * paper.warm_up - 1);
    let without_memory = CrclConfig {
        memory: LabelMemory::None,
        ..paper.clone()
    };
    let mut cases = vec![
        ("frozen".to_owned(), paper.clone(), 0),
        ("first_warm_end".to_owned(), paper.clone(), warm_up - 1),
        ("refine".to_owned(), paper.clone(), warm_up),
        ("warm_end_later_stage".to_owned(), paper.clone(), later),
        ("no_mc".to_owned(), without_memory, warm_up),
    ];
    for tau in golden.cases("out.refine_tau", ".loss") {
        let case = format!("refine_tau{tau}");
        let other = CrclConfig {
            temperature: golden.stated(&format!("out.{case}.loss"), "tau"),
            ..paper.clone()
        };
        cases.push((case, other, warm_up));
    }
    for (case, config, epoch) in cases {
        let judged = |s: &Tensor<2>| judge(StrategyConfig::Crcl(config.clone()), epoch, s, &stored);
        check_loss(&golden, "in.S", &case, |s| judged(s).loss.0.mean());
        let labels = judged(&golden.tensor("in.S")).beliefs.soft_label.unwrap();
        let key = format!("out.{case}.y_stored");
        assert_close(&key, &labels, &golden.floats(&key), 1e-5, 1e-6);
    }
}

#[test]
fn golden_tal_with_one_and_with_several_positives() {
    let golden = Golden::open("u04_rde_tal.safetensors");
    let clean: Tensor<1> = golden.tensor("in.label_hat");
    for form in golden.cases("out.TAL", "_unique.loss") {
        let name = format!("TAL{form}");
        for identities in ["unique", "dup"] {
            let key = format!("out.{name}_{identities}.per_sample");
            let objective = Tal {
                margin: golden.stated(&key, "margin"),
                temperature: golden.stated(&key, "tau"),
            };
            let owner = golden.integers(&format!("in.pid_{identities}"));
            let b = owner.len();
            let matched: Vec<f32> = (0..b * b)
                .map(|k| f32::from(u8::from(owner[k / b] == owner[k % b])))
                .collect();
            let positives = match identities {
                "unique" => None,
                _ => Some(Tensor::from_data(
                    TensorData::new(matched, [b, b]),
                    &device(),
                )),
            };
            let case = format!("{name}_{identities}");
            let losses = |s: &Tensor<2>| objective.pair_loss(s, positives.clone()).0;
            check_loss(&golden, "in.S", &case, |s| {
                (losses(s) * clean.clone()).sum()
            });
            let found = vector(losses(&golden.tensor("in.S")));
            assert_close(&key, &found, &golden.floats(&key), 1e-5, 2e-6);
        }
    }
}

/// The file's settings: with few pairs the hinge must fall faster and further than in the paper.
fn decl(golden: &Golden) -> DeclConfig {
    DeclConfig {
        temperature: golden.number("tau"),
        hinge: golden.number("lambda1"),
        divergence: golden.number("lambda2"),
        margin: golden.number("margin"),
        decay: golden.number("eta"),
        hardest: golden.count("mu"),
        ..DeclConfig::default()
    }
}

#[test]
fn golden_decl_losses() {
    let golden = Golden::open("u04_decl.safetensors");
    let (config, b) = (decl(&golden), golden.shape("in.r")[0]);
    let all = vec![1.0; b];
    for case in ["warmup_all", "warmup_mid", "warmup_late"] {
        let step = golden.stated(&format!("out.{case}.loss"), "step") as usize;
        let n = config.n_hardest(b, step);
        let counted = golden.integers(&format!("out.{case}.n"))[0];
        assert_eq!(n.min(b - 1) as i64, counted, "{case}");
        check_loss(&golden, "in.r", case, |r| {
            config.pair_loss(r, &all, n).0.mean()
        });
    }
    let clean: Vec<f32> = (golden.integers("in.pred_clean").iter())
        .map(|&clean| clean as f32)
        .collect();
    check_loss(&golden, "in.r", "train", |r| {
        config.pair_loss(r, &clean, config.hardest).0.mean()
    });
}

#[test]
fn golden_decl_division_and_uncertainty() {
    let golden = Golden::open("u04_decl.safetensors");
    let (posterior, uncertainty) = decl(&golden).read(&golden.floats("in.r"));
    let strongest = golden.integers("out.evidence_argmax");
    for (pair, &strongest) in strongest.iter().enumerate() {
        assert_eq!(posterior[pair] > 0.5, strongest == pair as i64, "{pair}");
    }
    let (b, alpha) = (posterior.len(), golden.floats("out.alpha_i2t"));
    let of_images = golden.floats("out.uncertainty");
    let both: Vec<f32> = (0..b)
        .map(|j| {
            let column: f32 = (0..b).map(|i| alpha[i * b + j]).sum();
            (of_images[j] + b as f32 / column) / 2.0
        })
        .collect();
    assert_close("uncertainty", &uncertainty, &both, 1e-5, 1e-6);
}

//! What every strategy of the table must keep to, whatever it believes.

mod support;
mod synthetic;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::audit::{Links, UncertaintyKind, auc};
use truepair_core::ledger::{ColumnSpec, Ledger};
use truepair_core::pair::Pair;
use truepair_core::rng::Seed;
use truepair_core::watch::Watch;
use truepair_model::encoding::Structure;
use truepair_train::strategy::{
    BatchView, Beliefs, Epoch, Opinion, Planning, Strategy, StrategyConfig,
};
use truepair_train::{
    AuditMatcher, CrossFitConfig, EpochRecord, Error, Recipe, Session, StepProgress, TrainWatch,
    cross_fit, train,
};

const B: usize = 8;
const N_MAIN: usize = 4;

/// Scores `[B * B]` in (0, 1) in which most pairs stand out.
fn scores() -> Vec<f32> {
    (0..B * B)
        .map(|at| {
            let bump = if at % (B + 1) == 0 && at / B != 3 {
                0.4
            } else {
                0.0
            };
            0.5 + 0.3 * ((at * at + 5 * at) as f32 * 0.61).sin() * 0.6 + bump * 0.5
        })
        .collect()
}

/// Symmetric cosines `[B * B]` with ones on the diagonal.
fn cosines(phase: f32) -> Vec<f32> {
    let at = |i: usize, j: usize| ((i.min(j) * 3 + i.max(j) * 7) as f32 * 0.37 + phase).sin() * 0.8;
    (0..B * B)
        .map(|k| {
            if k / B == k % B {
                1.0
            } else {
                at(k / B, k % B)
            }
        })
        .collect()
}

/// What a strategy is asked about a batch whose items stand in `order`.
struct Asked {
    losses: Vec<f32>,
    beliefs: Beliefs,
}

/// One strategy as a run drives it up to `epoch`, asked about group 0 of peer 0 at that epoch.
fn ask(config: &StrategyConfig, epoch: usize, order: &[usize], transposed: bool) -> Option<Asked> {
    let mut strategy = config.build(N_MAIN).unwrap();
    let place = |matrix: &[f32]| -> Vec<f32> {
        (0..B * B)
            .map(|k| {
                let (i, j) = (order[k / B], order[k % B]);
                if transposed {
                    matrix[j * B + i]
                } else {
                    matrix[i * B + j]
                }
            })
            .collect()
    };
    let n_peers = strategy.n_peers();
    let mut ledgers = beliefs_of(&*strategy, n_peers);
    let mut group = Vec::new();
    for index in 0..=epoch {
        group = plan(&mut *strategy, index, &mut ledgers);
    }
    if group.len() < B {
        return None;
    }
    let at = here(&*strategy, epoch);
    let device = Device::flex().autodiff();
    let matrix = |values: Vec<f32>| {
        Tensor::<2>::from_data(TensorData::new(values, [B, B]), &device).require_grad()
    };
    let batch = matrix(place(&scores()));
    let (mut images, mut captions) = (cosines(0.0), cosines(1.0));
    if transposed {
        std::mem::swap(&mut images, &mut captions);
    }
    let structure = Structure {
        images: matrix(place(&images)),
        captions: matrix(place(&captions)),
    };
    let opinion = Opinion {
        scores: place(&scores()),
        images: place(&images),
        captions: place(&captions),
    };
    let opinions = vec![opinion; n_peers];
    let pairs: Vec<u32> = order.iter().map(|&i| i as u32).collect();
    let mut view = BatchView {
        peer: 0,
        group: 0,
        step: 0,
        n_steps: 10,
        pairs: &pairs,
        scores: &batch,
        structure: Some(&structure),
        opinions: &opinions,
        ledgers: &ledgers,
        rng: &mut Seed(9).stream("test", &[]),
    };
    let judgement = strategy.pair_loss(at, &mut view);
    Some(Asked {
        losses: judgement.loss.0.into_data().try_into_vec().unwrap(),
        beliefs: judgement.beliefs,
    })
}

/// Ledgers as after a survey in which pair 3 and its like lose most.
fn beliefs_of(strategy: &dyn Strategy, n_peers: usize) -> Vec<Ledger> {
    let n = 5 * B;
    let mut ledger = Ledger::with_columns(n, strategy.columns());
    for pair in 0..n {
        let wrong = pair % B == 3;
        ledger.loss[pair] = if wrong { 2.0 } else { 0.2 } + 0.01 * pair as f32;
        for column in ledger.own_floats_mut() {
            column[pair] = if wrong { 0.1 } else { 0.8 } + 0.001 * pair as f32;
        }
    }
    vec![ledger; n_peers]
}

fn here(strategy: &dyn Strategy, index: usize) -> Epoch {
    Epoch {
        index,
        n_warm_up: strategy.n_warm_up(),
        n_main: N_MAIN,
    }
}

fn plan(strategy: &mut dyn Strategy, index: usize, ledgers: &mut [Ledger]) -> Vec<u32> {
    let n = ledgers[0].len() as u32;
    let pairs: Vec<Pair> = (0..n)
        .map(|at| Pair {
            image: at,
            caption: at,
        })
        .collect();
    let epoch = here(strategy, index);
    let mut rng = Seed(1).stream("plan", &[index as u64]);
    let plan = strategy
        .plan(Planning {
            epoch,
            ledgers,
            pairs: &pairs,
            rng: &mut rng,
        })
        .unwrap();
    plan.peers[0].groups[0].clone()
}

fn epochs(config: &StrategyConfig) -> Vec<usize> {
    let n_warm_up = config.build(N_MAIN).unwrap().n_warm_up();
    vec![0, n_warm_up, n_warm_up + N_MAIN - 1]
}

fn close(a: &[f32], b: &[f32]) -> bool {
    let scale = a.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 2e-4 * scale)
}

#[test]
fn permuting_a_batch_permutes_its_losses_and_beliefs() {
    let straight: Vec<usize> = (0..B).collect();
    let order: Vec<usize> = (0..B).map(|i| (i * 3 + 1) % B).collect();
    for (name, _, config) in StrategyConfig::all() {
        for epoch in epochs(&config) {
            let Some(plain) = ask(&config, epoch, &straight, false) else {
                continue;
            };
            let moved = ask(&config, epoch, &order, false).unwrap();
            let permuted =
                |values: &[f32]| -> Vec<f32> { order.iter().map(|&i| values[i]).collect() };
            assert!(
                close(&moved.losses, &permuted(&plain.losses)),
                "{name}, epoch {epoch}: {:?} {:?}",
                moved.losses,
                plain.losses
            );
            if let (Some(a), Some(b)) = (&moved.beliefs.soft_label, &plain.beliefs.soft_label) {
                assert!(close(a, &permuted(b)), "{name}, epoch {epoch}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn images_and_captions_may_change_places() {
    let order: Vec<usize> = (0..B).collect();
    for (name, _, config) in StrategyConfig::all() {
        for epoch in epochs(&config) {
            let Some(plain) = ask(&config, epoch, &order, false) else {
                continue;
            };
            let swapped = ask(&config, epoch, &order, true).unwrap();
            assert!(
                close(&plain.losses, &swapped.losses),
                "{name}, epoch {epoch}: {:?} {:?}",
                plain.losses,
                swapped.losses
            );
        }
    }
}

#[test]
fn losses_are_finite_and_beliefs_are_probabilities() {
    let order: Vec<usize> = (0..B).collect();
    for (name, _, config) in StrategyConfig::all() {
        for epoch in epochs(&config) {
            let Some(asked) = ask(&config, epoch, &order, false) else {
                continue;
            };
            assert_eq!(asked.losses.len(), B, "{name}");
            assert!(
                asked.losses.iter().all(|x| x.is_finite()),
                "{name}: {:?}",
                asked.losses
            );
            let beliefs = &asked.beliefs;
            let columns = [
                &beliefs.clean_posterior,
                &beliefs.soft_label,
                &beliefs.uncertainty,
            ];
            for column in columns.into_iter().flatten() {
                assert!(
                    column.iter().all(|x| (0.0..=1.0).contains(x)),
                    "{name}: {column:?}"
                );
            }
        }
    }
}

/// Ledgers in which nothing can be told apart, or everything is one kind.
fn degenerate(n: usize, columns: &[ColumnSpec]) -> Vec<(&'static str, Ledger)> {
    let fresh = || Ledger::with_columns(n, columns);
    let mut equal = fresh();
    equal.loss.fill(0.5);
    let mut no_clean = fresh();
    no_clean.loss.fill(3.0);
    no_clean.clean_posterior.fill(0.0);
    no_clean.soft_label.fill(0.0);
    let mut ones = fresh();
    ones.own_floats_mut().for_each(|column| column.fill(1.0));
    vec![
        ("fresh", fresh()),
        ("equal losses", equal),
        ("no clean pair", no_clean),
        ("ones", ones),
    ]
}

#[test]
fn degenerate_epochs_leave_a_plan_that_can_train() {
    for (name, _, config) in StrategyConfig::all() {
        for epoch in epochs(&config) {
            let probe = config.build(N_MAIN).unwrap();
            for (case, ledger) in degenerate(40, probe.columns()) {
                let mut strategy = config.build(N_MAIN).unwrap();
                let mut ledgers = vec![ledger; strategy.n_peers()];
                let pairs: Vec<Pair> = (0..40)
                    .map(|at| Pair {
                        image: at,
                        caption: at,
                    })
                    .collect();
                let at = here(&*strategy, epoch);
                let mut rng = Seed(1).stream("plan", &[0]);
                let plan = (strategy.plan(Planning {
                    epoch: at,
                    ledgers: &mut ledgers,
                    pairs: &pairs,
                    rng: &mut rng,
                }))
                .unwrap_or_else(|error| panic!("{name}, {case}: {error}"));
                for peer in &plan.peers {
                    assert!(peer.groups[0].len() >= 2, "{name}, {case}: {plan:?}");
                }
                let beliefs = ledgers
                    .iter()
                    .flat_map(|l| l.clean_posterior.iter().chain(&l.soft_label));
                assert!(
                    beliefs.into_iter().all(|x| (0.0..=1.0).contains(x)),
                    "{name}, {case}"
                );
            }
        }
    }
}

#[test]
fn losses_that_are_not_numbers_are_an_error_where_they_decide() {
    for (name, _, config) in StrategyConfig::all() {
        let mut strategy = config.build(N_MAIN).unwrap();
        let epoch = here(&*strategy, strategy.n_warm_up());
        if strategy.survey(epoch).is_none() {
            continue;
        }
        let mut ledgers = beliefs_of(&*strategy, strategy.n_peers());
        ledgers
            .iter_mut()
            .for_each(|ledger| ledger.loss[2] = f32::NAN);
        let planned = strategy.plan(Planning {
            epoch,
            ledgers: &mut ledgers,
            pairs: &[],
            rng: &mut Seed(1).stream("plan", &[0]),
        });
        assert!(planned.is_err(), "{name}");
    }
}

/// Sets the stop flag in a given epoch.
struct StopAt<'a> {
    flag: &'a AtomicBool,
    at: Option<usize>,
}

impl Watch for StopAt<'_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

impl TrainWatch for StopAt<'_> {
    fn step(&mut self, progress: &StepProgress) {
        if self.at == Some(progress.epoch) && progress.step == 2 {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _record: &EpochRecord) {}
}

#[test]
fn every_strategy_trains_and_resumes_to_the_bit() {
    const PAIRS: usize = 120;
    let (data, dev) = (synthetic::pairs(PAIRS, 40, 1), synthetic::pairs(60, 0, 2));
    for (name, _, strategy) in StrategyConfig::all() {
        let mut recipe = Recipe {
            strategy: Some(strategy),
            ..Recipe::default()
        };
        recipe.training.epochs = 3;
        recipe.training.batch = 30;
        let config = recipe.resolve(&data).unwrap();
        let last = config.strategy.build(3).unwrap().n_warm_up() + 1;
        let run = |dir: &Path, resume: bool, at: Option<usize>| {
            let flag = AtomicBool::new(false);
            let mut watch = StopAt { flag: &flag, at };
            let mut session = Session {
                resume,
                ..support::session(Some(dir), &flag, &mut watch)
            };
            train(&data, Some(&dev), &config, Seed(3), &mut session)
        };
        let folder = tempfile::tempdir().unwrap();
        let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
        run(&whole, false, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let stopped = run(&broken, false, Some(last));
        assert!(
            matches!(stopped, Err(Error::Stopped { .. })),
            "{name}: {stopped:?}"
        );
        run(&broken, true, None).unwrap();
        for file in [
            "metrics.jsonl",
            "weights.safetensors",
            "checkpoint.bin",
            "ledger.bin",
        ] {
            let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
            assert!(read(&whole) == read(&broken), "{name}: {file} differs");
        }
    }
}

#[test]
fn every_strategy_without_the_truth_can_train_an_audits_matchers() {
    let data = synthetic::pairs(400, 120, 4);
    let links = Links::of(&data).unwrap();
    let truth: Vec<bool> = (data.pairs.iter())
        .map(|pair| pair.image != pair.caption)
        .collect();
    for (name, _, strategy) in StrategyConfig::all() {
        let mut config = CrossFitConfig {
            folds: 2,
            repeats: 1,
            refit: false,
            matcher: Some(AuditMatcher::Network),
            ..CrossFitConfig::default()
        };
        config.recipe.strategy = Some(strategy);
        config.recipe.training.batch = 50;
        let flag = AtomicBool::new(false);
        let mut watch = ();
        let mut session = support::session(None, &flag, &mut watch);
        let findings = cross_fit(&data, &links, &config, Seed(7), &mut session)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let posteriors: Vec<f64> = (findings.verdicts.iter())
            .map(|verdict| verdict.posterior)
            .collect();
        assert_eq!(
            posteriors.len(),
            truth.len(),
            "{name}: {:?}",
            findings.outcome
        );
        let auc = auc(&posteriors, &truth);
        assert!(auc > 0.9, "{name}: AUC {auc}");
        let gaussian = ["hib", "pcme", "pcme++"].contains(&name);
        let measured = findings.ambiguity.uncertainty == UncertaintyKind::Variance;
        assert_eq!(measured, gaussian, "{name}");
        assert!(
            findings
                .verdicts
                .iter()
                .all(|one| one.uncertainty.is_some())
        );
    }
}

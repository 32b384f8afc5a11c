//! The product's promise as a test: with two fifths of the pairs mismatched, every strategy of the registry
//! keeps its stated gap to plain training, and the audit finds the planted pairs.

mod support;
mod synthetic;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use truepair_core::audit::{Links, Outcome, Truth};
use truepair_core::dataset::Dataset;
use truepair_core::ledger::Ledger;
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_model::objective::{InfoNce, ObjectiveConfig, Triplet};
use truepair_train::strategy::{
    AuditRequest, BatchView, Candidates, Epoch, Judgement, PlainConfig, Search, Strategy,
    StrategyConfig,
};
use truepair_train::{
    AuditMatcher, CrossFitConfig, Recipe, Session, Splits, cross_fit, train, train_by,
};

use support::session;

const PAIRS: usize = 400;
const MISMATCHED: usize = 160;

/// Test rSum (fractions, at most 6) after training on noisy pairs.
fn rsum(strategy: StrategyConfig) -> f64 {
    let noisy = synthetic::pairs(PAIRS, MISMATCHED, 1);
    let (dev, test) = (synthetic::pairs(150, 0, 2), synthetic::pairs(300, 0, 3));
    let mut recipe = Recipe {
        strategy: Some(strategy),
        ..Recipe::default()
    };
    recipe.training.batch = 64;
    let config = recipe.resolve(&noisy).unwrap();
    let trained = run(|session| train(&noisy, Some(&dev), &config, Seed(5), session));
    let scorer = trained.scorer(&test, &mut ()).unwrap();
    let relevance = Relevance::from_pairs(test.n_images(), test.n_captions(), &test.pairs);
    let protocol = Protocol::new("synthetic", "test", &relevance);
    evaluate(&*scorer, &relevance, protocol, &mut ())
        .unwrap()
        .figure("rsum", None)
        .unwrap()
}

fn run<T>(job: impl FnOnce(&mut Session<'_>) -> truepair_train::Result<T>) -> T {
    let stop = AtomicBool::new(false);
    job(&mut session(None, &stop, &mut ())).unwrap()
}

/// What each strategy's rSum (at most 6) has at least over training with hardest negatives alone, which gets 3.5
/// here: about half of what was measured. `plain` is here with its default objective, all negatives.
const GAPS: &[(&str, f64)] = &[
    ("adaptive", 0.6),
    ("bicro", 0.4),
    ("car", 0.6),
    ("car+hnsf", 0.6),
    ("crcl", 0.6),
    ("cream", 0.4),
    ("dcl", 0.5),
    ("decl", 0.2),
    ("gsc", 0.6),
    ("hib", 0.4),
    ("hnsf", 0.5),
    ("l2rm", 0.1),
    ("ncr", 0.4),
    ("nlnc", 0.5),
    ("pcme", 0.5),
    ("pcme++", 0.2),
    ("plain", 0.2),
    ("pvse", 0.2),
    ("rcl", 0.6),
    ("rince", 0.5),
    ("srem", 0.2),
    ("tal", 0.6),
    ("in2r", 0.6),
    ("truepair", 0.8),
];

#[test]
fn every_strategy_keeps_its_gap_to_plain_training_on_mismatched_pairs() {
    let objective = ObjectiveConfig::Triplet(Triplet::default());
    let plain = rsum(StrategyConfig::Plain(PlainConfig {
        objective,
        ..PlainConfig::default()
    }));
    let strategies = StrategyConfig::all();
    let names: Vec<&str> = strategies.iter().map(|(name, ..)| *name).collect();
    let stated: Vec<&str> = GAPS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names, stated,
        "a strategy without a stated gap, or a gap without one"
    );
    let found: Vec<f64> = strategies
        .into_iter()
        .map(|(.., one)| rsum(one) - plain)
        .collect();
    let table: Vec<String> = (GAPS.iter().zip(&found))
        .map(|((name, gap), found)| format!("{name}: {found:+.3}, stated {gap:+}"))
        .collect();
    let kept = GAPS
        .iter()
        .zip(&found)
        .all(|((_, gap), found)| found >= gap);
    assert!(
        kept,
        "rSum of plain training {plain:.3}\n{}",
        table.join("\n")
    );
}

fn audited(dataset: &Dataset, matcher: AuditMatcher) -> truepair_core::audit::Findings {
    let links = Links::without_duplicates(&dataset.pairs, dataset.n_images(), dataset.n_captions())
        .unwrap();
    let mut config = CrossFitConfig {
        matcher: Some(matcher),
        ..CrossFitConfig::default()
    };
    if matcher != AuditMatcher::Linear {
        config.recipe.training.batch = 64;
    }
    run(|session| cross_fit(dataset, &links, &config, Seed(7), session))
}

#[test]
fn the_audit_finds_planted_pairs_and_their_rate() {
    let dataset = synthetic::pairs(900, 360, 4);
    let truth = mismatched(&dataset);
    for matcher in AuditMatcher::ALL {
        let name = matcher.name();
        let findings = audited(&dataset, matcher);
        assert_eq!(findings.outcome, Outcome::MismatchedPairs, "{name}");
        let rate = findings.noise_rate;
        assert!((rate.estimate - 0.4).abs() < 0.05, "{name}: {rate:?}");
        let posteriors: Vec<f64> = findings.verdicts.iter().map(|v| v.posterior).collect();
        let measured = Truth::measure(&posteriors, &truth);
        // The rate of 900 pairs has a standard error of 0.025, and posteriors average to the rate.
        let good = measured.auc > 0.95 && measured.ece < 0.07;
        assert!(good, "{name}: {measured:?}");
        let mut worst: Vec<usize> = (0..posteriors.len()).collect();
        worst.sort_by(|&a, &b| posteriors[b].total_cmp(&posteriors[a]));
        let found = worst[..100].iter().filter(|&&pair| truth[pair]).count();
        assert!(
            found >= 97,
            "{name}: {found} of the 100 worst pairs are planted"
        );
    }
}

#[test]
fn the_audit_does_not_invent_mismatches() {
    for matcher in AuditMatcher::ALL {
        let findings = audited(&synthetic::pairs(600, 0, 6), matcher);
        let rate = findings.noise_rate;
        let none = rate.estimate < 0.05 && rate.low < 0.01;
        assert!(none, "{}: {rate:?}", matcher.name());
    }
}

/// Has matchers that never saw a pair search the images of the first half of the captions.
#[derive(Debug)]
struct Seeker(Arc<Mutex<Option<Candidates>>>);

impl Strategy for Seeker {
    fn wants_search(&self, epoch: Epoch, _: &[Ledger], pairs: &[Pair]) -> Option<Search> {
        (epoch.index == 0).then(|| Search {
            pairs: (0..pairs.len() as u32 / 2).collect(),
            temperature: 0.05,
            n_best: 2,
            together: false,
            held_out: Some(AuditRequest::default()),
        })
    }

    fn take_candidates(&mut self, candidates: &Candidates, _: &mut [Ledger]) {
        *self.0.lock().unwrap() = Some(candidates.clone());
    }

    fn pair_loss(&mut self, _: Epoch, view: &mut BatchView<'_>) -> Judgement {
        InfoNce::default().pair_loss(view.scores).into()
    }
}

#[test]
fn captions_find_their_images_by_matchers_that_never_saw_their_pair() {
    // The first 160 pairs are mismatched.
    let dataset = synthetic::pairs(PAIRS, MISMATCHED, 1);
    let dev = synthetic::pairs(150, 0, 2);
    let mut recipe = Recipe::default();
    recipe.training.epochs = 1;
    let config = recipe.resolve(&dataset).unwrap();
    let found = Arc::new(Mutex::new(None));
    let splits = Splits {
        train: &dataset,
        dev: Some(&dev),
    };
    let seeker = Box::new(Seeker(found.clone()));
    run(|session| train_by(seeker, splits, &config, Seed(5), session));
    let found = found.lock().unwrap().take().unwrap();
    assert_eq!(found.n_images, PAIRS);
    let mut searched: Vec<u32> = found.of_pairs.iter().map(|of| of.pair).collect();
    searched.sort_unstable();
    assert_eq!(searched, (0..PAIRS as u32 / 2).collect::<Vec<_>>());
    let truth = mismatched(&dataset);
    let mut n_recovered = 0;
    for of in &found.of_pairs {
        let pair = dataset.pairs[of.pair as usize];
        assert_eq!((of.given_image, of.best.len()), (pair.image, 2));
        let recovers = truth[of.pair as usize] && of.best[0].image == pair.caption;
        n_recovered += usize::from(recovers);
    }
    let n_wrong = truth[..PAIRS / 2].iter().filter(|wrong| **wrong).count();
    assert!(
        n_wrong > 50 && 3 * n_recovered > n_wrong,
        "{n_recovered} of {n_wrong} captions found their image"
    );
}

/// Per pair, whether its image and caption do not belong together.
fn mismatched(dataset: &Dataset) -> Vec<bool> {
    dataset
        .pairs
        .iter()
        .map(|pair| pair.image != pair.caption)
        .collect()
}

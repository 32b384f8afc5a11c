//! Gaussian embeddings and several embeddings an item, trained on data with a hidden answer.

mod support;
mod synthetic;

use std::sync::atomic::AtomicBool;

use truepair_core::dataset::Dataset;
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_core::scores::Scorer;
use truepair_core::watch::Watch;
use truepair_train::{EpochRecord, Recipe, Session, StepProgress, TrainWatch, Trained, train};

const PAIRS: usize = 240;

fn recipe(toml: &str) -> Recipe {
    Recipe::from_toml(&format!("{toml}\n[training]\nepochs = 6\nbatch = 40\n")).unwrap()
}

fn trained(recipe: &Recipe, session: &mut Session<'_>) -> truepair_train::Result<Trained> {
    let (data, dev) = (synthetic::pairs(PAIRS, 0, 1), synthetic::pairs(80, 0, 2));
    let config = recipe.resolve(&data)?;
    train(&data, Some(&dev), &config, Seed(3), session)
}

fn quietly(recipe: &Recipe) -> truepair_train::Result<Trained> {
    let stop = AtomicBool::new(false);
    trained(recipe, &mut support::session(None, &stop, &mut ()))
}

/// rSum in [0, 6] on fresh pairs; chance is about 0.1.
fn rsum(scorer: &dyn Scorer, test: &Dataset) -> f64 {
    let relevance = Relevance::from_pairs(test.n_images(), test.n_captions(), &test.pairs);
    let protocol = Protocol::new("synthetic", "test", &relevance);
    evaluate(scorer, &relevance, protocol, &mut ())
        .unwrap()
        .figure("rsum", None)
        .unwrap()
}

#[test]
fn each_of_them_learns_with_the_heads_it_was_made_for() {
    let test = synthetic::pairs(200, 0, 5);
    let kinds = [
        ("pvse", "pie", "multiple_instance"),
        ("hib", "pcme", "match_probability"),
        ("pcme", "pcme", "match_probability"),
        ("pcme++", "pcme", "closed_form"),
    ];
    for (strategy, head, similarity) in kinds {
        let run = quietly(&recipe(&format!("[strategy]\nkind = \"{strategy}\""))).unwrap();
        let matcher = &run.config.matcher;
        assert_eq!(
            (matcher.image.name(), matcher.similarity.name()),
            (head, similarity)
        );
        let scorer = run.scorer(&test, &mut ()).unwrap();
        let found = rsum(&*scorer, &test);
        assert!(found > 2.0, "{strategy}: {found}");
        let uncertainty = run.uncertainty(&test, &mut ()).unwrap();
        assert_eq!(uncertainty.is_some(), head == "pcme", "{strategy}");
        let ledger = &run.ledgers[0].uncertainty;
        let known = ledger.iter().filter(|x| **x > 0.0 && **x < 1.0).count();
        assert_eq!(known, if head == "pcme" { PAIRS } else { 0 }, "{strategy}");
    }
}

#[test]
fn a_score_depends_on_its_two_items_alone() {
    let test = synthetic::pairs(30, 0, 5);
    let run = quietly(&recipe("[strategy]\nkind = \"pcme\"")).unwrap();
    let scorer = run.scorer(&test, &mut ()).unwrap();
    let all: Vec<u32> = (0..30).collect();
    let mut scores = vec![0.0; 900];
    scorer.tile(&all, &all, &mut scores).unwrap();
    let mut alone = [0.0];
    for (image, caption) in [(0, 0), (7, 29), (29, 3)] {
        scorer.tile(&[image], &[caption], &mut alone).unwrap();
        let beside = scores[(image * 30 + caption) as usize];
        assert!((alone[0] - beside).abs() < 1e-4 * beside.abs().max(1.0));
    }
}

#[test]
fn a_trained_run_ranks_by_other_distances() {
    use truepair_model::similarity::GaussianMeasure as M;
    let test = synthetic::pairs(200, 0, 5);
    for measure in [
        M::Mean,
        M::Wasserstein,
        M::Bhattacharyya,
        M::ExpectedLikelihood,
    ] {
        let run = quietly(&recipe("[strategy]\nkind = \"pcme\"")).unwrap();
        let run = run.measured_by(measure).unwrap();
        let found = rsum(&*run.scorer(&test, &mut ()).unwrap(), &test);
        assert!(found > 2.0, "{measure:?}: {found}");
    }
    let points = quietly(&recipe("[strategy]\nkind = \"rcl\"")).unwrap();
    let message = points.measured_by(M::Mean).unwrap_err().to_string();
    assert!(message.contains("compares Gaussians"), "{message}");
}

/// Collects the notes of epochs.
#[derive(Default)]
struct Notes(Vec<Option<String>>);

impl Watch for Notes {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

impl TrainWatch for Notes {
    fn step(&mut self, _progress: &StepProgress) {}

    fn epoch(&mut self, record: &EpochRecord) {
        self.0.push(record.note.clone());
    }
}

/// Recipe of deviations that are clipped at `high` and drawn toward 1 with weight `vib`.
fn clipped(high: f64, vib: f64) -> Recipe {
    let side = |side: &str| {
        format!(
            "[matcher.{side}]\nkind = \"pcme\"\ndim = 32\nhidden = 32\n\
             deviation = {{ start = -4.0, high = {high} }}\n"
        )
    };
    recipe(&format!(
        "[strategy]\nkind = \"pcme\"\nvib = {vib}\n[optimizer]\nkind = \"adam\"\nrate = 1e-2\n{}{}",
        side("image"),
        side("caption")
    ))
}

#[test]
fn deviations_that_explode_are_named_and_stop_the_run() {
    let stop = AtomicBool::new(false);
    let mut notes = Notes::default();
    let mut session = support::session(None, &stop, &mut notes);
    trained(&clipped(-3.6, 0.0), &mut session).unwrap();
    let note = notes.0[0].clone().expect("some deviations are clipped");
    assert!(note.contains("deviations were clipped"), "{note}");
    let message = quietly(&clipped(-3.6, 10.0)).unwrap_err().to_string();
    assert!(
        message.contains("deviations are at their upper limit"),
        "{message}"
    );
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    let cases = [
        (
            "[strategy]\nkind = \"pcme\"\n[matcher.similarity]\nkind = \"cosine\"",
            "log odds",
        ),
        (
            "[matcher.image]\nkind = \"mlp\"\n[matcher.similarity]\nkind = \"closed_form\"",
            "backbone `mlp` gives none",
        ),
        (
            "[strategy]\nkind = \"pvse\"\n[matcher.similarity]\nkind = \"cosine\"",
            "no residuals",
        ),
        (
            "[strategy]\nkind = \"pcme\"\n[matcher.similarity]\nkind = \"match_probability\"\n\
             samples = 0",
            "samples = 0",
        ),
        (
            "[strategy]\nkind = \"pcme\"\nvib = -1.0",
            "strategy.vib = -1",
        ),
        ("[[groups]]\nparameters = \"text\"", "holds no parameter"),
        (
            "[[groups]]\nparameters = \"image\"\nrate = -1.0",
            "rate = -1",
        ),
    ];
    for (toml, expected) in cases {
        let message = quietly(&recipe(toml)).unwrap_err().to_string();
        assert!(message.contains(expected), "{toml}: {message}");
    }
}

#[test]
fn frozen_parameters_stay_and_the_others_move() {
    let weights = |frozen: usize| {
        let toml = format!(
            "[strategy]\nkind = \"plain\"\n[[groups]]\nparameters = \"image\"\nfrozen = {frozen}\n\
             [[groups]]\nparameters = \"caption.second\"\nrate = 0.0"
        );
        let mut recipe = recipe(&toml);
        recipe.training.epochs = 1;
        let run = quietly(&recipe).unwrap();
        truepair_model::parameters::export(&run.peers[0])
    };
    let (still, moved) = (weights(1), weights(0));
    assert_ne!(still["image.first.weight"], moved["image.first.weight"]);
    assert_ne!(still["caption.first.weight"], moved["caption.first.weight"]);
    assert_eq!(
        still["caption.second.weight"],
        moved["caption.second.weight"]
    );
}

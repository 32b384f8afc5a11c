//! The closed form as a matcher of its own, under the strategies that it can serve, and as the
//! beginning of networks.

mod support;
mod synthetic;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use truepair_core::dataset::Dataset;
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_model::Accelerator;
use truepair_model::backbone::{BackboneConfig, ProjectionConfig, ResidualConfig};
use truepair_train::strategy::{NcrConfig, PlainConfig, StrategyConfig, TruepairConfig};
use truepair_train::{Config, Recipe, Result, Trained, load, train};

fn recipe(backbone: BackboneConfig, strategy: StrategyConfig) -> Recipe {
    let mut recipe = Recipe {
        strategy: Some(strategy),
        ..Recipe::default()
    };
    recipe.matcher.image = Some(backbone.clone());
    recipe.matcher.caption = Some(backbone);
    recipe.training.batch = 64;
    recipe
}

fn linear(strategy: StrategyConfig) -> Recipe {
    recipe(
        BackboneConfig::Projection(ProjectionConfig::default()),
        strategy,
    )
}

fn plain() -> StrategyConfig {
    StrategyConfig::Plain(PlainConfig::default())
}

fn run(data: &Dataset, config: &Config, dir: Option<&Path>) -> Result<Trained> {
    let stop = AtomicBool::new(false);
    train(
        data,
        None,
        config,
        Seed(3),
        &mut support::session(dir, &stop, &mut ()),
    )
}

fn rsum(trained: &Trained, test: &Dataset) -> f64 {
    let scorer = trained.scorer(test, &mut ()).unwrap();
    let relevance = Relevance::from_pairs(test.n_images(), test.n_captions(), &test.pairs);
    let protocol = Protocol::new("synthetic", "test", &relevance);
    evaluate(&*scorer, &relevance, protocol, &mut ())
        .unwrap()
        .figure("rsum", None)
        .unwrap()
}

/// Scores of the first images against the first captions.
fn scores(trained: &Trained, data: &Dataset) -> Vec<f32> {
    let rows: Vec<u32> = (0..20).collect();
    let mut scores = vec![0.0; 400];
    let scorer = trained.scorer(data, &mut ()).unwrap();
    scorer.tile(&rows, &rows, &mut scores).unwrap();
    scores
}

#[test]
fn a_linear_run_is_one_epoch_and_gives_back_its_scores() {
    let (data, test) = (synthetic::pairs(400, 0, 1), synthetic::pairs(300, 0, 3));
    let config = linear(plain()).resolve(&data).unwrap();
    assert_eq!(config.training.epochs, 1);
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&data, &config, Some(folder.path())).unwrap();
    assert_eq!(trained.history.len(), 1);
    let note = trained.history[0].note.as_deref().unwrap();
    assert!(note.contains("directions"), "{note}");
    assert!(rsum(&trained, &test) > 5.0, "{}", rsum(&trained, &test));
    let read = load(folder.path(), Accelerator::Cpu).unwrap();
    assert_eq!(scores(&read, &test), scores(&trained, &test));
    // What is wider than the narrower side stays zero: the embeddings are points of a unit sphere.
    let uncertainty = read.uncertainty(&test, &mut ()).unwrap().unwrap();
    assert!(
        uncertainty
            .images
            .iter()
            .all(|share| (0.0..1.0).contains(share))
    );
    let again = run(&data, &config, None).unwrap();
    assert_eq!(scores(&again, &test), scores(&trained, &test));
}

#[test]
fn an_audit_and_rematching_serve_the_closed_form() {
    let (data, test) = (synthetic::pairs(600, 360, 1), synthetic::pairs(300, 0, 3));
    let of = |strategy| {
        let config = linear(strategy).resolve(&data).unwrap();
        run(&data, &config, None).unwrap()
    };
    let all = rsum(&of(plain()), &test);
    let trained = of(StrategyConfig::Truepair(TruepairConfig::default()));
    assert_eq!(trained.history.len(), 2);
    let robust = rsum(&trained, &test);
    assert!(robust > all + 0.3, "{all} {robust}");
}

#[test]
fn methods_made_of_steps_are_refused() {
    let data = synthetic::pairs(100, 0, 1);
    let ncr = linear(StrategyConfig::Ncr(NcrConfig::default()));
    let message = ncr.resolve(&data).unwrap_err().to_string();
    assert!(
        message.contains("`ncr` is made of gradient steps"),
        "{message}"
    );
    let mut half = linear(plain());
    half.matcher.caption = None;
    let message = half.resolve(&data).unwrap_err().to_string();
    assert!(message.contains("joins both sides"), "{message}");
}

#[test]
fn a_network_begins_at_the_closed_form_and_does_not_fall_below_it() {
    let (data, test) = (synthetic::pairs(400, 0, 1), synthetic::pairs(300, 0, 3));
    let residual = BackboneConfig::Residual(ResidualConfig {
        dim: 12,
        hidden: 32,
        ..ResidualConfig::default()
    });
    let mut start = recipe(residual, plain());
    start.training.epochs = 1;
    let mut still = start.clone();
    // Steps of no length leave the network at its beginning.
    still.optimizer = toml::from_str("kind = \"adamw\"\nrate = 1e-12\nweight_decay = 0.0").unwrap();
    let config = still.resolve(&data).unwrap();
    assert_eq!(config.matcher.linear.as_ref().unwrap().width, [12]);
    let trained = run(&data, &config, None).unwrap();

    let mut same = linear(plain());
    same.matcher.linear = config.matcher.linear.clone();
    let mut closed = same.resolve(&data).unwrap();
    // The network holds images out to choose its epoch; the closed form has none to choose.
    closed.training.keep = config.training.keep;
    let closed = run(&data, &closed, None).unwrap();
    for (a, b) in scores(&trained, &test).iter().zip(scores(&closed, &test)) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }

    start.training.epochs = 6;
    let config = start.resolve(&data).unwrap();
    let moved = rsum(&run(&data, &config, None).unwrap(), &test);
    let begun = rsum(&closed, &test);
    assert!(moved > begun - 0.1, "{begun} {moved}");
}

/// Captions that name what the image shows, as texts alone.
fn titled(n: usize, seed: u64) -> Dataset {
    let data = synthetic::pairs(n, 0, seed);
    let captions = data
        .caption_features
        .as_ref()
        .unwrap()
        .features
        .to_matrix()
        .unwrap();
    let word = |(k, x): (usize, &f32)| {
        (x.abs() > 3.0).then(|| format!("{}{k}", if *x > 0.0 { "高" } else { "low" }))
    };
    let text = |row: usize| {
        let words: Vec<String> = captions
            .row(row)
            .iter()
            .enumerate()
            .filter_map(word)
            .collect();
        words.join(" ")
    };
    Dataset {
        captions: Some((0..n).map(text).collect()),
        caption_features: None,
        ..data
    }
}

#[test]
fn texts_become_vectors_and_are_read_again_with_the_run() {
    let (data, test) = (titled(800, 1), titled(300, 3));
    let config = linear(plain()).resolve(&data).unwrap();
    assert!(config.matcher.text.is_some());
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&data, &config, Some(folder.path())).unwrap();
    let found = rsum(&trained, &test);
    assert!(found > 2.0, "{found}");
    assert!(folder.path().join("latent_semantics.safetensors").exists());
    let read = load(folder.path(), Accelerator::Cpu).unwrap();
    assert_eq!(scores(&read, &test), scores(&trained, &test));
}

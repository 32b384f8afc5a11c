//! Whole matchers on regions and texts: they learn, they repeat to the bit, and the auxiliary loss
//! reaches the weights that only it trains.

mod support;

use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use truepair_core::dataset::{Account, Dataset, Features};
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::rng::{Seed, below, normal};
use truepair_core::watch::Watch;
use truepair_model::Accelerator;
use truepair_model::kernel::Precision;
use truepair_model::layer::Mode;
use truepair_model::matcher::{Matcher, Wanted};
use truepair_model::parameters::{Parameters, export};
use truepair_model::reader::{Reader, input_shapes};
use truepair_train::{Config, Recipe, Session, Trained, train};

use support::session;

const KINDS: u64 = 12;
const REGIONS: usize = 4;
const WIDTH: usize = 16;

/// Images of three or four regions, each of one of twelve kinds, and captions that name the kinds.
fn pictures(n: usize, seed: u64) -> Dataset {
    let mut rng = Seed(seed).stream("pictures", &[]);
    let mut world = Seed(99).stream("world", &[]);
    let kinds: Vec<Vec<f32>> = (0..KINDS)
        .map(|_| (0..WIDTH).map(|_| normal(&mut world) as f32).collect())
        .collect();
    let (mut regions, mut captions) = (Vec::new(), Vec::new());
    for i in 0..n {
        let mut words = Vec::new();
        for r in 0..REGIONS {
            if r == 3 && i % 2 == 0 {
                regions.extend([0.0; WIDTH]);
                continue;
            }
            let kind = below(&mut rng, KINDS);
            words.push(format!("thing{kind}"));
            let values = kinds[kind as usize].iter();
            regions.extend(values.map(|x| x + 0.2 * normal(&mut rng) as f32));
        }
        captions.push(words.join(" "));
    }
    Dataset {
        name: "pictures".into(),
        format: "precomputed",
        split: "train".into(),
        images: Features::from_regions(regions, REGIONS, WIDTH),
        image_ids: (0..n).map(|i| i.to_string()).collect(),
        image_files: Vec::new(),
        captions: Some(captions),
        caption_features: None,
        pairs: (0..n as u32)
            .map(|i| Pair {
                image: i,
                caption: i,
            })
            .collect(),
        labels: None,
        files: Vec::new(),
        account: Account::default(),
    }
}

fn recipe(matcher: &str) -> Recipe {
    let rest = r#"
        [strategy]
        kind = "plain"
        objective = { kind = "triplet", margin = 0.2, negatives = "hardest" }
        warm_up = 1
        warm_up_negatives = "sum"
        [optimizer]
        kind = "adam"
        rate = 3e-3
        weight_decay = 0.0
        [training]
        epochs = 8
        batch = 32
        reduction = "sum"
    "#;
    Recipe::from_toml(&format!("{matcher}\n{rest}")).unwrap()
}

fn trained(matcher: &str) -> Trained {
    let (data, dev) = (pictures(320, 1), pictures(60, 2));
    let config = recipe(matcher).resolve(&data).unwrap();
    run(&data, Some(&dev), &config).unwrap()
}

fn run(data: &Dataset, dev: Option<&Dataset>, config: &Config) -> truepair_train::Result<Trained> {
    let stop = AtomicBool::new(false);
    train(
        data,
        dev,
        config,
        Seed(5),
        &mut session(None, &stop, &mut ()),
    )
}

/// Sum of the six recalls as fractions on 60 new pairs; chance is 0.53.
fn rsum(trained: &Trained) -> f64 {
    let test = pictures(60, 3);
    let scorer = trained.scorer(&test, &mut ()).unwrap();
    let relevance = Relevance::from_pairs(test.n_images(), test.n_captions(), &test.pairs);
    let protocol = Protocol::new("pictures", "test", &relevance);
    let report = evaluate(&*scorer, &relevance, protocol, &mut ()).unwrap();
    report.figure("rsum", None).unwrap()
}

fn weights(trained: &Trained) -> Parameters {
    export(&trained.peers[0])
}

const VSE_INFINITY: &str = r#"
    [matcher.image]
    kind = "region_gpo"
    dim = 32
    [matcher.caption]
    kind = "gru_gpo"
    word_dim = 16
    dim = 32
"#;

const VSRN: &str = r#"
    [matcher.image]
    kind = "region_graph"
    dim = 32
    layers = 2
    [matcher.caption]
    kind = "gru_gpo"
    word_dim = 16
    dim = 32
"#;

const DESCRIBER: &str = r#"
    [matcher.describer]
    word_dim = 8
    hidden = 16
"#;

#[test]
fn pooled_regions_and_words_find_each_other_the_same_way_twice() {
    let (first, second) = (trained(VSE_INFINITY), trained(VSE_INFINITY));
    let found = rsum(&first);
    assert!(found > 3.0, "{found}");
    assert!(weights(&first) == weights(&second), "two runs differ");
}

#[test]
fn a_describer_trains_with_the_matcher() {
    let plain = trained(VSRN);
    let described = trained(&format!("{VSRN}{DESCRIBER}"));
    let found = (rsum(&plain), rsum(&described));
    assert!(found.0 > 3.0 && found.1 > 3.0, "{found:?}");
    assert!(described_in(&plain.peers[0], &plain).is_none());
    let data = pictures(60, 3);
    let shapes = input_shapes(&data, described.texts.as_ref()).unwrap();
    let fresh = described.config.matcher.build(
        shapes.0,
        shapes.1,
        Seed(5),
        &Device::flex(),
        Precision::F32,
    );
    let before = described_in(&fresh.unwrap(), &described).unwrap();
    let after = described_in(&described.peers[0], &described).unwrap();
    assert!(after < 0.8 * before, "{before} to {after}");
}

/// The auxiliary loss on new pairs.
fn described_in(matcher: &Matcher, trained: &Trained) -> Option<f32> {
    let data = pictures(60, 3);
    let reader = Reader::new(&data, trained.texts.as_ref(), 128, &Device::flex()).unwrap();
    let rows: Vec<u32> = (0..60).collect();
    let (images, captions) = (
        reader.images.read(&rows).unwrap(),
        reader.captions.read(&rows).unwrap(),
    );
    let forward = matcher.forward(&images, &captions, &Wanted::default(), &mut Mode::Evaluate);
    let loss = forward.auxiliary?.into_data();
    Some(loss.try_into_vec::<f32>().unwrap()[0])
}

#[test]
fn a_describer_without_regions_or_texts_is_refused_by_name() {
    let data = pictures(400, 1);
    let config = recipe(&format!("{VSE_INFINITY}{DESCRIBER}"))
        .resolve(&data)
        .unwrap();
    let error = run(&data, None, &config).unwrap_err();
    assert!(error.to_string().contains("region_gpo"), "{error}");
}

const ENCODERS: &str = r#"
    [matcher.image]
    kind = "region_linear"
    dim = 16
    [matcher.caption]
    kind = "gru"
    word_dim = 8
    dim = 16
    dropout = 0.0
"#;

#[test]
fn every_attention_matcher_learns_and_scores_tiles_of_any_size_alike() {
    for (similarity, least) in [
        ("kind = \"scan\"", 1.5),
        ("kind = \"scan\"\ndirection = \"i2t\"\nsmooth = 4.0", 1.5),
        ("kind = \"imram\"\nmode = \"text\"\nsteps = 2", 1.5),
        // Ninety steps only bring graph reasoning off the start.
        ("kind = \"sgr\"\nsim_dim = 8\nsteps = 2\ndropout = 0.0", 0.6),
        ("kind = \"saf\"\nsim_dim = 8\ndropout = 0.0", 1.0),
    ] {
        let mut trained = trained(&format!("{ENCODERS}[matcher.similarity]\n{similarity}"));
        let found = rsum(&trained);
        assert!(found > least, "{similarity}: {found}");
        trained.config.training.tile_mib = 1;
        let (small, data) = (rsum(&trained), pictures(60, 3));
        assert_eq!(found, small, "{similarity}");
        let more = Dataset {
            images: Features::from_regions(vec![1.0; 60 * 6 * WIDTH], 6, WIDTH),
            ..data
        };
        let refused = trained.scorer(&more, &mut ()).err().map(|e| e.to_string());
        let slots = similarity.contains("sgr") || similarity.contains("saf");
        assert_eq!(refused.is_some(), slots, "{similarity}: {refused:?}");
    }
}

#[test]
fn cut_captions_are_counted_in_a_warning() {
    #[derive(Default)]
    struct Warnings(Vec<String>);
    impl Watch for Warnings {
        fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
        fn warn(&mut self, warning: &str) {
            self.0.push(warning.to_owned());
        }
    }
    let mut trained = trained(ENCODERS);
    let data = pictures(60, 3);
    let mut warnings = Warnings::default();
    trained.scorer(&data, &mut warnings).unwrap();
    assert!(warnings.0.is_empty(), "{:?}", warnings.0);
    // Half of the captions have three words and two markers, the others four.
    trained.config.training.max_tokens = 5;
    trained.scorer(&data, &mut warnings).unwrap();
    assert!(
        warnings.0[0].starts_with("30 of 60 captions"),
        "{:?}",
        warnings.0
    );
}

#[test]
fn words_without_a_vector_are_listed_in_the_run_folder() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = folder.path().join("vectors.txt");
    // Half of the twelve words; the others are missing.
    let line = |word: u64| format!("thing{word} 1 0 0 0 0 0 0 {word}\n");
    let lines: String = (0..KINDS).step_by(2).map(line).collect();
    std::fs::write(&vectors, lines).unwrap();
    let data = pictures(400, 1);
    let mut config = recipe(ENCODERS).resolve(&data).unwrap();
    config.training.epochs = 1;
    config.training.word_vectors = Some(vectors);
    let (dir, stop) = (folder.path().join("run"), AtomicBool::new(false));
    train(
        &data,
        None,
        &config,
        Seed(5),
        &mut session(Some(&dir), &stop, &mut ()),
    )
    .unwrap();
    let list = std::fs::read_to_string(dir.join("words_without_vector.txt")).unwrap();
    let mut words: Vec<&str> = list.lines().collect();
    words.sort_unstable();
    let mut expected: Vec<String> = (1..KINDS).step_by(2).map(|n| format!("thing{n}")).collect();
    expected.sort_unstable();
    assert_eq!(words, expected);
}

/// Losses of the epochs of a run.
fn losses(recipe: &Recipe, accelerator: Accelerator) -> Vec<f64> {
    let data = pictures(192, 1);
    let config = recipe.resolve(&data).unwrap();
    let (stop, watch) = (AtomicBool::new(false), &mut ());
    let mut session = Session {
        accelerator,
        ..session(None, &stop, watch)
    };
    let run = train(&data, None, &config, Seed(5), &mut session).unwrap();
    run.history.iter().map(|epoch| epoch.losses[0]).collect()
}

/// On the device that `TRUEPAIR_TEST_DEVICE` names, as `scripts/check_gpu.sh` does: sums in another order, alike at first
/// and drifting apart. Without one the run is repeated.
#[test]
fn a_run_on_another_device_has_the_losses_of_the_processor() {
    let device = match std::env::var("TRUEPAIR_TEST_DEVICE") {
        Ok(named) => named.parse().unwrap(),
        Err(_) => Accelerator::Cpu,
    };
    let sgr = format!(
        "{ENCODERS}[matcher.similarity]\nkind = \"sgr\"\nsim_dim = 8\nsteps = 2\ndropout = 0.0\n\
         [strategy]\nkind = \"plain\"\nobjective = {{ kind = \"triplet\", margin = 0.2, negatives = \"mean\" }}\n"
    );
    let pcme = "[strategy]\nkind = \"pcme\"\n\
        [matcher.image]\nkind = \"pcme\"\ndim = 16\nhidden = 0\ndropout = 0.0\ninput = \"raw\"\n\
        [matcher.caption]\nkind = \"gru_pcme\"\nword_dim = 8\ndim = 16\ndropout = 0.0\n\
        [matcher.similarity]\nkind = \"match_probability\"\n";
    let rest = "[optimizer]\nkind = \"adam\"\nrate = 1e-3\n\
        [training]\nepochs = 3\nbatch = 32\nkeep = \"last\"\n";
    for (name, matcher) in [("sgr", sgr.as_str()), ("pcme", pcme)] {
        let recipe = Recipe::from_toml(&format!("{matcher}{rest}")).unwrap();
        let (expected, found) = (losses(&recipe, Accelerator::Cpu), losses(&recipe, device));
        assert_eq!((expected.len(), found.len()), (3, 3), "{name}");
        for ((a, b), allowed) in found.iter().zip(&expected).zip([1e-4, 1e-3, 1e-2]) {
            assert!(
                (a - b).abs() <= allowed * b.abs(),
                "{name}: {found:?}, not {expected:?}"
            );
        }
    }
}

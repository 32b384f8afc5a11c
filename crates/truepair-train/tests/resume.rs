//! A stopped run, resumed, ends with the same bytes as one that was never stopped.

mod support;
mod synthetic;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use truepair_core::dataset::{Dataset, Features, NamedFeatures};
use truepair_core::rng::Seed;
use truepair_core::watch::Watch;
use truepair_model::similarity::{SafConfig, SimilarityConfig};
use truepair_train::strategy::{NcrConfig, PlainConfig, StrategyConfig};
use truepair_train::{
    Config, EpochRecord, Error, Recipe, Session, StepProgress, TrainWatch, Trained, load, train,
};

use support::session;

/// Sets the stop flag at a given step of a given epoch.
struct StopAt<'a> {
    flag: &'a AtomicBool,
    at: Option<(usize, usize)>,
}

impl Watch for StopAt<'_> {
    fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {}
}

impl TrainWatch for StopAt<'_> {
    fn step(&mut self, progress: &StepProgress) {
        if self.at == Some((progress.epoch, progress.step)) {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _record: &EpochRecord) {}
}

fn config(strategy: StrategyConfig) -> Config {
    let mut recipe = Recipe {
        strategy: Some(strategy),
        ..Recipe::default()
    };
    recipe.training.epochs = 4;
    recipe.training.batch = 32;
    recipe.resolve(&synthetic::pairs(200, 60, 1)).unwrap()
}

/// Reads words, of which some are dropped, and compares epochs on half of the dev images.
fn of_words() -> Config {
    let text = r#"
        [matcher.image]
        kind = "mlp"
        dim = 16
        [matcher.caption]
        kind = "gru"
        word_dim = 8
        dim = 16
        [training]
        epochs = 4
        batch = 32
        caption_drop = 0.3
        dev_images = 40
    "#;
    let data = worded(synthetic::pairs(200, 60, 1));
    Recipe::from_toml(text).unwrap().resolve(&data).unwrap()
}

/// Sets the image encoder free in the epoch in which the run is stopped.
fn thawed() -> Config {
    let text = r#"
        [strategy]
        kind = "plain"
        [[groups]]
        parameters = "image"
        frozen = 2
        [training]
        epochs = 4
        batch = 32
    "#;
    let data = synthetic::pairs(200, 60, 1);
    Recipe::from_toml(text).unwrap().resolve(&data).unwrap()
}

/// The data with texts in place of the captions' vectors.
fn worded(data: Dataset) -> Dataset {
    let text = |n: usize| format!("some {} things on {} of {}", n % 7, n % 5, n % 3);
    Dataset {
        captions: Some((0..data.n_captions()).map(text).collect()),
        caption_features: None,
        ..data
    }
}

fn run(
    dir: &Path,
    config: &Config,
    seed: u64,
    resume: bool,
    at: Option<(usize, usize)>,
) -> truepair_train::Result<Trained> {
    let given = |data| match config.matcher.caption.reads_tokens() {
        true => worded(data),
        false => data,
    };
    let [data, dev] = [(200, 60, 1), (80, 0, 2)]
        .map(|(n, mismatched, seed)| given(synthetic::pairs(n, mismatched, seed)));
    let flag = AtomicBool::new(false);
    let mut watch = StopAt { flag: &flag, at };
    let mut session = Session {
        resume,
        ..session(Some(dir), &flag, &mut watch)
    };
    train(&data, Some(&dev), config, Seed(seed), &mut session)
}

const FILES: [&str; 6] = [
    "config.toml",
    "metrics.jsonl",
    "weights.safetensors",
    "checkpoint.bin",
    "ledger.bin",
    "events.out.tfevents.0.truepair",
];

#[test]
fn a_resumed_run_equals_an_unbroken_one_to_the_bit() {
    let strategies = [
        StrategyConfig::Plain(PlainConfig::default()),
        StrategyConfig::Ncr(NcrConfig {
            warm_up: 1,
            ..NcrConfig::default()
        }),
    ];
    let mut configs = strategies.map(config).to_vec();
    // Running statistics are part of the weights.
    let mut statistics = configs[0].clone();
    statistics.matcher.similarity = SimilarityConfig::Saf(SafConfig {
        sim_dim: 4,
        ..SafConfig::default()
    });
    configs.push(statistics);
    configs.push(of_words());
    configs.push(thawed());
    for config in configs {
        let folder = tempfile::tempdir().unwrap();
        let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
        run(&whole, &config, 3, false, None).unwrap();
        // Stopped in the first epoch, where nothing is saved yet, and again in a later one.
        for (at, resume) in [((0, 2), false), ((2, 3), true)] {
            let stopped = run(&broken, &config, 3, resume, Some(at));
            assert!(matches!(stopped, Err(Error::Stopped { .. })), "{stopped:?}");
        }
        run(&broken, &config, 3, true, None).unwrap();
        for file in FILES {
            let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
            assert!(read(&whole) == read(&broken), "{file} differs");
        }
    }
}

/// Pairs in groups of look-alikes, half of which have their neighbor's image.
fn neighbors(n: usize, seed: u64) -> Dataset {
    const GROUP: usize = 30;
    let mut data = synthetic::pairs(n, 0, seed);
    for pair in &mut data.pairs[..n / 2] {
        let (group, place) = (pair.image as usize / GROUP, pair.image as usize % GROUP);
        pair.image = (group * GROUP + (place + 1) % GROUP) as u32;
    }
    let alike = |rows: &Features| {
        let all: Vec<u32> = (0..n as u32).collect();
        let (width, own) = (rows.dim(), rows.gather(&all).unwrap());
        let value = |at: usize| {
            let (row, column) = (at / width, at % width);
            own[at] + own[row / GROUP * GROUP * width + column]
        };
        Features::from_rows((0..n * width).map(value).collect(), width)
    };
    let captions = data.caption_features.as_ref().map(|named| NamedFeatures {
        name: named.name.clone(),
        features: alike(&named.features),
    });
    Dataset {
        images: alike(&data.images),
        caption_features: captions,
        ..data
    }
}

#[test]
fn a_run_that_hedges_resumes_to_the_bit() {
    let text = r#"
        [strategy]
        kind = "truepair"
        warm_up = 1
        [training]
        epochs = 3
        batch = 32
    "#;
    let data = neighbors(300, 1);
    let config = Recipe::from_toml(text).unwrap().resolve(&data).unwrap();
    let run = |dir: &Path, resume: bool, at: Option<(usize, usize)>| {
        let flag = AtomicBool::new(false);
        let mut watch = StopAt { flag: &flag, at };
        let mut session = Session {
            resume,
            ..session(Some(dir), &flag, &mut watch)
        };
        train(
            &data,
            Some(&neighbors(90, 2)),
            &config,
            Seed(3),
            &mut session,
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    run(&whole, false, None).unwrap();
    let log = fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    assert!(log.contains("near misses cannot be told"), "{log}");
    run(&broken, false, Some((2, 3))).unwrap_err();
    run(&broken, true, None).unwrap();
    for file in FILES {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(read(&whole) == read(&broken), "{file} differs");
    }
}

#[test]
fn what_a_killed_run_wrote_after_its_checkpoint_is_cut_off() {
    let config = config(StrategyConfig::Plain(PlainConfig::default()));
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    run(&whole, &config, 3, false, None).unwrap();
    run(&broken, &config, 3, false, Some((2, 1))).unwrap_err();
    // The kill fell between the growing files and the checkpoint of the next epoch.
    for file in ["events.out.tfevents.0.truepair", "metrics.jsonl"] {
        let mut bytes = fs::read(broken.join(file)).unwrap();
        let line = bytes.split(|b| *b == b'\n').next().unwrap().to_vec();
        bytes.extend(if file.ends_with("jsonl") {
            [&line[..], b"\n"].concat()
        } else {
            line
        });
        fs::write(broken.join(file), bytes).unwrap();
    }
    run(&broken, &config, 3, true, None).unwrap();
    for file in FILES {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(read(&whole) == read(&broken), "{file} differs");
    }
}

#[test]
fn a_run_directory_gives_the_same_scores_back() {
    let config = config(StrategyConfig::Ncr(NcrConfig {
        warm_up: 1,
        ..NcrConfig::default()
    }));
    let folder = tempfile::tempdir().unwrap();
    let trained = run(folder.path(), &config, 3, false, None).unwrap();
    let loaded = load(folder.path(), truepair_model::Accelerator::Cpu).unwrap();
    assert_eq!(loaded.n_peers(), 2);
    let test = synthetic::pairs(40, 0, 9);
    let rows: Vec<u32> = (0..40).collect();
    let scores = |trained: &Trained| {
        let mut out = vec![0.0; 1600];
        trained
            .scorer(&test, &mut ())
            .unwrap()
            .tile(&rows, &rows, &mut out)
            .unwrap();
        out
    };
    assert_eq!(scores(&trained), scores(&loaded));
}

#[test]
fn another_run_s_checkpoint_is_refused_by_name() {
    let plain = config(StrategyConfig::Plain(PlainConfig::default()));
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &plain, 3, false, Some((1, 1))).unwrap_err();
    let seed = run(folder.path(), &plain, 4, true, None)
        .unwrap_err()
        .to_string();
    assert!(seed.contains("seed is 3, not 4"), "{seed}");
    let ncr = config(StrategyConfig::Ncr(NcrConfig::default()));
    let other = run(folder.path(), &ncr, 3, true, None)
        .unwrap_err()
        .to_string();
    assert!(other.contains("config differs"), "{other}");
    let again = run(folder.path(), &plain, 3, false, None)
        .unwrap_err()
        .to_string();
    assert!(again.contains("already holds a run"), "{again}");
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let config = config(StrategyConfig::Plain(PlainConfig::default()));
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &config, 3, false, Some((2, 1))).unwrap_err();
    let path = folder.path().join("checkpoint.bin");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (damage, bytes) in [
        ("flipped", &flipped[..]),
        ("cut", &whole[..whole.len() / 2]),
        ("empty", &[][..]),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = run(folder.path(), &config, 3, true, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("checkpoint.bin") && error.contains("damaged"),
            "{damage}: {error}"
        );
    }
}

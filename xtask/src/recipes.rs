//! The recipes under `configs/`: each is a whole configuration that the training crate reads.
//!
//! The program carries them, and the training crate that reads them does not know the program, so their tests
//! stand here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use truepair_model::similarity::SimilarityConfig;
use truepair_train::Recipe;
use truepair_train::labeled::LabelConfig;
use truepair_train::strategy::StrategyConfig;

/// Where they lie.
const CONFIGS: &str = "crates/truepair/configs";

/// The files of a folder below it with what they say.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(crate::root().join(CONFIGS).join(folder)).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn every_strategy_and_similarity_stands_in_a_config_that_reads() {
    let mut seen = BTreeSet::new();
    let folders = ["", "embeddings", "regions"];
    for (path, text) in folders.into_iter().flat_map(files) {
        let recipe =
            Recipe::from_toml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        seen.extend(recipe.strategy.map(|strategy| strategy.name()));
        let similarity = recipe.matcher.similarity;
        seen.extend(similarity.map(|similarity| similarity.name()));
    }
    let strategies = StrategyConfig::all().into_iter().map(|(name, ..)| name);
    let similarities = SimilarityConfig::all().into_iter().map(|(name, ..)| name);
    for name in strategies.chain(similarities) {
        assert!(seen.contains(name), "no file under configs/ uses `{name}`");
    }
}

#[test]
fn every_config_for_labels_reads_and_is_sound() {
    for (path, text) in files("labels") {
        let config: LabelConfig =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        config.check().unwrap();
    }
}

/// The four losses stand beside each other at one temperature, with everything else equal.
#[test]
fn recipes_to_compare_losses_differ_in_the_loss_alone() {
    let read = |name: &str| -> toml::Table {
        let path = crate::root().join(format!("{CONFIGS}/labels/{name}.toml"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut table: toml::Table = toml::from_str(&text).unwrap();
        let method = table["method"].as_table_mut().unwrap();
        method.remove("kind").unwrap();
        method.remove("beta").unwrap();
        table
    };
    let published = ["ce-published", "ce+mc-published", "rc-published"];
    for (names, with) in [
        (["ce", "ce+mc", "rc"], "rc+mc"),
        (published, "mrl-published"),
    ] {
        for name in names {
            assert_eq!(read(name), read(with), "{name}");
        }
    }
}

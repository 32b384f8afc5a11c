//! `truepair recipes`: the configurations that come inside the program.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use include_dir::{Dir, include_dir};

use crate::contents::{Contents, Item, unknown};
use crate::exit::Exit;
use crate::render::Form;

const COMMAND: &str = "recipes";

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/configs");

const EXAMPLES: &str = "\
Examples:
  truepair recipes                         names, and what each is for
  truepair recipes embeddings/ncr          one configuration, to read or to redirect into a file
  truepair recipes --write recipes/        all of them as files, for --config and for compare --recipes";

/// Arguments of `truepair recipes`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecipesArgs {
    /// The configuration to print.
    name: Option<String>,

    /// Write all configurations into this folder, which is made.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
}

/// One configuration: its name, without the ending, and its text.
struct RecipeFile {
    name: String,
    text: &'static str,
}

pub(crate) fn run(args: &RecipesArgs, form: Form) -> Result<Exit> {
    let files = files();
    let contents = match (&args.name, &args.write) {
        (Some(name), _) => Contents::text(COMMAND, find(&files, name)?.text.to_owned()),
        (None, Some(folder)) => {
            let files = files
                .iter()
                .map(|file| (format!("{}.toml", file.name), file.text.to_owned()));
            Contents::write(COMMAND, folder, files.collect())?
        }
        (None, None) => Contents::list(COMMAND, files.iter().map(item).collect()),
    };
    contents.print(form)?;
    Ok(Exit::Success)
}

/// Every configuration, sorted by name.
fn files() -> Vec<RecipeFile> {
    let mut found = Vec::new();
    let mut folders = vec![&FILES];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        found.extend(folder.files().filter_map(|file| {
            let path = file.path().to_str()?.replace('\\', "/");
            Some(RecipeFile {
                name: path.strip_suffix(".toml")?.to_owned(),
                text: file.contents_utf8()?,
            })
        }));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The text of a file of the program's configurations, `embeddings/ncr.toml`; `None` without such a file.
pub(crate) fn text_of(path: &str) -> Option<&'static str> {
    FILES.get_file(path)?.contents_utf8()
}

fn find<'f>(files: &'f [RecipeFile], name: &str) -> Result<&'f RecipeFile> {
    let wanted = name.strip_suffix(".toml").unwrap_or(name);
    match files.iter().find(|file| file.name == wanted) {
        Some(file) => Ok(file),
        None => {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            unknown("configuration", wanted, &names, "truepair recipes")
        }
    }
}

/// A name with the first sentence of the file's opening remark.
fn item(file: &RecipeFile) -> Item {
    let remark = file.text.lines().map_while(|line| line.strip_prefix('#'));
    let remark: Vec<&str> = remark.map(str::trim).collect();
    let remark = remark.join(" ");
    let sentence = remark.split_inclusive(". ").next().unwrap_or_default();
    Item {
        name: file.name.clone(),
        about: sentence.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;
    use toml::{Table, Value};
    use truepair_core::metric::METRICS;
    use truepair_core::noise::{LabelNoiseSpec, NoiseSpec};
    use truepair_train::Recipe;
    use truepair_train::labeled::LabelConfig;

    use super::*;
    use crate::compare::{Seeds, table_names};
    use crate::config::merge;
    use crate::oracle::{Oracle, STRATEGY};

    /// Where the files lie whose rows are whole runs.
    const TABLES: &str = "tables/";

    /// A table of a publication: what `configs/tables/` holds.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rows {
        title: String,
        layout: String,
        noise: Vec<String>,
        seeds: String,
        #[serde(default)]
        metrics: Vec<String>,
        published: Option<String>,
        row: Vec<RowEntry>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RowEntry {
        label: String,
        configs: Vec<String>,
        over: Option<String>,
        #[serde(default)]
        set: Table,
        oracle: Option<String>,
        published: Option<Beside>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Beside {
        method: String,
        source: String,
    }

    /// The files of rows by name.
    fn tables() -> Vec<(String, Rows)> {
        let rows = files()
            .into_iter()
            .filter(|file| file.name.starts_with(TABLES));
        let read = |file: RecipeFile| {
            let rows = toml::from_str(file.text);
            let rows = rows.unwrap_or_else(|error| panic!("{}: {error}", file.name));
            (file.name, rows)
        };
        rows.map(read).collect()
    }

    /// A file that a row names from its own folder.
    fn named(path: &str) -> Table {
        let name = path.strip_prefix("../").unwrap_or(path);
        let file = FILES.get_file(name);
        let text = file.and_then(|file| file.contents_utf8());
        toml::from_str(text.unwrap_or_else(|| panic!("{path} is not there"))).unwrap()
    }

    impl Rows {
        /// Whether the rows are of items with class labels, not of pairs.
        fn are_labels(&self) -> bool {
            let mut configs = self.row.iter().flat_map(|row| &row.configs);
            configs.all(|config| config.starts_with("../labels/"))
        }
    }

    /// The settings of a row's runs.
    fn settings(row: &RowEntry) -> Vec<String> {
        let merged = |config: &String| {
            let mut table = named(config);
            if let Some(over) = &row.over {
                merge(&mut table, named(over));
            }
            merge(&mut table, row.set.clone());
            toml::to_string(&table).unwrap()
        };
        row.configs.iter().map(merged).collect()
    }

    /// What the runs of a row are made of.
    fn recipes(row: &RowEntry) -> Vec<Recipe> {
        let recipe = |text: String| {
            Recipe::from_toml(&text).unwrap_or_else(|error| panic!("{}: {error}", row.label))
        };
        settings(row).into_iter().map(recipe).collect()
    }

    #[test]
    fn rows_of_labels_are_settings_of_their_own() {
        let tables: Vec<_> = tables()
            .into_iter()
            .filter(|(_, rows)| rows.are_labels())
            .collect();
        assert!(!tables.is_empty());
        for (name, rows) in tables {
            for noise in &rows.noise {
                assert!(noise.parse::<LabelNoiseSpec>().is_ok(), "{name}: {noise}");
            }
            for row in &rows.row {
                for text in settings(row) {
                    let config: LabelConfig = toml::from_str(&text).unwrap();
                    config.check().unwrap();
                }
            }
        }
    }

    #[test]
    fn every_row_of_every_table_is_a_recipe_of_its_own() {
        let tables = tables();
        assert!(tables.len() >= 8);
        for (name, rows) in &tables {
            assert!(!rows.title.is_empty() && !rows.layout.is_empty(), "{name}");
            if !rows.are_labels() {
                for noise in &rows.noise {
                    assert!(noise.parse::<NoiseSpec>().is_ok(), "{name}: {noise}");
                }
            }
            let seeds: Result<Seeds, _> = rows.seeds.parse();
            assert!(seeds.is_ok(), "{name}: {}", rows.seeds);
            for metric in &rows.metrics {
                assert!(
                    METRICS.iter().any(|known| known.name() == metric),
                    "{metric}"
                );
            }
            let mut labels = BTreeSet::new();
            for row in &rows.row {
                assert!(labels.insert(&row.label), "{name}: {} twice", row.label);
                assert!(!row.configs.is_empty(), "{name}: {}", row.label);
                if rows.are_labels() {
                    continue;
                }
                for recipe in recipes(row) {
                    let strategy = recipe.strategy.map(|strategy| strategy.name());
                    let strategy = strategy.unwrap_or_else(|| panic!("{name}: {}", row.label));
                    if let Some(oracle) = &row.oracle {
                        assert!(Oracle::by_name(oracle).is_some(), "{name}: {oracle}");
                        assert_eq!(strategy, STRATEGY, "{name}: {}", row.label);
                    }
                }
            }
        }
    }

    /// A row shows the method that it is named after: pairs held noisy are used before the run ends.
    #[test]
    fn no_row_of_a_table_switches_its_method_off() {
        fn never(value: &Value) -> bool {
            value.as_table().is_some_and(|table| {
                let off = |(name, value): (&String, &Value)| {
                    let late = value.as_float().is_some_and(|share| share >= 1.0);
                    (name.ends_with("_after") && late) || never(value)
                };
                table.iter().any(off)
            })
        }
        for (name, rows) in tables() {
            for row in rows.row.iter().filter(|_| !rows.are_labels()) {
                for recipe in recipes(row) {
                    let whole = Value::try_from(recipe).unwrap();
                    assert!(!never(&whole), "{name}: {}", row.label);
                }
            }
        }
    }

    #[test]
    fn published_rows_beside_those_of_a_table_are_in_the_library_under_its_noise() {
        let library: Table = toml::from_str(include_str!("../../published.toml")).unwrap();
        let library = library["row"].as_array().unwrap();
        for (name, rows) in tables() {
            let rates: Vec<f64> = (rows.noise.iter())
                .map(|noise| {
                    let rate = noise.split_once(':').map(|(_, rate)| rate);
                    rate.map_or(0.0, |rate| rate.parse().unwrap())
                })
                .collect();
            let table = rows.published.as_deref();
            assert!(table.is_none_or(|table| table_names().unwrap().contains(&table)));
            for (row, beside) in rows
                .row
                .iter()
                .filter_map(|row| Some((row, row.published.as_ref()?)))
            {
                let is_it = |entry: &&Value| {
                    let text = |key: &str| entry.get(key).and_then(Value::as_str);
                    let rate = entry.get("noise").and_then(Value::as_float);
                    text("data") == table
                        && text("method") == Some(&beside.method)
                        && text("source") == Some(&beside.source)
                        && rate.is_none_or(|rate| rates.contains(&rate))
                };
                let n = library.iter().filter(is_it).count();
                // One for each rate, where the rows are asked for under several.
                let wanted = if rows.are_labels() { rates.len() } else { 1 };
                assert_eq!(n, wanted, "{name}: {}", row.label);
            }
        }
    }

    #[test]
    fn every_configuration_says_what_it_is_for() {
        let files = files();
        assert!(files.iter().any(|file| file.name == "embeddings/ncr"));
        for file in &files {
            assert!(
                item(file).about.len() > 5,
                "{}: {:?}",
                file.name,
                item(file).about
            );
        }
    }

    #[test]
    fn a_name_is_found_with_and_without_its_ending_and_a_wrong_one_is_refused() {
        let files = files();
        for name in ["embeddings/ncr", "embeddings/ncr.toml"] {
            assert_eq!(find(&files, name).unwrap().name, "embeddings/ncr");
        }
        let error = find(&files, "embeddings/nrc")
            .map(|file| &file.name)
            .unwrap_err();
        assert!(
            error.to_string().contains("did you mean `embeddings/ncr`"),
            "{error}"
        );
    }
}

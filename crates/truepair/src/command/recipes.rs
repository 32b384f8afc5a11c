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
    use std::path::Path;

    use toml::Value;
    use truepair_core::metric::METRICS;
    use truepair_core::noise::{LabelNoiseSpec, NoiseSpec};
    use truepair_train::Recipe;
    use truepair_train::labeled::LabelConfig;

    use super::*;
    use crate::compare::{
        ComparableNoise, MethodKind, Rows, Seeds, asked_noises, beside, table_names,
    };
    use crate::config::ConfigArgs;
    use crate::oracle::STRATEGY;
    use crate::row_file::RowFile;

    /// Where the files lie whose rows are whole runs.
    const TABLES: &str = "tables/";

    /// The row files.
    fn tables() -> Vec<RowFile> {
        let names = files().into_iter().map(|file| file.name);
        let tables = names.filter(|name| name.starts_with(TABLES));
        tables
            .map(|name| RowFile::read(Path::new(&name)).unwrap())
            .collect()
    }

    /// Whether the rows are of items with class labels, not of pairs.
    fn are_labels(file: &RowFile) -> bool {
        let mut configs = file.rows.iter().flat_map(|row| &row.configs);
        configs.all(|config| config.starts_with("../labels"))
    }

    fn of_pairs() -> Vec<Rows> {
        let tables = tables().into_iter().filter(|file| !are_labels(file));
        let read = |file: RowFile| Rows::read(Path::new(&file.name), &ConfigArgs::default());
        tables.map(|file| read(file).unwrap()).collect()
    }

    #[test]
    fn every_row_of_every_table_trains_a_method_of_its_own() {
        let tables = of_pairs();
        assert!(tables.len() >= 8);
        for rows in &tables {
            let (file, name) = (&rows.file, &rows.file.name);
            assert!(!file.title.is_empty() && file.layout.is_some(), "{name}");
            Seeds::asked(None, Some(file)).unwrap();
            asked_noises::<NoiseSpec>(&[], Some(file)).unwrap();
            for metric in &file.metrics {
                let known = METRICS.iter().any(|known| known.name() == metric);
                assert!(known, "{name}: {metric}");
            }
            for method in &rows.methods {
                let MethodKind::Settings(settings) = &method.kind else {
                    continue;
                };
                let strategy = settings.recipe.strategy.as_ref();
                let strategy = strategy.unwrap_or_else(|| panic!("{name}: {}", method.name));
                assert!(
                    method.oracle.is_none() || strategy.name() == STRATEGY,
                    "{name}: {}",
                    method.name
                );
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
        let off = Recipe::from_toml("[strategy]\nkind = \"ncr\"\nnoisy_after = 1.0\n").unwrap();
        assert!(never(&Value::try_from(off).unwrap()));
        for rows in of_pairs() {
            for method in &rows.methods {
                if let MethodKind::Settings(settings) = &method.kind {
                    let whole = Value::try_from(&settings.recipe).unwrap();
                    assert!(!never(&whole), "{}: {}", rows.file.name, method.name);
                }
            }
        }
    }

    #[test]
    fn rows_of_labels_are_settings_of_their_own() {
        let tables: Vec<RowFile> = tables().into_iter().filter(are_labels).collect();
        assert!(!tables.is_empty());
        for file in tables {
            asked_noises::<LabelNoiseSpec>(&[], Some(&file)).unwrap();
            for row in &file.rows {
                let layers = file.layers(row, &row.configs[0]).unwrap();
                let config: LabelConfig = ConfigArgs::default().load_layers(&layers).unwrap();
                config.check().unwrap();
            }
        }
    }

    #[test]
    fn published_rows_beside_those_of_a_table_are_in_the_library_under_its_noise() {
        let mut n_beside = 0;
        for file in tables() {
            let Some(table) = &file.published else {
                continue;
            };
            assert!(table_names().unwrap().contains(&table.as_str()), "{table}");
            let noises: Vec<(&str, f64)> = match are_labels(&file) {
                true => vec![
                    ("label", 0.2),
                    ("label", 0.4),
                    ("label", 0.6),
                    ("label", 0.8),
                ],
                false => {
                    let noises: Vec<NoiseSpec> = asked_noises(&[], Some(&file)).unwrap();
                    let known = noises.iter().map(|noise| match noise {
                        NoiseSpec::Rate { rate, .. } => ("caption", *rate),
                        _ => ("none", 0.0),
                    });
                    known.collect()
                }
            };
            for row in &file.rows {
                let Some(name) = &row.published else { continue };
                for (protocol, rate) in &noises {
                    let noise = ComparableNoise {
                        protocol: (*protocol).to_owned(),
                        rate: Some(*rate),
                    };
                    let found = beside(table, &noise, name).unwrap();
                    assert!(found.is_some(), "{}: {} at {rate}", file.name, row.label);
                    n_beside += 1;
                }
            }
        }
        assert!(n_beside > 30, "{n_beside}");
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

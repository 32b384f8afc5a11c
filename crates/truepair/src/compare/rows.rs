//! Row files: what stands in a table, each row with its configurations.
//!
//! A comparison of strategies shares one configuration; the rows of a published table do not: SCAN has
//! another similarity, VSRN another backbone. A row file names the configurations of each row.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use toml::Table;
use truepair_core::noise::NoiseSpec;
use truepair_train::Recipe;
use truepair_train::strategy::StrategyConfig;

use super::grid::Seeds;
use super::method::{COSINE, Method, MethodKind, Settings};
use super::names::chosen;
use super::published::PublishedName;
use crate::command::recipes;
use crate::config::{ConfigArgs, ConfigFile};
use crate::oracle::Oracle;

/// What a row file asks for.
#[derive(Debug)]
pub(crate) struct RowFile {
    pub(crate) title: String,
    /// What the data has to hold, in words.
    pub(crate) layout: Option<String>,
    /// Noise to plant where none is typed.
    pub(crate) noises: Vec<NoiseSpec>,
    /// Seeds where none are typed.
    pub(crate) seeds: Option<Seeds>,
    /// Table of published results.
    pub(crate) published: Option<String>,
    /// Metrics beside recalls and rSum.
    pub(crate) metrics: Vec<String>,
    pub(crate) methods: Vec<Method>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    title: String,
    layout: Option<String>,
    #[serde(default)]
    noise: Vec<String>,
    seeds: Option<String>,
    published: Option<String>,
    #[serde(default)]
    metrics: Vec<String>,
    row: Vec<RowText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    label: String,
    /// Beside the row file; the scores of several are averaged.
    configs: Vec<PathBuf>,
    /// One more file on top of each.
    over: Option<PathBuf>,
    strategy: Option<String>,
    peers: Option<usize>,
    oracle: Option<String>,
    /// Settings on top of all.
    #[serde(default)]
    set: Table,
    /// The noises under which the row stands; all of the file's by default.
    noise: Option<Vec<String>>,
    published: Option<PublishedName>,
}

/// Where a file lies.
#[derive(Debug, Clone)]
enum Place {
    Disk(PathBuf),
    /// Among the program's configurations.
    Inside(PathBuf),
}

impl Place {
    /// A file on the disk, or one of the program's own tables.
    fn of(named: &Path) -> Result<Self> {
        if named.exists() {
            return Ok(Self::Disk(named.to_path_buf()));
        }
        let own = match named.extension() {
            Some(_) => named.to_path_buf(),
            None => named.with_extension("toml"),
        };
        let below = Path::new(FOLDER).join(&own);
        let inside = [own, below].into_iter().map(Self::Inside);
        let mut known = inside.filter(|place| place.text().is_some());
        known.next().with_context(|| {
            format!(
                "--rows {}: is neither a file nor a table of the program (`truepair recipes` lists \
                 those under {FOLDER}/)",
                named.display()
            )
        })
    }

    fn beside(&self, file: &Path) -> Self {
        match self {
            Self::Disk(own) => Self::Disk(own.with_file_name("").join(file)),
            Self::Inside(own) => Self::Inside(straight(&own.with_file_name("").join(file))),
        }
    }

    fn text(&self) -> Option<&'static str> {
        match self {
            Self::Disk(_) => None,
            Self::Inside(path) => recipes::text_of(&path.to_str()?.replace('\\', "/")),
        }
    }

    fn read(&self) -> Result<ConfigFile> {
        match self {
            Self::Disk(path) => ConfigFile::read(Some(path)),
            Self::Inside(path) => Ok(ConfigFile {
                name: path.display().to_string(),
                text: (self.text())
                    .with_context(|| {
                        format!("{}: the program has no such configuration", path.display())
                    })?
                    .to_owned(),
            }),
        }
    }

    /// The file's name without its ending.
    fn stem(&self) -> String {
        let (Self::Disk(path) | Self::Inside(path)) = self;
        let stem = path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }
}

/// Folder of the row files among the program's configurations.
const FOLDER: &str = "tables";

/// A path without `..`.
fn straight(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts.into_iter().collect()
}

impl RowFile {
    /// Reads a row file and all that it names; `shared` goes on top of every row.
    ///
    /// # Errors
    /// If a file cannot be read or says something that does not exist; the file and the row are named.
    pub(crate) fn read(named: &Path, shared: &ConfigArgs) -> Result<Self> {
        let place = Place::of(named)?;
        let file = place.read()?;
        let text: FileText = file.parse()?;
        if text.row.is_empty() {
            bail!(
                "{}: has no row (add [[row]] with a label and configs)",
                file.name
            )
        }
        let mut methods: Vec<Method> = Vec::new();
        for row in &text.row {
            let of_row = || format!("{}: row `{}`", file.name, row.label);
            for method in row.methods(&place, shared).with_context(of_row)? {
                let same = |other: &&Method| other.folder == method.folder;
                if let Some(other) = methods.iter().find(same) {
                    bail!(
                        "{}: rows `{}` and `{}` would share a folder (give them other labels)",
                        file.name,
                        other.name,
                        method.name
                    )
                }
                methods.push(method);
            }
        }
        let seeds = text.seeds.map(|seeds| seeds.parse::<Seeds>());
        let seeds = seeds.transpose().map_err(|error| anyhow::anyhow!(error));
        Ok(Self {
            noises: noises(&text.noise).with_context(|| file.name.clone())?,
            seeds: seeds.with_context(|| format!("{}: seeds", file.name))?,
            title: text.title,
            layout: text.layout,
            published: text.published,
            metrics: text.metrics,
            methods,
        })
    }
}

fn noises(words: &[String]) -> Result<Vec<NoiseSpec>> {
    let read = |word: &String| {
        let parsed = word.parse::<NoiseSpec>();
        parsed.map_err(|error| anyhow::anyhow!("noise = {word:?}: {error}"))
    };
    words.iter().map(read).collect()
}

impl RowText {
    /// One method, or one a configuration and their mean.
    fn methods(&self, file: &Place, shared: &ConfigArgs) -> Result<Vec<Method>> {
        let oracle = match &self.oracle {
            None => None,
            Some(name) => {
                let known = Oracle::ALL.map(Oracle::name);
                chosen("oracle", std::slice::from_ref(name), &known)?;
                Oracle::by_name(name)
            }
        };
        let noises = self.noise.as_deref().map(noises).transpose()?;
        let method = |name: String, kind: MethodKind| Method {
            folder: folder_of(&name),
            name,
            oracle,
            kind,
            noises: noises.clone(),
            published: None,
        };
        let mut methods = Vec::new();
        for config in &self.configs {
            let place = file.beside(config);
            let name = match self.configs.len() {
                1 => self.label.clone(),
                _ => format!("{} ({})", self.label, place.stem()),
            };
            let kind = MethodKind::Settings(Box::new(self.settings(&place, file, shared)?));
            methods.push(method(name, kind));
        }
        match methods.as_mut_slice() {
            [] => bail!("names no configuration (configs = [\"FILE.toml\"])"),
            [only] => only.published = self.published.clone(),
            parts => {
                let similarity = parts[0].similarity();
                let alike = parts.iter().all(|part| part.similarity() == similarity);
                let mut mean = method(
                    self.label.clone(),
                    MethodKind::Mean {
                        parts: parts.iter().map(|part| part.folder.clone()).collect(),
                        similarity: if alike { similarity } else { "mean" },
                    },
                );
                mean.published = self.published.clone();
                methods.push(mean);
            }
        }
        Ok(methods)
    }

    fn settings(&self, config: &Place, file: &Place, shared: &ConfigArgs) -> Result<Settings> {
        let mut layers = vec![config.read()?];
        if let Some(over) = &self.over {
            layers.push(file.beside(over).read()?);
        }
        let mut set = self.set.clone();
        let strategy = [
            self.strategy.clone().map(|kind| ("kind", kind.into())),
            self.peers.map(|peers| ("peers", (peers as i64).into())),
        ];
        for (key, value) in strategy.into_iter().flatten() {
            let section = set
                .entry("strategy")
                .or_insert_with(|| Table::new().into())
                .as_table_mut()
                .context("`strategy` under `set` must be a section")?;
            section.insert(key.to_owned(), value);
        }
        layers.push(ConfigFile {
            name: "its own settings".to_owned(),
            text: toml::to_string(&set).context("its settings cannot be written as TOML")?,
        });
        let recipe: Recipe = shared.load_layers(&layers)?;
        let similarity = similarity(&recipe);
        Ok(Settings { recipe, similarity })
    }
}

/// The similarity of a recipe: what it says, or what its strategy reads.
fn similarity(recipe: &Recipe) -> &'static str {
    if let Some(similarity) = &recipe.matcher.similarity {
        return similarity.name();
    }
    let own =
        |strategy: &StrategyConfig| (!strategy.takes(COSINE)).then(|| strategy.similarity().name());
    recipe.strategy.as_ref().and_then(own).unwrap_or(COSINE)
}

/// A label as a folder's name: letters, digits, `+`, `-`, `*`'s word and `_` for the rest.
fn folder_of(label: &str) -> String {
    let mut out = String::new();
    for letter in label.chars() {
        match letter {
            letter if letter.is_alphanumeric() || "+-.".contains(letter) => out.push(letter),
            '*' => out.push_str("star"),
            _ if out.ends_with('_') || out.is_empty() => {}
            _ => out.push('_'),
        }
    }
    out.trim_end_matches('_').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &str) -> Result<RowFile> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join("scan.toml"),
            "[matcher.similarity]\nkind = \"scan\"\ndirection = \"t2i\"\n[training]\nepochs = 4\n",
        )
        .unwrap();
        std::fs::write(
            home.path().join("sgr.toml"),
            "[matcher.similarity]\nkind = \"sgr\"\nsteps = 2\n",
        )
        .unwrap();
        let file = home.path().join("rows.toml");
        std::fs::write(&file, rows).unwrap();
        RowFile::read(&file, &ConfigArgs::default())
    }

    fn recipe(method: &Method) -> &Recipe {
        let MethodKind::Settings(settings) = &method.kind else {
            panic!("{method:?} has no settings")
        };
        &settings.recipe
    }

    #[test]
    fn rows_have_their_own_configurations_and_several_are_averaged() {
        let file = read(
            "title = \"t\"\nnoise = [\"caption:0.2\"]\nseeds = \"4,5\"\n\
             [[row]]\nlabel = \"Both\"\nconfigs = [\"scan.toml\", \"sgr.toml\"]\n\
             [[row]]\nlabel = \"NCR*\"\nconfigs = [\"sgr.toml\"]\nstrategy = \"ncr\"\n\
             [row.set]\nmatcher.similarity.steps = 1\ntraining.epochs = 7\n",
        )
        .unwrap();
        let names: Vec<(&str, &str)> = (file.methods.iter())
            .map(|method| (method.name.as_str(), method.folder.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("Both (scan)", "both_scan"),
                ("Both (sgr)", "both_sgr"),
                ("Both", "both"),
                ("NCR*", "ncrstar")
            ]
        );
        let of_mean = &file.methods[2];
        assert_eq!(of_mean.similarity(), "mean");
        let MethodKind::Mean { parts, .. } = &of_mean.kind else {
            panic!("{of_mean:?}")
        };
        assert_eq!(parts, &["both_scan", "both_sgr"]);
        let ncr = recipe(&file.methods[3]);
        assert_eq!(ncr.strategy.as_ref().unwrap().name(), "ncr");
        assert_eq!(ncr.training.epochs, 7);
        assert_eq!(recipe(&file.methods[0]).training.epochs, 4);
        assert_eq!(file.seeds.unwrap().0.len(), 2);
    }

    #[test]
    fn what_is_wrong_names_the_file_and_the_row() {
        let row = "title = \"t\"\n[[row]]\nlabel = \"A\"\n";
        let cases = [
            (format!("{row}configs = [\"none.toml\"]"), "none.toml"),
            (format!("{row}configs = []"), "row `A`"),
            (format!("{row}config = []"), "did you mean `configs`"),
            (
                format!("{row}configs = [\"sgr.toml\"]\nstrategy = \"ncx\""),
                "did you mean",
            ),
            (
                format!("{row}configs = [\"sgr.toml\"]\noracle = \"clean\""),
                "clean-only",
            ),
            (
                format!(
                    "{row}configs = [\"sgr.toml\"]\n[[row]]\nlabel = \"a\"\nconfigs = [\"sgr.toml\"]"
                ),
                "share a folder",
            ),
            ("title = \"t\"\nrow = []".to_owned(), "no row"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(
                error.contains(expected) && error.contains("rows.toml"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_way_up_stays_inside_the_programs_configurations() {
        assert_eq!(
            straight(Path::new("tables/../embeddings/./ncr.toml")),
            Path::new("embeddings/ncr.toml")
        );
        let missing = Place::of(Path::new("no-such-table")).unwrap_err();
        assert!(
            missing.to_string().contains("truepair recipes"),
            "{missing}"
        );
    }
}

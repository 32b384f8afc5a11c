//! Row files: what stands in a table, each row with its configurations.
//!
//! A comparison of strategies shares one configuration; the rows of a published table do not: SCAN has
//! another similarity, VSRN another backbone. A row file names the configurations of each row.

use std::fmt::Display;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use toml::Table;

use crate::command::recipes;
use crate::config::ConfigFile;

/// What a row file says.
#[derive(Debug)]
pub(crate) struct RowFile {
    place: Place,
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What the data has to hold, in words.
    pub(crate) layout: Option<String>,
    /// Noise to plant where none is typed, each as a word.
    noise: Vec<String>,
    /// Seeds where none are typed, as a word.
    pub(crate) seeds: Option<String>,
    /// Table of published results.
    pub(crate) published: Option<String>,
    /// Metrics beside the usual ones.
    pub(crate) metrics: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// Which published result stands beside a row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedName {
    pub(crate) method: String,
    /// Where several sources print one.
    pub(crate) source: Option<String>,
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
    row: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) label: String,
    /// Beside the row file; the scores of several are averaged.
    pub(crate) configs: Vec<PathBuf>,
    /// One more file on top of each.
    over: Option<PathBuf>,
    pub(crate) strategy: Option<String>,
    pub(crate) peers: Option<usize>,
    pub(crate) oracle: Option<String>,
    /// Settings on top of all.
    #[serde(default)]
    set: Table,
    /// The noises under which the row stands; all of the file's by default.
    pub(crate) noise: Option<Vec<String>>,
    pub(crate) published: Option<PublishedName>,
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
    /// Reads a row file; the configurations that it names are read by [`layers`](Self::layers).
    ///
    /// # Errors
    /// If it cannot be read, says something that does not exist, has no row, or two rows would share a folder.
    pub(crate) fn read(named: &Path) -> Result<Self> {
        let place = Place::of(named)?;
        let file = place.read()?;
        let text: FileText = file.parse()?;
        if text.row.is_empty() {
            bail!(
                "{}: has no row (add [[row]] with a label and configs)",
                file.name
            )
        }
        for (at, row) in text.row.iter().enumerate() {
            let folder = folder_of(&row.label);
            let same = |other: &&Row| folder_of(&other.label) == folder;
            if let Some(other) = text.row[..at].iter().find(same) {
                bail!(
                    "{}: rows `{}` and `{}` would share a folder (give them other labels)",
                    file.name,
                    other.label,
                    row.label
                )
            }
            if row.configs.is_empty() {
                bail!(
                    "{}: row `{}` names no configuration (configs = [\"FILE.toml\"])",
                    file.name,
                    row.label
                )
            }
        }
        Ok(Self {
            place,
            name: file.name,
            title: text.title,
            layout: text.layout,
            noise: text.noise,
            seeds: text.seeds,
            published: text.published,
            metrics: text.metrics,
            rows: text.row,
        })
    }

    /// The noises that it plants.
    ///
    /// # Errors
    /// If a word is no noise.
    pub(crate) fn noises<T>(&self) -> Result<Vec<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        noises(&self.noise).with_context(|| self.name.clone())
    }

    /// The settings of a row under one of its configurations, each layer on top of those before it.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn layers(&self, row: &Row, config: &Path) -> Result<Vec<ConfigFile>> {
        let mut layers = vec![self.place.beside(config).read()?];
        if let Some(over) = &row.over {
            layers.push(self.place.beside(over).read()?);
        }
        let mut set = row.set.clone();
        let strategy = [
            row.strategy.clone().map(|kind| ("kind", kind.into())),
            row.peers.map(|peers| ("peers", (peers as i64).into())),
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
        Ok(layers)
    }
}

impl Row {
    /// The noises under which the row stands; `None` for all.
    ///
    /// # Errors
    /// If a word is no noise.
    pub(crate) fn noises<T>(&self) -> Result<Option<Vec<T>>>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.noise.as_deref().map(noises).transpose()
    }
}

fn noises<T>(words: &[String]) -> Result<Vec<T>>
where
    T: FromStr,
    T::Err: Display,
{
    let read = |word: &String| {
        let parsed = word.parse::<T>();
        parsed.map_err(|error| anyhow!("noise = {word:?}: {error}"))
    };
    words.iter().map(read).collect()
}

/// A label as a folder's name: letters and digits in lower case, `*` as a word, `_` for the rest.
pub(crate) fn folder_of(label: &str) -> String {
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
        assert!(Place::of(Path::new("report-heads")).is_ok());
    }

    #[test]
    fn labels_make_folders() {
        let folders = ["SGR*", "CAR+HNSF", "PCME, means only", "a/../b"].map(folder_of);
        assert_eq!(
            folders,
            ["sgrstar", "car+hnsf", "pcme_means_only", "a_.._b"]
        );
    }
}

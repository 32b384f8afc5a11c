//! Configuration: a TOML file, `--set a.b=c` on top of it, and errors that name the nearest key.
//!
//! Which keys exist is declared once, by the structs that are filled; this file reads the allowed
//! names out of the refusal and finds the one that was meant.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use truepair_core::source_file;

/// Parts of a setting's name, at most.
const DEEPEST: usize = 8;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// Configuration to start from; `truepair recipes` lists those that come with
    /// the program.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Change one value of the configuration: section and key as a file has them, and a TOML value; a
    /// bare word is a string. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl ConfigArgs {
    /// The file, then the `kinds` that flags name (section and kind, such as `("strategy", "ncr")`),
    /// then every `--set` in order.
    ///
    /// # Errors
    /// If the file cannot be read, a kind contradicts the file, an assignment cannot be
    /// understood, or a key or value does not exist; the nearest existing name is in the message.
    pub(crate) fn load<T: DeserializeOwned>(&self, kinds: &[(&str, &str)]) -> Result<T> {
        let source = ConfigFile::read(self.config.as_deref())?;
        let mut table = source.table()?;
        for (section, kind) in kinds {
            set_kind(&mut table, section, kind, &source)?;
        }
        for assignment in &self.set {
            apply(&mut table, assignment)?;
        }
        let merged =
            toml::to_string(&table).context("the configuration cannot be written as TOML")?;
        toml::from_str(&merged).map_err(|error| match toml::from_str::<T>(&source.text) {
            // The file is at fault by itself, so its line can be named.
            Err(alone) if alone.message() == error.message() => source.locate(&alone),
            _ => anyhow!("configuration: {}", explain(error.message())),
        })
    }
}

/// One run's part of a configuration that several runs share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunPart<'a> {
    /// A file whose values replace those of the shared file.
    pub(crate) over: Option<&'a Path>,
    /// Section and kind, such as `("strategy", "ncr")`. A section of the shared file that is of
    /// another kind belongs to another run and is left out.
    pub(crate) kinds: &'a [(&'a str, &'a str)],
}

impl ConfigArgs {
    /// The shared file, the run's own file, the run's kinds, then every `--set` in order.
    ///
    /// # Errors
    /// As [`load`](Self::load); the run's own file must not contradict its kinds.
    pub(crate) fn load_share<T: DeserializeOwned>(&self, share: RunPart<'_>) -> Result<T> {
        let (base, over) = (
            ConfigFile::read(self.config.as_deref())?,
            ConfigFile::read(share.over)?,
        );
        let (mut table, own) = (base.table()?, over.table()?);
        for (path, kind) in share.kinds {
            let part = section(&mut table, path.split('.'))
                .with_context(|| format!("{}: `[{path}]` must be a section", base.name))?;
            if part.get("kind").and_then(Value::as_str) != Some(kind) {
                part.clear();
            }
        }
        merge(&mut table, own);
        for (path, kind) in share.kinds {
            set_kind(&mut table, path, kind, &over)?;
        }
        for assignment in &self.set {
            apply(&mut table, assignment)?;
        }
        filled(&table, &[&over, &base])
    }

    /// Layers of settings, each on top of those before it, then every `--set` in order.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn load_layers<T: DeserializeOwned>(&self, layers: &[ConfigFile]) -> Result<T> {
        let mut table = Table::new();
        for layer in layers {
            merge(&mut table, layer.table()?);
        }
        for assignment in &self.set {
            apply(&mut table, assignment)?;
        }
        let from_above: Vec<&ConfigFile> = layers.iter().rev().collect();
        filled(&table, &from_above)
    }

    /// The kind that the file gives the section at `path`, if any.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn kind(&self, path: &str) -> Result<Option<String>> {
        let mut table = ConfigFile::read(self.config.as_deref())?.table()?;
        let kind = section(&mut table, path.split('.')).and_then(|part| part.remove("kind"));
        Ok(kind.and_then(|kind| kind.as_str().map(str::to_owned)))
    }
}

/// What a merged table says; an error is that of the first of `sources` that has it by itself.
fn filled<T: DeserializeOwned>(table: &Table, sources: &[&ConfigFile]) -> Result<T> {
    let merged = toml::to_string(table).context("the configuration cannot be written as TOML")?;
    toml::from_str(&merged).map_err(|error| {
        let at_fault = sources.iter().find_map(|source| {
            let alone = toml::from_str::<T>(&source.text).err()?;
            (alone.message() == error.message()).then(|| source.locate(&alone))
        });
        at_fault.unwrap_or_else(|| anyhow!("configuration: {}", explain(error.message())))
    })
}

/// Puts `over` on top of `table`, section by section; a section of another kind replaces the whole.
fn merge(table: &mut Table, over: Table) {
    for (name, value) in over {
        match (table.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                if above.contains_key("kind") && above.get("kind") != below.get("kind") {
                    *below = above;
                } else {
                    merge(below, above);
                }
            }
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}

/// `base` with every `--set` on top, in order.
///
/// # Errors
/// If an assignment cannot be understood, or a key or value does not exist; the nearest existing
/// name is in the message.
pub(crate) fn changed<T: Serialize + DeserializeOwned>(base: &T, sets: &[String]) -> Result<T> {
    const KEPT: &str = "the configuration cannot be written as TOML";
    let mut table = Table::try_from(base).context(KEPT)?;
    for assignment in sets {
        apply(&mut table, assignment)?;
    }
    let merged = toml::to_string(&table).context(KEPT)?;
    toml::from_str(&merged).map_err(|error| anyhow!("configuration: {}", explain(error.message())))
}

/// Whether one of the assignments is of `key`.
pub(crate) fn sets_key(sets: &[String], key: &str) -> bool {
    let names = sets.iter().filter_map(|set| set.split_once('='));
    names.into_iter().any(|(name, _)| name.trim() == key)
}

/// The text of a configuration file, empty without one.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFile {
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl ConfigFile {
    pub(crate) fn read(file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else {
            return Ok(Self {
                name: "configuration".to_owned(),
                text: String::new(),
            });
        };
        let name = file.display().to_string();
        let text = source_file::read_text(file, source_file::SETTINGS)
            .with_context(|| format!("{name}: cannot read the configuration"))?;
        Ok(Self { name, text })
    }

    fn table(&self) -> Result<Table> {
        toml::from_str(&self.text).map_err(|error| self.locate(&error))
    }

    /// What the file says as a whole.
    ///
    /// # Errors
    /// If it says something else; the line and the nearest name are in the message.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| self.locate(&error))
    }

    fn locate(&self, error: &toml::de::Error) -> anyhow::Error {
        let before = error.span().and_then(|span| self.text.get(..span.start));
        let line = before.map(|text| format!(":{}", text.matches('\n').count() + 1));
        anyhow!(
            "{}{}: {}",
            self.name,
            line.unwrap_or_default(),
            explain(error.message())
        )
    }
}

fn set_kind(table: &mut Table, path: &str, kind: &str, source: &ConfigFile) -> Result<()> {
    let part = section(table, path.split('.'))
        .with_context(|| format!("{}: `[{path}]` must be a section", source.name))?;
    match part.get("kind").and_then(Value::as_str) {
        Some(other) if other != kind => bail!(
            "{}: is a configuration for {path} `{other}`, not `{kind}` \
             (drop --{}, or choose a file made for `{kind}`)",
            source.name,
            flag(path)
        ),
        _ => part.insert("kind".to_owned(), Value::String(kind.to_owned())),
    };
    Ok(())
}

/// The flag that names the kind of a section.
fn flag(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some(("matcher", "image" | "caption")) => "matcher",
        Some((_, last)) => last,
        None => path,
    }
}

/// The section at `path`, made where it is missing; `None` where a value stands in the way.
fn section<'t, 'p>(
    table: &'t mut Table,
    path: impl Iterator<Item = &'p str>,
) -> Option<&'t mut Table> {
    let mut part = table;
    for name in path {
        part = match part
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()))
        {
            Value::Table(next) => next,
            _ => return None,
        };
    }
    Some(part)
}

/// Carries out one `a.b=value`.
fn apply(table: &mut Table, assignment: &str) -> Result<()> {
    let Some((path, value)) = assignment.split_once('=') else {
        bail!("--set {assignment}: has no `=` (write --set section.key=value)")
    };
    let mut names: Vec<&str> = path.trim().split('.').collect();
    if names.len() > DEEPEST {
        bail!(
            "--set: a name of {} parts (no setting has more than {DEEPEST})",
            names.len()
        )
    }
    if names.iter().any(|name| name.is_empty()) {
        bail!("--set {assignment}: a name is empty (write --set section.key=value)")
    }
    let key = names.pop().unwrap_or_default();
    let Some(part) = section(table, names.iter().copied()) else {
        bail!(
            "--set {assignment}: `{}` is a value, not a section",
            names.join(".")
        )
    };
    part.insert(key.to_owned(), parse_value(value.trim()));
    Ok(())
}

/// A TOML value; anything else, such as a bare word, is taken as a string.
fn parse_value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Adds the nearest valid name to a refusal such as "unknown field `a`, expected `b` or `c`".
fn explain(message: &str) -> String {
    let message = &in_words(message.trim());
    let Some((refusal, allowed)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let unknown = refusal.starts_with("unknown field") || refusal.starts_with("unknown variant");
    match (quoted(refusal).next(), unknown) {
        (Some(given), true) => match nearest(given, quoted(allowed)) {
            Some(name) => format!("{message} (did you mean `{name}`?)"),
            None => message.to_owned(),
        },
        _ => message.to_owned(),
    }
}

/// A message without the names that types have in Rust.
fn in_words(message: &str) -> String {
    const NAMES: [(&str, &str); 7] = [
        ("expected usize", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected u16", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected a borrowed string", "expected a text"),
    ];
    let replaced = |text: String, (name, words): (&str, &str)| text.replace(name, words);
    NAMES.into_iter().fold(message.to_owned(), replaced)
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The name that a typing mistake most likely meant: at most a third of its letters are wrong.
pub(crate) fn nearest<'a>(given: &str, allowed: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |name: &str| name.chars().count().max(given.chars().count()).div_ceil(3);
    allowed
        .map(|name| (strsim::osa_distance(given, name), name))
        .filter(|(distance, name)| *distance <= near(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        epochs: u32,
        strategy: Strategy,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
    enum Strategy {
        // Not a unit variant: serde lets any key pass beside the tag of one.
        Plain {},
        Ncr {
            #[serde(default)]
            warm_up: f64,
        },
    }

    impl Default for Strategy {
        fn default() -> Self {
            Strategy::Plain {}
        }
    }

    fn load(text: &str, sets: &[&str], kinds: &[(&str, &str)]) -> Result<Config> {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("my.toml");
        std::fs::write(&file, text).unwrap();
        let sets = sets.iter().map(|&set| set.to_owned()).collect();
        let loaded = ConfigArgs {
            config: Some(file.clone()),
            set: sets,
        }
        .load(kinds);
        loaded.map_err(|error| {
            anyhow!(
                error
                    .to_string()
                    .replace(&file.display().to_string(), "my.toml")
            )
        })
    }

    #[track_caller]
    fn refused(text: &str, sets: &[&str], kinds: &[(&str, &str)], expected: &str) {
        assert_eq!(load(text, sets, kinds).unwrap_err().to_string(), expected);
    }

    #[test]
    fn later_assignments_win_over_earlier_ones_and_the_file() {
        let sets = ["epochs=5", "strategy.warm_up = 2", "epochs=7"];
        let config = load("epochs = 3", &sets, &[("strategy", "ncr")]).unwrap();
        assert_eq!(config.epochs, 7);
        assert!(matches!(config.strategy, Strategy::Ncr { warm_up: 2.0 }));
        let config = load("epochs = 3", &["strategy.kind=plain"], &[]).unwrap();
        assert!(matches!(
            (config.epochs, config.strategy),
            (3, Strategy::Plain {})
        ));
    }

    #[test]
    fn assignments_change_a_configuration_that_is_there() {
        let base = toml::Table::from_iter([("epochs".to_owned(), Value::Integer(3))]);
        let sets = ["strategy.kind = plain", "epochs=5"].map(str::to_owned);
        let merged = changed(&base, &sets).unwrap();
        assert_eq!(merged["epochs"].as_integer(), Some(5));
        assert_eq!(merged["strategy"]["kind"].as_str(), Some("plain"));
        assert!(changed(&base, &["epochs".to_owned()]).is_err());
        assert!(sets_key(&sets, "strategy.kind") && !sets_key(&sets, "strategy"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
        refused(
            "# mine\nepocs = 3\n",
            &[],
            &[],
            "my.toml:2: unknown field `epocs`, expected `epochs` or `strategy` (did you mean `epochs`?)",
        );
        refused(
            "",
            &["epocs=3"],
            &[],
            "configuration: unknown field `epocs`, expected `epochs` or `strategy` (did you mean `epochs`?)",
        );
        refused(
            "",
            &["strategy.kind=nrc"],
            &[],
            "configuration: unknown variant `nrc`, expected `plain` or `ncr` (did you mean `ncr`?)",
        );
    }

    #[test]
    fn a_value_of_another_type_is_refused_in_words() {
        refused(
            "",
            &["epochs=soon"],
            &[],
            "configuration: invalid type: string \"soon\", expected a whole number",
        );
    }

    #[test]
    fn a_file_for_another_method_is_refused() {
        refused(
            "[strategy]\nkind = \"ncr\"",
            &[],
            &[("strategy", "plain")],
            "my.toml: is a configuration for strategy `ncr`, not `plain` (drop --strategy, or choose a file made for `plain`)",
        );
        assert!(load("[strategy]\nkind = \"plain\"\nwarm_up = 2", &[], &[]).is_err());
    }

    #[test]
    fn assignments_that_make_no_sense_are_refused() {
        refused(
            "",
            &["epochs"],
            &[],
            "--set epochs: has no `=` (write --set section.key=value)",
        );
        refused(
            "",
            &[".epochs=1"],
            &[],
            "--set .epochs=1: a name is empty (write --set section.key=value)",
        );
        refused(
            "epochs = 3",
            &["epochs.x=1"],
            &[],
            "--set epochs.x=1: `epochs` is a value, not a section",
        );
        refused(
            "epochs = ",
            &[],
            &[],
            "my.toml:1: string values must be quoted, expected literal string",
        );
    }
}

//! Tables and schemas in `docs/` that are made from the code's own registries and types, so that they cannot fall
//! behind.
//!
//! A document holds `<!-- generated: NAME -->` and `<!-- end -->`; the lines between them are ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::libraries;

/// Makes a text from the code's registries.
type Generate = fn() -> String;

/// Documents that are generated as a whole.
const PAGES: &[(&str, Generate)] = &[
    ("docs/methods.md", truepair_train::methods_page),
    ("docs/metrics.md", truepair_core::metric::page),
    ("docs/noise.md", truepair_core::noise::page),
];

/// Every generated table: its name in the documents, and what makes it.
const TABLES: &[(&str, Generate)] = &[
    ("formats", truepair_read::dataset::formats_table),
    (
        "labeled_formats",
        truepair_read::labeled::labeled_formats_table,
    ),
    ("models", truepair_train::published::models_table),
];

/// The table that cargo makes.
const LIBRARIES: &str = "libraries";

const OPEN: &str = "<!-- generated: ";
const CLOSE: &str = "<!-- end -->";

/// Where the JSON Schemas of the program's output lie.
const SCHEMAS: &str = "docs/schema";

/// Rewrites the documents whose tables differ from the code, and the JSON Schemas; returns those.
pub(crate) fn write(root: &Path) -> Result<Vec<PathBuf>> {
    let mut changed = schemas(root)?;
    for (file, text) in outdated(root)? {
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        changed.push(file);
    }
    Ok(changed)
}

/// Has the program write its JSON Schemas; returns the files that changed. Its tests say when they are
/// out of date.
fn schemas(root: &Path) -> Result<Vec<PathBuf>> {
    let fresh = root.join("target/schema");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).context("target/schema")?;
    }
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        .args(["run", "--quiet", "-p", "truepair"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command
        .args(["--", "schema", "--write"])
        .arg(&fresh)
        .stdout(Stdio::null())
        .status();
    if !status.context("cannot run cargo")?.success() {
        bail!("the program does not write its schemas")
    }
    let published = root.join(SCHEMAS);
    fs::create_dir_all(&published).context(SCHEMAS)?;
    let (written, kept) = (texts(&fresh)?, texts(&published)?);
    let mut changed = Vec::new();
    for (name, _) in kept.iter().filter(|(name, _)| !written.contains_key(*name)) {
        fs::remove_file(published.join(name)).context(SCHEMAS)?;
        changed.push(published.join(name));
    }
    for (name, text) in written
        .iter()
        .filter(|(name, text)| kept.get(*name) != Some(*text))
    {
        fs::write(published.join(name), text).context(SCHEMAS)?;
        changed.push(published.join(name));
    }
    Ok(changed)
}

/// What the files of a folder say, by their names.
fn texts(folder: &Path) -> Result<BTreeMap<String, String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let read = entries.map(|entry| {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok((name, fs::read_to_string(&path)?))
    });
    read.collect()
}

/// Documents that should read differently, with the text they should have.
fn outdated(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut out = Vec::new();
    for (name, page) in PAGES {
        let file = root.join(name);
        // A page that is not there yet is written whole.
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text != page() {
            out.push((file, page()));
        }
    }
    let mut files = vec![root.join("NOTICES.md")];
    for entry in fs::read_dir(root.join("docs")).context("docs")? {
        files.push(entry?.path());
    }
    for file in files {
        if file.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&file)?;
            let fresh = refresh(&text, root).with_context(|| file.display().to_string())?;
            if fresh != text {
                out.push((file, fresh));
            }
        }
    }
    Ok(out)
}

fn refresh(text: &str, root: &Path) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        let (before, after) = rest.split_at(start + OPEN.len());
        let Some((name, after)) = after.split_once(" -->") else {
            bail!("`{OPEN}` without ` -->`")
        };
        let known = TABLES.iter().find(|(known, _)| *known == name);
        let table = match known {
            Some((_, table)) => table(),
            None if name == LIBRARIES => libraries::table(root)?,
            None => bail!("no table is called `{name}`"),
        };
        let Some((_, after)) = after.split_once(CLOSE) else {
            bail!("table `{name}` has no `{CLOSE}`")
        };
        out.push_str(&format!("{before}{name} -->\n{table}{CLOSE}"));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_up_to_date() {
        let stale: Vec<PathBuf> = outdated(crate::root())
            .unwrap()
            .into_iter()
            .map(|(file, _)| file)
            .collect();
        assert!(
            stale.is_empty(),
            "run `cargo run --release -p xtask -- codegen`: {stale:?}"
        );
    }

    #[test]
    fn a_table_is_replaced_between_its_marks_only() {
        let text = "before\n<!-- generated: formats -->\nstale\n<!-- end -->\nafter\n";
        let fresh = refresh(text, crate::root()).unwrap();
        assert!(fresh.starts_with("before\n") && fresh.ends_with("<!-- end -->\nafter\n"));
        assert!(!fresh.contains("stale") && fresh.contains("| format |"));
        assert_eq!(refresh(&fresh, crate::root()).unwrap(), fresh);
    }

    #[test]
    fn unknown_and_unclosed_tables_are_errors() {
        assert!(refresh("<!-- generated: moons -->\n<!-- end -->", crate::root()).is_err());
        assert!(refresh("<!-- generated: formats -->\n", crate::root()).is_err());
    }
}

//! What the program carries inside it, listed, printed or written: configurations, schemas, completion
//! scripts, manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::nearest;
use crate::folder;
use crate::output::Output;
use crate::render::Form;

/// The JSON object of commands that hand out what is inside the program.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Contents {
    command: &'static str,
    /// What there is.
    items: Vec<Item>,
    /// The text of the one that was asked for.
    text: Option<String>,
    /// Files that were written.
    written: Vec<PathBuf>,
}

/// One thing by its name.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// One line on it.
    pub(crate) about: String,
}

impl Output for Contents {
    const SCHEMA: &'static str = "truepair/contents/1";
}

impl Contents {
    fn new(command: &'static str) -> Self {
        Self {
            command,
            items: Vec::new(),
            text: None,
            written: Vec::new(),
        }
    }

    /// Names with a line on each.
    pub(crate) fn list(command: &'static str, items: Vec<Item>) -> Self {
        Self {
            items,
            ..Self::new(command)
        }
    }

    /// One text.
    pub(crate) fn text(command: &'static str, text: String) -> Self {
        Self {
            text: Some(text),
            ..Self::new(command)
        }
    }

    /// Writes files by their names below `folder`, which is made and must be empty.
    ///
    /// # Errors
    /// If something lies in the folder, or a file cannot be written.
    pub(crate) fn write(
        command: &'static str,
        folder: &Path,
        files: Vec<(String, String)>,
    ) -> Result<Self> {
        folder::check_free(folder)?;
        let mut written = Vec::new();
        for (name, text) in files {
            let path = folder.join(name);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, text))
                .with_context(|| format!("{}: cannot write", path.display()))?;
            written.push(path);
        }
        Ok(Self {
            written,
            ..Self::new(command)
        })
    }

    /// Prints the text alone, the list as two columns, or how much was written.
    pub(crate) fn print(&self, form: Form) -> Result<()> {
        form.print(self, || self.for_people())
    }

    fn for_people(&self) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        if !self.written.is_empty() {
            let lines = self
                .written
                .iter()
                .map(|file| format!("{}\n", file.display()));
            return lines.collect();
        }
        let width = self.items.iter().map(|item| item.name.chars().count());
        let width = width.max().unwrap_or(0);
        let lines = self
            .items
            .iter()
            .map(|item| format!("{:width$}  {}\n", item.name, item.about));
        lines.collect()
    }
}

/// Refuses a name that is not there, with the nearest one.
///
/// # Errors
/// Always.
pub(crate) fn unknown<T>(what: &str, name: &str, known: &[&str], list: &str) -> Result<T> {
    match nearest(name, known.iter().copied()) {
        Some(near) => bail!("no {what} is called `{name}` (did you mean `{near}`?)"),
        None => bail!("no {what} is called `{name}` (`{list}` lists them)"),
    }
}

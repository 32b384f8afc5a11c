//! Which columns of a table hold images, captions, splits and ids.

use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::ReadOptions;
use super::delimited::{Header, Look};
use super::records::Source;
use crate::spelling::normal;

/// Names of image columns, best first; compared without case.
const IMAGE_COLUMNS: &[&str] = &[
    "image",
    "image_path",
    "filepath",
    "file_path",
    "file_name",
    "filename",
    "image_file",
    "image_name",
    "img",
    "img_path",
    "file",
    "path",
    "image_id",
    "url",
    "image_url",
    "id",
    "uid",
    "key",
];
/// Names of caption columns, best first; a number or an `s` may follow, and all columns of the
/// first name found are used.
const CAPTION_COLUMNS: &[&str] = &["caption", "title", "text", "sentence", "description", "raw"];
const SPLIT_COLUMNS: &[&str] = &["split", "subset", "partition"];

/// Which column holds what.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) image: String,
    pub(super) captions: Vec<String>,
    pub(super) split: Option<String>,
    pub(super) id: Option<String>,
    /// What is read, what is not, and what was chosen.
    pub(super) account: Account,
}

impl Columns {
    /// Opens the table and finds the columns that the caller named, or those whose names say what
    /// they hold.
    ///
    /// # Errors
    /// If the table cannot be read, a column is missing, or two of them could be meant.
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<(Source, Columns)> {
        let asked: Vec<&String> = (options.image_column.iter())
            .chain(options.caption_columns.iter().flatten())
            .chain(&options.id_column)
            .collect();
        let is_asked = |cell: &str| asked.iter().any(|name| normal(name) == normal(cell));
        let mut source = Source::open(path, &|cell| is_asked(cell) || is_known(cell))?;
        let n_columns = source.columns().len();
        let is_number = |name: &&String| {
            let number = name.parse().ok();
            number.is_some_and(|number: usize| (1..=n_columns).contains(&number))
        };
        let has_asked = source.columns().iter().any(|column| is_asked(column));
        if !asked.is_empty() && asked.iter().all(is_number) && !has_asked {
            source = source.without_header();
        }
        let choice = Choice {
            path,
            source: &source,
            account: Account::default(),
        };
        let columns = choice.columns(options)?;
        Ok((source, columns))
    }

    /// The image, the captions, the split and the id, as far as they exist.
    pub(super) fn wanted(&self) -> Vec<&str> {
        let captions = self.captions.iter();
        let all = std::iter::once(&self.image)
            .chain(captions)
            .chain(&self.split)
            .chain(&self.id);
        all.map(String::as_str).collect()
    }
}

/// Whether a column of this name would be read unasked.
fn is_known(name: &str) -> bool {
    let known = IMAGE_COLUMNS.iter().chain(SPLIT_COLUMNS);
    known.clone().any(|known| known.eq_ignore_ascii_case(name))
        || CAPTION_COLUMNS
            .iter()
            .any(|known| is_of_captions(name, known))
}

/// Whether `column` is `name`, with an `s` or a number behind it or not.
fn is_of_captions(column: &str, name: &str) -> bool {
    let column = column.to_ascii_lowercase();
    let stem = column
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .trim_end_matches(['_', ' ']);
    stem == name || stem.strip_suffix('s') == Some(name)
}

/// Columns on their way to be chosen.
struct Choice<'a> {
    path: &'a Path,
    source: &'a Source,
    account: Account,
}

impl Choice<'_> {
    fn columns(mut self, options: &ReadOptions) -> Result<Columns> {
        let headless = self.source.header() == Header::Absent;
        if headless {
            let first = "the first line is a record, not names of columns, which are called by \
                         their numbers";
            self.account.chose(first);
        }
        let image = match &options.image_column {
            Some(name) => self.named(name)?,
            None if headless => self.only_column(Part::Images)?,
            None => self
                .first_of(IMAGE_COLUMNS, "images")?
                .ok_or_else(|| self.missing("no column of images", "name the image column"))?,
        };
        let captions = match &options.caption_columns {
            Some(names) => {
                let columns = names.iter().map(|name| self.named(name));
                columns.collect::<Result<Vec<_>>>()?
            }
            None if headless => vec![self.only_column(Part::Captions)?],
            None => self.of_captions(&image)?,
        };
        if captions.is_empty() {
            return Err(self.missing("no column of captions", "name the caption columns"));
        }
        let id = match &options.id_column {
            Some(name) => Some(self.named(name)?),
            None => None,
        };
        let split = match headless {
            true => None,
            false => self.first_of(SPLIT_COLUMNS, "splits")?,
        };
        let mut columns = Columns {
            image,
            captions,
            split,
            id,
            account: self.account,
        };
        let mut used: Vec<String> = columns.wanted().iter().map(|&name| name.into()).collect();
        used.sort_unstable();
        used.dedup();
        columns.account.used("column", used.len());
        for column in self
            .source
            .columns()
            .iter()
            .filter(|name| !used.contains(name))
        {
            columns
                .account
                .pass("column", "it is not asked for", column);
        }
        Ok(columns)
    }

    fn missing(&self, what: &str, remedy: &str) -> Error {
        let columns = self.source.columns();
        let (problem, remedy) = match self.source.first_line() {
            Some(cells) if self.source.header() == Header::Absent => (
                format!(
                    "{what}: the first line is a record, not names of columns: {}",
                    quoted(cells)
                ),
                format!("{remedy} by its number, from 1 to {}", columns.len()),
            ),
            Some(_) => (
                format!("{what}; the columns are: {}", columns.join(", ")),
                format!("{remedy}, or its number if the first line is a record"),
            ),
            None => (
                format!("{what}; the columns are: {}", columns.join(", ")),
                remedy.to_owned(),
            ),
        };
        Error::data(self.path, Place::Whole, problem, remedy)
    }

    /// The column that the caller calls `name`.
    fn named(&mut self, name: &str) -> Result<String> {
        let columns = self.source.columns();
        if columns.iter().any(|column| column == name) {
            return Ok(name.to_owned());
        }
        let mut alike = columns
            .iter()
            .filter(|column| normal(column) == normal(name));
        match (alike.next(), alike.next()) {
            (Some(column), None) => {
                let how = "its name is written in another way, which Unicode takes as the same";
                self.account.chose_for("column", how, column);
                Ok(column.clone())
            }
            (Some(one), Some(other)) => Err(self.twice(one, other)),
            (None, _) => {
                Err(self.missing(&format!("there is no column '{name}'"), "name one of them"))
            }
        }
    }

    fn twice(&self, one: &str, other: &str) -> Error {
        Error::data(
            self.path,
            Place::Whole,
            format!("columns '{one}' and '{other}' could both be meant"),
            "name one of them",
        )
    }

    /// The column that has the best of `names`; others that have one are named.
    fn first_of(&mut self, names: &[&str], of: &str) -> Result<Option<String>> {
        let mut found: Vec<&String> = Vec::new();
        for name in names {
            let columns = self.source.columns().iter();
            let before = found.len();
            found.extend(columns.filter(|column| column.eq_ignore_ascii_case(name)));
            if let [one, other, ..] = found[before..]
                && before == 0
                && one != other
            {
                return Err(self.twice(one, other));
            }
        }
        found.dedup();
        let Some((best, others)) = found.split_first() else {
            return Ok(None);
        };
        let best = (*best).clone();
        if !others.is_empty() {
            let others = others.iter().map(|name| format!("'{name}'"));
            let others: Vec<String> = others.collect();
            self.account.chose(format!(
                "{of} are read from column '{best}', not from {}",
                others.join(", ")
            ));
        }
        Ok(Some(best))
    }

    /// The columns whose names say that they hold captions.
    fn of_captions(&mut self, image: &str) -> Result<Vec<String>> {
        let of = |name: &&str| -> Vec<String> {
            let columns = self.source.columns().iter();
            let columns = columns.filter(|column| *column != image && is_of_captions(column, name));
            columns.cloned().collect()
        };
        let groups: Vec<Vec<String>> = CAPTION_COLUMNS.iter().map(of).collect();
        let mut groups = groups.into_iter().filter(|columns| !columns.is_empty());
        let Some(first) = groups.next() else {
            return Ok(Vec::new());
        };
        let has_number = |name: &String| name.ends_with(|c: char| c.is_ascii_digit());
        let unnumbered: Vec<&String> = first.iter().filter(|name| !has_number(name)).collect();
        if let [one, other, ..] = unnumbered[..]
            && one.eq_ignore_ascii_case(other)
            && one != other
        {
            return Err(self.twice(one, other));
        }
        let others: Vec<String> = groups.flatten().collect();
        let said = first.len() > 1 && !unnumbered.is_empty();
        if said || !others.is_empty() {
            let not = match others.is_empty() {
                true => String::new(),
                false => format!(", not from {}", quoted(&others)),
            };
            self.account
                .chose(format!("captions are read from {}{not}", quoted(&first)));
        }
        Ok(first)
    }

    /// The one column of a table without names that looks like one of images, or of captions.
    fn only_column(&mut self, part: Part) -> Result<String> {
        let looks_so = |look: Look| match part {
            Part::Images => look.is_of_images(),
            Part::Captions => matches!(look, Look::Text),
        };
        let columns = self.source.columns().iter().enumerate();
        let mut found = columns
            .filter(|(at, _)| self.source.look(*at).is_some_and(looks_so))
            .map(|(_, column)| column.clone());
        match (found.next(), found.next()) {
            (Some(column), None) => {
                let what = part.name();
                (self.account).chose(format!("{what} are read from column {column} by its looks"));
                Ok(column)
            }
            _ => Err(self.missing(
                &format!("no telling which column is that of {}", part.name()),
                "name it",
            )),
        }
    }
}

/// What a column of a table without names may hold.
#[derive(Debug, Clone, Copy)]
enum Part {
    Images,
    Captions,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Images => "images",
            Part::Captions => "captions",
        }
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    names.join(", ")
}

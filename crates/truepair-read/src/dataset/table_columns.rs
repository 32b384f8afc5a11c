//! Which columns of a table hold images, captions, splits and ids.

use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::column_names::{
    CAPTION_COLUMNS, IMAGE_COLUMNS, SPLIT_COLUMNS, is_known, is_of_captions,
};
use super::column_shape::captions_at;
use super::delimited::{Header, Look};
use super::records::Source;
use super::selector::{NAME_A_KEY, Selector};
use super::{Pictures, ReadOptions};
use crate::spelling::normal;

/// The roles that columns play, as the account names them.
pub(super) const PICTURE_ROLE: &str = "pictures";
const IMAGE_ROLE: &str = "images";
const CAPTION_ROLE: &str = "captions";
const SPLIT_ROLE: &str = "splits";
const ID_ROLE: &str = "ids";
pub(super) const VECTOR_ROLE: &str = "embeddings";

/// Which column holds what.
#[derive(Debug)]
pub(super) struct Columns {
    /// The column that holds the bytes of pictures.
    pub(super) pictures: Option<String>,
    /// What names the images; only pictures need no name.
    pub(super) image: Option<Selector>,
    pub(super) captions: Vec<Selector>,
    pub(super) split: Option<Selector>,
    pub(super) id: Option<Selector>,
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
        let source = open_source(path, options)?;
        let mut choice = ColumnChoice::new(path, &source);
        let Some(image) = choice.image(options)? else {
            return Err(choice.missing("no column of images", "name the image column"));
        };
        let columns = choice.with_image(image, options)?;
        Ok((source, columns))
    }

    /// The columns that data was read from, as its account names them.
    pub(super) fn of_account(account: &Account, found: &[String]) -> Option<Self> {
        let places = |role: &str| -> Vec<Selector> {
            let named = account.sources(role).into_iter();
            named
                .filter_map(|name| Selector::parse(name, found).ok())
                .collect()
        };
        let pictures = account.sources(PICTURE_ROLE).pop().map(str::to_owned);
        let (image, captions) = (places(IMAGE_ROLE).pop(), places(CAPTION_ROLE));
        let id = places(ID_ROLE).pop();
        let has_vectors = !account.sources(VECTOR_ROLE).is_empty();
        let has_image = pictures.is_some() || image.is_some() || id.is_some();
        (has_image || has_vectors).then_some(())?;
        Some(Self {
            pictures,
            image,
            captions,
            split: places(SPLIT_ROLE).pop(),
            id,
            account: Account::default(),
        })
    }

    /// The image, the captions, the split and the id, as far as they exist.
    pub(super) fn wanted(&self) -> Vec<Selector> {
        let image = self.image.iter();
        let all = image
            .chain(&self.captions)
            .chain(&self.split)
            .chain(&self.id);
        all.cloned().collect()
    }
}

/// Options by which data of this account is opened again with the pictures that it names.
pub(super) fn options_of(account: &Account) -> ReadOptions {
    let sources = |role: &str| -> Vec<String> {
        let found = account.sources(role).into_iter();
        found.map(str::to_owned).collect()
    };
    let captions = sources(CAPTION_ROLE);
    ReadOptions {
        image_column: sources(IMAGE_ROLE).pop(),
        caption_columns: (!captions.is_empty()).then_some(captions),
        id_column: sources(ID_ROLE).pop(),
        pictures: Pictures::Beside,
        ..ReadOptions::default()
    }
}

impl Columns {
    /// Notes which of the columns `found` are read, these or `others`, and which are not.
    pub(super) fn with_the_rest(mut self, found: &[String], others: &[&str]) -> Self {
        let wanted = self.wanted();
        let mut used: Vec<&str> = wanted.iter().map(|place| place.column.as_str()).collect();
        used.extend(self.pictures.as_deref());
        used.extend(others);
        used.sort_unstable();
        used.dedup();
        self.account.used("column", used.len());
        for column in found.iter().filter(|name| !used.contains(&name.as_str())) {
            self.account.pass("column", "it is not asked for", column);
        }
        self
    }
}

/// Opens a table; whether its first line names its columns may depend on what is asked for.
///
/// # Errors
/// If it cannot be read.
pub(super) fn open_source(path: &Path, options: &ReadOptions) -> Result<Source> {
    let asked: Vec<&String> = (options.image_column.iter())
        .chain(options.caption_columns.iter().flatten())
        .chain(&options.id_column)
        .collect();
    let is_asked = |cell: &str| asked.iter().any(|name| is_in_column(name, cell));
    let source = Source::open(path, &|cell| is_asked(cell) || is_known(cell))?;
    let n_columns = source.columns().len();
    let is_number = |name: &&String| {
        let number = name.parse().ok();
        number.is_some_and(|number: usize| (1..=n_columns).contains(&number))
    };
    let has_asked = source.columns().iter().any(|column| is_asked(column));
    if !asked.is_empty() && asked.iter().all(is_number) && !has_asked {
        return Ok(source.without_header());
    }
    Ok(source)
}

/// Whether a place that the caller named is `column` or lies in it.
fn is_in_column(place: &str, column: &str) -> bool {
    let (place, column) = (normal(place), normal(column));
    let rest = place.strip_prefix(column.as_ref());
    !column.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Columns on their way to be chosen.
pub(super) struct ColumnChoice<'a> {
    path: &'a Path,
    source: &'a Source,
    /// Columns that are of another kind than texts.
    left_out: Vec<String>,
    pub(super) account: Account,
}

impl<'a> ColumnChoice<'a> {
    pub(super) fn new(path: &'a Path, source: &'a Source) -> Self {
        let mut account = Account::default();
        if source.header() == Header::Absent {
            let first = "the first line is a record, not names of columns, which are called by \
                         their numbers";
            account.chose(first);
        }
        Self {
            path,
            source,
            left_out: Vec::new(),
            account,
        }
    }

    /// Leaves `columns` out of what is chosen by name.
    pub(super) fn leave_out(&mut self, columns: &[String]) {
        self.left_out.extend_from_slice(columns);
    }

    /// Whether there are columns of captions by their names, besides `taken`.
    pub(super) fn has_captions(&self, taken: &[&String]) -> bool {
        let mut columns = self.texts();
        columns.any(|column| {
            let mut known = CAPTION_COLUMNS.iter();
            !taken.contains(&column) && known.any(|name| is_of_captions(column, name))
        })
    }

    /// The columns that may be chosen by name.
    fn texts(&self) -> impl Iterator<Item = &'a String> {
        let columns = self.source.columns().iter();
        columns.filter(|column| !self.left_out.contains(column))
    }

    /// The column that names the images.
    pub(super) fn image(&mut self, options: &ReadOptions) -> Result<Option<Selector>> {
        match &options.image_column {
            Some(name) => self.named(name).map(Some),
            None if self.source.header() == Header::Absent => self
                .only_column(Part::Images)
                .map(|name| Some(Selector::column(&name))),
            None => {
                let name = self.first_of(IMAGE_COLUMNS, "images")?;
                Ok(name.map(|name| Selector::column(&name)))
            }
        }
    }

    /// The places of the captions, in none of the columns `taken`.
    ///
    /// # Errors
    /// If there are none, or it is not clear where in a column they stand.
    pub(super) fn captions(
        &mut self,
        options: &ReadOptions,
        taken: &[&String],
    ) -> Result<Vec<Selector>> {
        let named = match &options.caption_columns {
            Some(names) => {
                let places = names.iter().map(|name| self.named(name));
                places.collect::<Result<Vec<_>>>()?
            }
            None if self.source.header() == Header::Absent => {
                vec![Selector::column(&self.only_column(Part::Captions)?)]
            }
            None => {
                let found = self.of_captions(taken)?;
                found.iter().map(|name| Selector::column(name)).collect()
            }
        };
        if named.is_empty() {
            return Err(self.missing("no column of captions", "name the caption columns"));
        }
        let mut captions = Vec::with_capacity(named.len());
        for place in named {
            let inside = match place.steps.is_empty() {
                true => captions_at(self.path, self.source, &place.column)?,
                false => None,
            };
            if let Some(inside) = &inside {
                self.account
                    .chose(format!("captions are read from {inside}"));
            }
            captions.push(inside.unwrap_or(place));
        }
        Ok(captions)
    }

    /// All columns, where `image` names the images.
    pub(super) fn with_image(mut self, image: Selector, options: &ReadOptions) -> Result<Columns> {
        let captions = self.captions(options, &[&image.column])?;
        let found = self.source.columns();
        let columns = self.columns_of(Some(image), captions, options)?;
        Ok(columns.with_the_rest(found, &[]))
    }

    /// As [`with_image`](Self::with_image), where perhaps nothing names the images and captions stand
    /// at these places; without what is said of the other columns.
    pub(super) fn columns_of(
        mut self,
        image: Option<Selector>,
        captions: Vec<Selector>,
        options: &ReadOptions,
    ) -> Result<Columns> {
        let id = match &options.id_column {
            Some(name) => Some(self.named(name)?),
            None => None,
        };
        let split = match self.source.header() {
            Header::Absent => None,
            Header::Given => self.first_of(SPLIT_COLUMNS, "splits")?,
        };
        let split = split.map(|name| Selector::column(&name));
        let places: [(&'static str, Vec<&Selector>); 4] = [
            (IMAGE_ROLE, image.iter().collect()),
            (CAPTION_ROLE, captions.iter().collect()),
            (SPLIT_ROLE, split.iter().collect()),
            (ID_ROLE, id.iter().collect()),
        ];
        for (role, places) in places {
            places
                .into_iter()
                .for_each(|place| self.account.read_as(role, place));
        }
        Ok(Columns {
            pictures: None,
            image,
            captions,
            split,
            id,
            account: self.account,
        })
    }

    /// The first column of one of `names`, compared without case.
    pub(super) fn any_of(&self, names: &[&str]) -> Option<Selector> {
        let column = |name: &&str| {
            let mut columns = self.source.columns().iter();
            columns.find(|column| column.eq_ignore_ascii_case(name))
        };
        names
            .iter()
            .find_map(column)
            .map(|name| Selector::column(name))
    }

    /// An error that says which columns there are.
    pub(super) fn missing(&self, what: &str, remedy: &str) -> Error {
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

    /// The place that the caller calls `name`.
    fn named(&mut self, name: &str) -> Result<Selector> {
        let columns = self.source.columns();
        let problem = match Selector::parse(name, columns) {
            Ok(place) => return Ok(place),
            Err(problem) => problem,
        };
        let spelled: Vec<String> = columns
            .iter()
            .map(|name| normal(name).into_owned())
            .collect();
        let Ok(place) = Selector::parse(&normal(name), &spelled) else {
            let remedy = match problem.contains("no column") {
                true => "name one of them",
                false => NAME_A_KEY,
            };
            return Err(self.missing(&problem, remedy));
        };
        let mut alike = columns
            .iter()
            .filter(|column| normal(column) == place.column);
        match (alike.next(), alike.next()) {
            (Some(one), Some(other)) => Err(self.twice(one, other)),
            (column, _) => {
                let column = column.cloned().unwrap_or_default();
                let how = "its name is written in another way, which Unicode takes as the same";
                self.account.chose_for("column", how, &column);
                Ok(Selector { column, ..place })
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
            let columns = self.texts();
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
    fn of_captions(&mut self, taken: &[&String]) -> Result<Vec<String>> {
        let of = |name: &&str| -> Vec<String> {
            let columns = self.source.columns().iter();
            let columns =
                columns.filter(|column| !taken.contains(column) && is_of_captions(column, name));
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

//! Which columns of a table hold images, captions, splits and ids.

use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::ReadOptions;
use super::column_shape::captions_at;
use super::records;
use super::selector::{NAME_A_KEY, Selector};

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
    "jpg",
    "png",
    "webp",
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
const CAPTION_COLUMNS: &[&str] = &[
    "caption",
    "title",
    "text",
    "sentence",
    "description",
    "raw",
    "comment",
    "conversation",
    "txt",
];
const SPLIT_COLUMNS: &[&str] = &["split", "subset", "partition"];

/// The roles that columns play, as the account names them.
pub(super) const PICTURE_ROLE: &str = "pictures";
pub(super) const IMAGE_ROLE: &str = "images";
pub(super) const CAPTION_ROLE: &str = "captions";
pub(super) const SPLIT_ROLE: &str = "splits";
pub(super) const ID_ROLE: &str = "ids";
pub(super) const VECTOR_ROLE: &str = "embeddings";

/// Which column holds what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// The column that holds the bytes of pictures.
    pub(super) pictures: Option<String>,
    /// What names the images; only pictures need no name.
    pub(super) image: Option<Selector>,
    pub(super) captions: Vec<Selector>,
    pub(super) split: Option<Selector>,
    pub(super) id: Option<Selector>,
}

/// The columns of a table, among which some are chosen.
pub(super) struct ColumnChoice<'a> {
    path: &'a Path,
    found: Vec<String>,
}

impl<'a> ColumnChoice<'a> {
    /// The columns of the table at `path`.
    ///
    /// # Errors
    /// If it cannot be read or has none.
    pub(super) fn of(path: &'a Path) -> Result<Self> {
        let found = records::columns(path)?;
        Ok(Self { path, found })
    }

    /// The table.
    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// All columns.
    pub(super) fn names(&self) -> &[String] {
        &self.found
    }

    /// The columns that the caller named, or those whose names say what they hold.
    ///
    /// # Errors
    /// If there are none, or it is not clear where in them the captions stand.
    pub(super) fn choose(&self, options: &ReadOptions) -> Result<(Columns, Account)> {
        let image = self.image(options)?;
        let image =
            image.ok_or_else(|| self.missing("no column of images", "name the image column"))?;
        let (captions, mut account) = self.captions(options, &[&image.column])?;
        if captions.is_empty() {
            return Err(self.missing("no column of captions", "name the caption columns"));
        }
        let columns = Columns {
            pictures: None,
            image: Some(image),
            captions,
            split: self.split(),
            id: self.id(options)?,
        };
        columns.note(&self.found, &mut account);
        Ok((columns, account))
    }

    /// The column that names the images.
    pub(super) fn image(&self, options: &ReadOptions) -> Result<Option<Selector>> {
        match &options.image_column {
            Some(name) => self.named(name).map(Some),
            None => Ok(self.first_of(IMAGE_COLUMNS)),
        }
    }

    /// The places of the captions, which are none of the columns `taken`, and what was chosen on the
    /// way to them.
    pub(super) fn captions(
        &self,
        options: &ReadOptions,
        taken: &[&String],
    ) -> Result<(Vec<Selector>, Account)> {
        let mut account = Account::default();
        let named: Vec<Selector> = match &options.caption_columns {
            Some(names) => names
                .iter()
                .map(|name| self.named(name))
                .collect::<Result<_>>()?,
            None => caption_columns(&self.found, taken),
        };
        let mut captions = Vec::with_capacity(named.len());
        for place in named {
            if !place.steps.is_empty() {
                captions.push(place);
                continue;
            }
            let (place, is_found_out) = captions_at(self.path, &place.column)?;
            if is_found_out {
                account.chose(format!("captions are read from {place}"));
            }
            captions.push(place);
        }
        Ok((captions, account))
    }

    /// The column of the splits.
    pub(super) fn split(&self) -> Option<Selector> {
        self.first_of(SPLIT_COLUMNS)
    }

    /// The column of ids, where one was named.
    pub(super) fn id(&self, options: &ReadOptions) -> Result<Option<Selector>> {
        let id = options.id_column.as_ref();
        id.map(|name| self.named(name)).transpose()
    }

    /// The first column of one of these names, compared without case.
    pub(super) fn first_of(&self, names: &[&str]) -> Option<Selector> {
        let column = |name: &&str| {
            self.found
                .iter()
                .find(|column| column.eq_ignore_ascii_case(name))
        };
        names
            .iter()
            .find_map(column)
            .map(|name| Selector::column(name))
    }

    /// The column or place that the caller named.
    fn named(&self, name: &String) -> Result<Selector> {
        Selector::parse(name, &self.found).map_err(|problem| {
            let remedy = if problem.contains("no column") {
                "name one of them"
            } else {
                NAME_A_KEY
            };
            self.missing(&problem, remedy)
        })
    }

    /// An error that lists the columns there are.
    pub(super) fn missing(&self, what: &str, remedy: &str) -> Error {
        let problem = format!("{what}; the columns are: {}", self.found.join(", "));
        Error::data(self.path, Place::Whole, problem, remedy)
    }
}

impl Columns {
    /// Which columns are read, and which are not.
    pub(super) fn note(&self, found: &[String], account: &mut Account) {
        let roles: [(&'static str, Vec<&Selector>); 4] = [
            (IMAGE_ROLE, self.image.iter().collect()),
            (CAPTION_ROLE, self.captions.iter().collect()),
            (SPLIT_ROLE, self.split.iter().collect()),
            (ID_ROLE, self.id.iter().collect()),
        ];
        let mut used: Vec<&str> = self.pictures.iter().map(String::as_str).collect();
        if let Some(pictures) = &self.pictures {
            account.read_as(PICTURE_ROLE, pictures);
        }
        for (role, places) in roles {
            for place in places {
                account.read_as(role, place);
                used.push(&place.column);
            }
        }
        used.sort_unstable();
        used.dedup();
        account.used("column", used.len());
        for column in found.iter().filter(|name| !used.contains(&name.as_str())) {
            account.pass("column", "it is not asked for", column);
        }
    }

    /// The columns that a table was read from, as its account names them.
    pub(super) fn of_account(account: &Account, found: &[String]) -> Option<Self> {
        let places = |role: &str| -> Vec<Selector> {
            let named = account.sources(role).into_iter();
            named
                .filter_map(|name| Selector::parse(name, found).ok())
                .collect()
        };
        let pictures = account.sources(PICTURE_ROLE).pop().map(str::to_owned);
        let image = places(IMAGE_ROLE).pop();
        (pictures.is_some() || image.is_some()).then_some(())?;
        Some(Self {
            pictures,
            image,
            captions: places(CAPTION_ROLE),
            split: places(SPLIT_ROLE).pop(),
            id: places(ID_ROLE).pop(),
        })
    }
}

fn caption_columns(found: &[String], taken: &[&String]) -> Vec<Selector> {
    let is_of = |column: &str, name: &str| {
        let column = column.to_ascii_lowercase();
        let stem = column
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .trim_end_matches(['_', ' ']);
        stem == name || stem.strip_suffix('s') == Some(name)
    };
    let of = |name: &&str| -> Vec<Selector> {
        found
            .iter()
            .filter(|c| !taken.contains(c) && is_of(c, name))
            .map(|name| Selector::column(name))
            .collect()
    };
    CAPTION_COLUMNS
        .iter()
        .map(of)
        .find(|columns| !columns.is_empty())
        .unwrap_or_default()
}

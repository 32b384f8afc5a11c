//! One side of a benchmark: the corpus, or the queries.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use truepair_core::dataset::{Account, Picture, PictureColumn};
use truepair_core::error::{Error, Place, Result};

use super::super::cell::Cell;
use super::super::judged::Items;
use super::super::picture_column::{ParquetPictures, Readers};
use super::super::records::{self, Kind};

/// Columns of ids, pictures and texts, best first.
const IDS: &[&str] = &[
    "id",
    "_id",
    "corpus-id",
    "query-id",
    "corpus_id",
    "query_id",
];
const IMAGES: &[&str] = &["image", "image_path", "file_name"];
const TEXTS: &[&str] = &["text", "caption", "query"];

/// What the items of a side are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Pictures,
    Texts,
}

/// The records of one side.
pub(super) struct Side {
    records: Vec<Record>,
    pub(super) account: Account,
}

struct Record {
    file: PathBuf,
    place: Place,
    id: String,
    picture: Option<Picture>,
    text: Option<String>,
}

/// Where the pictures of a file are.
enum Pictures {
    None,
    /// In a column of bytes; records without any, sorted.
    Column(Arc<ParquetPictures>, Vec<u32>),
    /// In files that this column names.
    Named,
}

impl Pictures {
    /// # Errors
    /// If the file cannot be read.
    fn in_column(file: &Path, image: &str, readers: &Arc<Readers>) -> Result<Self> {
        let column = match Kind::by_ending(file) {
            Some(Kind::Parquet) => ParquetPictures::open_with(file, image, readers)?,
            _ => None,
        };
        Ok(match column {
            Some(column) => {
                let empty = column.empty()?;
                Self::Column(column, empty)
            }
            None => Self::Named,
        })
    }

    /// The bytes of a record, where they stand in a column.
    fn of_record(&self, record: u32) -> Option<Picture> {
        let Self::Column(column, empty) = self else {
            return None;
        };
        let column: Arc<dyn PictureColumn> = column.clone();
        let is_there = empty.binary_search(&record).is_err();
        is_there.then_some(Picture::Value { column, record })
    }
}

impl Side {
    /// Reads the files of a side of the benchmark in `home`.
    ///
    /// # Errors
    /// If one cannot be read, or has no column of ids.
    pub(super) fn read(home: &Path, files: &[PathBuf]) -> Result<Self> {
        let readers: Arc<Readers> = Arc::default();
        let mut side = Self {
            records: Vec::new(),
            account: Account::default(),
        };
        for file in files {
            side.add(home, file, &readers)?;
        }
        Ok(side)
    }

    fn add(&mut self, home: &Path, file: &Path, readers: &Arc<Readers>) -> Result<()> {
        let found = records::columns(file)?;
        let column = |names: &[&str]| {
            let mut names = names.iter();
            names.find_map(|name| found.iter().find(|column| column == name))
        };
        let id = column(IDS).ok_or_else(|| {
            let problem = format!(
                "there is no column of ids; the columns are: {}",
                found.join(", ")
            );
            Error::data(file, Place::Whole, problem, "name it id or _id")
        })?;
        let (image, text) = (column(IMAGES), column(TEXTS));
        let pictures = match image {
            Some(image) => Pictures::in_column(file, image, readers)?,
            None => Pictures::None,
        };
        let named = image.filter(|_| matches!(pictures, Pictures::Named));
        let used = [Some(id), image, text];
        let wanted: Vec<&str> = [Some(id), named, text]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let others = found.iter().filter(|column| !used.contains(&Some(column)));
        let other_names: Vec<&String> = others.collect();
        self.account.used("column", found.len() - other_names.len());
        for column in other_names {
            self.account.pass("column", "it is not asked for", column);
        }
        let folders = [home, file.parent().unwrap_or(home)];
        let mut number = 0;
        records::for_each(file, &wanted, |place, cells| {
            let mut texts = cells.into_iter().map(only);
            let id = texts.next().flatten().unwrap_or_default();
            let name = named.and_then(|_| texts.next().flatten());
            let text = text.and_then(|_| texts.next().flatten());
            let picture = match (&pictures, name) {
                (Pictures::Named, Some(name)) => Some(named_file(&folders, &name)),
                _ => pictures.of_record(number),
            };
            number += 1;
            self.records.push(Record {
                file: file.to_path_buf(),
                place,
                id,
                picture,
                text,
            });
            Ok(())
        })
    }

    /// The ids of the records of one file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn ids(file: &Path) -> Result<Vec<String>> {
        let side = Self::read(Path::new(""), &[file.to_path_buf()])?;
        Ok(side.records.into_iter().map(|record| record.id).collect())
    }

    /// Whether some record has this content.
    pub(super) fn has(&self, content: Content) -> bool {
        self.records.iter().any(|record| match content {
            Content::Pictures => record.picture.is_some(),
            Content::Texts => record.text.is_some(),
        })
    }

    /// The first file.
    pub(super) fn first_file(&self) -> PathBuf {
        self.records
            .first()
            .map(|record| record.file.clone())
            .unwrap_or_default()
    }

    /// The pictures, and the ids of the records without one, which are noted.
    ///
    /// # Errors
    /// If an id is empty or was used before.
    pub(super) fn into_pictures(
        self,
        account: &mut Account,
    ) -> Result<(Items<Picture>, HashSet<String>)> {
        let (mut items, mut without) = (Items::default(), HashSet::new());
        for record in self.records {
            let why = match record.picture {
                Some(Picture::Missing { .. }) => "there is no such file",
                Some(picture) => {
                    items.add(&record.file, record.place, record.id, picture)?;
                    continue;
                }
                None => "its record has no bytes",
            };
            account.pass("picture", why, &record.id);
            without.insert(record.id);
        }
        Ok((items, without))
    }

    /// The texts; records without one have an empty one.
    ///
    /// # Errors
    /// If an id is empty or was used before.
    pub(super) fn into_texts(self) -> Result<Items<String>> {
        let mut items = Items::default();
        for record in self.records {
            let text = record.text.unwrap_or_default();
            items.add(&record.file, record.place, record.id, text)?;
        }
        Ok(items)
    }
}

/// What the records hold, in words.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            match (self.has(Content::Pictures), self.has(Content::Texts)) {
                (true, true) => "pictures and texts",
                (true, false) => "pictures",
                (false, true) => "texts",
                (false, false) => "neither pictures nor texts",
            },
        )
    }
}

fn only(cell: Cell) -> Option<String> {
    cell.only()
        .ok()
        .flatten()
        .filter(|text| !text.trim().is_empty())
}

fn named_file(folders: &[&Path; 2], name: &str) -> Picture {
    let files = folders.iter().map(|folder| folder.join(name));
    let found = files.into_iter().find(|file| file.is_file());
    found.map_or_else(
        || Picture::Missing {
            name: folders[0].join(name),
        },
        Picture::File,
    )
}

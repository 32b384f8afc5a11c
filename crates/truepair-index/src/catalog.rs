//! `index.json`: which files make up an index. Replacing it is what commits a change.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use truepair_core::digest::Digest;
use truepair_core::error::Place;
use truepair_core::{Error, Result, durable, source_file};

use crate::item::{Side, ValueKind};
use crate::settings::Settings;
use crate::stored_file::{RESTORE, StoredFile};

/// Name of the file.
pub(crate) const NAME: &str = "index.json";
const FORMAT: &str = "truepair-index";
const FORMAT_VERSION: u32 = 1;

/// What an index consists of at one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    /// Counts changes, from 1.
    pub(crate) version: u64,
    /// Number of the next segment's folder; none is used twice.
    pub(crate) next_segment: u64,
    pub(crate) settings: Settings,
    /// In the order of their rows.
    pub(crate) segments: Vec<SegmentEntry>,
    /// Rows that are no more, as sorted `u64`.
    pub(crate) deleted: DeletedEntry,
    /// Whatever the caller keeps.
    pub(crate) about: serde_json::Value,
}

/// A folder of files that never change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentEntry {
    pub(crate) folder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) images: Option<PartEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) captions: Option<PartEntry>,
}

impl SegmentEntry {
    pub(crate) fn part(&self, side: Side) -> Option<&PartEntry> {
        match side {
            Side::Images => self.images.as_ref(),
            Side::Captions => self.captions.as_ref(),
        }
    }
}

/// One side of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartEntry {
    /// Rows.
    pub(crate) n: usize,
    pub(crate) columns: Vec<ColumnEntry>,
    pub(crate) files: Vec<StoredFile>,
}

impl PartEntry {
    /// The file whose name ends so.
    ///
    /// # Errors
    /// If the catalog names none.
    pub(crate) fn file(&self, folder: &Path, side: Side, ending: &str) -> Result<&StoredFile> {
        let name = format!("{}-{ending}", side.name());
        let found = self.files.iter().find(|file| file.name == name);
        found.ok_or_else(|| {
            let problem = format!("the index names no file {name}");
            Error::data(folder, Place::Whole, problem, RESTORE)
        })
    }
}

/// A column of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnEntry {
    pub(crate) name: String,
    pub(crate) kind: ValueKind,
}

/// The lists of deleted rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeletedEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) images: Option<StoredFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) captions: Option<StoredFile>,
}

impl DeletedEntry {
    pub(crate) fn list(&self, side: Side) -> Option<&StoredFile> {
        match side {
            Side::Images => self.images.as_ref(),
            Side::Captions => self.captions.as_ref(),
        }
    }

    pub(crate) fn set(&mut self, side: Side, list: Option<StoredFile>) {
        match side {
            Side::Images => self.images = list,
            Side::Captions => self.captions = list,
        }
    }
}

/// The file: the digest is that of the text of `index`.
#[derive(Serialize, Deserialize)]
struct Envelope {
    format: String,
    format_version: u32,
    sha256: String,
    index: Box<RawValue>,
}

/// The part of the file that every version has.
#[derive(Deserialize)]
struct Stamp {
    format: String,
    format_version: u32,
}

impl Catalog {
    /// Reads the catalog of the index in `folder`.
    ///
    /// # Errors
    /// If there is none, it is of another format or version, or it is damaged.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = match source_file::read_text(&path, source_file::SETTINGS) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::data(
                    folder,
                    Place::Whole,
                    format!("no index: it has no file {NAME}"),
                    "name the folder that an index was made in",
                ));
            }
            Err(cause) => return Err(Error::io(&path, "read", cause)),
        };
        parse(&path, &text)
    }

    /// Replaces the catalog in `folder`: from here on the index is this one.
    ///
    /// # Errors
    /// If it cannot be written; the former one is then still there.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let index = serde_json::to_string_pretty(self)
            .and_then(RawValue::from_string)
            .expect("a catalog has text keys and finite numbers");
        let envelope = Envelope {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            sha256: digest(index.get()),
            index,
        };
        let text = serde_json::to_string_pretty(&envelope).expect("an envelope has text keys");
        durable::write(folder.join(NAME), text.as_bytes())
    }

    /// Names of files and folders in the index's folder that this catalog names.
    pub(crate) fn names(&self) -> Vec<&str> {
        let segments = self.segments.iter().map(|segment| segment.folder.as_str());
        let lists = Side::BOTH
            .into_iter()
            .filter_map(|side| self.deleted.list(side));
        segments
            .chain(lists.map(|list| list.name.as_str()))
            .collect()
    }
}

/// The path of a segment's folder.
pub(crate) fn segment_folder(folder: &Path, entry: &SegmentEntry) -> PathBuf {
    folder.join(&entry.folder)
}

fn digest(text: &str) -> String {
    let mut digest = Digest::new();
    digest.add(text.as_bytes());
    digest.hex()
}

fn parse(path: &Path, text: &str) -> Result<Catalog> {
    let refuse = |problem: String, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
    let damaged = |cause: serde_json::Error| {
        let place = Place::Line(cause.line() as u64);
        Error::data(
            path,
            place,
            format!("not the catalog of an index: {cause}"),
            RESTORE,
        )
    };
    let stamp: Stamp = serde_json::from_str(text).map_err(damaged)?;
    if stamp.format != FORMAT {
        let problem = format!("format `{}`, expected `{FORMAT}`", stamp.format);
        return Err(refuse(problem, "name the folder that an index was made in"));
    }
    if stamp.format_version != FORMAT_VERSION {
        let found = stamp.format_version;
        return Err(refuse(
            format!("an index of format version {found}, and this program reads {FORMAT_VERSION}"),
            "use the release that wrote it, or build the index again",
        ));
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(damaged)?;
    if digest(envelope.index.get()) != envelope.sha256 {
        return Err(refuse(
            "its content was changed or damaged".to_owned(),
            RESTORE,
        ));
    }
    serde_json::from_str(envelope.index.get()).map_err(damaged)
}

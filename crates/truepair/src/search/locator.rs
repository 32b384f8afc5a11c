//! Where the picture of an item lies.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use truepair_core::dataset::{Dataset, Picture};
use truepair_read::dataset::parquet_picture;

/// Where the bytes of a picture lie, as an index keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PictureLocator {
    /// A file.
    File(PathBuf),
    /// A part of a file.
    Part {
        /// The archive.
        file: PathBuf,
        /// Offset of the first byte.
        start: u64,
        /// Number of bytes.
        len: u64,
    },
    /// A value in a column of a parquet file.
    Record {
        /// The table.
        file: PathBuf,
        /// The column's name.
        column: String,
        /// The record, from 0.
        record: u32,
    },
}

impl PictureLocator {
    /// Of an image of the data; `None` where it has no picture, or one that only the whole data leads to.
    pub(crate) fn of(dataset: &Dataset, image: usize) -> Option<Self> {
        let listed = dataset.image_files.get(image);
        if let Some(Some(file)) = listed {
            return Some(Self::File(full(file.clone())));
        }
        match dataset.images.picture(image)? {
            // Its reader found that it lies outside the data.
            Picture::File(_) if listed.is_some() => None,
            Picture::File(file) => Some(Self::File(full(file.clone()))),
            Picture::Member {
                archive,
                start,
                len,
                ..
            } => Some(Self::Part {
                file: full(archive.to_path_buf()),
                start: *start,
                len: *len,
            }),
            Picture::Value { column, record } => Some(Self::Record {
                file: full(column.path().to_path_buf()),
                column: column.column()?.to_owned(),
                record: *record,
            }),
            Picture::Missing { .. } => None,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("paths that were read are written")
    }

    /// `None` where it is no locator, as in an index that another program filled.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The file that holds the bytes.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::File(file) | Self::Part { file, .. } | Self::Record { file, .. } => file,
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// The reason why they cannot be read.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        let picture = match self {
            Self::File(file) => Picture::File(file.clone()),
            Self::Part { file, start, len } => Picture::Member {
                archive: file.as_path().into(),
                name: String::new(),
                start: *start,
                len: *len,
            },
            Self::Record {
                file,
                column,
                record,
            } => return parquet_picture(file, column, *record),
        };
        picture.read()
    }
}

fn full(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

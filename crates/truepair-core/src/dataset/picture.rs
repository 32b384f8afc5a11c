//! Where the bytes of one picture lie.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source_file;

/// The bytes of one picture, not yet read.
///
/// ```
/// use truepair_core::dataset::Picture;
///
/// let lost = Picture::Missing { name: "photos/17.jpg".into() };
/// assert_eq!(lost.to_string(), "photos/17.jpg");
/// assert_eq!(lost.read(), Err("there is no such file".into()));
/// ```
#[derive(Debug, Clone)]
pub enum Picture {
    /// A file.
    File(PathBuf),
    /// A member of an uncompressed tar archive.
    Member {
        /// The archive.
        archive: Arc<Path>,
        /// The member's name.
        name: String,
        /// Offset of its first byte in the archive.
        start: u64,
        /// Its bytes.
        len: u64,
    },
    /// A value in a column of a table.
    Value {
        /// The column.
        column: Arc<dyn PictureColumn>,
        /// The record, from 0.
        record: u32,
    },
    /// A picture that was looked for but not found.
    Missing {
        /// Its name, and where it was looked for.
        name: PathBuf,
    },
}

/// Pictures whose bytes are in a column of a table, or in another file that is read in order.
pub trait PictureColumn: fmt::Debug + Send + Sync {
    /// The file.
    fn path(&self) -> &Path;
    /// What the file calls a record.
    fn name(&self, record: u32) -> String {
        format!("record {}", record + 1)
    }
    /// The column's name, where file, name and record are enough to read a picture again later.
    fn column(&self) -> Option<&str> {
        None
    }
    /// The bytes of a record, from 0.
    ///
    /// # Errors
    /// The reason why they cannot be read, without the record's number.
    fn read(&self, record: u32) -> Result<Vec<u8>, String>;
}

impl Picture {
    /// The file that holds the bytes.
    pub fn file(&self) -> &Path {
        match self {
            Picture::File(path) | Picture::Missing { name: path } => path,
            Picture::Member { archive, .. } => archive,
            Picture::Value { column, .. } => column.path(),
        }
    }

    /// How many bytes it has, where that is known without reading them.
    pub fn n_bytes(&self) -> Option<u64> {
        match self {
            Picture::File(path) => std::fs::metadata(path).ok().map(|of_file| of_file.len()),
            Picture::Member { len, .. } => Some(*len),
            Picture::Value { .. } | Picture::Missing { .. } => None,
        }
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// The reason why they cannot be read, without the picture's name.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let unreadable = |source: std::io::Error| format!("cannot be read: {source}");
        match self {
            Picture::File(path) => {
                source_file::read(path, source_file::PICTURE).map_err(unreadable)
            }
            Picture::Member {
                archive,
                start,
                len,
                ..
            } => read_part(archive, *start, *len).map_err(unreadable),
            Picture::Value { column, record } => column.read(*record),
            Picture::Missing { .. } => Err("there is no such file".into()),
        }
    }
}

/// The path, with the member or record behind it.
impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Picture::File(path) | Picture::Missing { name: path } => {
                write!(f, "{}", path.display())
            }
            Picture::Member { archive, name, .. } => write!(f, "{}#{name}", archive.display()),
            Picture::Value { column, record } => {
                write!(f, "{}: {}", column.path().display(), column.name(*record))
            }
        }
    }
}

fn read_part(path: &Path, start: u64, len: u64) -> std::io::Result<Vec<u8>> {
    let mut file = source_file::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len {
        Ok(bytes)
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

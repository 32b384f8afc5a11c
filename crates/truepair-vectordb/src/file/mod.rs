//! Files that other tools open. Write only: their tools search them.

mod arrow_schema;
mod clip_folder;
mod column_kinds;
mod columns;
mod staged;
mod table;

use std::path::Path;

use truepair_core::error::{Error, Result};

pub use self::column_kinds::{ColumnKind, ColumnKinds};
use crate::store::VectorWriter;

type Open = fn(&Path, &ColumnKinds) -> Box<dyn VectorWriter>;

/// A kind of file.
#[derive(Debug, Clone, Copy)]
pub struct FileRow {
    /// What `NAME:PATH` begins with.
    pub name: &'static str,
    /// Who opens it.
    pub readers: &'static str,
    open: Open,
}

/// Every kind of file that vectors may be written as.
pub const VECTOR_FILES: &[FileRow] = &[
    FileRow {
        name: "clip-retrieval",
        readers: "clip-retrieval (img_emb, text_emb, metadata)",
        open: clip_folder::open,
    },
    FileRow {
        name: "parquet",
        readers: "LanceDB, DuckDB, pandas, pyarrow",
        open: table::open,
    },
];

/// A writer to `path`, which appears at [`VectorWriter::finish`] and not before. `kinds` are the columns that
/// any of the records has.
///
/// # Errors
/// If no kind of file has this name.
pub fn open_file(name: &str, path: &Path, kinds: &ColumnKinds) -> Result<Box<dyn VectorWriter>> {
    match VECTOR_FILES.iter().find(|row| row.name == name) {
        Some(row) => Ok((row.open)(path, kinds)),
        None => {
            let known: Vec<&str> = VECTOR_FILES.iter().map(|row| row.name).collect();
            Err(Error::argument(
                format!("no kind of file is called {name:?}"),
                format!("name one of {}", known.join(", ")),
            ))
        }
    }
}

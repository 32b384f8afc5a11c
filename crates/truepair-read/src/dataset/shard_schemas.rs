//! Whether the shards of one data set have the same columns.

use std::path::{Path, PathBuf};

use parquet::basic::LogicalType;
use parquet::schema::types::Type;
use truepair_core::error::{Error, Place, Result};

use super::parquet_file::ParquetFile;
use super::parquet_leaf::element_of;
use super::records::{self, Kind};

/// A column by its name, and the type of its values where the file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    /// Empty where every value is null, which fits every type.
    kind: String,
}

/// # Errors
/// If a column of one file is missing in another, or has another type there; the message names the
/// column and both files.
pub(super) fn refuse_differences(files: &[PathBuf]) -> Result<()> {
    let Some((first, rest)) = files.split_first() else {
        return Ok(());
    };
    let mut known = columns(first)?;
    for file in rest {
        let found = columns(file)?;
        for column in &mut known {
            let Some(same) = found.iter().find(|other| other.name == column.name) else {
                return Err(missing(file, first, &column.name));
            };
            if column.kind.is_empty() {
                column.kind.clone_from(&same.kind);
            } else if !same.kind.is_empty() && same.kind != column.kind {
                let problem = format!(
                    "column '{}' holds {}, but {} in {}",
                    column.name,
                    same.kind,
                    column.kind,
                    name(first)
                );
                let remedy = "write all shards with one schema";
                return Err(Error::data(file, Place::Whole, problem, remedy));
            }
        }
        let is_new = |column: &&Column| known.iter().all(|other| other.name != column.name);
        if let Some(column) = found.iter().find(is_new) {
            return Err(missing(first, file, &column.name));
        }
    }
    Ok(())
}

fn missing(without: &Path, with: &Path, column: &str) -> Error {
    Error::data(
        without,
        Place::Whole,
        format!("there is no column '{column}', which {} has", name(with)),
        "write all shards with one schema",
    )
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn columns(path: &Path) -> Result<Vec<Column>> {
    if Kind::by_ending(path) != Some(Kind::Parquet) {
        let plain = |name| Column {
            name,
            kind: String::new(),
        };
        return Ok(records::columns(path)?.into_iter().map(plain).collect());
    }
    let file = ParquetFile::open(path)?;
    let column = |field: &std::sync::Arc<Type>| Column {
        name: field.name().to_owned(),
        kind: kind(field),
    };
    Ok(file.fields().iter().map(column).collect())
}

/// What values are, whatever their writer calls the parts of lists and whether they may be null.
fn kind(field: &Type) -> String {
    if let Some((_, element)) = element_of(field) {
        return match kind(element) {
            nothing if nothing.is_empty() => nothing,
            element => format!("lists of {element}"),
        };
    }
    let info = field.get_basic_info();
    if !field.is_primitive() {
        let part = |part: &std::sync::Arc<Type>| format!("{}: {}", part.name(), kind(part));
        let parts: Vec<String> = field.get_fields().iter().map(part).collect();
        return format!("{{{}}}", parts.join(", "));
    }
    match info.logical_type_ref() {
        Some(LogicalType::Unknown) => String::new(),
        Some(LogicalType::String) => "text".into(),
        Some(LogicalType::Integer(kind)) => {
            let sign = if kind.is_signed { "" } else { "u" };
            format!("{sign}int{}", kind.bit_width)
        }
        Some(other) => format!("{other:?}"),
        None => match info.converted_type().to_string().as_str() {
            "UTF8" => "text".into(),
            "NONE" => field.get_physical_type().to_string(),
            other => other.to_owned(),
        },
    }
}

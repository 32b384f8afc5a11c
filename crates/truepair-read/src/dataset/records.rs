//! Tables of records, one at a time: CSV, TSV, JSON lines and parquet.
//!
//! Only the asked columns are read, and no table is ever held whole.

use std::fs::File;
use std::path::Path;

use parquet::basic::Repetition;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::Value;
use truepair_core::error::{Error, Place, Result};

use crate::lines::{Line, lines};

/// What one record holds in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing: the key is absent, or its value null.
    Missing,
    /// One text; numbers as they are written.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

/// The kinds of tables, by the endings of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Comma, semicolon or tab separated, as the header shows.
    Csv,
    /// Tab separated.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// Apache parquet.
    Parquet,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Csv => "CSV",
            Kind::Tsv => "TSV",
            Kind::JsonLines => "JSON lines",
            Kind::Parquet => "parquet",
        })
    }
}

impl Kind {
    /// The kind that the ending of `path` names.
    pub(super) fn of(path: &Path) -> Option<Kind> {
        let ending = path.extension()?.to_ascii_lowercase();
        match ending.to_str()? {
            "csv" => Some(Kind::Csv),
            "tsv" => Some(Kind::Tsv),
            "jsonl" | "ndjson" => Some(Kind::JsonLines),
            "parquet" => Some(Kind::Parquet),
            _ => None,
        }
    }

    fn require(path: &Path) -> Result<Kind> {
        Kind::of(path).ok_or_else(|| {
            Error::data(
                path,
                Place::Whole,
                "not a table by its ending",
                "name it .csv, .tsv, .jsonl or .parquet",
            )
        })
    }
}

/// Names of the columns: the header, the keys of the first object, or the schema.
///
/// # Errors
/// If the file cannot be read or has no columns.
pub(super) fn columns(path: &Path) -> Result<Vec<String>> {
    let columns = match Kind::require(path)? {
        Kind::Csv | Kind::Tsv => csv_columns(path)?,
        Kind::JsonLines => json_columns(path)?,
        Kind::Parquet => {
            let reader = parquet_reader(path)?;
            let schema = reader.metadata().file_metadata().schema();
            schema
                .get_fields()
                .iter()
                .map(|field| field.name().to_owned())
                .collect()
        }
    };
    if columns.is_empty() {
        return Err(Error::data(
            path,
            Place::Whole,
            "there is no column",
            "begin the table with the names of its columns",
        ));
    }
    Ok(columns)
}

/// Calls `visit` with the place of every record and its cells in the order of `wanted`, whose
/// columns must exist.
///
/// # Errors
/// If a record cannot be read, which is then named, and those of `visit`.
pub(super) fn for_each(
    path: &Path,
    wanted: &[&str],
    visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    match Kind::require(path)? {
        Kind::Csv | Kind::Tsv => for_each_csv(path, wanted, visit),
        Kind::JsonLines => for_each_json(path, wanted, visit),
        Kind::Parquet => for_each_parquet(path, wanted, visit),
    }
}

/// The separator of a CSV file: the one that its header has most of; tabs in `.tsv`.
pub(super) fn separator(path: &Path) -> Result<u8> {
    if Kind::of(path) == Some(Kind::Tsv) {
        return Ok(b'\t');
    }
    let header = lines(path)?
        .next()
        .transpose()?
        .map(|line| line.text)
        .unwrap_or_default();
    let count = |separator: u8| header.bytes().filter(|byte| *byte == separator).count();
    // The comma is last, so that it wins a draw.
    Ok(*b";\t,"
        .iter()
        .max_by_key(|separator| count(**separator))
        .expect("three separators"))
}

pub(super) fn csv_reader(path: &Path) -> Result<csv::Reader<File>> {
    let separator = separator(path)?;
    let file = File::open(path).map_err(|source| Error::io(path, "open", source))?;
    Ok(csv::ReaderBuilder::new()
        .delimiter(separator)
        .buffer_capacity(1 << 16)
        .from_reader(file))
}

fn csv_columns(path: &Path) -> Result<Vec<String>> {
    let mut reader = csv_reader(path)?;
    let header = reader
        .byte_headers()
        .map_err(|cause| csv_error(path, 0, cause))?;
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let mut names: Vec<String> = header.iter().map(name).collect();
    if let Some(first) = names.first_mut() {
        *first = first.trim_start_matches('\u{feff}').to_owned();
    }
    Ok(names)
}

fn for_each_csv(
    path: &Path,
    wanted: &[&str],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let names = csv_columns(path)?;
    let at: Vec<usize> = wanted
        .iter()
        .filter_map(|wanted| names.iter().position(|name| name == wanted))
        .collect();
    let mut reader = csv_reader(path)?;
    let mut record = csv::ByteRecord::new();
    for number in 1.. {
        if !reader
            .read_byte_record(&mut record)
            .map_err(|cause| csv_error(path, number, cause))?
        {
            break;
        }
        let cell = |&column: &usize| match std::str::from_utf8(&record[column]) {
            Ok(text) => Ok(Cell::One(text.to_owned())),
            Err(_) => Err(Error::data(
                path,
                Place::Record(number),
                format!("column '{}' is not valid UTF-8", names[column]),
                "save the file as UTF-8",
            )),
        };
        let cells = at.iter().map(cell).collect::<Result<Vec<Cell>>>()?;
        visit(Place::Record(number), cells)?;
    }
    Ok(())
}

pub(super) fn csv_error(path: &Path, record: u64, cause: csv::Error) -> Error {
    match cause.into_kind() {
        csv::ErrorKind::Io(source) => Error::io(path, "read", source),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Error::data(
            path,
            Place::Record(record),
            format!("{len} fields, the header has {expected_len}"),
            "look for a missing separator or an unclosed quotation mark there or shortly before",
        ),
        other => Error::data(
            path,
            Place::Record(record),
            format!("cannot be read: {other:?}"),
            "write the table again",
        ),
    }
}

pub(super) fn json_object(
    path: &Path,
    number: u64,
    line: &str,
) -> Result<serde_json::Map<String, Value>> {
    serde_json::from_str(line).map_err(|cause| {
        Error::data(
            path,
            Place::Line(number),
            format!("not a JSON object: {cause}"),
            "write one object a line",
        )
    })
}

fn json_columns(path: &Path) -> Result<Vec<String>> {
    for line in lines(path)? {
        let Line { number, text } = line?;
        if !text.trim().is_empty() {
            let object = json_object(path, number, &text)?;
            return Ok(object.into_iter().map(|(key, _)| key).collect());
        }
    }
    Ok(Vec::new())
}

fn for_each_json(
    path: &Path,
    wanted: &[&str],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    for line in lines(path)? {
        let Line { number, text } = line?;
        if !text.trim().is_empty() {
            let mut object = json_object(path, number, &text)?;
            let cells = wanted.iter().map(|key| json_cell(object.remove(*key)));
            visit(Place::Line(number), cells.collect())?;
        }
    }
    Ok(())
}

fn json_cell(value: Option<Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Missing,
        Some(Value::Array(items)) => Cell::Many(items.into_iter().map(json_text).collect()),
        Some(other) => Cell::One(json_text(other)),
    }
}

/// A value as text; of an object its path, as Hugging Face data sets write an image.
pub(super) fn json_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Object(mut fields) => match fields.remove("path") {
            Some(Value::String(path)) => path,
            _ => String::new(),
        },
        other => other.to_string(),
    }
}

pub(super) fn parquet_reader(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).map_err(|source| Error::io(path, "open", source))?;
    SerializedFileReader::new(file).map_err(|cause| {
        Error::data(
            path,
            Place::Whole,
            format!("not a readable parquet file: {cause}"),
            "it was cut short or is of another kind: copy or write it again",
        )
    })
}

fn for_each_parquet(
    path: &Path,
    wanted: &[&str],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let failed = |record: u64, cause: parquet::errors::ParquetError| {
        Error::data(
            path,
            Place::Record(record),
            format!("cannot be read: {cause}"),
            "write the table again",
        )
    };
    let reader = parquet_reader(path)?;
    let schema = reader.metadata().file_metadata().schema();
    let fields = schema
        .get_fields()
        .iter()
        .filter(|field| wanted.contains(&field.name()));
    let fields = fields.map(without_bytes).collect::<Result<Vec<_>, _>>();
    let projection = fields.and_then(|fields| {
        Type::group_type_builder(schema.name())
            .with_fields(fields)
            .build()
    });
    let projection = projection.map_err(|cause| failed(0, cause))?;
    let rows = reader
        .get_row_iter(Some(projection))
        .map_err(|cause| failed(0, cause))?;
    for (row, number) in rows.zip(1..) {
        let mut columns = row.map_err(|cause| failed(number, cause))?.into_columns();
        let cells = wanted.iter().map(|name| {
            let at = columns.iter().position(|(column, _)| column == name);
            at.map_or(Cell::Missing, |at| parquet_cell(columns.swap_remove(at).1))
        });
        let cells = cells.collect();
        visit(Place::Record(number), cells)?;
    }
    Ok(())
}

/// A column as asked from the reader: of a struct with a `path`, as Hugging Face data sets store
/// an image, only the path, so that the pictures' bytes stay on disk.
fn without_bytes(
    field: &std::sync::Arc<Type>,
) -> Result<std::sync::Arc<Type>, parquet::errors::ParquetError> {
    if field.is_primitive() {
        return Ok(field.clone());
    }
    let path = field
        .get_fields()
        .iter()
        .find(|part| part.name() == "path" && part.is_primitive());
    let Some(path) = path else {
        return Ok(field.clone());
    };
    let info = field.get_basic_info();
    let repetition = if info.has_repetition() {
        info.repetition()
    } else {
        Repetition::REQUIRED
    };
    Type::group_type_builder(field.name())
        .with_repetition(repetition)
        .with_fields(vec![path.clone()])
        .build()
        .map(Into::into)
}

fn parquet_cell(field: Field) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Str(text) => Cell::One(text),
        Field::Bytes(bytes) => Cell::One(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::ListInternal(list) => {
            let texts = list
                .elements()
                .iter()
                .map(|item| match parquet_cell(item.clone()) {
                    Cell::One(text) => text,
                    Cell::Missing | Cell::Many(_) => String::new(),
                });
            Cell::Many(texts.collect())
        }
        Field::Group(row) => {
            let path = row
                .into_columns()
                .into_iter()
                .find(|(name, _)| name == "path");
            path.map_or(Cell::Missing, |(_, field)| parquet_cell(field))
        }
        other => Cell::One(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn read(path: &Path, wanted: &[&str]) -> Result<Vec<(Place, Vec<Cell>)>> {
        let mut records = Vec::new();
        for_each(path, wanted, |place, cells| {
            records.push((place, cells));
            Ok(())
        })?;
        Ok(records)
    }

    fn one(text: &str) -> Cell {
        Cell::One(text.into())
    }

    #[test]
    fn separators_and_quotes_are_understood() {
        for (name, content) in [
            (
                "a.csv",
                "\u{feff}image,caption\na.jpg,\"one, two\nthree \"\"four\"\"\"\n",
            ),
            (
                "a.csv",
                "image;caption\na.jpg;\"one, two\nthree \"\"four\"\"\"\n",
            ),
            (
                "a.tsv",
                "image\tcaption\na.jpg\t\"one, two\nthree \"\"four\"\"\"\n",
            ),
        ] {
            let (_folder, path) = table(name, content);
            assert_eq!(columns(&path).unwrap(), ["image", "caption"]);
            let records = read(&path, &["caption", "image"]).unwrap();
            let cells = vec![one("one, two\nthree \"four\""), one("a.jpg")];
            assert_eq!(records, [(Place::Record(1), cells)]);
        }
    }

    #[test]
    fn json_lines_may_hold_lists_and_numbers() {
        let content =
            "{\"image\": 7, \"captions\": [\"a\", \"b\"]}\n\n{\"image\": {\"path\": \"p\"}}\n";
        let (_folder, path) = table("a.jsonl", content);
        assert_eq!(columns(&path).unwrap(), ["image", "captions"]);
        let records = read(&path, &["image", "captions"]).unwrap();
        assert_eq!(
            records[0].1,
            [one("7"), Cell::Many(vec!["a".into(), "b".into()])]
        );
        assert_eq!(records[1], (Place::Line(3), vec![one("p"), Cell::Missing]));
    }

    #[test]
    fn a_bad_record_is_named() {
        let (_folder, path) = table("a.csv", "image,caption\na,b\nc,d,e\n");
        let error = read(&path, &["image"]).unwrap_err().to_string();
        assert!(
            error.contains("a.csv: record 2: 3 fields, the header has 2"),
            "{error}"
        );
        let (_folder, path) = table("a.jsonl", "{\"image\": 1}\n[1]\n");
        let error = read(&path, &["image"]).unwrap_err().to_string();
        assert!(error.contains("a.jsonl:2: not a JSON object"), "{error}");
        let (_folder, path) = table("a.parquet", "PAR1 cut");
        assert!(
            columns(&path)
                .unwrap_err()
                .to_string()
                .contains("a.parquet: not a readable")
        );
    }
}

//! Tables of records, one at a time: CSV, TSV, JSON lines and parquet.
//!
//! Only the asked columns are read, and no table is ever held whole.

use std::fs::File;
use std::path::Path;

use serde_json::Value;
use truepair_core::error::{Error, Place, Result};

pub(super) use super::cell::Cell;
use super::parquet_cells;
use super::parquet_file::ParquetFile;
use super::selector::{Found, NAME_A_KEY, Selector};
use crate::lines::{Line, lines};

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
            let file = ParquetFile::open(path)?;
            let names = file.fields().iter().map(|field| field.name().to_owned());
            names.collect()
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
    let places: Vec<Selector> = wanted.iter().map(|name| Selector::column(name)).collect();
    for_each_at(path, &places, visit)
}

/// As [`for_each`], with the cells at places inside the columns.
///
/// # Errors
/// Those of [`for_each`], and if something else than texts stands at a place.
pub(super) fn for_each_at(
    path: &Path,
    wanted: &[Selector],
    visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    match Kind::require(path)? {
        Kind::Csv | Kind::Tsv => for_each_csv(path, wanted, visit),
        Kind::JsonLines => for_each_json(path, wanted, visit),
        Kind::Parquet => parquet_cells::for_each(path, wanted, visit),
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
    wanted: &[Selector],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let names = csv_columns(path)?;
    let position = |place: &Selector| names.iter().position(|name| *name == place.column);
    let at: Vec<(usize, &Selector)> = (wanted.iter())
        .filter_map(|place| Some((position(place)?, place)))
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
        let cell =
            |&(column, place): &(usize, &Selector)| match std::str::from_utf8(&record[column]) {
                Ok(text) if place.steps.is_empty() => Ok(Cell::One(text.to_owned())),
                Ok(text) => json_in_text(text, place)
                    .map_err(|problem| not_texts(path, Place::Record(number), problem)),
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
    wanted: &[Selector],
    mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()>,
) -> Result<()> {
    for line in lines(path)? {
        let Line { number, text } = line?;
        if !text.trim().is_empty() {
            let mut object = json_object(path, number, &text)?;
            let place = Place::Line(number);
            let cells = json_cells(&mut object, wanted)
                .map_err(|problem| not_texts(path, place, problem))?;
            visit(place, cells)?;
        }
    }
    Ok(())
}

/// The cells of one object.
///
/// # Errors
/// What stands there instead of texts.
pub(super) fn json_cells(
    object: &mut serde_json::Map<String, Value>,
    wanted: &[Selector],
) -> Result<Vec<Cell>, String> {
    let cell = |(n, place): (usize, &Selector)| {
        // Several places may lie in one column; the last one takes its value.
        let again = wanted[n + 1..]
            .iter()
            .any(|later| later.column == place.column);
        let value = match again {
            true => object.get(&place.column).cloned(),
            false => object.remove(&place.column),
        };
        Ok(cell(place.texts(value.unwrap_or_default())?))
    };
    wanted.iter().enumerate().map(cell).collect()
}

fn cell(mut found: Found) -> Cell {
    match found.is_list {
        true => Cell::Many(found.texts),
        false => found.texts.pop().map_or(Cell::Missing, Cell::One),
    }
}

/// The cell in a text that is JSON, as tables of lists are written.
fn json_in_text(text: &str, place: &Selector) -> Result<Cell, String> {
    if text.trim().is_empty() {
        return Ok(Cell::Missing);
    }
    let value = serde_json::from_str(text).map_err(|cause| {
        format!(
            "column '{}' is not the expected JSON: {cause}",
            place.column
        )
    })?;
    place.texts(value).map(cell)
}

fn not_texts(path: &Path, place: Place, problem: String) -> Error {
    Error::data(path, place, problem, NAME_A_KEY)
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

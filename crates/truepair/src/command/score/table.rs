//! Scored pairs as CSV, JSON lines or parquet.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use parquet::basic::Compression;
use parquet::data_type::{ByteArrayType, DoubleType, FloatType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use crate::parquet_group::RowGroup;
use crate::staged_file::StagedFile;

/// Rows of a row group.
const GROUP_ROWS: usize = 131_072;

const SCHEMA: &str = "message scores {
    required binary image (STRING);
    required binary caption (STRING);
    required float score;
    optional double p_mismatched;
    required binary judgment (STRING);
    optional double p_i2t;
    optional double p_t2i;
}";

const COLUMNS: [&str; 7] = [
    "image",
    "caption",
    "score",
    "p_mismatched",
    "judgment",
    "p_i2t",
    "p_t2i",
];

/// One pair as it is written.
pub(crate) struct ScoredPair<'a> {
    pub(crate) image: &'a str,
    pub(crate) caption: &'a str,
    pub(crate) score: f32,
    pub(crate) p_mismatched: Option<f64>,
    pub(crate) judgment: &'static str,
    /// Rank p-values of the caption for the image, and of the image for the caption.
    pub(crate) ranks: Option<[f64; 2]>,
}

/// The form of a table, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Csv,
    JsonLines,
    Parquet,
}

impl Ending {
    /// # Errors
    /// If the name has another ending.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::JsonLines),
            Some("parquet") => Ok(Self::Parquet),
            _ => bail!(
                "{}: end its name in .csv, .jsonl or .parquet",
                path.display()
            ),
        }
    }
}

/// Writes the rows, whole or not at all.
pub(crate) fn write(path: &Path, ending: Ending, rows: &[ScoredPair<'_>]) -> Result<PathBuf> {
    let staged = StagedFile::write(path, |out| match ending {
        Ending::Csv => write_csv(out, rows),
        Ending::JsonLines => write_json_lines(out, rows),
        Ending::Parquet => write_parquet(out, rows),
    })?;
    staged.publish()
}

fn write_csv(out: &mut impl Write, rows: &[ScoredPair<'_>]) -> Result<()> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record(COLUMNS)?;
    let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for row in rows {
        table.write_record([
            row.image,
            row.caption,
            &row.score.to_string(),
            &text(row.p_mismatched),
            row.judgment,
            &text(row.ranks.map(|ranks| ranks[0])),
            &text(row.ranks.map(|ranks| ranks[1])),
        ])?;
    }
    table.flush()?;
    Ok(())
}

fn write_json_lines(out: &mut impl Write, rows: &[ScoredPair<'_>]) -> Result<()> {
    for row in rows {
        let object = json!({
            "image": row.image,
            "caption": row.caption,
            "score": row.score,
            "p_mismatched": row.p_mismatched,
            "judgment": row.judgment,
            "p_i2t": row.ranks.map(|ranks| ranks[0]),
            "p_t2i": row.ranks.map(|ranks| ranks[1]),
        });
        writeln!(out, "{object}")?;
    }
    Ok(())
}

fn write_parquet(out: &mut (impl Write + Send), rows: &[ScoredPair<'_>]) -> Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA).context("the schema of scores")?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut file = SerializedFileWriter::new(&mut *out, schema, Arc::new(properties))?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = RowGroup::new(file.next_row_group()?, rows);
        group.column::<ByteArrayType>(|row| row.image.into())?;
        group.column::<ByteArrayType>(|row| row.caption.into())?;
        group.column::<FloatType>(|row| row.score)?;
        group.optional_column::<DoubleType>(|row| row.p_mismatched)?;
        group.column::<ByteArrayType>(|row| row.judgment.into())?;
        group.optional_column::<DoubleType>(|row| Some(row.ranks?[0]))?;
        group.optional_column::<DoubleType>(|row| Some(row.ranks?[1]))?;
        group.close()?;
    }
    file.close()?;
    Ok(())
}

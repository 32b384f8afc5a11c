//! Every query of an evaluation as a parquet table, which another evaluation can be compared with.
//!
//! Values are as the metrics define them, shares in [0, 1]. The protocol stands in the file's own
//! metadata, so a table that was measured in another way is refused.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArrayType, DoubleType, Int32Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use truepair_core::metric::{Asked, METRICS, Measured, Metric, Protocol, QueryRow};
use truepair_core::scores::Direction;
use truepair_core::source_file;
use truepair_read::dataset::{FileWithEnd, contained};

use super::Subject;
use crate::parquet_group::RowGroup;
use crate::render::direction_text;

const PROTOCOL: &str = "truepair.protocol";
const EXCLUDED: &str = "truepair.excluded";

const DIRECTIONS: [Direction; 2] = [Direction::ImageToText, Direction::TextToImage];

/// Columns before those of the metrics.
const INTEGERS: [&str; 5] = ["query", "fold", "unit", "relevant", "first_rank"];

/// One row as written: the direction in which the query asks, and its numbers.
type DirectedRow<'a> = (Direction, &'a QueryRow);

/// Writes a row per query: direction, index and id of the query, fold, unit of the bootstrap,
/// number of relevant items, rank of the best one, and a column per metric.
///
/// # Errors
/// If `out` cannot take the bytes.
pub(crate) fn write_parquet(
    out: &mut (impl Write + Send),
    measured: &Measured,
    subject: &Subject<'_>,
) -> Result<()> {
    let excluded = DIRECTIONS.map(|direction| measured.asked(direction).n_excluded);
    let metadata = vec![
        KeyValue::new(
            PROTOCOL.to_owned(),
            serde_json::to_string(&measured.protocol)?,
        ),
        KeyValue::new(EXCLUDED.to_owned(), serde_json::to_string(&excluded)?),
    ];
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(metadata))
        .build();
    let schema = schema(&measured.metrics)?;
    let mut file = SerializedFileWriter::new(&mut *out, schema, Arc::new(properties))?;
    let rows: Vec<DirectedRow<'_>> = (DIRECTIONS.iter())
        .flat_map(|&direction| {
            let rows = measured.asked(direction).rows.iter();
            rows.map(move |row| (direction, row))
        })
        .collect();
    write_group(file.next_row_group()?, &rows, measured, subject)?;
    file.close()?;
    out.flush()?;
    Ok(())
}

fn write_group<W: Write + Send>(
    writer: SerializedRowGroupWriter<'_, W>,
    rows: &[DirectedRow<'_>],
    measured: &Measured,
    subject: &Subject<'_>,
) -> Result<()> {
    let mut group = RowGroup::new(writer, rows);
    group.column::<ByteArrayType>(|(direction, _)| direction_text(Some(*direction)).into())?;
    group.column::<ByteArrayType>(|(direction, row)| {
        subject.sides(*direction).0.name(row.query).into()
    })?;
    group.column::<Int32Type>(|(_, row)| row.query.cast_signed())?;
    group.column::<Int32Type>(|(_, row)| row.fold.cast_signed())?;
    group.column::<Int32Type>(|(_, row)| row.unit.cast_signed())?;
    group.column::<Int32Type>(|(_, row)| row.n_relevant.cast_signed())?;
    group.optional_column::<Int32Type>(|(_, row)| row.first_rank.map(u32::cast_signed))?;
    for metric in 0..measured.metrics.len() {
        group.optional_column::<DoubleType>(|(_, row)| {
            Some(row.values[metric]).filter(|value| !value.is_nan())
        })?;
    }
    group.close()
}

fn schema(metrics: &[&'static dyn Metric]) -> Result<TypePtr> {
    let text = Some(LogicalType::String);
    let integer = Some(LogicalType::integer(32, false));
    let (required, optional) = (Repetition::REQUIRED, Repetition::OPTIONAL);
    let mut columns = Vec::new();
    for name in ["direction", "id"] {
        columns.push(column(name, Physical::BYTE_ARRAY, text.clone(), required)?);
    }
    for name in INTEGERS {
        let repetition = if name == "first_rank" {
            optional
        } else {
            required
        };
        columns.push(column(name, Physical::INT32, integer.clone(), repetition)?);
    }
    for metric in metrics {
        columns.push(column(metric.name(), Physical::DOUBLE, None, optional)?);
    }
    let schema = Type::group_type_builder("queries").with_fields(columns);
    Ok(Arc::new(schema.build().context("the table's schema")?))
}

fn column(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
    repetition: Repetition,
) -> Result<TypePtr> {
    let built = Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .build();
    Ok(Arc::new(built.context("the table's schema")?))
}

/// Reads a table that [`write_parquet`] wrote.
///
/// # Errors
/// If the file cannot be read or is not such a table.
pub(crate) fn read_parquet(path: &Path) -> Result<Measured> {
    let place = path.display();
    let file = source_file::open(path).with_context(|| format!("{place}: cannot read"))?;
    let unlike = || {
        format!(
            "{place}: is not a table of queries (write one with `truepair eval ... --per-query`)"
        )
    };
    let reader = contained(|| SerializedFileReader::new(FileWithEnd(file))).with_context(unlike)?;
    let metadata = reader.metadata().file_metadata();
    let known = metadata.key_value_metadata().map_or(&[][..], Vec::as_slice);
    let entry = |key: &str| {
        let found = known.iter().find(|entry| entry.key == key);
        found
            .and_then(|entry| entry.value.clone())
            .with_context(unlike)
    };
    let protocol: Protocol = serde_json::from_str(&entry(PROTOCOL)?).with_context(unlike)?;
    let excluded: [u64; 2] = serde_json::from_str(&entry(EXCLUDED)?).with_context(unlike)?;
    let names: Vec<String> = (metadata.schema().get_fields().iter())
        .map(|field| field.name().to_owned())
        .collect();
    // A metric from another version is skipped.
    let metrics: Vec<(usize, &'static dyn Metric)> = (names.iter().enumerate())
        .filter_map(|(at, name)| Some((at, *METRICS.iter().find(|metric| metric.name() == name)?)))
        .collect();
    let mut asked = excluded.map(|n_excluded| Asked {
        rows: Vec::new(),
        n_excluded,
    });
    let damaged = || format!("{place}: is damaged (write it again)");
    let mut rows = contained(|| reader.get_row_iter(None)).with_context(damaged)?;
    while let Some(row) = contained(|| rows.next().transpose()).with_context(damaged)? {
        let (direction, row) = query(&row, &metrics).with_context(unlike)?;
        asked[direction].rows.push(row);
    }
    let [image_to_text, text_to_image] = asked;
    Ok(Measured {
        protocol,
        metrics: metrics.into_iter().map(|(_, metric)| metric).collect(),
        image_to_text,
        text_to_image,
    })
}

fn query(row: &Row, metrics: &[(usize, &'static dyn Metric)]) -> Result<(usize, QueryRow)> {
    let cells: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
    ensure!(cells.len() >= 2 + INTEGERS.len(), "columns are missing");
    let direction = match cells[0] {
        Field::Str(name) if name == "i2t" => 0,
        Field::Str(name) if name == "t2i" => 1,
        other => bail!("direction {other}"),
    };
    let integer = |at: usize| match cells[2 + at] {
        Field::UInt(number) => Ok(Some(*number)),
        Field::Null => Ok(None),
        other => bail!("{} is {other}", INTEGERS[at]),
    };
    let required = |at: usize| integer(at)?.with_context(|| format!("{} is empty", INTEGERS[at]));
    let value = |at: usize| match cells[at] {
        Field::Double(value) => Ok(*value),
        Field::Null => Ok(f64::NAN),
        other => bail!("{other} is not a number"),
    };
    let row = QueryRow {
        query: required(0)?,
        fold: required(1)?,
        unit: required(2)?,
        n_relevant: required(3)?,
        first_rank: integer(4)?,
        values: metrics
            .iter()
            .map(|(at, _)| value(*at))
            .collect::<Result<_>>()?,
    };
    Ok((direction, row))
}

//! Records as columns of a parquet file; vectors, where they are in it, come last.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::arrow_schema::{self, ArrowType};
use super::column_kinds::{ColumnKind, ColumnKinds};
use crate::record::{Record, Value};

type Written<T> = Result<T, ParquetError>;

/// The version of the columns, in the file's metadata.
const VERSION: (&str, &str) = ("truepair.vectors", "1");

/// What a table's columns are.
#[derive(Debug, Clone)]
pub(super) struct TableColumns {
    /// What records have of their own; each an own name and where it is found.
    pub(super) own: &'static [(&'static str, OwnColumn)],
    pub(super) kinds: ColumnKinds,
    /// Numbers of the vectors; `None` where they are elsewhere.
    pub(super) width: Option<usize>,
}

/// What every record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnColumn {
    Id,
    Caption,
    Picture,
    /// The picture, or the id where there is none.
    PictureOrId,
    PMismatched,
}

impl TableColumns {
    /// A file of these columns.
    pub(super) fn writer<W: Write + Send>(&self, out: W) -> Written<SerializedFileWriter<W>> {
        let mut fields = Vec::new();
        let mut arrow = Vec::new();
        for (name, own) in self.own {
            let kind = match own {
                OwnColumn::PMismatched => ColumnKind::Float,
                _ => ColumnKind::Text,
            };
            fields.push(leaf(name, kind)?);
            arrow.push((*name, arrow_type(kind), true));
        }
        for (name, kind) in self.kinds.iter() {
            fields.push(leaf(name, kind)?);
            arrow.push((name, arrow_type(kind), true));
        }
        if let Some(width) = self.width {
            fields.push(list("vector")?);
            let width =
                i32::try_from(width).map_err(|cause| ParquetError::External(cause.into()))?;
            arrow.push(("vector", ArrowType::Vector(width), false));
        }
        let schema = Type::group_type_builder("records")
            .with_fields(fields)
            .build()?;
        let note = |(key, value): (&str, String)| KeyValue::new(key.to_owned(), value);
        let notes = vec![
            note((VERSION.0, VERSION.1.to_owned())),
            note((arrow_schema::KEY, arrow_schema::encoded(&arrow))),
        ];
        let numbers = ColumnPath::new(["vector", "list", "element"].map(str::to_owned).to_vec());
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // Numbers of vectors hardly repeat.
            .set_column_compression(numbers.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(numbers, false)
            .set_key_value_metadata(Some(notes))
            .build();
        SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))
    }

    /// A row group of records and, where the table has vectors, their points `[records, width]`.
    pub(super) fn write_group<W: Write + Send>(
        &self,
        file: &mut SerializedFileWriter<W>,
        records: &[Record],
        points: &[f32],
    ) -> Written<()> {
        let mut group = file.next_row_group()?;
        for (_, own) in self.own {
            let text = |of: fn(&Record) -> Option<&String>| {
                records
                    .iter()
                    .map(move |record| of(record).map(|text| ByteArray::from(text.as_str())))
            };
            match own {
                OwnColumn::Id => column::<ByteArrayType, _>(&mut group, text(|r| Some(&r.id))),
                OwnColumn::Caption => {
                    column::<ByteArrayType, _>(&mut group, text(|r| r.caption.as_ref()))
                }
                OwnColumn::Picture => {
                    column::<ByteArrayType, _>(&mut group, text(|r| r.picture.as_ref()))
                }
                OwnColumn::PictureOrId => {
                    let of = text(|r| r.picture.as_ref().or(Some(&r.id)));
                    column::<ByteArrayType, _>(&mut group, of)
                }
                OwnColumn::PMismatched => {
                    column::<DoubleType, _>(&mut group, records.iter().map(|r| r.p_mismatched))
                }
            }?;
        }
        for (name, kind) in self.kinds.iter() {
            let values = records.iter().map(|record| record.columns.get(name));
            match kind {
                ColumnKind::Bool => column::<BoolType, _>(&mut group, values.map(truth)),
                ColumnKind::Int => column::<Int64Type, _>(&mut group, values.map(whole)),
                ColumnKind::Float => column::<DoubleType, _>(&mut group, values.map(number)),
                ColumnKind::Text => column::<ByteArrayType, _>(&mut group, values.map(as_text)),
            }?;
        }
        if let Some(width) = self.width {
            vectors(&mut group, points, width)?;
        }
        group.close()?;
        Ok(())
    }
}

fn arrow_type(kind: ColumnKind) -> ArrowType {
    match kind {
        ColumnKind::Bool => ArrowType::Bool,
        ColumnKind::Int => ArrowType::Int,
        ColumnKind::Float => ArrowType::Double,
        ColumnKind::Text => ArrowType::Text,
    }
}

/// A column of which records may have no value.
fn leaf(name: &str, kind: ColumnKind) -> Written<TypePtr> {
    let (physical, logical) = match kind {
        ColumnKind::Bool => (Physical::BOOLEAN, None),
        ColumnKind::Int => (Physical::INT64, None),
        ColumnKind::Float => (Physical::DOUBLE, None),
        ColumnKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let leaf = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    leaf.build().map(Arc::new)
}

/// A column of vectors.
fn list(name: &str) -> Written<TypePtr> {
    let element = Type::primitive_type_builder("element", Physical::FLOAT)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let repeated = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    let list = Type::group_type_builder(name)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(repeated)]);
    list.build().map(Arc::new)
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Written<()> {
    let cells: Vec<Option<T::T>> = cells.collect();
    // Definition level 1 marks a present value; absent ones take no space among the values.
    let present: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    write::<T, W>(group, &values, &present, None)
}

fn vectors<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    points: &[f32],
    width: usize,
) -> Written<()> {
    let present = vec![1; points.len()];
    // 0 begins a vector.
    let repeated: Vec<i16> = (0..points.len())
        .map(|at| (at % width > 0).into())
        .collect();
    write::<FloatType, W>(group, points, &present, Some(&repeated))
}

fn write<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    present: &[i16],
    repeated: Option<&[i16]>,
) -> Written<()> {
    let next = group.next_column()?;
    let missing = || ParquetError::General("the schema ends before the record".to_owned());
    let mut column = next.ok_or_else(missing)?;
    column
        .typed::<T>()
        .write_batch(values, Some(present), repeated)?;
    column.close()
}

fn truth(value: Option<&Value>) -> Option<bool> {
    match value {
        Some(Value::Bool(value)) => Some(*value),
        _ => None,
    }
}

fn whole(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Int(value)) => Some(*value),
        _ => None,
    }
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value {
        Some(Value::Int(value)) => Some(*value as f64),
        Some(Value::Float(value)) => Some(*value),
        _ => None,
    }
}

fn as_text(value: Option<&Value>) -> Option<ByteArray> {
    let text = match value? {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => return Some(ByteArray::from(text.as_str())),
    };
    Some(ByteArray::from(text.into_bytes()))
}

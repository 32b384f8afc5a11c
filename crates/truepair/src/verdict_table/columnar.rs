//! The verdict table as parquet: snappy pages, one row group per [`GROUP_ROWS`] rows.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int32Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::VerdictRow;
use crate::parquet_group::RowGroup;

/// Rows that are copied into columns at a time; bounds the memory of a table of millions of rows.
const GROUP_ROWS: usize = 131_072;

/// Column order and names are those of [`VerdictRow`].
const SCHEMA: &str = "message verdicts {
    required int32 pair (INTEGER(32, false));
    required binary image (STRING);
    required binary caption (STRING);
    required double p_i2t;
    required double p_t2i;
    required double p;
    required double posterior;
    required boolean keep;
    required int32 rank_i2t (INTEGER(32, false));
    required int32 rank_t2i (INTEGER(32, false));
    optional binary better_caption (STRING);
    optional binary better_image (STRING);
    required binary reason (STRING);
    optional double uncertainty;
    required binary judgment (STRING);
    required double near;
}";

/// Version of the columns, in the file's metadata. Files without it end with `reason`.
const VERSION: (&str, &str) = ("truepair.verdicts", "3");

/// A parquet file of all rows.
///
/// # Errors
/// If `out` cannot take the bytes.
pub(super) fn write_parquet(out: &mut (impl Write + Send), rows: &[VerdictRow<'_>]) -> Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA).context("the verdict schema")?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(
            VERSION.0.to_owned(),
            VERSION.1.to_owned(),
        )]))
        .build();
    let mut file = SerializedFileWriter::new(&mut *out, schema, Arc::new(properties))?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = RowGroup::new(file.next_row_group()?, rows);
        group.column::<Int32Type>(|row| row.pair.cast_signed())?;
        group.column::<ByteArrayType>(|row| row.image.into())?;
        group.column::<ByteArrayType>(|row| row.caption.as_ref().into())?;
        group.column::<DoubleType>(|row| row.p_i2t)?;
        group.column::<DoubleType>(|row| row.p_t2i)?;
        group.column::<DoubleType>(|row| row.p)?;
        group.column::<DoubleType>(|row| row.posterior)?;
        group.column::<BoolType>(|row| row.keep)?;
        group.column::<Int32Type>(|row| row.rank_i2t.cast_signed())?;
        group.column::<Int32Type>(|row| row.rank_t2i.cast_signed())?;
        group.optional_column::<ByteArrayType>(|row| {
            row.better_caption.as_deref().map(Into::into)
        })?;
        group.optional_column::<ByteArrayType>(|row| row.better_image.map(Into::into))?;
        group.column::<ByteArrayType>(|row| row.reason.into())?;
        group.optional_column::<DoubleType>(|row| row.uncertainty)?;
        group.column::<ByteArrayType>(|row| row.judgment.into())?;
        group.column::<DoubleType>(|row| row.near)?;
        group.close()?;
    }
    file.close()?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::COLUMNS;
    use super::*;
    use crate::report::specimen;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    fn field(row: &parquet::record::Row, name: &str) -> Field {
        row.get_column_iter()
            .find(|(column, _)| *column == name)
            .unwrap()
            .1
            .clone()
    }

    #[test]
    fn every_cell_reads_back() {
        let (dataset, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let path = tempfile::NamedTempFile::new().unwrap();
        write_parquet(&mut path.reopen().unwrap(), &rows).unwrap();
        let reader = SerializedFileReader::new(path.reopen().unwrap()).unwrap();
        let notes = reader.metadata().file_metadata().key_value_metadata();
        let version = KeyValue::new(VERSION.0.to_owned(), VERSION.1.to_owned());
        assert!(notes.is_some_and(|notes| notes.contains(&version)));
        let fields = reader
            .metadata()
            .file_metadata()
            .schema()
            .get_fields()
            .to_vec();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        assert_eq!(names, COLUMNS);

        let read: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read.len(), rows.len());
        let text = |value: Option<&str>| value.map_or(Field::Null, |text| Field::Str(text.into()));
        for (read, row) in read.iter().zip(&rows) {
            assert_eq!(field(read, "pair"), Field::UInt(row.pair));
            assert_eq!(field(read, "image"), text(Some(row.image)));
            assert_eq!(field(read, "caption"), text(Some(&row.caption)));
            assert_eq!(field(read, "p_i2t"), Field::Double(row.p_i2t));
            assert_eq!(field(read, "p_t2i"), Field::Double(row.p_t2i));
            assert_eq!(field(read, "p"), Field::Double(row.p));
            assert_eq!(field(read, "posterior"), Field::Double(row.posterior));
            assert_eq!(field(read, "keep"), Field::Bool(row.keep));
            assert_eq!(field(read, "rank_i2t"), Field::UInt(row.rank_i2t));
            assert_eq!(field(read, "rank_t2i"), Field::UInt(row.rank_t2i));
            assert_eq!(
                field(read, "better_caption"),
                text(row.better_caption.as_deref())
            );
            assert_eq!(field(read, "better_image"), text(row.better_image));
            assert_eq!(field(read, "reason"), text(Some(row.reason)));
            let number = row.uncertainty.map_or(Field::Null, Field::Double);
            assert_eq!(field(read, "uncertainty"), number);
            assert_eq!(field(read, "judgment"), text(Some(row.judgment)));
            assert_eq!(field(read, "near"), Field::Double(row.near));
        }
    }

    #[test]
    fn a_table_longer_than_one_group_is_whole() {
        let (dataset, findings, keep) = specimen::audited();
        let row = VerdictRow::all(&dataset, &findings, &keep)
            .unwrap()
            .swap_remove(0);
        let rows = vec![row; GROUP_ROWS + 5];
        let path = tempfile::NamedTempFile::new().unwrap();
        write_parquet(&mut path.reopen().unwrap(), &rows).unwrap();
        let reader = SerializedFileReader::new(path.reopen().unwrap()).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        assert_eq!(
            reader.metadata().file_metadata().num_rows(),
            rows.len() as i64
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let (dataset, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let mut full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        assert!(write_parquet(&mut full, &rows).is_err());
    }
}

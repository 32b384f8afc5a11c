//! A table of two columns of text as parquet.

use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A table of two columns of text as parquet.
pub(super) fn two_columns(
    names: [&str; 2],
    rows: &[(&str, &str)],
) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let columns = names.map(|name| format!("REQUIRED BYTE_ARRAY {name} (UTF8);"));
    let schema = parse_message_type(&format!("message pairs {{ {} }}", columns.concat()))?;
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties)?;
    let mut group = writer.next_row_group()?;
    let (left, right): (Vec<&str>, Vec<&str>) = rows.iter().copied().unzip();
    for texts in [left, right] {
        let values: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
        if let Some(mut column) = group.next_column()? {
            column
                .typed::<ByteArrayType>()
                .write_batch(&values, None, None)?;
            column.close()?;
        }
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

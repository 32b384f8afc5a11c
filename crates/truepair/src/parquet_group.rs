//! The columns of a parquet row group, filled one after the other from the same rows.

use std::io::Write;

use anyhow::{Context, Result};
use parquet::data_type::DataType;
use parquet::file::writer::SerializedRowGroupWriter;

/// A row group under construction; parquet asks for the columns in the order of the schema.
pub(crate) struct RowGroup<'a, 'rows, R, W: Write + Send> {
    writer: SerializedRowGroupWriter<'a, W>,
    rows: &'rows [R],
}

impl<'a, 'rows, R, W: Write + Send> RowGroup<'a, 'rows, R, W> {
    pub(crate) fn new(writer: SerializedRowGroupWriter<'a, W>, rows: &'rows [R]) -> Self {
        Self { writer, rows }
    }

    /// The next column, of which every row has a value.
    pub(crate) fn column<T: DataType>(&mut self, value: impl Fn(&R) -> T::T) -> Result<()> {
        let values: Vec<T::T> = self.rows.iter().map(value).collect();
        self.write::<T>(&values, None)
    }

    /// The next column, of which some rows have no value.
    pub(crate) fn optional_column<T: DataType>(
        &mut self,
        value: impl Fn(&R) -> Option<T::T>,
    ) -> Result<()> {
        let cells: Vec<Option<T::T>> = self.rows.iter().map(value).collect();
        // Definition level 1 marks a present value; absent ones take no space among the values.
        let present: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
        let values: Vec<T::T> = cells.into_iter().flatten().collect();
        self.write::<T>(&values, Some(&present))
    }

    fn write<T: DataType>(&mut self, values: &[T::T], present: Option<&[i16]>) -> Result<()> {
        let next = self.writer.next_column()?;
        let mut column = next.context("the schema ends before the row")?;
        column.typed::<T>().write_batch(values, present, None)?;
        column.close()?;
        Ok(())
    }

    /// Ends the group, whose columns are all written.
    pub(crate) fn close(self) -> Result<()> {
        self.writer.close()?;
        Ok(())
    }
}

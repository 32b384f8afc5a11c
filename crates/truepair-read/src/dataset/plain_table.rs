//! Any table as texts, for values that are no captions: metadata, lists of pairs.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::records;
use super::table_kind::Kind;

/// A table of a CSV, TSV, JSON or parquet file, held whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainTable {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// `[records][columns]`; `None` where a record has no value. Lists are refused, numbers are as written.
    pub records: Vec<Vec<Option<String>>>,
}

impl PlainTable {
    /// Reads the table at `path`: `wanted` columns, or all of them.
    ///
    /// ```
    /// use truepair_read::dataset::PlainTable;
    ///
    /// # let home = tempfile::tempdir()?;
    /// let file = home.path().join("metadata.csv");
    /// std::fs::write(&file, "image,width\na.jpg,640\nb.jpg,\n")?;
    /// let table = PlainTable::read(&file, None)?;
    /// assert_eq!(table.columns, ["image", "width"]);
    /// assert_eq!(table.records[0], [Some("a.jpg".to_owned()), Some("640".to_owned())]);
    /// assert!(PlainTable::read(&file, Some(&["height"])).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the file is no such table, a column is not there, or a record holds a list.
    pub fn read(path: impl AsRef<Path>, wanted: Option<&[&str]>) -> Result<Self> {
        let path = path.as_ref();
        let all = records::columns(path)?;
        let columns: Vec<String> = match wanted {
            None => all,
            Some(wanted) => {
                if let Some(lost) = wanted
                    .iter()
                    .find(|name| !all.iter().any(|one| one == **name))
                {
                    return Err(Error::data(
                        path,
                        Place::Whole,
                        format!("there is no column `{lost}`, only {}", all.join(", ")),
                        "name the columns so, or give another table",
                    ));
                }
                wanted.iter().map(|name| (*name).to_owned()).collect()
            }
        };
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut records = Vec::new();
        records::for_each(path, &names, |place, cells| {
            let cells = cells.into_iter().zip(&columns).map(|(cell, column)| {
                cell.only().map_err(|texts| {
                    Error::data(
                        path,
                        place,
                        format!("column `{column}` holds a list of {} values", texts.len()),
                        "give one value a record",
                    )
                })
            });
            records.push(cells.collect::<Result<Vec<_>>>()?);
            Ok(())
        })?;
        // A separated table has no missing values, only empty fields.
        if matches!(Kind::require(path)?, Kind::Csv | Kind::Tsv) {
            let cells = records.iter_mut().flatten();
            cells.for_each(|cell| *cell = cell.take().filter(|text| !text.is_empty()));
        }
        Ok(Self { columns, records })
    }

    /// The place of a column by its name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

//! Tables of records, one at a time: CSV, TSV, JSON and parquet.
//!
//! Only the asked columns are read, and no table is ever held whole.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::delimited::{Delimited, Header, Look};
use super::json_list::{Document, Entry};
use super::parquet_file::ParquetFile;
use super::selector::{NAME_A_KEY, Selector, note_marks};
pub(super) use super::table_kind::{Kind, unpacked};
use super::{json_lines, json_list, parquet_cells};

/// An opened table.
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
    columns: Vec<String>,
    /// Where the table is one of separated fields.
    pub(super) delimited: Option<Delimited>,
    /// The splits that keys of a JSON document name.
    splits: Vec<String>,
    /// The one of them that is read; all of them otherwise.
    split: Option<String>,
}

impl Source {
    /// Opens the table at `path`; `is_name` says whether a cell of its first line is the name of a
    /// column, for tables that may not name them.
    ///
    /// # Errors
    /// If the file cannot be read or has no columns.
    pub(super) fn open(path: &Path, is_name: &dyn Fn(&str) -> bool) -> Result<Self> {
        let kind = Kind::require(path)?;
        let delimited = match kind {
            Kind::Csv => Some(Delimited::open(path, b',', is_name)?),
            Kind::Tsv => Some(Delimited::open(path, b'\t', is_name)?),
            Kind::JsonLines | Kind::JsonList | Kind::Parquet => None,
        };
        let mut splits = Vec::new();
        let columns = match (&delimited, kind) {
            (Some(table), _) => table.columns.clone(),
            (None, Kind::JsonLines) => json_lines::columns(path, json_lines::entries(path)?)?,
            (None, Kind::JsonList) => {
                splits = Document::read(path)?.splits();
                let entries = json_list::entries(path, None)?.into_iter();
                json_lines::columns(path, entries.map(Ok))?
            }
            (None, _) => ParquetFile::open(path)?.names(),
        };
        if columns.is_empty() {
            return Err(Error::data(
                path,
                Place::Whole,
                "there is no column",
                "begin the table with the names of its columns",
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            kind,
            columns,
            delimited,
            splits,
            split: None,
        })
    }

    /// The splits that keys of a JSON document name, sorted; none in other tables.
    pub(super) fn splits(&self) -> &[String] {
        &self.splits
    }

    /// The same table, of which only one of its [`splits`](Self::splits) is read.
    pub(super) fn of_split(mut self, split: &str) -> Self {
        self.split = (self.splits.iter().any(|known| known == split)).then(|| split.to_owned());
        self
    }

    /// The JSON objects of the table, which must be one of JSON.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn objects(&self) -> Result<Box<dyn Iterator<Item = Result<Entry>> + '_>> {
        Ok(match self.kind {
            Kind::JsonList => {
                let entries = json_list::entries(&self.path, self.split.as_deref())?;
                Box::new(entries.into_iter().map(Ok))
            }
            _ => Box::new(json_lines::entries(&self.path)?),
        })
    }

    /// What kind of table it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the columns: the header, the keys of the first objects, or the schema.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether the first line is a record, and columns are called by their numbers.
    pub(super) fn header(&self) -> Header {
        (self.delimited.as_ref()).map_or(Header::Given, |table| table.header)
    }

    /// The cells of the first line of a table of separated fields.
    pub(super) fn first_line(&self) -> Option<&[String]> {
        (self.delimited.as_ref()).map(|table| table.first_line.as_slice())
    }

    /// What most cells of a column of separated fields look like.
    pub(super) fn look(&self, column: usize) -> Option<Look> {
        self.delimited.as_ref()?.look(column)
    }

    /// The same table with its first line read as a record.
    pub(super) fn without_header(mut self) -> Self {
        self.delimited = self.delimited.map(Delimited::without_header);
        if let Some(table) = &self.delimited {
            self.columns.clone_from(&table.columns);
        }
        self
    }

    /// The first `n` cells of a column of separated fields.
    ///
    /// # Errors
    /// If the column stands twice, or one of these records cannot be read.
    pub(super) fn first_cells(&self, column: &str, n: usize) -> Result<Vec<Cell>> {
        match (&self.delimited, self.position(column)?) {
            (Some(table), Some(at)) => table.first(at, n),
            _ => Ok(Vec::new()),
        }
    }

    /// As [`for_each_row`](Self::for_each_row), for those that keep the cells of a record together.
    ///
    /// # Errors
    /// Those of [`for_each_row`](Self::for_each_row).
    pub(super) fn for_each(
        &self,
        wanted: &[Selector],
        mut visit: impl FnMut(Place, Vec<Cell>) -> Result<()> + Send,
    ) -> Result<Account> {
        self.for_each_row(wanted, |place, cells| {
            visit(place, cells.iter_mut().map(std::mem::take).collect())
        })
    }

    /// Calls `visit` with the place of every record and its cells at the places `wanted`, whose
    /// columns must exist; `visit` may take the cells. Returns what is to be said of the records.
    ///
    /// # Errors
    /// If a wanted column stands twice, a record cannot be read, which is then named, something else
    /// than texts stands at a place, and those of `visit`.
    pub(super) fn for_each_row(
        &self,
        wanted: &[Selector],
        mut visit: impl FnMut(Place, &mut [Cell]) -> Result<()> + Send,
    ) -> Result<Account> {
        let at = (wanted.iter()).filter_map(|place| self.position(&place.column).transpose());
        let at = at.collect::<Result<Vec<usize>>>()?;
        match (&self.delimited, self.kind) {
            (Some(table), _) => {
                let (mut account, mut of_places) = (table.account.clone(), Account::default());
                account.merge(table.for_each(&at, |place, cells| {
                    let inside = wanted.iter().zip(cells.iter_mut());
                    let mut n_marks = 0;
                    for (at, cell) in inside.filter(|(at, _)| !at.steps.is_empty()) {
                        let found = at.in_text(std::mem::take(cell)).map_err(|problem| {
                            Error::data(&self.path, place, problem, NAME_A_KEY)
                        })?;
                        n_marks += found.n_marks;
                        *cell = found.cell;
                    }
                    note_marks(n_marks, place, &mut of_places);
                    visit(place, cells)
                })?);
                account.merge(of_places);
                Ok(account)
            }
            (None, Kind::JsonLines | Kind::JsonList) => {
                let objects = self.objects()?;
                json_lines::for_each(
                    &self.path,
                    objects,
                    &self.columns,
                    wanted,
                    |place, mut cells| visit(place, &mut cells),
                )
            }
            (None, _) => parquet_cells::for_each(&self.path, wanted, visit),
        }
    }

    /// Where a column stands.
    ///
    /// # Errors
    /// If it stands twice.
    fn position(&self, name: &str) -> Result<Option<usize>> {
        let mut places = (self.columns.iter().enumerate())
            .filter(|(_, column)| *column == name)
            .map(|(at, _)| at);
        let (first, second) = (places.next(), places.next());
        match (first, second) {
            (Some(first), Some(second)) => Err(Error::data(
                &self.path,
                Place::Whole,
                format!(
                    "column '{name}' appears twice, as column {} and as column {}",
                    first + 1,
                    second + 1
                ),
                "give every column a name of its own",
            )),
            (first, _) => Ok(first),
        }
    }
}

/// Names of the columns of the table at `path`.
///
/// # Errors
/// Those of [`Source::open`].
pub(super) fn columns(path: &Path) -> Result<Vec<String>> {
    Ok(Source::open(path, &|_| true)?.columns)
}

/// Calls `visit` with every record of the table at `path`; see [`Source::for_each`].
///
/// # Errors
/// Those of [`Source::open`] and [`Source::for_each`].
pub(super) fn for_each(
    path: &Path,
    wanted: &[&str],
    visit: impl FnMut(Place, Vec<Cell>) -> Result<()> + Send,
) -> Result<()> {
    let places: Vec<Selector> = wanted.iter().map(|name| Selector::column(name)).collect();
    for_each_at(path, &places, visit)
}

/// As [`for_each`], with places inside columns.
///
/// # Errors
/// Those of [`for_each`].
pub(super) fn for_each_at(
    path: &Path,
    wanted: &[Selector],
    visit: impl FnMut(Place, Vec<Cell>) -> Result<()> + Send,
) -> Result<()> {
    let source = Source::open(path, &|_| true)?;
    source.for_each(wanted, visit).map(|_| ())
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

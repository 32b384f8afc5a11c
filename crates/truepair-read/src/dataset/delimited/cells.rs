//! The cells of all records of a table, in the order of the file.
//!
//! Where every line break ends a record, blocks of lines are taken apart side by side. A block in which
//! anything is unusual is read again record by record, so that what is said of it is the same.

use memchr::{memchr, memchr_iter};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use truepair_core::dataset::Account;
use truepair_core::error::{Place, Result};

use super::super::cell::Cell;
use super::super::work_ahead::work_ahead;
use super::look::Likeness;
use super::record::{Breaks, Field, Met, Records, is_empty, split_plainly, text_of};
use super::{Delimited, here};
use crate::text_file::{TextFile, without_end};

/// Bytes of a block of lines, of which a processor's cache holds some.
pub(super) const BLOCK: usize = 1 << 18;

/// Reads the columns `wanted` of a table.
pub(super) struct Reading<'a> {
    table: &'a Delimited,
    wanted: &'a [usize],
    n_records: u64,
    /// The cells of the record at hand.
    row: Vec<Cell>,
    /// What is to be said of the records.
    account: Account,
}

impl<'a> Reading<'a> {
    pub(super) fn new(table: &'a Delimited, wanted: &'a [usize]) -> Self {
        Self {
            table,
            wanted,
            n_records: 0,
            row: Vec::with_capacity(wanted.len()),
            account: Account::default(),
        }
    }

    /// See [`Delimited::for_each`].
    pub(super) fn for_each(
        mut self,
        mut visit: impl FnMut(Place, &mut [Cell]) -> Result<()> + Send,
    ) -> Result<Account> {
        let table = self.table;
        match table.layout.breaks {
            Breaks::EndRecords => {
                let mut blocks = Blocks::open(table, self.wanted)?;
                work_ahead(
                    || blocks.next(),
                    |some| {
                        some.into_iter()
                            .try_for_each(|block| self.block(block, &mut visit))
                    },
                )?;
            }
            Breaks::MayBeQuoted => {
                let mut records = Records::open(&table.path, &table.layout, table.n_head_lines)?;
                while let Some(met) = records.next()? {
                    if let Some(place) = self.record(&met, records.raw(), records.fields())? {
                        visit(place, &mut self.row)?;
                    }
                }
            }
        }
        Ok(self.account)
    }

    /// The first `n` cells of the first column that is wanted.
    ///
    /// # Errors
    /// If one of these records cannot be read.
    pub(super) fn first(mut self, n: usize) -> Result<Vec<Cell>> {
        let table = self.table;
        let mut records = Records::open(&table.path, &table.layout, table.n_head_lines)?;
        let mut cells = Vec::new();
        while cells.len() < n
            && let Some(met) = records.next()?
        {
            if self
                .record(&met, records.raw(), records.fields())?
                .is_some()
            {
                cells.extend(self.row.drain(..).take(1));
            }
        }
        Ok(cells)
    }

    /// Reads the cells of a record into [`row`](Self::row); `None` where it is passed over.
    fn record(&mut self, met: &Met, raw: &[u8], fields: &[Field]) -> Result<Option<Place>> {
        self.n_records += 1;
        let (table, number) = (self.table, self.n_records);
        let place = Place::Record(number);
        if table.lacks_bar(fields.len()) {
            let why = format!(
                "it has {} fields in place of {}, so a bar is missing",
                fields.len(),
                table.columns.len()
            );
            let name = format!("record {number}, line {}", met.line);
            self.account.pass("row", &why, name);
            return Ok(None);
        }
        table.check_fields(place, met.line, fields.len())?;
        table.remark(&mut self.account, number, met);
        self.row.clear();
        for &column in self.wanted {
            let bytes = text_of(raw, &fields[column]);
            let text = table.text(place, column, bytes, &mut self.account)?;
            self.row.push(Cell::One(text));
        }
        if table.repeats_header(self.wanted, self.row.iter()) {
            let why = "it repeats the names of the columns";
            self.account.pass("row", why, here(place));
            return Ok(None);
        }
        Ok(Some(place))
    }

    fn block(
        &mut self,
        block: Block,
        visit: &mut impl FnMut(Place, &mut [Cell]) -> Result<()>,
    ) -> Result<()> {
        let Some(Plain { n_records, columns }) = block.plain else {
            return self.unusual(&block, visit);
        };
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        for _ in 0..n_records {
            self.n_records += 1;
            self.row.clear();
            (self.row).extend(columns.iter_mut().filter_map(Iterator::next));
            visit(Place::Record(self.n_records), &mut self.row)?;
        }
        Ok(())
    }

    fn unusual(
        &mut self,
        block: &Block,
        visit: &mut impl FnMut(Place, &mut [Cell]) -> Result<()>,
    ) -> Result<()> {
        let separator = self.table.layout.separator;
        let mut fields = Vec::new();
        let mut met = Met {
            line: block.first_line,
            n_lines: 1,
            n_stray: 0,
            likeness: Likeness::None,
            needs_marks: false,
        };
        for line in block.lines() {
            if !is_empty(line, separator) {
                split_plainly(line, separator, &mut fields);
                if let Some(place) = self.record(&met, line, &fields)? {
                    visit(place, &mut self.row)?;
                }
            }
            met.line += 1;
        }
        Ok(())
    }
}

/// Some lines of a file.
struct Block {
    bytes: Vec<u8>,
    line_end: u8,
    /// Number of the first line.
    first_line: u64,
    /// Its cells; `None` where something is to be said of a record, or one cannot be read.
    plain: Option<Plain>,
}

/// The cells of a block whose records are all as they should be.
struct Plain {
    n_records: usize,
    /// One for every column that is wanted.
    columns: Vec<Vec<Cell>>,
}

/// Hands out the blocks of a file with their cells.
struct Blocks<'a> {
    table: &'a Delimited,
    wanted: &'a [usize],
    file: TextFile<'a>,
}

impl<'a> Blocks<'a> {
    fn open(table: &'a Delimited, wanted: &'a [usize]) -> Result<Self> {
        let mut file = TextFile::open(&table.path)?;
        let mut head = Vec::new();
        for _ in 0..table.n_head_lines {
            head.clear();
            file.read_line(&mut head)?;
        }
        Ok(Self {
            table,
            wanted,
            file,
        })
    }

    /// The next blocks, as many as there are threads; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Vec<Block>>> {
        let mut blocks = Vec::new();
        for _ in 0..rayon::current_num_threads() {
            let first_line = self.file.n_lines() + 1;
            // A line more than a block is read to its end.
            let mut bytes = Vec::with_capacity(BLOCK + BLOCK / 64);
            if !self.file.read_lines(&mut bytes, BLOCK)? {
                break;
            }
            blocks.push(Block {
                bytes,
                line_end: self.file.line_end(),
                first_line,
                plain: None,
            });
        }
        let (table, wanted) = (self.table, self.wanted);
        let blocks = blocks.into_par_iter().map(|mut block| {
            block.plain = Plain::of(&block, table, wanted);
            block
        });
        let blocks: Vec<Block> = blocks.collect();
        Ok((!blocks.is_empty()).then_some(blocks))
    }
}

impl Block {
    /// Its lines with their ends.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let ends = memchr_iter(self.line_end, &self.bytes).map(|at| at + 1);
        let is_open = self.bytes.last() != Some(&self.line_end);
        let last = is_open.then_some(self.bytes.len());
        let mut start = 0;
        ends.chain(last).map(move |end| {
            let line = &self.bytes[start..end];
            start = end;
            line
        })
    }
}

impl Plain {
    fn of(block: &Block, table: &Delimited, wanted: &[usize]) -> Option<Self> {
        if memchr(0, &block.bytes).is_some() {
            return None;
        }
        let separator = table.layout.separator;
        let mut columns = vec![Vec::new(); wanted.len()];
        let (mut n_records, mut ends) = (0, Vec::with_capacity(table.columns.len()));
        for line in block.lines() {
            if is_empty(line, separator) {
                continue;
            }
            let line = without_end(line);
            ends.clear();
            ends.extend(memchr_iter(separator, line));
            ends.push(line.len());
            if ends.len() != table.columns.len() {
                return None;
            }
            for (&column, cells) in wanted.iter().zip(&mut columns) {
                let start = column.checked_sub(1).map_or(0, |before| ends[before] + 1);
                let text = std::str::from_utf8(&line[start..ends[column]]).ok()?;
                cells.push(Cell::One(table.trimmed(text).to_owned()));
            }
            if table.repeats_header(wanted, columns.iter().filter_map(|cells| cells.last())) {
                return None;
            }
            n_records += 1;
        }
        Some(Self { n_records, columns })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Some blocks of records, one of them `odd`, the last one with `last` as its caption.
    fn lines(odd: &str, last: &str) -> String {
        let mut text = String::from("image,caption,more\r\n");
        for n in 0..30_000 {
            match n {
                20_000 => write!(text, "{odd}").unwrap(),
                _ => write!(text, "images/{n}.jpg,caption {n} é,\r\n").unwrap(),
            }
        }
        text + "images/z.jpg," + last + ",more"
    }

    type Found = (Vec<(Place, Vec<Cell>)>, Account);

    fn read(content: &str, breaks: Breaks) -> std::result::Result<Found, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, content).unwrap();
        let table = Delimited::open(&path, b',', &|_| true).unwrap();
        assert_eq!(table.layout.breaks, breaks);
        let mut records = Vec::new();
        let account = table.for_each(&[1, 0], |place, cells| {
            records.push((place, cells.to_vec()));
            Ok(())
        });
        let problem = |error: truepair_core::error::Error| {
            let path = path.display().to_string();
            error.to_string().replace(&path, "")
        };
        Ok((records, account.map_err(problem)?))
    }

    #[test]
    fn blocks_and_single_records_read_the_same() {
        for odd in [
            "a.jpg,b,c\r\n",
            "\r\n \r\na.jpg,b,c\n",
            "image,caption,more\r\n",
            "a.jpg,b\0b,c\r\n",
            "a.jpg, ,\r\n",
        ] {
            let (blocks, said) = read(&lines(odd, "last"), Breaks::EndRecords).unwrap();
            // Marks make sure that every line is looked at by itself.
            let (single, also_said) = read(&lines(odd, "\"last\""), Breaks::MayBeQuoted).unwrap();
            assert!(blocks.len() >= 30_000, "{odd:?}");
            assert!(blocks == single, "{odd:?}");
            assert_eq!(said, also_said, "{odd:?}");
        }
    }

    #[test]
    fn a_bad_record_in_a_block_is_named_by_its_line() {
        for odd in ["a.jpg,b\r\n", "\r\n\r\na.jpg,b,c,d\r\n"] {
            let blocks = read(&lines(odd, "last"), Breaks::EndRecords).unwrap_err();
            let single = read(&lines(odd, "\"last\""), Breaks::MayBeQuoted).unwrap_err();
            assert_eq!(blocks, single);
            assert!(blocks.contains("record 20001: "), "{blocks}");
        }
        // The last byte of the file, in the column `more`, is not UTF-8.
        let bad = [lines("a.jpg,b,c\r\n", "last").as_bytes(), b"\xff"].concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, bad).unwrap();
        let table = Delimited::open(&path, b',', &|_| true).unwrap();
        assert!(table.for_each(&[0, 1], |_, _| Ok(())).is_ok());
        let error = table.for_each(&[2], |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.contains("record 30001: column 'more'"), "{error}");
    }
}

//! Tables of separated fields, CSV and its kin, as people and spreadsheets write them.
//!
//! Nothing is fixed by the ending but a first guess: separator, header, quotation marks and line
//! ends are read off the file, and what was not as its ending promises is said in the account.

mod cells;
mod look;
mod record;
mod survey;

use std::ops::Range;
use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use self::cells::Reading;
pub(super) use self::look::Look;
use self::record::{Form, Layout, Quoting, Records, text_of};
use super::cell::Cell;

/// What names the columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Its first line, or its schema.
    Given,
    /// Nothing: the first line is a record, and columns are called by their numbers from 1.
    Absent,
}

/// An opened table of separated fields.
#[derive(Debug)]
pub(super) struct Delimited {
    path: PathBuf,
    pub(super) columns: Vec<String>,
    pub(super) header: Header,
    layout: Layout,
    /// What stands before the first record, to the byte.
    pub(super) head: Vec<u8>,
    n_head_lines: u64,
    /// The cells of the first line, whether it names columns or not.
    pub(super) first_line: Vec<String>,
    pub(super) account: Account,
}

/// The cells of the first line of a file that may be a table.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn first_cells(path: &Path) -> Result<Vec<String>> {
    first_line(path).map(|(cells, _)| cells)
}

/// The cells of the first line of a file that may be a table, and what separates them, in words.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn first_line(path: &Path) -> Result<(Vec<String>, String)> {
    let (cells, separator) = survey::first_line(path)?;
    Ok((cells, spelled(separator)))
}

/// A separator in words.
fn spelled(separator: u8) -> String {
    match separator {
        b'\t' => "a tab".to_owned(),
        other => format!("'{}'", char::from(other)),
    }
}

/// One record of a table, for who writes it again.
pub(super) struct RawRecord<'a> {
    raw: &'a [u8],
    fields: &'a [record::Field],
    pub(super) texts: Vec<String>,
}

impl Delimited {
    /// Looks at the whole file once; `is_name` says whether a cell is the name of a column.
    ///
    /// # Errors
    /// If the file cannot be read, or a quotation mark may quote several records or none.
    pub(super) fn open(
        path: &Path,
        usual_separator: u8,
        is_name: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        survey::open(path, usual_separator, is_name)
    }

    /// What the cells of a column look like, where most look alike.
    pub(super) fn look(&self, column: usize) -> Option<Look> {
        self.layout.looks.get(column).copied().flatten()
    }

    /// The same table with its first line read as a record.
    pub(super) fn without_header(mut self) -> Self {
        self.header = Header::Absent;
        self.n_head_lines -= u64::from(self.n_head_lines > 0);
        let first = self.head.iter().rposition(|byte| !is_line_end(*byte));
        let first = self.head[..first.unwrap_or(0)]
            .iter()
            .rposition(|byte| is_line_end(*byte));
        self.head.truncate(first.map_or(0, |at| at + 1));
        self.columns = (1..=self.columns.len()).map(|n| n.to_string()).collect();
        self
    }

    /// Calls `visit` with the place and the cells of every record, those of the columns `wanted`;
    /// returns what is to be said of the records.
    ///
    /// # Errors
    /// If a record cannot be read or has other fields than the header, and those of `visit`.
    pub(super) fn for_each(
        &self,
        wanted: &[usize],
        visit: impl FnMut(Place, &mut [Cell]) -> Result<()> + Send,
    ) -> Result<Account> {
        Reading::new(self, wanted).for_each(visit)
    }

    /// The first `n` cells of a column.
    ///
    /// # Errors
    /// If one of these records cannot be read.
    pub(super) fn first(&self, column: usize, n: usize) -> Result<Vec<Cell>> {
        Reading::new(self, &[column]).first(n)
    }

    /// Calls `visit` with every record and all of its texts.
    ///
    /// # Errors
    /// Those of [`for_each`](Self::for_each).
    pub(super) fn for_each_raw(
        &self,
        mut visit: impl FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut unsaid = Account::default();
        let mut records = Records::open(&self.path, &self.layout, self.n_head_lines)?;
        let mut number = 0;
        while let Some(met) = records.next()? {
            number += 1;
            let place = Place::Record(number);
            if self.lacks_bar(records.fields().len()) {
                continue;
            }
            self.check_fields(place, met.line, records.fields().len())?;
            let mut texts = Vec::with_capacity(self.columns.len());
            for (column, field) in records.fields().iter().enumerate() {
                let bytes = text_of(records.raw(), field);
                // Columns that nobody reads may hold anything.
                let text = self.text(place, column, bytes, &mut unsaid);
                texts.push(text.unwrap_or_default());
            }
            visit(RawRecord {
                raw: records.raw(),
                fields: records.fields(),
                texts,
            })?;
        }
        Ok(())
    }

    /// A record as it stands in the file, with nothing in the fields `emptied`; in marks where
    /// marks were text, so that it reads the same in a file that has lost other records.
    pub(super) fn written_again(&self, record: &RawRecord<'_>, emptied: &[usize]) -> Vec<u8> {
        if self.layout.quoting != Quoting::Marks {
            let texts = record.texts.iter().enumerate();
            let texts = texts.map(|(at, text)| match emptied.contains(&at) {
                true => "",
                false => text.as_str(),
            });
            return self.line_of(&texts.collect::<Vec<_>>());
        }
        let mut bytes = Vec::with_capacity(record.raw.len());
        let mut at = 0;
        for &field in emptied {
            let Range { start, end } = outer(&record.fields[field]);
            bytes.extend(&record.raw[at..start]);
            at = end;
        }
        bytes.extend(&record.raw[at..]);
        if !record.raw.last().is_some_and(|byte| is_line_end(*byte)) {
            bytes.push(b'\n');
        }
        bytes
    }

    /// A line of these texts.
    pub(super) fn line_of(&self, texts: &[&str]) -> Vec<u8> {
        let separator = char::from(self.layout.separator);
        let mut line = String::new();
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                line.push(separator);
            }
            match text.contains([separator, '"', '\n', '\r']) {
                true => line += &format!("\"{}\"", text.replace('"', "\"\"")),
                false => line += text,
            }
        }
        line.push('\n');
        line.into_bytes()
    }

    /// Whether a record has fewer fields than the first line of a table with bars, as Flickr30k's list
    /// of captions has one.
    fn lacks_bar(&self, n_fields: usize) -> bool {
        self.layout.separator == b'|' && n_fields < self.columns.len()
    }

    fn check_fields(&self, place: Place, line: u64, n: usize) -> Result<()> {
        let expected = self.columns.len();
        if n == expected {
            return Ok(());
        }
        let named = match self.header {
            Header::Given => "the header",
            Header::Absent => "the first record",
        };
        Err(Error::data(
            &self.path,
            place,
            format!("{n} fields, {named} has {expected}; it begins in line {line}"),
            "look for a missing separator, one too many, or an unclosed quotation mark there or \
             shortly before",
        ))
    }

    fn remark(&self, account: &mut Account, number: u64, met: &record::Met) {
        let name = || here(Place::Record(number));
        for _ in 0..met.n_stray {
            let how = "it quotes nothing and is read as text";
            account.chose_for("quotation mark", how, name());
        }
        if met.likeness == look::Likeness::Weak {
            let how = "a quoted text of several lines, each of which could be a record";
            account.chose_for("record", how, name());
        }
    }

    fn text(
        &self,
        place: Place,
        column: usize,
        bytes: Vec<u8>,
        account: &mut Account,
    ) -> Result<String> {
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::data(
                &self.path,
                place,
                format!("column '{}' is not valid UTF-8", self.columns[column]),
                "save the file as UTF-8",
            )
        })?;
        let trimmed = self.trimmed(&text);
        let text = if trimmed.len() < text.len() {
            trimmed.to_owned()
        } else {
            text
        };
        if !text.contains('\0') {
            return Ok(text);
        }
        let zeros = text.matches('\0').count();
        account.pass_count("zero byte", "it is not text", zeros);
        Ok(text.replace('\0', ""))
    }

    /// A text without the spaces around it, where bars stand between spaces.
    fn trimmed<'t>(&self, text: &'t str) -> &'t str {
        match self.layout.separator {
            b'|' => text.trim(),
            _ => text,
        }
    }

    /// Whether a record holds the names of the columns again, as in files that were joined.
    fn repeats_header<'c>(&self, wanted: &[usize], cells: impl Iterator<Item = &'c Cell>) -> bool {
        let same = |(&column, cell): (&usize, &Cell)| match cell {
            Cell::One(text) => clean_name(text) == self.columns[column],
            _ => false,
        };
        self.header == Header::Given && wanted.len() > 1 && wanted.iter().zip(cells).all(same)
    }
}

/// Where a field stands with the marks around it.
fn outer(field: &record::Field) -> Range<usize> {
    match field.form {
        Form::Plain => field.text.clone(),
        Form::Quoted => field.text.start - 1..field.text.end + 1,
    }
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// `record 7`.
fn here(place: Place) -> String {
    place.to_string().trim_start_matches([':', ' ']).to_owned()
}

/// The name of a column without what stands around it.
fn clean_name(cell: &str) -> &str {
    cell.trim().trim_start_matches('\u{feff}').trim()
}

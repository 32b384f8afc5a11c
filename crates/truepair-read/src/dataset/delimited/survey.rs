//! The first look at a table: what separates its fields, whether its first line names them, and
//! what its quotation marks mean.

use std::path::Path;

use memchr::memchr;
use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::cells::BLOCK;
use super::look::{self, Likeness, Look};
use super::record::{Breaks, Form, Layout, Quoting, Records};
use super::{Delimited, Header, clean_name, spelled};
use crate::text_file::{TextFile, without_end};

/// Lines after the first one that are looked at for their separators and the looks of cells.
const SAMPLE: usize = 500;
/// What may separate fields; of equals the last one wins.
const SEPARATORS: &[u8] = b"|;\t,";

pub(super) fn open(path: &Path, usual: u8, is_name: &dyn Fn(&str) -> bool) -> Result<Delimited> {
    let mut account = Account::default();
    let start = Start::read(path)?;
    let separator = start.separator(usual);
    let spelled = spelled(separator);
    if start.named_separator.is_some() {
        account.chose(format!(
            "{spelled} separates columns, as the line 'sep=' says"
        ));
    } else if separator != usual {
        account.chose(format!(
            "{spelled} separates columns, as the first line shows"
        ));
    }
    let first_line = cells_of(path, &start.first, separator)?;
    let named = first_line.iter().any(|cell| is_name(cell));
    let is_record = !named && look::are_of_a_record(&first_line);
    let first = is_record.then_some(&start.first);
    let rows: Vec<Vec<Look>> = (first.into_iter().chain(&start.sample))
        .map(|line| looks_of(line, separator))
        .filter(|looks| looks.len() == first_line.len())
        .collect();
    let layout = Layout {
        separator,
        n_fields: first_line.len(),
        looks: match rows.is_empty() {
            true => vec![None; first_line.len()],
            false => look::of_columns(&rows),
        },
        quoting: Quoting::Marks,
        breaks: Breaks::MayBeQuoted,
    };
    let mut table = Delimited {
        path: path.to_path_buf(),
        columns: first_line.clone(),
        header: Header::Given,
        layout,
        head: start.head,
        n_head_lines: start.n_head_lines,
        first_line,
        account,
    };
    if is_record {
        table = table.without_header();
    }
    let has_marks = has_marks(&table)?;
    if has_marks {
        table.layout.quoting = quoting(&mut table)?;
    }
    if !has_marks || table.layout.quoting == Quoting::Text {
        table.layout.breaks = Breaks::EndRecords;
    }
    Ok(table)
}

/// The cells of the first line of a file that may be a table, and what separates them.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn first_line(path: &Path) -> Result<(Vec<String>, u8)> {
    let start = Start::read(path)?;
    let separator = start.separator(b',');
    Ok((cells_of(path, &start.first, separator)?, separator))
}

/// The lines at the start of a file.
struct Start {
    /// The separator that a line `sep=;` names.
    named_separator: Option<u8>,
    /// The line that names the columns, or the first record.
    first: Vec<u8>,
    /// All lines up to that one.
    head: Vec<u8>,
    n_head_lines: u64,
    /// Some of the lines after it.
    sample: Vec<Vec<u8>>,
}

impl Start {
    fn read(path: &Path) -> Result<Self> {
        let mut file = TextFile::open(path)?;
        let mut start = Self {
            named_separator: None,
            first: Vec::new(),
            head: Vec::new(),
            n_head_lines: 0,
            sample: Vec::new(),
        };
        let mut line = Vec::new();
        while start.sample.len() < SAMPLE {
            line.clear();
            if !file.read_line(&mut line)? {
                break;
            }
            let content = without_end(&line);
            let is_empty = content.trim_ascii().is_empty();
            if !start.first.is_empty() {
                if !is_empty {
                    start.sample.push(content.to_vec());
                }
                continue;
            }
            start.head.extend(&line);
            start.n_head_lines += 1;
            match separator_named_by(content) {
                Some(separator) => start.named_separator = Some(separator),
                None if is_empty => {}
                None => start.first = content.to_vec(),
            }
        }
        Ok(start)
    }

    /// What separates the fields: what the file says itself, the separator that its ending
    /// promises, or the one that the first line has most of, those before others of which every
    /// line has as many.
    fn separator(&self, usual: u8) -> u8 {
        if let Some(separator) = self.named_separator {
            return separator;
        }
        let in_first = |separator: u8| count(&self.first, separator);
        if usual == b'\t' && in_first(usual) > 0 {
            return usual;
        }
        let is_regular = |separator: u8| {
            let n = in_first(separator);
            let sample = self.sample.iter().take(20);
            n > 0 && sample.fold(true, |all, line| all & (count(line, separator) == n))
        };
        let best = SEPARATORS.iter().copied();
        let best = best.max_by_key(|separator| (is_regular(*separator), in_first(*separator)));
        best.filter(|separator| in_first(*separator) > 0)
            .unwrap_or(usual)
    }
}

/// The separator that a line such as `sep=;` names for spreadsheets.
fn separator_named_by(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\"").unwrap_or(line);
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (word, separator) = line.split_at_checked(4)?;
    match separator {
        [separator] if word.eq_ignore_ascii_case(b"sep=") => Some(*separator),
        _ => None,
    }
}

/// How often a separator stands in a line outside of quotation marks.
fn count(line: &[u8], separator: u8) -> usize {
    let mut quoted = false;
    let outside = line.iter().filter(|byte| {
        quoted ^= **byte == b'"';
        !quoted && **byte == separator
    });
    outside.count()
}

fn looks_of(line: &[u8], separator: u8) -> Vec<Look> {
    let cells = line.split(|byte| *byte == separator);
    cells.map(Look::of).collect()
}

/// The cells of the first line, cleaned of what stands around names.
fn cells_of(path: &Path, line: &[u8], separator: u8) -> Result<Vec<String>> {
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let trimmed = rest.trim_ascii_start();
        let quoted = trimmed.strip_prefix(b"\"").and_then(|inner| {
            let close = inner.iter().position(|byte| *byte == b'"')?;
            let after = inner[close + 1..].trim_ascii_start();
            let ends = after.is_empty() || after[0] == separator;
            // A tab is no space around a mark.
            let after = match inner.get(close + 1) {
                Some(byte) if *byte == separator => &inner[close + 1..],
                _ => after,
            };
            ends.then_some((&inner[..close], after))
        });
        let (cell, after) = quoted.unwrap_or_else(|| {
            let end = rest.iter().position(|byte| *byte == separator);
            rest.split_at(end.unwrap_or(rest.len()))
        });
        cells.push(clean_name(&String::from_utf8_lossy(cell)).to_owned());
        match after.split_first() {
            Some((_, after)) => rest = after,
            None => break,
        }
        if cells.len() > MOST_COLUMNS {
            return Err(Error::data(
                path,
                Place::Line(1),
                format!("more than {MOST_COLUMNS} columns"),
                "check that it is a table",
            ));
        }
    }
    Ok(cells)
}

/// Columns that one table may have.
const MOST_COLUMNS: usize = 100_000;

/// Reads the file for what its quotation marks mean.
///
/// # Errors
/// If one of them may quote several records or none.
fn quoting(table: &mut Delimited) -> Result<Quoting> {
    let found = Marks::look(table)?;
    let Some(stray) = found.first_stray else {
        return match found.first_doubtful {
            None => Ok(Quoting::Marks),
            Some((record, _)) if table.layout.separator == b'\t' => {
                Ok(read_as_text(table, &found, record))
            }
            // Where other fields need their marks, so does this one.
            Some(_) if found.needs_marks => Ok(Quoting::Marks),
            Some((record, n_lines)) => Err(Error::data(
                &table.path,
                Place::Record(record),
                format!(
                    "its quotation mark is closed {} lines further down; it may quote a text of \
                     several lines, or nothing, as every line could be a record",
                    n_lines - 1
                ),
                "write line breaks in a text in another way, or double the mark and put the whole \
                 text in marks",
            )),
        };
    };
    Ok(read_as_text(table, &found, stray))
}

/// Marks are text: all of them where every line then is a record and few fields stand between
/// marks, else those that cannot quote.
fn read_as_text(table: &mut Delimited, found: &Marks, first: u64) -> Quoting {
    if !found.fits_as_text || found.n_quoted > found.n_stray {
        return Quoting::DoubtfulMarksAreText;
    }
    table.account.chose(format!(
        "quotation marks are text in this file, as the one in record {first} quotes nothing"
    ));
    Quoting::Text
}

/// What the quotation marks of a file were found to do.
#[derive(Default)]
struct Marks {
    /// Record of the first mark that quotes nothing.
    first_stray: Option<u64>,
    /// First record of several lines that could be records, and how many lines.
    first_doubtful: Option<(u64, usize)>,
    /// Whether some field could not be written without marks.
    needs_marks: bool,
    /// Fields that begin with a mark that quotes nothing, and fields between marks.
    n_stray: usize,
    n_quoted: usize,
    /// Whether every line is a record when marks are text.
    fits_as_text: bool,
}

impl Marks {
    fn look(table: &Delimited) -> Result<Self> {
        let mut marks = Self {
            fits_as_text: true,
            ..Self::default()
        };
        let n_fields = table.columns.len();
        let mut records = Records::open(&table.path, &table.layout, table.n_head_lines)?;
        let mut number = 0;
        while let Some(met) = records.next()? {
            number += 1;
            if met.n_stray > 0 {
                marks.first_stray.get_or_insert(number);
            }
            match met.likeness {
                Likeness::None => marks.needs_marks |= met.needs_marks || met.n_lines > 1,
                _ => {
                    (marks.first_doubtful).get_or_insert((number, met.n_lines));
                }
            }
            marks.n_stray += met.n_stray;
            let quoted = records
                .fields()
                .iter()
                .filter(|field| field.form == Form::Quoted);
            marks.n_quoted += quoted.count();
            let n_cells = |line: &[u8]| count_all(line, table.layout.separator) + 1;
            marks.fits_as_text &= records.lines().all(|line| n_cells(line) == n_fields);
        }
        Ok(marks)
    }
}

fn count_all(line: &[u8], separator: u8) -> usize {
    line.iter().filter(|byte| **byte == separator).count()
}

fn has_marks(table: &Delimited) -> Result<bool> {
    let mut file = TextFile::open(&table.path)?;
    let mut lines = Vec::new();
    while file.read_lines(&mut lines, BLOCK)? {
        if memchr(b'"', &lines).is_some() {
            return Ok(true);
        }
        lines.clear();
    }
    Ok(false)
}

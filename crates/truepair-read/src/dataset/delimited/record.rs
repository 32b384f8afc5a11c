//! Records of separated fields, one at a time, with every quotation mark judged where it stands.
//!
//! A field that begins with a mark is quoted when a second mark ends it before a separator or a
//! line end; between them doubled marks are marks. Where that is not so, or where it would take in
//! lines that are records of their own, the mark quotes nothing and is text.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

use memchr::memchr_iter;
use truepair_core::error::Result;

use super::look::{Likeness, Look};
use crate::text_file::{TextFile, without_end};

const MARK: u8 = b'"';
/// Lines that one quoted text may have.
const MOST_LINES: usize = 10_000;

/// What quotation marks at the start of a field mean in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// They quote; those that cannot are text.
    Marks,
    /// As [`Marks`](Self::Marks), and those that may be either are text.
    DoubtfulMarksAreText,
    /// They are text, all of them.
    Text,
}

/// What line breaks are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// Every one ends a record, as no quotation mark quotes.
    EndRecords,
    /// Some may stand in a quoted text.
    MayBeQuoted,
}

/// How the fields of a file are written.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) separator: u8,
    pub(super) n_fields: usize,
    /// What the cells of a column look like, where most look alike.
    pub(super) looks: Vec<Option<Look>>,
    pub(super) quoting: Quoting,
    pub(super) breaks: Breaks,
}

/// One field of the record at hand.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Where its text stands in the record, without the marks around it.
    pub(super) text: Range<usize>,
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// Marks stand around it, and doubled ones in it are single.
    Quoted,
}

/// What is to be said of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    /// Number of its first line.
    pub(super) line: u64,
    pub(super) n_lines: usize,
    /// Fields that begin with a mark that quotes nothing.
    pub(super) n_stray: usize,
    /// Whether its later lines look like records.
    pub(super) likeness: Likeness,
    /// Whether a field could not be written without its marks.
    pub(super) needs_marks: bool,
}

/// Hands out records.
pub(super) struct Records<'a> {
    file: TextFile<'a>,
    layout: &'a Layout,
    /// Lines that were read and belong to later records.
    ahead: VecDeque<Vec<u8>>,
    /// The record as it stands in the file, with its line end.
    raw: Vec<u8>,
    /// Where each line of the record begins.
    starts: Vec<usize>,
    fields: Vec<Field>,
    n_lines: u64,
}

impl<'a> Records<'a> {
    /// Opens the file after its first `n_head` lines, which name the columns.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open(path: &'a Path, layout: &'a Layout, n_head: u64) -> Result<Self> {
        let mut file = TextFile::open(path)?;
        let mut head = Vec::new();
        for _ in 0..n_head {
            head.clear();
            file.read_line(&mut head)?;
        }
        Ok(Self {
            file,
            layout,
            ahead: VecDeque::new(),
            raw: Vec::new(),
            starts: Vec::new(),
            fields: Vec::new(),
            n_lines: n_head,
        })
    }

    /// The fields of the record at hand.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The record at hand as it stands in the file, with its line end.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The lines of the record at hand, without their ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.starts.iter().skip(1).copied();
        let lines = self.starts.iter().zip(ends.chain([self.raw.len()]));
        lines.map(|(start, end)| without_end(&self.raw[*start..end]))
    }

    /// Reads the next record; lines without anything are none.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Met>> {
        loop {
            self.raw.clear();
            self.starts.clear();
            self.fields.clear();
            if !self.take_line()? {
                return Ok(None);
            }
            if !is_empty(&self.raw, self.layout.separator) {
                break;
            }
        }
        let line = self.n_lines;
        let mut met = Met {
            line,
            n_lines: 1,
            n_stray: 0,
            likeness: Likeness::None,
            needs_marks: false,
        };
        if self.layout.quoting == Quoting::Text || !self.raw.contains(&MARK) {
            split_plainly(&self.raw, self.layout.separator, &mut self.fields);
            return Ok(Some(met));
        }
        self.split(&mut met)?;
        met.n_lines = self.starts.len();
        if met.n_lines > 1 {
            met.likeness = self.likeness();
        }
        if self.marks_are_wrong(&met) {
            self.give_back(1);
            split_plainly(&self.raw, self.layout.separator, &mut self.fields);
            met.n_stray = met.n_stray.max(1);
            (met.n_lines, met.likeness, met.needs_marks) = (1, Likeness::None, false);
        }
        Ok(Some(met))
    }

    /// Whether the record is better read with its marks as text.
    fn marks_are_wrong(&self, met: &Met) -> bool {
        let doubtful_are_text = self.layout.quoting == Quoting::DoubtfulMarksAreText;
        if met.likeness == Likeness::Strong || (met.likeness == Likeness::Weak && doubtful_are_text)
        {
            return true;
        }
        if self.fields.len() == self.layout.n_fields {
            return false;
        }
        let first = without_end(&self.raw[..self.starts.get(1).copied().unwrap_or(self.raw.len())]);
        let separators = first.iter().filter(|byte| **byte == self.layout.separator);
        met.n_lines > 1 || separators.count() + 1 == self.layout.n_fields
    }

    /// Appends the next line to the record.
    fn take_line(&mut self) -> Result<bool> {
        let start = self.raw.len();
        let found = match self.ahead.pop_front() {
            Some(line) => {
                self.raw.extend(line);
                true
            }
            None => self.file.read_line(&mut self.raw)?,
        };
        if found {
            self.starts.push(start);
            self.n_lines += 1;
        }
        Ok(found)
    }

    /// Leaves only the first `n` lines in the record; the others are read again.
    fn give_back(&mut self, n: usize) {
        while self.starts.len() > n {
            let start = self.starts.pop().expect("more lines than n");
            self.ahead.push_front(self.raw.split_off(start));
            self.n_lines -= 1;
        }
    }

    fn split(&mut self, met: &mut Met) -> Result<()> {
        let separator = self.layout.separator;
        let mut at = 0;
        loop {
            let mut end = None;
            if let Some(open) = self.opening_mark(at) {
                match self.closing_mark(open)? {
                    Some((close, next)) => {
                        let text = &self.raw[open + 1..close];
                        met.needs_marks |= text.contains(&separator) || text.contains(&MARK);
                        self.fields.push(Field {
                            text: open + 1..close,
                            form: Form::Quoted,
                        });
                        end = Some(next);
                    }
                    None => met.n_stray += 1,
                }
            }
            let length = without_end(&self.raw).len();
            let end = end.unwrap_or_else(|| {
                let rest = &self.raw[at..length];
                let end = rest.iter().position(|byte| *byte == separator);
                let end = end.map_or(length, |end| at + end);
                self.fields.push(Field {
                    text: at..end,
                    form: Form::Plain,
                });
                end
            });
            if end >= length {
                return Ok(());
            }
            at = end + 1;
        }
    }

    /// The mark at the start of the field that begins at `at`; spaces may stand before it.
    fn opening_mark(&self, at: usize) -> Option<usize> {
        let rest = self.raw.get(at..)?;
        let spaces = rest.iter().take_while(|byte| self.is_padding(**byte));
        let open = at + spaces.count();
        (self.raw.get(open) == Some(&MARK)).then_some(open)
    }

    fn is_padding(&self, byte: u8) -> bool {
        byte == b' ' && self.layout.separator != b'\t'
    }

    /// The mark that ends the field after the one at `open`, and where the next separator or the
    /// end of the record stands; more lines are read for it. `None` where there is none.
    fn closing_mark(&mut self, open: usize) -> Result<Option<(usize, usize)>> {
        let n_lines = self.starts.len();
        let mut from = open + 1;
        let close = loop {
            match self.raw[from..].iter().position(|byte| *byte == MARK) {
                Some(at) if self.raw.get(from + at + 1) == Some(&MARK) => from += at + 2,
                Some(at) => break from + at,
                None => {
                    from = self.raw.len();
                    if self.starts.len() - n_lines >= MOST_LINES || !self.take_line()? {
                        self.give_back(n_lines);
                        return Ok(None);
                    }
                }
            }
        };
        let length = without_end(&self.raw).len();
        let rest = &self.raw[close + 1..length];
        let padding = rest.iter().take_while(|byte| self.is_padding(**byte));
        let next = close + 1 + padding.count();
        if next < length && self.raw[next] != self.layout.separator {
            self.give_back(n_lines);
            return Ok(None);
        }
        Ok(Some((close, next)))
    }

    /// How much the later lines of the record look like records, most of them.
    fn likeness(&self) -> Likeness {
        let later = self.lines().skip(1);
        let mut found: Vec<Likeness> = later
            .map(|line| Likeness::of_line(line, self.layout.separator, &self.layout.looks))
            .collect();
        found.sort_unstable();
        found[found.len() / 2]
    }
}

/// Whether nothing but spaces stands in a line; separators are something.
pub(super) fn is_empty(line: &[u8], separator: u8) -> bool {
    let is_space = |byte: &u8| *byte != separator && byte.is_ascii_whitespace();
    line.iter().all(is_space)
}

/// The fields of a line whose marks are text.
pub(super) fn split_plainly(line: &[u8], separator: u8, fields: &mut Vec<Field>) {
    fields.clear();
    let content = without_end(line);
    let mut start = 0;
    for end in memchr_iter(separator, content).chain([content.len()]) {
        fields.push(Field {
            text: start..end,
            form: Form::Plain,
        });
        start = end + 1;
    }
}

/// The text of a field, marks that are doubled made single.
pub(super) fn text_of(raw: &[u8], field: &Field) -> Vec<u8> {
    let bytes = &raw[field.text.clone()];
    if field.form == Form::Plain || !bytes.contains(&MARK) {
        return bytes.to_vec();
    }
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        text.push(*byte);
        if *byte == MARK {
            rest.next();
        }
    }
    text
}

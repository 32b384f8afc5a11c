//! Everything that reaches a person or a pipe: the one place that prints, and the one place that
//! turns fractions into percentages.

mod evaluation;
mod labels;
mod markdown;
mod printable;
mod retrieval;

pub(crate) use evaluation::{differences_text, evaluation_text, tie_gap_text};
pub(crate) use labels::{class_map_text, label_epoch_text};
pub(crate) use markdown::{fenced, in_markdown};
pub(crate) use printable::printable;
pub(crate) use retrieval::{
    RetrievalRecord, ShareUnit, comparison, direction_text, epoch_text, in_print, report_text,
    standard_rows,
};

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use truepair_core::audit::NoiseRate;

use self::printable::printable_json;
use crate::cache;
use crate::output::{self, Output};

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// One JSON object on stdout.
    Json,
}

impl Form {
    /// Prints the result: `text` for people, `value` for machines.
    pub(crate) fn print(
        self,
        value: &impl Output,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self {
            Form::Text => stdout(&printable(&cache::shown(&text()))),
            Form::Json => stdout(&printable_json(&cache::shown(&output::text(value)?))),
        }
    }
}

/// Writes to stdout. A reader that closed the pipe, such as `head`, has seen all it wanted.
fn stdout(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// A remark about the work, on stderr, so that stdout stays one JSON object.
pub(crate) fn note(text: &str) {
    let text = cache::shown(text);
    // Without a stderr there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text));
}

/// The error and its causes in one line; a cause that the line already quotes is not repeated.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            let _ = write!(line, ": {cause}");
        }
    }
    without_numbers(&line)
}

/// A message without the numbers that operating systems give their errors, such as ` (os error 2)`.
fn without_numbers(line: &str) -> String {
    const MARK: &str = " (os error ";
    let mut parts = line.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                out.push_str(rest);
            }
            _ => {
                out.push_str(MARK);
                out.push_str(part);
            }
        }
    }
    out
}

/// A fraction as a percentage, the unit of recalls in the papers.
pub(crate) fn percent(fraction: f64) -> f64 {
    fraction * 100.0
}

/// The fraction that was printed as a percentage.
pub(crate) fn fraction(percent: f64) -> f64 {
    percent / 100.0
}

/// A fraction as text with one decimal, for instance `40.0 %`.
pub(crate) fn percent_text(fraction: f64) -> String {
    format!("{:.1} %", percent(fraction))
}

/// A count with its noun, for instance `1 image` or `2,428 images`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(n))
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The interval of a noise rate, for instance `95 % interval 3.1 % to 5.0 %`.
pub(crate) fn interval_text(rate: NoiseRate) -> String {
    format!(
        "95 % interval {} to {}",
        percent_text(rate.low),
        percent_text(rate.high)
    )
}

/// Files that are named in a command's text; `--json` names all.
const FILES_NAMED: usize = 30;

/// The end of a command's text: the files that it wrote.
pub(crate) fn written_text(files: &[PathBuf]) -> String {
    let mut out = "\nwritten:\n".to_owned();
    // Reports and verdicts before the many files of a cleaned list.
    let mut in_order: Vec<&PathBuf> = files.iter().collect();
    in_order.sort_by_key(|file| file.components().count());
    for file in in_order.into_iter().take(FILES_NAMED) {
        let _ = writeln!(out, "  {}", file.display());
    }
    if let Some(more) = files
        .len()
        .checked_sub(FILES_NAMED)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(out, "  and {}", count(more, "more file"));
    }
    out
}

/// Aligned columns: the first to the left, the others to the right, the first row underlined.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..n_columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
        if index == 0 {
            let total = widths.iter().sum::<usize>() + 2 * n_columns.saturating_sub(1);
            out.push_str(&"-".repeat(total));
            out.push('\n');
        }
    }
    out
}

/// `name: value` lines with the values aligned.
pub(crate) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name:width$}  {value}");
        out
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_printed_once() {
        let cause = io::Error::from(io::ErrorKind::NotFound);
        let known: anyhow::Result<()> =
            Err(truepair_core::Error::io("a.npy", "read", io::ErrorKind::NotFound.into()).into());
        let known = chain(&known.context("while reading the images").unwrap_err());
        assert_eq!(
            known,
            "while reading the images: a.npy: cannot read: entity not found"
        );
        let chained = Err::<(), _>(cause)
            .context("out: cannot write")
            .unwrap_err();
        assert_eq!(chain(&chained), "out: cannot write: entity not found");
    }

    #[test]
    fn numbers_of_the_operating_system_are_left_out() {
        let line = "a: No such file or directory (os error 2) (give another)";
        assert_eq!(
            without_numbers(line),
            "a: No such file or directory (give another)"
        );
        assert_eq!(without_numbers("x (os error two)"), "x (os error two)");
    }

    #[test]
    fn tables_align_by_characters() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = table(&[
            row(["", "R@1", "rSum"]),
            row(["né", "9.5", "40.1"]),
            row(["plain", "10.0", "338"]),
        ]);
        let expected = [
            "        R@1  rSum",
            "-----------------",
            "né      9.5  40.1",
            "plain  10.0   338",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn numbers_read_easily() {
        assert_eq!(count(1, "image"), "1 image");
        assert_eq!(count(1_234_567, "pair"), "1,234,567 pairs");
        assert_eq!(percent_text(0.2004), "20.0 %");
    }
}

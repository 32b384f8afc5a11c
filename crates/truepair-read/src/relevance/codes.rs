//! Files of labels: a class of every item, or a set of classes.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::npy;
use truepair_core::relevance::Codes;

/// Columns that labels may have.
const MOST_CLASSES: usize = 1 << 24;

/// Reads labels of `n` items: `.npy` whole numbers of any type `[n]` (classes) or `[n, k]` (0 and 1 per
/// class), or a text file of one class a line.
///
/// # Errors
/// If the file cannot be read, has another number of rows than `n`, or holds a label outside the
/// classes.
pub fn read_codes(path: &Path, n: usize, n_classes: Option<u32>) -> Result<Codes> {
    let (values, shape) = if path.extension().is_some_and(|ending| ending == "npy") {
        npy::read_ints(path)?
    } else {
        let values = numbers(path)?;
        let shape = vec![values.len()];
        (values, shape)
    };
    if shape[0] != n {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("labels of {} items, expected {n}", shape[0]),
            "write one row per item, in the order of the scores or embeddings",
        ));
    }
    if let Some(&k) = shape.get(1).filter(|k| !(1..=MOST_CLASSES).contains(*k)) {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("labels of shape {shape:?}: {k} classes, expected 1 to {MOST_CLASSES}"),
            "write classes [n], or a column of 0 and 1 for each class",
        ));
    }
    let read = match shape.get(1) {
        None | Some(1) => Codes::classes(&values, n_classes),
        Some(&k) => Codes::sets(&values, k),
    };
    read.map_err(|cause| Error::data(path, Place::Whole, cause.to_string(), "correct that row"))
}

fn numbers(path: &Path) -> Result<Vec<i64>> {
    let lines = crate::lines::read_lines(path)?;
    let number = |(at, line): (usize, &String)| {
        let text = line.trim();
        let whole = text
            .split_once('.')
            .filter(|(_, rest)| !rest.is_empty() && rest.bytes().all(|digit| digit == b'0'));
        whole.map_or(text, |(whole, _)| whole).parse().map_err(|_| {
            Error::data(
                path,
                Place::Line(at as u64 + 1),
                format!("'{line}', expected the number of a class"),
                "write one integer a line, -1 where there is no label",
            )
        })
    };
    lines.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_do_not_fit_are_refused_by_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        std::fs::write(&path, "0\n1\n2\n").unwrap();
        let error = read_codes(&path, 4, None).unwrap_err().to_string();
        assert!(
            error.contains("labels.txt: labels of 3 items, expected 4"),
            "{error}"
        );
        let error = read_codes(&path, 3, Some(2)).unwrap_err().to_string();
        assert!(
            error.contains("labels.txt: label 2 of row 2 is outside"),
            "{error}"
        );
        std::fs::write(&path, "0.0\n1\n-1\n").unwrap();
        assert!(read_codes(&path, 3, None).is_ok());
        std::fs::write(&path, "0.5\n").unwrap();
        assert!(read_codes(&path, 1, None).is_err());
        std::fs::write(&path, "0\ncat\n").unwrap();
        let error = read_codes(&path, 2, None).unwrap_err().to_string();
        assert!(error.contains("labels.txt:2: 'cat'"), "{error}");
    }
}

//! Text files of one entry a line.

use std::collections::HashMap;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use crate::text_file::{TextFile, without_end};

/// The lines of a UTF-8 file without their ends; a byte order mark is dropped.
///
/// # Errors
/// If the file cannot be read, or a line is not valid UTF-8, which is then named.
pub(crate) fn read_lines(path: &Path) -> Result<Vec<String>> {
    lines(path)?.map(|line| Ok(line?.text)).collect()
}

/// One line of a text file.
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// Without its end.
    pub(super) text: String,
}

/// The lines of a file one at a time; see [`read_lines`].
///
/// # Errors
/// If the file cannot be opened; those of [`read_lines`] come with the lines.
pub(super) fn lines(path: &Path) -> Result<impl Iterator<Item = Result<Line>>> {
    let mut file = TextFile::open(path)?;
    let mut bytes = Vec::new();
    Ok(std::iter::from_fn(move || {
        bytes.clear();
        match file.read_line(&mut bytes) {
            Err(cause) => Some(Err(cause)),
            Ok(false) => None,
            Ok(true) => Some(line(path, file.n_lines(), without_end(&bytes))),
        }
    }))
}

fn line(path: &Path, number: u64, line: &[u8]) -> Result<Line> {
    let text = std::str::from_utf8(line).map_err(|cause| {
        Error::data(
            path,
            Place::Line(number),
            format!("byte {} is not valid UTF-8", cause.valid_up_to() + 1),
            "save the file as UTF-8",
        )
    })?;
    Ok(Line {
        number,
        text: text.to_owned(),
    })
}

/// Refuses ids that occur twice, naming both places; `place` says where id `n` stands.
///
/// # Errors
/// If one does.
pub(super) fn refuse_duplicates(
    path: &Path,
    ids: &[String],
    place: impl Fn(usize) -> Place,
) -> Result<()> {
    let mut first_at: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
    for (n, id) in ids.iter().enumerate() {
        if let Some(first) = first_at.insert(id, n) {
            return Err(Error::data(
                path,
                place(n),
                format!("id '{id}' already appears at {}", name(place(first))),
                "give every image an id of its own, or remove one of the two",
            ));
        }
    }
    Ok(())
}

fn name(place: Place) -> String {
    match place {
        Place::Line(n) => format!("line {n}"),
        Place::Record(n) => format!("record {n}"),
        Place::Row(n) => format!("row {n}"),
        Place::Whole => "another place".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn line_ends_and_the_byte_order_mark_are_dropped() {
        let (_folder, path) = file("\u{feff}a b\r\n\nlast é".as_bytes());
        assert_eq!(read_lines(&path).unwrap(), ["a b", "", "last é"]);
        let (_folder, path) = file(b"");
        assert!(read_lines(&path).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        let (_folder, path) = file(b"fine\nna\xefve\n");
        let error = read_lines(&path).unwrap_err().to_string();
        assert!(
            error.contains("a.txt:2: byte 3 is not valid UTF-8"),
            "{error}"
        );
    }

    #[test]
    fn a_repeated_id_names_both_places() {
        let ids = ["a", "b", "a"].map(String::from);
        let place = |n| Place::Line(n as u64 + 1);
        let error = refuse_duplicates(Path::new("ids.txt"), &ids, place)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("ids.txt:3: id 'a' already appears at line 1"),
            "{error}"
        );
    }
}

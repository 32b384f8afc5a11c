//! Which row of keyed features is whose.
//!
//! Keys are names that somebody gave the images: their ids, their paths, or the names of their files.
//! A path is never shortened to a file name that other images have, too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::listed::ListedImage;
use crate::spelling::normal;

/// The row of every image, where it has one.
#[derive(Debug, Default)]
pub(super) struct FoundRows {
    pub(super) rows: Vec<Option<u32>>,
    /// By which other names rows were found, and which rows are nobody's.
    pub(super) account: Account,
}

/// Finds the rows of `images` among `keys`; `file` holds the features.
///
/// # Errors
/// If two images would have one row, or a file name that several images have is all there is.
pub(super) fn find_rows(
    keys: &HashMap<String, u32>,
    images: &[ListedImage],
    file: &Path,
) -> Result<FoundRows> {
    let mut found = FoundRows::default();
    let mut names: Option<Names<'_>> = None;
    // Which image has each row.
    let mut owners: HashMap<u32, usize> = HashMap::with_capacity(images.len());
    for (index, image) in images.iter().enumerate() {
        let exact = keys.get(&image.id).or_else(|| keys.get(image.file()));
        let row = match exact {
            Some(row) => Some(*row),
            None => {
                let names = names.get_or_insert_with(|| Names::new(keys, images));
                names.find(file, image, &mut found.account)?
            }
        };
        found.rows.push(row);
        if let Some(row) = row
            && let Some(other) = owners.insert(row, index)
        {
            return Err(two_of(file, &images[other].id, &image.id));
        }
    }
    let mut nobodys: Vec<(u32, &String)> = (keys.iter())
        .filter(|(_, row)| !owners.contains_key(row))
        .map(|(key, row)| (*row, key))
        .collect();
    nobodys.sort_unstable();
    for (_, key) in nobodys {
        let why = "no image has its id";
        found.account.pass("row of features", why, key);
    }
    Ok(found)
}

fn two_of(file: &Path, one: &str, other: &str) -> Error {
    Error::data(
        file,
        Place::Whole,
        format!("its keys do not tell the images '{one}' and '{other}' apart"),
        "key the features by the ids of the images or by their whole paths",
    )
}

/// Other names of images and keys.
struct Names<'a> {
    /// Row of every key in its normal spelling; `None` where two keys have one.
    keys: HashMap<Cow<'a, str>, Option<u32>>,
    /// The image that has a file name, with its ending and without, and another one that has it, too.
    owners: HashMap<Cow<'a, str>, [Option<&'a str>; 2]>,
}

/// A name under which a row may stand, and what is said when it does.
type OtherName<'a> = (&'a str, &'static str);

impl<'a> Names<'a> {
    fn new(keys: &'a HashMap<String, u32>, images: &'a [ListedImage]) -> Self {
        let mut names = Self {
            keys: HashMap::with_capacity(keys.len()),
            owners: HashMap::new(),
        };
        for (key, row) in keys {
            let stands = names.keys.entry(normal(key));
            stands.and_modify(|row| *row = None).or_insert(Some(*row));
        }
        for image in images {
            let path = Path::new(image.file());
            let (name, stem) = (path.file_name(), path.file_stem());
            let stem = stem.filter(|stem| Some(*stem) != name);
            for name in [name, stem]
                .into_iter()
                .flatten()
                .filter_map(|part| part.to_str())
            {
                let owners = names.owners.entry(normal(name)).or_default();
                match owners {
                    [None, _] => owners[0] = Some(&image.id),
                    [Some(first), None] if *first != image.id => owners[1] = Some(&image.id),
                    _ => {}
                }
            }
        }
        names
    }

    fn find(&self, file: &Path, image: &ListedImage, account: &mut Account) -> Result<Option<u32>> {
        const SPELLING: &str = "its features stand under its name, which is written in another way";
        const NUMBER: &str = "its features stand under the same number without a fraction";
        const NAME: &str = "its features stand under the name of its file, not its path";
        const STEM: &str = "its features stand under the name of its file without the ending";
        for name in [image.id.as_str(), image.file()] {
            if let Some(row) = self.row(file, name)? {
                account.chose_for("image", SPELLING, &image.id);
                return Ok(Some(row));
            }
        }
        let path = Path::new(image.file());
        let parts = [path.file_name(), path.file_stem()];
        let [name, stem] = parts.map(|part| part.and_then(|part| part.to_str()));
        let whole = image.id.split_once('.').filter(|(_, fraction)| {
            !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0')
        });
        let whole = whole.filter(|(whole, _)| whole.parse::<i64>().is_ok());
        let others: [Option<OtherName<'_>>; 3] = [
            whole.map(|(whole, _)| (whole, NUMBER)),
            name.map(|name| (name, NAME)),
            stem.filter(|stem| Some(*stem) != name)
                .map(|stem| (stem, STEM)),
        ];
        for (name, how) in others.into_iter().flatten() {
            let Some(row) = self.row(file, name)? else {
                continue;
            };
            if how != NUMBER
                && let Some([Some(one), Some(other)]) = self.owners.get(&normal(name))
            {
                return Err(two_of(file, one, other));
            }
            account.chose_for("image", how, &image.id);
            return Ok(Some(row));
        }
        Ok(None)
    }

    fn row(&self, file: &Path, name: &str) -> Result<Option<u32>> {
        match self.keys.get(&normal(name)) {
            Some(None) => Err(Error::data(
                file,
                Place::Whole,
                format!("two keys are '{name}', written in two ways that Unicode takes as one"),
                "key every image once",
            )),
            Some(row) => Ok(*row),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(keys: &[&str], files: &[&str]) -> Result<(Vec<Option<u32>>, Vec<String>)> {
        let keys = keys.iter().map(|key| key.to_string()).zip(0..).collect();
        let image = |file: &&str| ListedImage {
            id: file.to_string(),
            file: None,
            record: 0,
            in_split: true,
        };
        let images: Vec<ListedImage> = files.iter().map(image).collect();
        let found = find_rows(&keys, &images, Path::new("f.npz"))?;
        Ok((found.rows, found.account.lines()))
    }

    #[test]
    fn exact_keys_win_and_others_are_said() {
        let keys = ["a/0.jpg", "1.jpg", "2", "caf\u{e9}.jpg", "7", "0.jpg"];
        let files = [
            "a/0.jpg",
            "b/1.jpg",
            "c/2.jpg",
            "cafe\u{301}.jpg",
            "7.0",
            "d/9.jpg",
        ];
        let (rows, said) = find(&keys, &files).unwrap();
        assert_eq!(rows, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
        for (n, words) in [
            "1 row of features: no image has its id (0.jpg)",
            "the name of its file, not its path (b/1.jpg)",
            "without the ending (c/2.jpg)",
            "written in another way (cafe",
            "without a fraction (7.0)",
        ]
        .iter()
        .enumerate()
        {
            let hits = said.iter().filter(|line| line.contains(words)).count();
            assert_eq!(hits, 1, "{n}: {said:?}");
        }
    }

    #[test]
    fn names_of_several_images_are_refused() {
        let message = |keys: &[&str], files: &[&str]| find(keys, files).unwrap_err().to_string();
        let by_name = message(&["0.jpg"], &["a/0.jpg", "b/0.jpg"]);
        assert!(
            by_name.contains("'a/0.jpg' and 'b/0.jpg' apart"),
            "{by_name}"
        );
        let by_stem = message(&["0"], &["0.jpg", "0.png"]);
        assert!(by_stem.contains("'0.jpg' and '0.png' apart"), "{by_stem}");
        // The one has its own key, the other would take the name of both.
        let half = message(&["a/0.jpg", "0.jpg"], &["a/0.jpg", "b/0.jpg"]);
        assert!(half.contains("'a/0.jpg' and 'b/0.jpg' apart"), "{half}");
        let exact = message(&["0.jpg", "x"], &["0.jpg", "b/0.jpg"]);
        assert!(exact.contains("'0.jpg' and 'b/0.jpg' apart"), "{exact}");
        let numbers = message(&["7"], &["7", "7.0"]);
        assert!(numbers.contains("'7' and '7.0' apart"), "{numbers}");
        let spellings = message(&["e\u{301}", "\u{e9}"], &["\u{e9}.jpg"]);
        assert!(spellings.contains("two keys are"), "{spellings}");
    }
}

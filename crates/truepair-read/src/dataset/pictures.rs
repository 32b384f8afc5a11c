//! Where the pictures of a data set lie, for the report's gallery. Their content is never read
//! here.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf, is_separator};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

/// Endings of files that a report may show. Data from elsewhere must not be able to name any
/// other file of the user's.
pub(super) const PICTURE_ENDINGS: &[&str] = &[
    "png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic",
];

/// Pictures in `folder` whose file name, with or without its ending, is the image's id or stem.
pub(super) fn files_with_ids(folder: &Path, ids: &[String]) -> Vec<Option<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_picture(Path::new(name)))
        .collect();
    names.sort();
    let mut by_key: HashMap<&str, &String> = names.iter().map(|name| (stem(name), name)).collect();
    by_key.extend(names.iter().map(|name| (name.as_str(), name)));
    let find = |id: &String| {
        let id = id.rsplit_once('#').map_or(id.as_str(), |(id, _)| id);
        Some(folder.join(by_key.get(id).or_else(|| by_key.get(stem(id)))?))
    };
    or_none(ids.iter().map(find).collect())
}

/// Pictures whose path, seen from `folder` or absolute, is the name of the image.
pub(super) fn files_named(folder: &Path, names: &[impl AsRef<str> + Sync]) -> Vec<Option<PathBuf>> {
    let found = names.par_iter().enumerate().map_init(
        || LastParent::from(folder),
        |last, (at, name)| Some((at, last.picture(name.as_ref())?)),
    );
    let found: Vec<(usize, PathBuf)> = found.filter_map(|found| found).collect();
    if found.is_empty() {
        return Vec::new();
    }
    let mut files = vec![None; names.len()];
    for (at, path) in found {
        files[at] = Some(path);
    }
    files
}

/// The folder in which the file of the name before lies, as most names of a list share theirs: nothing
/// is looked for in a folder that is not there.
struct LastParent<'a> {
    folder: &'a Path,
    /// As it stands in the name.
    parent: &'a str,
    is_there: bool,
}

impl<'a> LastParent<'a> {
    /// The folder itself, which the names are seen from.
    fn from(folder: &'a Path) -> Self {
        Self {
            folder,
            parent: "",
            is_there: true,
        }
    }

    fn picture(&mut self, name: &'a str) -> Option<PathBuf> {
        let end = name.rfind(is_separator).map_or(0, |at| at + 1);
        let parent = &name[..end];
        if parent != self.parent {
            self.parent = parent;
            self.is_there = parent.is_empty() || self.folder.join(parent).is_dir();
        }
        if !self.is_there {
            return None;
        }
        let path = self.folder.join(name);
        (is_picture(&path) && path.is_file()).then_some(path)
    }
}

fn or_none(files: Vec<Option<PathBuf>>) -> Vec<Option<PathBuf>> {
    if files.iter().all(Option::is_none) {
        Vec::new()
    } else {
        files
    }
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Whether the file's ending is that of a picture.
pub(super) fn is_picture(path: &Path) -> bool {
    let is_known = |ending: &OsStr| {
        let mut known = PICTURE_ENDINGS.iter();
        known.any(|known| ending.eq_ignore_ascii_case(known))
    };
    path.extension().is_some_and(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_found_by_id_stem_and_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["1f600.webp", "b.jpg", "notes.txt"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        let ids = ["1f600", "b.png", "b.jpg#2", "notes", "c"].map(String::from);
        let found = files_with_ids(folder.path(), &ids);
        let name = |file: &Option<PathBuf>| Some(file.as_ref()?.file_name()?.to_str()?.to_owned());
        let names: Vec<Option<String>> = found.iter().map(name).collect();
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            names,
            [some("1f600.webp"), some("b.jpg"), some("b.jpg"), None, None]
        );
        let named = files_named(folder.path(), &["b.jpg", "notes.txt"].map(String::from));
        assert!(named[0].is_some() && named[1].is_none());
        assert!(files_named(folder.path(), &["c.jpg"]).is_empty());
    }
}

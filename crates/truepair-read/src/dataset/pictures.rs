//! Where the pictures of a data set lie, for the report's gallery. Their content is never read
//! here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

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

/// Pictures whose path, seen from `folder` or absolute, is the image's id.
pub(super) fn files_named(folder: &Path, ids: &[String]) -> Vec<Option<PathBuf>> {
    let find = |id: &String| {
        let path = folder.join(id);
        (is_picture(&path) && path.is_file()).then_some(path)
    };
    or_none(ids.iter().map(find).collect())
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
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| PICTURE_ENDINGS.iter().any(|known| *known == ending))
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
        assert!(files_named(folder.path(), &["c.jpg".into()]).is_empty());
    }
}

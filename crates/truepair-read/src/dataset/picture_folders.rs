//! Where the pictures that a list names lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use truepair_core::dataset::Picture;
use truepair_core::error::Result;

use super::tar;

/// Folders that data sets unpack their pictures into, beside the folder of their lists.
const NEIGHBORS: &[&str] = &[
    "images",
    "flickr30k-images",
    "Flicker8k_Dataset",
    "train2014",
    "val2014",
    "test2014",
    "train2017",
    "val2017",
];

/// Folders in which pictures are looked for, and archives that were looked into.
#[derive(Debug)]
pub(super) struct PictureFolders {
    folders: Vec<PathBuf>,
    archives: HashMap<PathBuf, HashMap<String, tar::Member>>,
}

impl PictureFolders {
    /// The folder that the caller named, or the one of the list, those in it, and the usual ones
    /// beside it.
    pub(super) fn of(list: &Path, named: Option<&Path>) -> Self {
        let folders = match named {
            Some(folder) => vec![folder.to_path_buf()],
            None => around(list),
        };
        Self {
            folders,
            archives: HashMap::new(),
        }
    }

    /// The picture called `name`: a path from one of the folders, its file name there, or
    /// `ARCHIVE.tar#MEMBER`.
    ///
    /// # Errors
    /// If an archive cannot be read.
    pub(super) fn find(&mut self, name: &str) -> Result<Picture> {
        if let Some((archive, member)) = name.split_once(".tar#") {
            return self.member(&format!("{archive}.tar"), member);
        }
        let path = Path::new(name);
        let file_name = Path::new(path.file_name().unwrap_or_default());
        let places = [path, file_name];
        let paths = (self.folders.iter()).flat_map(|folder| places.map(|place| folder.join(place)));
        let found = paths.enumerate().find(|(_, path)| path.is_file());
        let Some((place, path)) = found else {
            let first = self.folders.first().map_or(path.into(), |f| f.join(path));
            return Ok(Picture::Missing { name: first });
        };
        // The next picture most likely lies beside this one.
        self.folders.swap(0, place / places.len());
        Ok(Picture::File(path))
    }

    fn member(&mut self, archive: &str, member: &str) -> Result<Picture> {
        let mut paths = self.folders.iter().map(|folder| folder.join(archive));
        let Some(path) = paths.find(|path| path.is_file()) else {
            return Ok(Picture::Missing {
                name: archive.into(),
            });
        };
        if !self.archives.contains_key(&path) {
            let found = tar::scan(&path, |_, _| Ok(()))?;
            let members = found.entries.into_iter();
            let members = members.map(|(member, ())| (member.name.clone(), member));
            self.archives.insert(path.clone(), members.collect());
        }
        Ok(
            match self.archives[&path].get(member.trim_start_matches("./")) {
                Some(found) => of_member(Arc::from(path.as_path()), found),
                None => Picture::Missing {
                    name: path.join(member),
                },
            },
        )
    }
}

/// A member as a picture.
pub(super) fn of_member(archive: Arc<Path>, member: &tar::Member) -> Picture {
    Picture::Member {
        archive,
        name: member.name.clone(),
        start: member.start,
        len: member.len,
    }
}

fn around(list: &Path) -> Vec<PathBuf> {
    let folder = match list.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut inside: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    inside.sort();
    let beside = NEIGHBORS.iter().map(|name| folder.join("..").join(name));
    let beside = beside.filter(|path| path.is_dir());
    let own = std::iter::once(folder.to_path_buf());
    own.chain(inside).chain(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_found_beside_the_list_in_its_folders_and_in_archives() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        for folder in ["lists/pictures", "images"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["lists/a.jpg", "lists/pictures/b.jpg", "images/c.jpg"] {
            std::fs::write(root.join(file), b"x").unwrap();
        }
        let bytes = tar::archive(&[("k/d.jpg", b"dd")]);
        std::fs::write(root.join("lists/0.tar"), bytes).unwrap();
        let mut folders = PictureFolders::of(&root.join("lists/list.csv"), None);
        for name in ["a.jpg", "b.jpg", "other/c.jpg", "0.tar#k/d.jpg", "a.jpg"] {
            let found = folders.find(name).unwrap();
            assert!(found.read().is_ok(), "{name}: {found:?}");
        }
        assert_eq!(
            folders.find("0.tar#k/d.jpg").unwrap().read().unwrap(),
            b"dd"
        );
        for name in ["e.jpg", "0.tar#e.jpg", "1.tar#d.jpg"] {
            let found = folders.find(name).unwrap();
            assert!(matches!(found, Picture::Missing { .. }), "{found:?}");
        }
    }
}

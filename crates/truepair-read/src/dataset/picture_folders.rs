//! Where the pictures that a list names lie.
//!
//! A path from the folder of the list is what it says. Elsewhere, or under a file name alone, a picture
//! is taken only where nothing else could be meant, and that is said; what could be two is an error
//! that names both.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use truepair_core::dataset::{Account, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file::folder_of;

use super::leftovers::is_hidden;
use super::listed::ListedImage;
use super::tar;
use crate::spelling::normal;

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

/// The files of one folder by their names in normal spelling.
type Names = HashMap<String, Vec<PathBuf>>;

/// Folders in which pictures are looked for, and archives that were looked into.
#[derive(Debug)]
pub(super) struct PictureFolders<'a> {
    list: PathBuf,
    /// The folder that paths are seen from.
    root: PathBuf,
    /// Other folders, where nothing lies under a path from the root.
    others: Vec<PathBuf>,
    /// Folders that are not looked into, because they are links.
    linked: Vec<PathBuf>,
    images: &'a [ListedImage],
    /// How many images have a file name; counted when it is asked for.
    n_of_name: Option<HashMap<String, usize>>,
    listings: HashMap<PathBuf, Rc<Names>>,
    archives: HashMap<PathBuf, HashMap<String, tar::Member>>,
    pub(super) account: Account,
}

impl<'a> PictureFolders<'a> {
    /// The folder that the caller named, or the one of the list, those in it, and the usual ones
    /// beside it; `images` are all that the list names.
    pub(super) fn of(list: &Path, named: Option<&Path>, images: &'a [ListedImage]) -> Self {
        let mut folders = Self {
            list: list.to_path_buf(),
            root: named.map_or_else(|| folder_of(list).to_path_buf(), Path::to_path_buf),
            others: Vec::new(),
            linked: Vec::new(),
            images,
            n_of_name: None,
            listings: HashMap::new(),
            archives: HashMap::new(),
            account: Account::default(),
        };
        if named.is_none() {
            folders.look_around();
        }
        folders
    }

    fn look_around(&mut self) {
        let entries = std::fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten();
        let mut inside: Vec<PathBuf> = entries
            .filter(|entry| !is_hidden(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        inside.sort();
        let beside = folders_beside(&self.root);
        let (linked, others) =
            (inside.into_iter().chain(beside)).partition(|path| path.is_symlink());
        (self.linked, self.others) = (linked, others);
    }

    /// The picture called `name`: a path from one of the folders, its file name there, or
    /// `ARCHIVE.tar#MEMBER`.
    ///
    /// # Errors
    /// If two pictures could be meant, or an archive cannot be read.
    pub(super) fn find(&mut self, name: &str) -> Result<Picture> {
        if let Some((archive, member)) = name.split_once(".tar#") {
            return self.member(&format!("{archive}.tar"), member);
        }
        if let Some(file) = self.file(name)? {
            return Ok(Picture::File(file));
        }
        if name.contains('\\') {
            let turned = name.replace('\\', "/");
            if let Some(file) = self.file(&turned)? {
                let how = "found with / in place of \\ in its path";
                self.account.chose_for("picture", how, name);
                return Ok(Picture::File(file));
            }
        }
        for folder in std::mem::take(&mut self.linked) {
            let name = folder.display();
            (self.account).chose(format!(
                "no picture is looked for in the linked folder {name}"
            ));
        }
        Ok(Picture::Missing {
            name: self.root.join(name),
        })
    }

    fn file(&mut self, name: &str) -> Result<Option<PathBuf>> {
        let path = Path::new(name);
        let exact = self.root.join(path);
        if name.is_empty() || name.contains("://") {
            return Ok(None);
        }
        if let Ok(found) = exact.symlink_metadata()
            && (found.is_file() || (found.is_symlink() && exact.is_file()))
        {
            if found.is_symlink() {
                let how = "a link, which may lead out of the folder of the list";
                self.account.chose_for("picture", how, path.display());
            } else {
                self.note_outside(path);
            }
            return Ok(Some(exact));
        }
        if path.is_absolute() || path.file_name().is_none() {
            return Ok(None);
        }
        if let Some(found) = self.under_path(name, path)? {
            return Ok(Some(found));
        }
        self.by_file_name(name, path)
    }

    /// A picture whose path says openly that it lies elsewhere is read, and that is said.
    fn note_outside(&mut self, path: &Path) {
        let leaves =
            |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
        if path.components().any(leaves) {
            let how = "its path leads out of the folder of the list";
            self.account.chose_for("picture", how, path.display());
        }
    }

    /// The picture under the path in the root, spelled in another way, or in another folder.
    fn under_path(&mut self, name: &str, path: &Path) -> Result<Option<PathBuf>> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let mut found: Vec<PathBuf> = Vec::new();
        let folders: Vec<PathBuf> = std::iter::once(&self.root)
            .chain(&self.others)
            .map(|folder| folder.join(parent))
            .collect();
        for folder in &folders {
            let names = self.listing(folder);
            let alike = names.get(normal(&own).as_ref()).into_iter().flatten();
            let mut alike: Vec<&PathBuf> = alike.collect();
            // Of two spellings in one folder the one that is asked for is meant.
            if let Some(exact) = alike.iter().find(|file| file.ends_with(own.as_ref())) {
                alike = vec![exact];
            }
            found.extend(alike.into_iter().cloned());
            // What lies in the root hides the other folders.
            if *folder == folders[0] && !found.is_empty() {
                break;
            }
        }
        let found = self.only_one(name, found)?;
        if let Some(found) = &found {
            if !found.ends_with(own.as_ref()) {
                let how = "found under its name written in another way";
                self.account.chose_for("picture", how, name);
            }
            let folder = folders
                .iter()
                .position(|folder| found.parent() == Some(folder));
            if let Some(other) = folder.and_then(|at| self.others.get(at.checked_sub(1)?)) {
                let folder = other.display().to_string();
                (self.account).chose(format!("pictures are read from the folder {folder}"));
            }
        }
        Ok(found)
    }

    /// The picture of this file name, where the folders of its path are nowhere and no other image of
    /// the list has the name.
    fn by_file_name(&mut self, name: &str, path: &Path) -> Result<Option<PathBuf>> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let mut folders = vec![self.root.clone()];
        folders.extend(self.others.iter().cloned());
        if parent.as_os_str().is_empty()
            || folders.iter().any(|folder| folder.join(parent).is_dir())
            || self.n_of_name(path) > 1
        {
            return Ok(None);
        }
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let mut found = Vec::new();
        for folder in &folders {
            let names = self.listing(folder);
            found.extend(
                names
                    .get(normal(&own).as_ref())
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        let found = self.only_one(name, found)?;
        if found.is_some() {
            let how = "found by its file name alone, as there is no such folder";
            self.account.chose_for("picture", how, name);
        }
        Ok(found)
    }

    fn only_one(&self, name: &str, mut found: Vec<PathBuf>) -> Result<Option<PathBuf>> {
        if let [one, other, ..] = &found[..] {
            return Err(Error::data(
                &self.list,
                Place::Whole,
                format!(
                    "the picture '{name}' could be {} or {}",
                    one.display(),
                    other.display()
                ),
                "write the path from the folder of the list, or name the folder of the pictures",
            ));
        }
        Ok(found.pop())
    }

    /// How many images of the list have the file name of `path`.
    fn n_of_name(&mut self, path: &Path) -> usize {
        let own = |path: &Path| {
            path.file_name()
                .map(|name| normal(&name.to_string_lossy()).into_owned())
        };
        let counts = self.n_of_name.get_or_insert_with(|| {
            let mut counts = HashMap::new();
            for image in self.images {
                let file = image.file().replace('\\', "/");
                if let Some(name) = own(Path::new(&file)) {
                    *counts.entry(name).or_default() += 1;
                }
            }
            counts
        });
        own(path)
            .and_then(|name| counts.get(&name).copied())
            .unwrap_or(0)
    }

    /// The files of a folder; none of a folder that cannot be read.
    fn listing(&mut self, folder: &Path) -> Rc<Names> {
        if let Some(names) = self.listings.get(folder) {
            return names.clone();
        }
        let mut names = Names::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
            if is_file && !is_hidden(&name) {
                let file = folder.join(entry.file_name());
                names
                    .entry(normal(&name).into_owned())
                    .or_default()
                    .push(file);
            }
        }
        let names = Rc::new(names);
        self.listings.insert(folder.to_path_buf(), names.clone());
        names
    }

    fn member(&mut self, archive: &str, member: &str) -> Result<Picture> {
        let folders = std::iter::once(&self.root).chain(&self.others);
        let paths = folders.map(|folder| folder.join(archive));
        let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
        if paths.first() == Some(&self.root.join(archive)) {
            paths.truncate(1);
        }
        let Some(path) = self.only_one(archive, paths)? else {
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

/// Folders of pictures beside the folder `root`, by their usual names.
pub(super) fn folders_beside(root: &Path) -> impl Iterator<Item = PathBuf> {
    let beside = NEIGHBORS.iter().map(|name| root.join("..").join(name));
    beside.filter(|path| path.is_dir())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn images(names: &[&str]) -> Vec<ListedImage> {
        let image = |name: &&str| ListedImage {
            id: name.to_string(),
            file: None,
            record: 0,
            in_split: true,
        };
        names.iter().map(image).collect()
    }

    /// A folder of files that hold their own paths.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for file in files {
            let path = home.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        home
    }

    /// What the picture of each name holds, empty for those that are missing, and what is said.
    fn found(home: &Path, names: &[&str]) -> Result<(Vec<String>, String)> {
        let images = images(names);
        let mut folders = PictureFolders::of(&home.join("lists/list.csv"), None, &images);
        let mut read = Vec::new();
        for name in names {
            let picture = folders.find(name)?;
            read.push(
                picture
                    .read()
                    .map_or_else(|_| String::new(), |bytes| String::from_utf8(bytes).unwrap()),
            );
        }
        Ok((read, folders.account.summary().unwrap_or_default()))
    }

    #[test]
    fn pictures_are_found_beside_the_list_in_its_folders_and_in_archives() {
        let home = tree(&["lists/a.jpg", "lists/pictures/b.jpg", "images/c.jpg"]);
        let bytes = tar::archive(&[("k/d.jpg", b"dd")]);
        std::fs::write(home.path().join("lists/0.tar"), bytes).unwrap();
        let names = ["a.jpg", "b.jpg", "other/c.jpg", "0.tar#k/d.jpg", "a.jpg"];
        let (read, said) = found(home.path(), &names).unwrap();
        let expected = [
            "lists/a.jpg",
            "lists/pictures/b.jpg",
            "images/c.jpg",
            "dd",
            "lists/a.jpg",
        ];
        assert_eq!(read, expected);
        assert!(
            said.contains("read from the folder") && said.contains("pictures;"),
            "{said}"
        );
        assert!(said.contains("by its file name alone, as there is no such folder (other/c.jpg)"));
        let (read, _) = found(home.path(), &["e.jpg", "0.tar#e.jpg", "1.tar#d.jpg"]).unwrap();
        assert_eq!(read, ["", "", ""]);
    }

    #[test]
    fn a_file_name_never_stands_for_another_path() {
        let home = tree(&["lists/a/1.jpg", "lists/a/2.jpg", "lists/b/1.jpg"]);
        // `b` is there and has no such picture; `c` is not, but the name is that of `a/2.jpg`.
        let names = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/2.jpg"];
        let (read, _) = found(home.path(), &names).unwrap();
        assert_eq!(
            read,
            ["lists/a/1.jpg", "lists/a/2.jpg", "lists/b/1.jpg", "", ""]
        );
        for name in ["1.jpg", "c/1.jpg"] {
            let error = found(home.path(), &[name]).unwrap_err().to_string();
            assert!(
                error.contains("a/1.jpg or ") && error.contains("b/1.jpg"),
                "{error}"
            );
        }
        let (read, said) = found(home.path(), &["c/2.jpg"]).unwrap();
        assert_eq!(read, ["lists/a/2.jpg"]);
        assert!(said.contains("file name alone"), "{said}");
    }

    #[test]
    fn spellings_and_backslashes_are_said_and_hidden_files_are_none() {
        let decomposed = "lists/cafe\u{301}.jpg";
        let home = tree(&[
            decomposed,
            "lists/in/x.jpg",
            "lists/._y.jpg",
            "lists/.h/z.jpg",
        ]);
        let names = ["caf\u{e9}.jpg", "in\\x.jpg", "y.jpg", "z.jpg"];
        let (read, said) = found(home.path(), &names).unwrap();
        assert_eq!(read, [decomposed, "lists/in/x.jpg", "", ""]);
        assert!(said.contains("its name written in another way"), "{said}");
        assert!(said.contains("in place of"), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_searched_and_what_leads_out_is_said() {
        let home = tree(&["elsewhere/a.jpg", "lists/b.jpg"]);
        let at = |path: &str| home.path().join(path);
        std::os::unix::fs::symlink(at("elsewhere"), at("lists/linked")).unwrap();
        std::os::unix::fs::symlink(at("lists"), at("lists/around")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere/a.jpg"), at("lists/c.jpg")).unwrap();
        let (read, said) = found(home.path(), &["a.jpg"]).unwrap();
        assert_eq!(read, [""]);
        assert!(said.contains("in the linked folder"), "{said}");
        let names = ["c.jpg", "../elsewhere/a.jpg"];
        let (read, said) = found(home.path(), &names).unwrap();
        assert_eq!(read, ["elsewhere/a.jpg", "elsewhere/a.jpg"]);
        assert!(
            said.contains("a link, which may lead out") && said.contains("leads out of"),
            "{said}"
        );
    }
}

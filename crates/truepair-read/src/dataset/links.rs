//! What a cleaned list takes over unchanged: links that survive a move, or copies that need nothing
//! beside them.
//!
//! Formats link what they take over by its full path, as they do not know where their folder will
//! lie; this file makes the links relative, or the links copies, when all is written.

use std::io;
use std::path::{Component, Path, PathBuf};

use truepair_core::error::{Error, Result};

/// What becomes of files that a cleaned list takes over unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unchanged {
    /// They are linked: relative links, so that the list and the data may move together. Where the
    /// file system has no links, they are copied.
    #[default]
    Linked,
    /// They are copied, and the list stands alone.
    Copied,
}

/// The folder that a cleaned list is written into.
///
/// ```
/// use std::path::Path;
/// use truepair_read::dataset::{KeptFolder, Unchanged};
///
/// // Written aside and moved when it is whole.
/// let folder = KeptFolder {
///     folder: Path::new("audit/.partial/cleaned"),
///     place: Path::new("audit/cleaned"),
///     unchanged: Unchanged::Linked,
/// };
/// assert_ne!(folder, KeptFolder::of(folder.folder));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFolder<'a> {
    /// Where the files are written.
    pub folder: &'a Path,
    /// Where the folder will lie in the end; links are as seen from there.
    pub place: &'a Path,
    /// What becomes of files that do not change.
    pub unchanged: Unchanged,
}

impl<'a> KeptFolder<'a> {
    /// A folder that stays where it is, with links to what does not change.
    pub fn of(folder: &'a Path) -> Self {
        Self {
            folder,
            place: folder,
            unchanged: Unchanged::Linked,
        }
    }
}

/// What was written for a cleaned list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFiles {
    /// Every file, links and copies among them.
    pub files: Vec<PathBuf>,
    /// Those among them that are links to the data.
    pub linked: usize,
    /// Those among them that are copies of files of the data.
    pub copied: usize,
}

/// Gives every link among `files` the form that `target` asks for.
pub(crate) fn settle(files: Vec<PathBuf>, target: &KeptFolder<'_>) -> Result<KeptFiles> {
    let place = real_place(target.place)?;
    let mut kept = KeptFiles::default();
    for file in &files {
        if !file.is_symlink() {
            continue;
        }
        let failed = |source| Error::io(file, "write", source);
        let source = file.canonicalize().map_err(failed)?;
        match target.unchanged {
            Unchanged::Linked => {
                let below = file.strip_prefix(target.folder).unwrap_or(Path::new(""));
                let from = match below.parent() {
                    Some(folder) => place.join(folder),
                    None => place.clone(),
                };
                renew(file, |new| link(&relative(&from, &source), new)).map_err(failed)?;
                kept.linked += 1;
            }
            Unchanged::Copied => {
                renew(file, |new| copy(&source, new)).map_err(failed)?;
                kept.copied += 1;
            }
        }
    }
    kept.files = files;
    Ok(kept)
}

/// Links `target` to `source` by its full path, or copies it where the file system has no links.
pub(super) fn link_or_copy(source: &Path, target: &Path) -> io::Result<()> {
    match link(source, target) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => copy(source, target),
        done => done,
    }
}

#[cfg(unix)]
fn link(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

#[cfg(not(unix))]
fn link(_source: &Path, _target: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes `file` anew beside its place and moves it there.
fn renew(file: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".partial");
    let new = file.with_file_name(name);
    let made = make(&new).and_then(|()| {
        // A folder does not replace a link by itself.
        if new.is_dir() && !new.is_symlink() {
            std::fs::remove_file(file)?;
        }
        std::fs::rename(&new, file)
    });
    if made.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&new);
    }
    made
}

/// Copies a file, or a folder with the regular files and folders in it.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    if !source.is_dir() {
        return std::fs::copy(source, target).map(|_| ());
    }
    std::fs::create_dir_all(target)?;
    for entry in std::fs::read_dir(source)? {
        let entry = entry?.path();
        // A link to a folder may lead around in a circle.
        if entry.is_file() || (entry.is_dir() && !entry.is_symlink()) {
            copy(&entry, &target.join(entry.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// `place` without links in it, as far as it exists.
fn real_place(place: &Path) -> Result<PathBuf> {
    let failed = |source| Error::io(place, "find", source);
    let full = std::path::absolute(place).map_err(failed)?;
    let mut missing = Vec::new();
    for ancestor in full.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return Ok(missing
                .iter()
                .rev()
                .fold(real, |path, name| path.join(name)));
        }
        missing.extend(ancestor.file_name());
    }
    Ok(full)
}

/// The way from the folder `from` to `to`, both absolute and without links.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| Component::ParentDir);
    up.chain(to[shared..].iter().copied()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        for (from, to, way) in [
            ("/a/b", "/a/c.npy", "../c.npy"),
            ("/a/out", "/data/x", concat!("..", "/../data/x")),
            ("/a", "/a/b/c", "b/c"),
            ("/", "/a", "a"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(way));
        }
    }

    #[test]
    fn links_hold_when_everything_moves_and_copies_when_the_data_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let [data, stage] = ["one/data", "one/out/.stage/cleaned"].map(|p| home.path().join(p));
        std::fs::create_dir_all(data.join("images/deep")).unwrap();
        std::fs::create_dir_all(stage.join("sub")).unwrap();
        std::fs::write(data.join("a.npy"), b"numbers").unwrap();
        std::fs::write(data.join("images/deep/x.jpg"), b"picture").unwrap();
        let place = home.path().join("one/out/cleaned");
        for (unchanged, name) in [(Unchanged::Linked, "l"), (Unchanged::Copied, "c")] {
            let files = [
                (data.join("a.npy"), stage.join(format!("sub/{name}.npy"))),
                (data.join("images"), stage.join(format!("{name}_images"))),
            ];
            for (source, target) in &files {
                link_or_copy(source, target).unwrap();
            }
            let files = files.map(|(_, target)| target).to_vec();
            let folder = KeptFolder {
                folder: &stage,
                place: &place,
                unchanged,
            };
            let kept = settle(files, &folder).unwrap();
            assert_eq!(kept.linked + kept.copied, 2);
        }
        std::fs::rename(&stage, &place).unwrap();
        std::fs::rename(home.path().join("one"), home.path().join("two")).unwrap();
        let place = home.path().join("two/out/cleaned");
        assert_eq!(std::fs::read(place.join("sub/l.npy")).unwrap(), b"numbers");
        assert_eq!(
            std::fs::read(place.join("l_images/deep/x.jpg")).unwrap(),
            b"picture"
        );
        std::fs::remove_dir_all(home.path().join("two/data")).unwrap();
        assert!(!place.join("sub/l.npy").exists());
        assert_eq!(std::fs::read(place.join("sub/c.npy")).unwrap(), b"numbers");
        assert_eq!(
            std::fs::read(place.join("c_images/deep/x.jpg")).unwrap(),
            b"picture"
        );
    }
}

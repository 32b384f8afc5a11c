//! The one place that opens files that a user, a data set or another program named, and that says which of them may
//! be replaced.
//!
//! Only regular files are opened: a pipe waits for a writer that may never come, a device may have no end. A file
//! that is read whole has a limit that its reader chose, so that a wrong name cannot fill the memory. What is read
//! here comes without the path; the caller's [`Error::io`](crate::Error::io) adds it.

use std::fs::{File, FileType};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What is said of an input that is no file, and of an output.
const NAME_A_FILE: &str = "name a file";
const NAME_AN_OUTPUT: &str = "give the name of a file; `-` and /dev/stdout are not supported";

/// Links that are followed one after the other; Linux follows as many.
const LINKS: usize = 40;

/// The largest file of settings that is read, and of results that this program printed, in bytes.
pub const SETTINGS: u64 = 1 << 26;
/// The largest list of names, captions or judgments that is read whole, in bytes.
pub const LIST: u64 = 1 << 32;
/// The largest picture that is read, in bytes.
pub const PICTURE: u64 = 1 << 30;
/// The largest file of numbers of our own that is read whole, in bytes.
pub const STATE: u64 = 1 << 38;

/// Opens a regular file for reading.
///
/// ```
/// use truepair_core::source_file;
///
/// let error = source_file::open("src".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("it is not a regular file but a folder"));
/// ```
///
/// # Errors
/// If it cannot be opened, or is a folder, pipe, socket or device; nothing waits for a pipe's writer.
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe blocks, and opening some devices does something, so the kind is asked for before.
    check_regular(std::fs::metadata(path)?.file_type(), NAME_A_FILE)?;
    let file = File::open(path)?;
    // Another file may have taken its place meanwhile.
    check_regular(file.metadata()?.file_type(), NAME_A_FILE)?;
    Ok(file)
}

/// What a file that is renamed to `path` shall replace: `path`, or the file that its symbolic links lead to, whether
/// that is there yet or not.
///
/// ```
/// use truepair_core::source_file;
///
/// let error = source_file::replaceable("src".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("it is not a regular file but a folder"));
/// ```
///
/// # Errors
/// If something is there that is not a regular file, which a rename would take away, or it cannot be looked at.
pub fn replaceable(path: &Path) -> io::Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) => check_regular(found.file_type(), NAME_AN_OUTPUT)?,
        // Nothing is there yet, or a link to nothing.
        Err(cause) if cause.kind() == ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
    }
    let mut place = path.to_path_buf();
    for _ in 0..LINKS {
        match std::fs::read_link(&place) {
            Ok(target) => place = folder_of(&place).join(target),
            Err(_) => break,
        }
    }
    Ok(place)
}

/// The folder that a file lies in. A bare name has the empty path as its parent, which cannot be listed.
///
/// ```
/// use std::path::Path;
/// use truepair_core::source_file::folder_of;
///
/// assert_eq!(folder_of("a/b.csv".as_ref()), Path::new("a"));
/// assert_eq!(folder_of("b.csv".as_ref()), Path::new("."));
/// ```
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Reads the whole of a regular file.
///
/// # Errors
/// Those of [`open`], and if it has more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(too_large(length, limit));
    }
    let mut bytes = Vec::new();
    let likely = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(likely)?;
    // It may have grown since, and files of some systems have no length at all.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        length if length > limit => Err(too_large(length, limit)),
        _ => Ok(bytes),
    }
}

/// Reads the whole of a regular file of text.
///
/// # Errors
/// Those of [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|cause| {
        let at = cause.utf8_error().valid_up_to() + 1;
        let problem = format!("byte {at} is not valid UTF-8 (save the file as UTF-8)");
        io::Error::new(ErrorKind::InvalidData, problem)
    })
}

fn too_large(length: u64, limit: u64) -> io::Error {
    let problem =
        format!("{length} bytes, at most {limit} are read (check that it is the right file)");
    io::Error::new(ErrorKind::FileTooLarge, problem)
}

fn check_regular(kind: FileType, remedy: &str) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let problem = format!(
        "it is not a regular file but a {} ({remedy})",
        name_of(kind)
    );
    Err(io::Error::new(ErrorKind::InvalidInput, problem))
}

#[cfg(unix)]
fn name_of(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "folder",
        kind if kind.is_fifo() => "pipe",
        kind if kind.is_socket() => "socket",
        _ => "device",
    }
}

#[cfg(not(unix))]
fn name_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "folder",
        _ => "device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files_have_a_limit_and_texts_are_unicode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err().to_string();
        assert!(error.contains("5 bytes, at most 4 are read"), "{error}");
        std::fs::write(&path, b"ab\xff").unwrap();
        let error = read_text(&path, 9).unwrap_err().to_string();
        assert!(error.contains("byte 3 is not valid UTF-8"), "{error}");
        let error = read(&folder.path().join("none"), 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_sparse_file_is_refused_before_memory_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path, STATE).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_by_its_kind_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let kind = |path: &Path| read(path, 9).unwrap_err().to_string();
        assert!(kind(folder.path()).contains("not a regular file but a folder"));
        assert!(kind(&socket).contains("but a socket"));
        assert!(kind("/dev/zero".as_ref()).contains("but a device"));
        if made.is_ok_and(|status| status.success()) {
            assert!(kind(&pipe).contains("but a pipe"));
            assert!(kind(&link).contains("but a pipe"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_replaced_lies_behind_links_and_is_a_file() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        symlink("file", at("near")).unwrap();
        symlink(at("near"), at("far")).unwrap();
        symlink("later", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (path, place) in [
            ("file", "file"),
            ("near", "file"),
            ("far", "file"),
            ("none", "none"),
            ("dangling", "later"),
        ] {
            assert_eq!(replaceable(&at(path)).unwrap(), at(place), "{path}");
        }
        assert!(replaceable(&at("loop")).is_err());
        let error = replaceable("/dev/zero".as_ref()).unwrap_err().to_string();
        assert!(
            error.contains("but a device (give the name of a file"),
            "{error}"
        );
    }
}

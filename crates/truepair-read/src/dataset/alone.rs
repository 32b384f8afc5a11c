//! Pictures without captions and captions without pictures: a gallery, a list of queries.

use std::path::Path;

use truepair_core::dataset::{Account, Features, Picture};
use truepair_core::error::{Error, Place, Result};

use super::folder::walk;
use super::pictures::is_picture;
use crate::lines::read_lines;

/// Pictures of a folder.
#[derive(Debug)]
pub struct PicturesAlone {
    /// The path of every picture in the folder, `[n_images]`.
    pub ids: Vec<String>,
    /// The pictures, `[n_images]`.
    pub pictures: Features,
    /// What was used and passed over.
    pub account: Account,
}

/// Captions of a file.
#[derive(Debug)]
pub struct CaptionsAlone {
    /// The captions, `[n_captions]`.
    pub captions: Vec<String>,
    /// What was used and passed over.
    pub account: Account,
}

/// The pictures in `folder` and the folders in it, sorted by path.
///
/// ```
/// use truepair_read::dataset::open_pictures;
///
/// # let home = tempfile::tempdir()?;
/// # let folder = home.path();
/// std::fs::write(folder.join("b.jpg"), b"not looked at")?;
/// std::fs::write(folder.join("a.png"), b"not looked at")?;
/// std::fs::write(folder.join("list.pdf"), b"passed over")?;
/// let gallery = open_pictures(folder)?;
/// assert_eq!(gallery.ids, ["a.png", "b.jpg"]);
/// assert_eq!(gallery.account.passed_over().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the folder cannot be read or holds no picture.
pub fn open_pictures(folder: impl AsRef<Path>) -> Result<PicturesAlone> {
    let folder = folder.as_ref();
    let mut account = Account::default();
    let mut found = Vec::new();
    walk(folder, folder, &mut account, &mut |account, file, name| {
        if is_picture(file) {
            found.push((name.to_owned(), file.to_path_buf()));
        } else {
            account.pass("file", "it is not a picture", name);
        }
        Ok(())
    })?;
    if found.is_empty() {
        return Err(Error::data(
            folder,
            Place::Whole,
            "it holds neither paired data nor pictures",
            "name a folder of pictures, or data in one of the known formats",
        ));
    }
    found.sort();
    account.used("picture", found.len());
    let (ids, files): (Vec<String>, Vec<_>) = found.into_iter().unzip();
    Ok(PicturesAlone {
        ids,
        pictures: Features::from_pictures(files.into_iter().map(Picture::File).collect()),
        account,
    })
}

/// The captions in a text file, one a line; empty lines are passed over.
///
/// ```
/// use truepair_read::dataset::open_captions;
///
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("queries.txt");
/// std::fs::write(&path, "a red dog\n\ntwo cats\n")?;
/// assert_eq!(open_captions(&path)?.captions, ["a red dog", "two cats"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be read as text or holds no caption.
pub fn open_captions(path: impl AsRef<Path>) -> Result<CaptionsAlone> {
    let path = path.as_ref();
    let lines = read_lines(path)?;
    let n = lines.len();
    let captions: Vec<String> = (lines.into_iter())
        .filter(|line| !line.trim().is_empty())
        .collect();
    if captions.is_empty() {
        return Err(Error::data(
            path,
            Place::Whole,
            "it holds no caption",
            "write one caption a line",
        ));
    }
    let mut account = Account::default();
    account.used("caption", captions.len());
    account.pass_count("line", "it is empty", n - captions.len());
    Ok(CaptionsAlone { captions, account })
}

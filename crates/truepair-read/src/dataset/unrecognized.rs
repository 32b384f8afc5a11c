//! What an input looks like that no format recognizes, in a few lines.

use std::path::Path;

use truepair_core::error::{Error, Place};

use super::delimited;
use super::json_list;
use super::leftovers::{entries, is_hidden};
use super::pictures::is_picture;
use super::records::unpacked;
use crate::archive::{Archive, problem_of};

/// Entries of a folder that are looked at.
const LOOKED_AT: usize = 2000;
/// Names that an error shows.
const SHOWN: usize = 3;

/// The error for an input that no format recognizes.
pub(super) fn no_format(path: &Path) -> Error {
    let (looks_like, remedy) = guess(path);
    Error::data(
        path,
        Place::Whole,
        format!("no known format; it looks like {looks_like}"),
        format!(
            "{remedy}; docs/formats.md shows every layout, and `truepair inspect --help` the options"
        ),
    )
}

/// What the input looks like, and what to do.
fn guess(path: &Path) -> (String, String) {
    if path.is_dir() {
        return of_folder(path);
    }
    if !path.is_file() {
        return (
            "a pipe, a socket or a device, not a regular file".into(),
            "write the data to a file and name that".into(),
        );
    }
    of_file(path)
}

/// Whether an array is one of class labels by its name, such as `train_lab` or `L_tr`.
fn is_of_labels(name: &str) -> bool {
    let mut words = name.split(['_', '.', '/']);
    words.any(|word| ["lab", "label", "labels", "L"].contains(&word))
}

fn of_labeled() -> (String, String) {
    ("labeled arrays".into(), "try `truepair labels`".into())
}

/// What lies in a folder, by the endings of the files.
#[derive(Default)]
struct Met {
    n: usize,
    pictures: usize,
    arrays: usize,
    /// Arrays of class labels, by their names.
    labels: usize,
    texts: usize,
    /// Names of img2dataset's metadata.
    of_img2dataset: usize,
    names: Vec<String>,
}

impl Met {
    fn in_folder(folder: &Path) -> Self {
        let mut met = Self::default();
        met.collect(folder, 3);
        met
    }

    fn collect(&mut self, folder: &Path, depth: usize) {
        for entry in entries(folder).unwrap_or_default() {
            let name = entry
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if is_hidden(&name) || self.n >= LOOKED_AT {
                continue;
            }
            if entry.is_dir() {
                if depth > 0 && !entry.is_symlink() {
                    self.collect(&entry, depth - 1);
                }
                continue;
            }
            self.n += 1;
            if self.names.len() < SHOWN {
                self.names.push(name.clone());
            }
            let ending = entry.extension().map(|ending| ending.to_ascii_lowercase());
            let ending = ending.as_ref().and_then(|ending| ending.to_str());
            self.pictures += usize::from(is_picture(&entry));
            self.arrays +=
                usize::from(matches!(ending, Some("npy" | "npz" | "safetensors" | "pt")));
            self.labels += usize::from(ending == Some("npy") && is_of_labels(&name));
            self.texts += usize::from(matches!(
                ending,
                Some("txt" | "csv" | "tsv" | "json" | "jsonl" | "parquet")
            ));
            self.of_img2dataset += usize::from(name.ends_with("_stats.json"));
        }
    }
}

fn of_folder(folder: &Path) -> (String, String) {
    let met = Met::in_folder(folder);
    let shown = met.names.join(", ");
    let (looks, remedy) = match met {
        Met { n: 0, .. } => ("an empty folder".to_owned(), "check the path"),
        Met { labels: 1.., .. } => return of_labeled(),
        Met {
            of_img2dataset: 1..,
            ..
        } => (
            "img2dataset's metadata without its shards".to_owned(),
            "copy the .tar files beside it",
        ),
        Met {
            pictures: 1..,
            texts: 0,
            ..
        } => (
            format!("{} pictures without captions", met.pictures),
            "put NAME.txt beside every picture, or a metadata.csv of file_name and caption into the folder",
        ),
        Met {
            arrays: 1..,
            texts: 0,
            ..
        } => (
            format!("arrays ({shown}) of which none is known to be captions"),
            "call the two matrices images.npy and captions.npy, or img_emb.npy and text_emb.npy",
        ),
        Met { pictures: 1.., .. } => (
            format!("pictures and other files ({shown}) that no list joins"),
            "name the list itself with --pictures, or write a metadata.csv of file_name and caption",
        ),
        Met { texts: 1.., .. } => (
            format!("a folder of files ({shown}) that do not belong together by their names"),
            "name one of the files, and the columns with --image-column and --caption-columns",
        ),
        _ => (
            format!("a folder of other files ({shown})"),
            "give a table, a folder of pictures with captions, or shards",
        ),
    };
    (looks, remedy.to_owned())
}

fn of_file(path: &Path) -> (String, String) {
    let ending = unpacked(path)
        .extension()
        .map(|ending| ending.to_ascii_lowercase());
    let ending = ending
        .as_ref()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    if is_picture(path) {
        return (
            "one picture".into(),
            "give the folder or the list that it belongs to".into(),
        );
    }
    let (looks, remedy) = match ending {
        "npy" => (
            "one matrix",
            "put images.npy and captions.npy into a folder, and give the folder",
        ),
        "npz" | "safetensors" => return of_arrays(path),
        "pt" | "pth" | "pkl" | "pickle" => (
            "a file of PyTorch or a pickle, which is not read as data",
            "save the arrays with numpy.save as images.npy and captions.npy",
        ),
        "mat" | "h5" | "hdf5" => (
            "arrays of MATLAB or HDF5",
            "try `truepair labels`, or save the two matrices as images.npy and captions.npy",
        ),
        "arrow" | "feather" => ("an Arrow file, which is not read", "write it as parquet"),
        "zip" | "7z" | "rar" => ("a packed folder", "unpack it first"),
        "xlsx" | "xls" | "ods" => ("a spreadsheet", "save it as CSV"),
        "json" => return of_json(path),
        _ => return of_text(path),
    };
    (looks.into(), remedy.into())
}

fn of_arrays(path: &Path) -> (String, String) {
    let names = match Archive::open(path) {
        Ok(archive) => archive.names(),
        Err(cause) => {
            return (
                format!("arrays, but it cannot be opened: {}", problem_of(&cause)),
                "write it again".into(),
            );
        }
    };
    if names.iter().any(|name| is_of_labels(name)) {
        return of_labeled();
    }
    let more = names.len().saturating_sub(SHOWN);
    let mut shown = names[..names.len() - more].join(", ");
    if more > 0 {
        shown += &format!(" and {more} more");
    }
    (
        format!("arrays ({shown}) of which none is known to be images and none to be captions"),
        "call the matrices images and captions, or image_emb and text_emb".into(),
    )
}

fn of_json(path: &Path) -> (String, String) {
    let known = json_list::Document::read(path);
    match known {
        Ok(_) => (
            "a list of JSON records".into(),
            "name its columns with --image-column and --caption-columns".into(),
        ),
        Err(cause) => {
            let cause = cause.to_string();
            let own = cause
                .split_once(": ")
                .map_or(cause.as_str(), |(_, own)| own);
            let own = own.lines().next().unwrap_or_default();
            (
                format!("a JSON document without pairs ({own})"),
                "write a list of {\"image\": ..., \"caption\": ...}".into(),
            )
        }
    }
}

fn of_text(path: &Path) -> (String, String) {
    let cells = delimited::first_line(path);
    match cells {
        Ok((cells, separator)) if cells.len() > 1 => {
            let shown: Vec<String> = cells
                .iter()
                .take(6)
                .map(|cell| cell.chars().take(30).collect())
                .collect();
            (
                format!("a table separated by {separator} without known columns ({})", shown.join(", ")),
                "name its columns with --format table --image-column NAME --caption-columns NAME, and the file \
                 .csv or .tsv"
                    .into(),
            )
        }
        Ok((cells, _)) if cells.len() == 1 => (
            "lines of text without images".into(),
            "write a table of image and caption, or put the lines beside image features as \
             train_caps.txt and train_ims.npy"
                .into(),
        ),
        Ok(_) => (
            "an empty file".into(),
            "check that it was copied whole".into(),
        ),
        Err(_) => (
            "a file of another program".into(),
            "give a table, an archive of shards or arrays".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ReadOptions, open};

    #[test]
    fn what_an_input_looks_like_is_said_in_few_lines() {
        for (name, content, told) in [
            ("a/x.jpg", "A", "1 pictures without captions"),
            ("a/x.npy", "A", "arrays (x.npy)"),
            (
                "a/x_stats.json",
                "{}",
                "img2dataset's metadata without its shards",
            ),
            ("a/x.doc", "A", "a folder of other files (x.doc)"),
            ("a/.hidden", "A", "an empty folder"),
            ("a/train_labels.npy", "A", "labeled arrays"),
            (
                "x.txt",
                "foo|bar\n1|2\n",
                "a table separated by '|' without known columns (foo, bar)",
            ),
            ("x.txt", "one\ntwo\n", "lines of text without images"),
            ("x.txt", "", "an empty file"),
            ("x.json", "{\"a\": 1}", "a JSON document without pairs"),
            ("x.json", "[1, 2]", "a JSON document without pairs"),
            ("x.pt", "A", "a file of PyTorch"),
            ("x.zip", "A", "a packed folder"),
            ("x.npy", "A", "one matrix"),
            ("x.jpg", "A", "one picture"),
        ] {
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, content).unwrap();
            let input = match name.split_once('/') {
                Some((folder, _)) => home.path().join(folder),
                None => file,
            };
            let error = open(&input, &ReadOptions::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(told), "{name}: {error}");
            assert!(error.contains("docs/formats.md"), "{error}");
            assert!(error.lines().count() <= 5 && error.len() < 700, "{error}");
        }
    }
}

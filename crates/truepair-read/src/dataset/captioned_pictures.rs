//! Pictures that lie together with their captions, joined into a data set.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Features, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::pair::Pair;
use truepair_core::source_file;

use super::empty_captions::settle_empty_captions;
use super::write::{link_as, write_lines};
use super::{ReadOptions, name_of};

/// A picture and what is known of it.
#[derive(Debug)]
pub(super) struct Captioned {
    pub(super) id: String,
    pub(super) picture: Picture,
    pub(super) captions: Vec<String>,
    /// -1 = none.
    pub(super) label: i64,
}

/// The pictures of a split, and what became of everything that was met on the way to them.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) pictures: Vec<Captioned>,
    pub(super) account: Account,
}

/// A data set of all pictures that have a caption.
///
/// # Errors
/// If there is none, or an empty caption is not wanted.
pub(super) fn into_dataset(
    format: &'static str,
    path: &Path,
    split: String,
    gathered: Gathered,
    options: &ReadOptions,
) -> Result<Dataset> {
    let (mut rows, mut ids, mut files) = (Vec::new(), Vec::new(), Vec::new());
    let (mut captions, mut pairs, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let mut account = gathered.account;
    for one in gathered.pictures {
        if one.captions.is_empty() {
            account.pass("picture", "it has no caption", &one.id);
            continue;
        }
        let image = rows.len() as u32;
        for caption in one.captions {
            let caption_row = captions.len() as u32;
            captions.push(caption);
            pairs.push(Pair {
                image,
                caption: caption_row,
            });
        }
        files.push(match &one.picture {
            Picture::File(file) => Some(file.clone()),
            _ => None,
        });
        rows.push(one.picture);
        ids.push(one.id);
        labels.push(one.label);
    }
    if rows.is_empty() {
        return Err(no_picture(path, &split, &account));
    }
    account.used("picture", rows.len());
    account.used("caption", captions.len());
    let dataset = Dataset {
        name: name_of(path),
        format,
        split,
        images: Features::from_pictures(rows),
        image_ids: ids,
        image_files: match files.iter().any(Option::is_some) {
            true => files,
            false => Vec::new(),
        },
        captions: Some(captions),
        caption_features: None,
        pairs,
        labels: labels.iter().any(|label| *label >= 0).then_some(labels),
        files: Vec::new(),
        account,
    };
    settle_empty_captions(dataset, options.on_empty, path, |_| Place::Whole)
}

fn no_picture(path: &Path, split: &str, account: &Account) -> Error {
    let met = account.summary();
    let met = met.map_or_else(String::new, |met| format!("; {met}"));
    Error::data(
        path,
        Place::Whole,
        format!("split '{split}' has no picture with a caption{met}"),
        "choose another split, or check that captions bear the names of their pictures",
    )
}

/// The kept captions of every image, `[n_images]`.
///
/// # Errors
/// If the data has no texts.
pub(super) fn kept_by_image<'a>(dataset: &'a Dataset, keep: &[bool]) -> Result<Vec<Vec<&'a str>>> {
    let texts = dataset.require_captions()?;
    let mut kept: Vec<Vec<&str>> = vec![Vec::new(); dataset.n_images()];
    for pair in dataset.kept(keep) {
        kept[pair.image as usize].push(&texts[pair.caption as usize]);
    }
    Ok(kept)
}

/// Makes `captions` the lines of the file `target`: a link to `text`, where these are its captions.
///
/// # Errors
/// If `target` cannot be written.
pub(super) fn write_captions(text: &Path, captions: &[&str], target: &Path) -> Result<PathBuf> {
    let own = source_file::read(text, source_file::SETTINGS)
        .map(|bytes| captions_of(&String::from_utf8_lossy(&bytes)));
    if own.is_ok_and(|own| own == captions) {
        return link_as(text, target);
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, "create", source))?;
    write_lines(target, captions)
}

/// The folder of which `below` is a path to `file`.
pub(super) fn root_of<'a>(file: &'a Path, below: &str) -> &'a Path {
    let depth = Path::new(below).components().count();
    let root = file.ancestors().nth(depth).unwrap_or(Path::new(""));
    if root.as_os_str().is_empty() {
        Path::new(".")
    } else {
        root
    }
}

/// The captions in a text: its lines that are not empty.
pub(super) fn captions_of(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.map(|line| line.trim_start_matches('\u{feff}'));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

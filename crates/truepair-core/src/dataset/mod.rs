//! Paired data as users have it: what was read, from where, and what it is made of.
//!
//! A [`Dataset`] is one split. Reading never guesses silently: a [`Format`] is either named or
//! recognized, and [`inspect`] says which one was found and what it holds. Feature files stay on
//! disk until their rows are asked for.

pub(crate) mod archive;
mod captioned_pictures;
mod clip_retrieval;
mod coco;
mod cub;
mod embeddings;
mod features;
mod folder;
mod given_features;
mod inspect;
mod karpathy;
mod kept_pictures;
mod kept_table;
mod lines;
mod listing;
pub(crate) mod npy;
mod options;
mod picture;
mod picture_column;
mod picture_folders;
mod pictures;
mod precomp;
mod records;
mod table;
mod tar;
mod webdataset;
mod write;

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use embeddings::{open_embeddings, read_pairs};
pub use features::{BrokenPicture, Features, PictureReader};
pub use inspect::{
    CaptionFeaturesFound, CaptionsPerImage, Inspection, Labels, NonFinite, SplitInspection, inspect,
};
pub(crate) use lines::read_lines;
pub use npy::header_bytes as npy_header;
pub use options::{CaptionFeatures, OnEmpty, Pictures, ReadOptions};
pub use picture::Picture;
pub use picture_column::PictureColumn;

use crate::error::{Error, Place, Result};
use crate::pair::Pair;
use crate::watch::Watch;

/// Every format, in the order in which they are tried: a folder or file is read by the first one
/// that recognizes it.
pub const FORMATS: &[&dyn Format] = &[
    &precomp::Precomp,
    &embeddings::Embeddings,
    &karpathy::Karpathy,
    &coco::Coco,
    &table::Table,
    &cub::Cub,
    &webdataset::WebDataset,
    &folder::Folder,
];

/// One way in which paired data lies on disk.
pub trait Format: Sync {
    /// The word by which a user names it.
    fn name(&self) -> &'static str;
    /// One sentence for the table of formats.
    fn summary(&self) -> &'static str;
    /// The files it consists of, for the table of formats.
    fn files(&self) -> &'static str;
    /// Why `path` looks like this format; `None` when it does not.
    fn sniff(&self, path: &Path) -> Option<String>;
    /// The splits that `path` holds, sorted; `all` alone when it knows none.
    ///
    /// # Errors
    /// If `path` cannot be read.
    fn splits(&self, path: &Path, options: &ReadOptions) -> Result<Vec<String>>;
    /// Reads one split. Feature values are not looked at; see [`Features::check_finite`].
    ///
    /// # Errors
    /// If a file is missing or is not what it should be; the message names file and place.
    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset>;
    /// Names of the caption embeddings that lie beside the captions of one split, sorted.
    fn caption_feature_names(&self, _path: &Path, _split: &str) -> Vec<String> {
        Vec::new()
    }
    /// What [`inspect`] should tell about one split beyond its counts.
    ///
    /// # Errors
    /// If `path` cannot be read.
    fn notes(&self, _path: &Path, _split: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// Writes the kept pairs (`keep` `[n_pairs]`) into the folder `out`, as this format writes
    /// pairs, and returns the files written. Call it through [`Dataset::write_kept`].
    ///
    /// # Errors
    /// If a file cannot be written; none is left half written.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>>;
}

/// Reads one split of the data at `path`.
///
/// # Errors
/// If no format recognizes `path` (the message lists what was looked for), if the split is missing
/// or holds no pair, or if a file is not what it should be.
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Dataset> {
    let path = path.as_ref();
    let (format, _) = recognize(path, options)?;
    let dataset = format.read(path, options)?;
    if dataset.pairs.is_empty() {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("split '{}' holds no pair", dataset.split),
            "choose another split, or check that its files are complete",
        ));
    }
    Ok(dataset)
}

/// The splits that the data at `path` holds, sorted; `all` alone when it knows none.
///
/// # Errors
/// If no format recognizes `path`, or it cannot be read.
pub fn splits(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    recognize(path, options)?.0.splits(path, options)
}

/// The format of `path` and why it was chosen.
fn recognize(path: &Path, options: &ReadOptions) -> Result<(&'static dyn Format, String)> {
    std::fs::metadata(path).map_err(|source| Error::io(path, "read", source))?;
    if let Some(name) = &options.format {
        return Ok((by_name(name)?, "named by the caller".into()));
    }
    let found = FORMATS
        .iter()
        .find_map(|format| Some((*format, format.sniff(path)?)));
    found.ok_or_else(|| {
        // The first clause names the files that a format cannot do without.
        let needed = |format: &&dyn Format| {
            let files = format
                .files()
                .split(';')
                .next()
                .unwrap_or_default()
                .replace('`', "");
            format!("{} ({files})", format.name())
        };
        let looked_for: Vec<String> = FORMATS.iter().map(needed).collect();
        Error::data(
            path,
            Place::Whole,
            format!("no known format; looked for {}", looked_for.join("; ")),
            "name the format if the files have other names",
        )
    })
}

fn by_name(name: &str) -> Result<&'static dyn Format> {
    FORMATS
        .iter()
        .copied()
        .find(|format| format.name() == name)
        .ok_or_else(|| {
            let names: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
            Error::argument(
                format!("there is no format '{name}'"),
                format!("choose one of {}", names.join(", ")),
            )
        })
}

/// Chooses the asked split among those there are.
fn resolve_split(path: &Path, options: &ReadOptions, splits: &[String]) -> Result<String> {
    let asked = &options.split;
    if splits.contains(asked) {
        return Ok(asked.clone());
    }
    if *asked == ReadOptions::default().split && splits == ["all"] {
        return Ok("all".into());
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!(
            "there is no split '{asked}'; there are: {}",
            splits.join(", ")
        ),
        "choose one of them",
    ))
}

/// What the user would call the data at `path`.
pub(crate) fn name_of(path: &Path) -> String {
    // `.` and `..` have no name of their own.
    let full = path.canonicalize();
    let path = full.as_deref().unwrap_or(path);
    let name = if path.is_dir() {
        path.file_name()
    } else {
        path.file_stem()
    };
    name.map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

/// The table of formats as Markdown, for `docs/formats.md`.
pub fn formats_table() -> String {
    let mut table = String::from("| format | what it is | files |\n|---|---|---|\n");
    for format in FORMATS {
        let row = format!(
            "| `{}` | {} | {} |\n",
            format.name(),
            format.summary(),
            format.files()
        );
        table.push_str(&row);
    }
    table
}

/// One split of paired data.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What the user would call it: the folder's or file's name.
    pub name: String,
    /// Name of the [`Format`] that read it.
    pub format: &'static str,
    /// Split that was read, for instance `train`.
    pub split: String,
    /// Image features, one row an image: `[n_images, d]` or `[n_images, regions, d]`.
    pub images: Features,
    /// The user's own name of each image, `[n_images]`.
    pub image_ids: Vec<String>,
    /// Where each picture lies, for the report's gallery; empty when the data has no pictures.
    pub image_files: Vec<Option<PathBuf>>,
    /// The captions' texts, `[n_captions]`; `None` when only embeddings were given.
    pub captions: Option<Vec<String>>,
    /// Caption embeddings `[n_captions, d]`, when the data has them and they were not declined.
    pub caption_features: Option<NamedFeatures>,
    /// The correspondences as given. In most formats pair `n` is caption `n` with its image.
    pub pairs: Vec<Pair>,
    /// Class of each image, `[n_images]`, -1 = unlabelled.
    pub labels: Option<Vec<i64>>,
    /// Every file that was read, for hashing and for writing the cleaned list.
    pub files: Vec<PathBuf>,
}

/// Features with the name under which the data carries them.
#[derive(Debug, Clone)]
pub struct NamedFeatures {
    /// For instance `minilm` for `train_caps_minilm.npy`.
    pub name: String,
    /// The vectors.
    pub features: Features,
}

impl Dataset {
    /// Number of images.
    pub fn n_images(&self) -> usize {
        self.images.len()
    }

    /// Number of captions, with or without text.
    pub fn n_captions(&self) -> usize {
        match (&self.captions, &self.caption_features) {
            (Some(texts), _) => texts.len(),
            (None, Some(named)) => named.features.len(),
            (None, None) => 0,
        }
    }

    /// The captions' texts `[n_captions]`.
    ///
    /// # Errors
    /// If the data holds embeddings only.
    pub fn require_captions(&self) -> Result<&[String]> {
        self.captions.as_deref().ok_or_else(|| {
            Error::argument(
                format!("'{}' holds caption embeddings but no text", self.name),
                "put captions.txt beside the embeddings, one caption a line",
            )
        })
    }

    /// The same images and captions with only the pairs whose flag in `keep` `[n_pairs]` is set.
    ///
    /// # Panics
    /// If `keep` has another length than the pairs.
    pub fn with_pairs_kept(&self, keep: &[bool]) -> Dataset {
        Dataset {
            pairs: self.kept(keep).collect(),
            ..self.clone()
        }
    }

    /// Writes the kept pairs (`keep` `[n_pairs]`) into the folder `out` in the format that the
    /// data was read from, and returns the files written.
    ///
    /// # Errors
    /// If no pair is kept, `out` is the folder of the data itself, or a file cannot be written;
    /// none is left half written.
    ///
    /// # Panics
    /// If `keep` has another length than the pairs.
    pub fn write_kept(&self, keep: &[bool], out: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let out = out.as_ref();
        if self.kept(keep).next().is_none() {
            return Err(Error::argument(
                "no pair is kept",
                "lower the threshold for removing pairs",
            ));
        }
        std::fs::create_dir_all(out).map_err(|source| Error::io(out, "create", source))?;
        let own = |file: &PathBuf| file.parent().and_then(|folder| folder.canonicalize().ok());
        let out_full = out
            .canonicalize()
            .map_err(|source| Error::io(out, "read", source))?;
        if self
            .files
            .iter()
            .filter_map(own)
            .any(|folder| folder == out_full)
        {
            return Err(Error::argument(
                format!("{} is the folder of the data itself", out.display()),
                "choose another folder: the data is never overwritten",
            ));
        }
        by_name(self.format)?.write_kept(self, keep, out)
    }

    /// SHA-256 over the names and contents of every file that was read, in hexadecimal.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn content_hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        for path in &self.files {
            let failed = |source| Error::io(path, "read", source);
            let mut file = std::fs::File::open(path).map_err(failed)?;
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(file.metadata().map_err(failed)?.len().to_le_bytes());
            loop {
                match file.read(&mut buffer).map_err(failed)? {
                    0 => break,
                    n => hash.update(&buffer[..n]),
                }
            }
        }
        Ok(hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    fn kept(&self, keep: &[bool]) -> impl Iterator<Item = Pair> {
        assert_eq!(keep.len(), self.pairs.len(), "one flag per pair");
        self.pairs
            .iter()
            .zip(keep)
            .filter(|(_, keep)| **keep)
            .map(|(pair, _)| *pair)
    }

    /// The same data with its pictures as images, instead of features.
    ///
    /// # Errors
    /// If there is not a picture of every image.
    pub fn with_pictures(self) -> Result<Dataset> {
        if self.images.are_pictures() {
            return Ok(self);
        }
        let files: Option<Vec<PathBuf>> = self.image_files.iter().cloned().collect();
        match files.filter(|files| !files.is_empty()) {
            Some(files) => Ok(Dataset {
                images: Features::from_pictures(files.into_iter().map(Picture::File).collect()),
                ..self
            }),
            None => Err(Error::argument(
                format!(
                    "`{}` has features and not a picture of every image",
                    self.name
                ),
                "give the list or the folder of the pictures, and where they lie",
            )),
        }
    }

    /// Decodes every picture and leaves out the images whose picture cannot be, with their captions
    /// and pairs; returns what was left out. Data whose images are features stays as it is.
    ///
    /// # Errors
    /// If no image is left.
    ///
    /// # Panics
    /// If the pictures have no reader.
    pub fn without_broken_pictures(
        self,
        watch: &mut dyn Watch,
    ) -> Result<(Dataset, Vec<BrokenPicture>)> {
        let broken = self.images.broken_pictures(watch);
        let mut keep = vec![true; self.n_images()];
        for picture in &broken {
            keep[picture.row as usize] = false;
        }
        if !broken.is_empty() && broken.len() == keep.len() {
            return Err(Error::data(
                &broken[0].place,
                Place::Whole,
                format!("{}, and so are all other pictures", broken[0].problem),
                "check where the pictures lie and that they were copied whole",
            ));
        }
        let kept = if broken.is_empty() {
            self
        } else {
            self.with_images_kept(&keep).0
        };
        Ok((kept, broken))
    }

    /// Only the images whose flag in `keep` `[n_images]` is set, with their captions and pairs; and
    /// the old rows of these captions.
    ///
    /// # Panics
    /// If `keep` has another length than the images.
    pub fn with_images_kept(mut self, keep: &[bool]) -> (Dataset, Vec<u32>) {
        assert_eq!(keep.len(), self.n_images(), "one flag per image");
        let kept: Vec<u32> = (0..keep.len() as u32)
            .filter(|row| keep[*row as usize])
            .collect();
        let mut new_index = vec![None; keep.len()];
        for (new, &old) in kept.iter().enumerate() {
            new_index[old as usize] = Some(new as u32);
        }
        let paired = |dataset: &Dataset| {
            let mut paired = vec![false; dataset.n_captions()];
            dataset
                .pairs
                .iter()
                .for_each(|pair| paired[pair.caption as usize] = true);
            paired
        };
        let before = paired(&self);
        self.pairs = (self.pairs.iter())
            .filter_map(|pair| {
                let image = new_index[pair.image as usize]?;
                Some(Pair { image, ..*pair })
            })
            .collect();
        let after = paired(&self);
        let captions: Vec<u32> = (0..self.n_captions() as u32)
            .filter(|row| after[*row as usize] || !before[*row as usize])
            .collect();
        self.select_captions(&captions);
        self.images = self.images.select(&kept);
        self.image_ids = pick(&self.image_ids, keep);
        self.image_files = match self.image_files.is_empty() {
            true => Vec::new(),
            false => pick(&self.image_files, keep),
        };
        self.labels = self.labels.map(|labels| pick(&labels, keep));
        (self, captions)
    }

    /// These images and these captions alone, in this order, without pairs: what a matcher needs to
    /// score them.
    ///
    /// # Panics
    /// If one of them is not there.
    pub fn items(&self, images: &[u32], captions: &[u32]) -> Dataset {
        let texts = self.captions.as_ref();
        let named = self.caption_features.as_ref();
        Dataset {
            images: self.images.select(images),
            image_ids: (images.iter())
                .map(|&row| self.image_ids[row as usize].clone())
                .collect(),
            image_files: Vec::new(),
            captions: texts.map(|texts| {
                let kept = captions.iter().map(|&row| texts[row as usize].clone());
                kept.collect()
            }),
            caption_features: named.map(|named| NamedFeatures {
                name: named.name.clone(),
                features: named.features.select(captions),
            }),
            pairs: Vec::new(),
            labels: None,
            name: self.name.clone(),
            format: self.format,
            split: self.split.clone(),
            files: Vec::new(),
        }
    }

    /// Applies [`ReadOptions::on_empty`]; `place` says where caption `n` stands in `path`.
    fn settle_empty_captions(
        mut self,
        on_empty: OnEmpty,
        path: &Path,
        place: impl Fn(usize) -> Place,
    ) -> Result<Dataset> {
        let texts = self.captions.as_deref().unwrap_or_default();
        let is_empty = |text: &String| text.trim().is_empty();
        let Some(first) = texts.iter().position(is_empty) else {
            return Ok(self);
        };
        match on_empty {
            OnEmpty::Keep => Ok(self),
            OnEmpty::Error => Err(Error::data(
                path,
                place(first),
                "empty caption",
                "write a caption, remove the pair, or set on_empty = \"drop\"",
            )),
            OnEmpty::Drop => {
                let kept: Vec<u32> = (0..texts.len())
                    .filter(|&n| !is_empty(&texts[n]))
                    .map(|n| n as u32)
                    .collect();
                self.select_captions(&kept);
                Ok(self)
            }
        }
    }

    /// Keeps only the captions `kept` (sorted), and the pairs that have one of them.
    fn select_captions(&mut self, kept: &[u32]) {
        let mut new_index = vec![None; self.n_captions()];
        for (new, &old) in kept.iter().enumerate() {
            new_index[old as usize] = Some(new as u32);
        }
        if let Some(texts) = &mut self.captions {
            *texts = kept
                .iter()
                .map(|&old| std::mem::take(&mut texts[old as usize]))
                .collect();
        }
        if let Some(named) = &mut self.caption_features {
            named.features = named.features.select(kept);
        }
        self.pairs = std::mem::take(&mut self.pairs)
            .into_iter()
            .filter_map(|pair| {
                Some(Pair {
                    caption: new_index[pair.caption as usize]?,
                    ..pair
                })
            })
            .collect();
    }
}

/// The items whose flag is set.
fn pick<T: Clone>(items: &[T], keep: &[bool]) -> Vec<T> {
    let kept = items.iter().zip(keep).filter(|(_, keep)| **keep);
    kept.map(|(item, _)| item.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_the_registry() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(&formats_table()),
            "docs/formats.md should hold\n{}",
            formats_table()
        );
    }

    #[test]
    fn an_unknown_folder_lists_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path(), &ReadOptions::default())
            .unwrap_err()
            .to_string();
        for format in FORMATS {
            assert!(error.contains(format.name()), "{error}");
        }
        let missing = open(folder.path().join("none"), &ReadOptions::default()).unwrap_err();
        assert!(
            missing.to_string().contains("none: cannot read"),
            "{missing}"
        );
    }

    #[test]
    fn an_unknown_format_lists_the_known_ones() {
        let options = ReadOptions {
            format: Some("precom".into()),
            ..Default::default()
        };
        let error = open(".", &options).unwrap_err().to_string();
        assert!(
            error.contains("'precom'") && error.contains("precomp, embeddings"),
            "{error}"
        );
    }
}

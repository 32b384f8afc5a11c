//! Precomputed features with captions in lines, as SCAN and its descendants read them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures};
use truepair_core::error::{Error, Place, Result};
use truepair_core::npy;
use truepair_core::pair::Pair;

use super::empty_captions::settle_empty_captions;
use super::leftovers::{Fate, account_for_folder};
use super::pictures::files_with_ids;
use super::stored_images::{ids_of_rows, one_row_an_image};
use super::write::{link_into, write_features, write_lines};
use super::{CaptionFeatures, Choice, Format, ReadOptions, name_of, resolve_split};
use crate::lines::{read_lines, refuse_duplicates};
use crate::npy_features::{open_npy, scale_beside};

/// A folder of `{split}_ims.npy`, `{split}_caps.txt` and their companions.
pub(super) struct Precomp;

impl Format for Precomp {
    fn name(&self) -> &'static str {
        "precomp"
    }

    fn summary(&self) -> &'static str {
        "A folder of image features and caption lines; caption `n` belongs to image `n / k`, where \
         `k` is the number of captions divided by the number of images."
    }

    fn files(&self) -> &'static str {
        "`{split}_ims.npy` `[n, d]` or `[n, regions, d]`; `{split}_caps.txt`, or `{split}_caps.tsv` \
         of image id and caption; optional `{split}_ids.txt`, `{split}_caps_NAME.npy` \
         `[n_captions, d]`, `{split}_labels.npy` `[n]` (or `[n, k]`, the first column counts), \
         `images/` of files named by id; without `{split}_` one split `all`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let split = splits(path).ok()?.into_iter().next()?;
        let images = name(
            &Files {
                folder: path,
                split: &split,
            }
            .path("ims.npy"),
        );
        Some(format!("the folder holds {images}"))
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        splits(path)
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let split = resolve_split(path, options, &splits(path)?)?;
        let files = Files {
            folder: path,
            split: &split,
        };
        let mut read = vec![files.path("ims.npy")];
        let mut of_numbers = Account::default();
        let images = open_npy(&read[0], &mut of_numbers)?;
        read.extend(scale_beside(&read[0]));
        let lines = files.read_captions(&mut read)?;
        let owners = files.owners(&images, &lines, &mut read)?;
        let caption_features = files.read_caption_features(
            &options.caption_features,
            lines.texts.len(),
            &mut read,
            &mut of_numbers,
        )?;
        let labels = files.read_labels(images.len(), &mut read)?;
        let mut account = files.account(&read, options)?;
        account.merge(of_numbers);
        account.used("row", images.len());
        account.used("caption", lines.texts.len());
        let dataset = Dataset {
            name: name_of(path),
            format: self.name(),
            image_files: files_with_ids(&path.join("images"), &owners.ids),
            images,
            image_ids: owners.ids,
            captions: Some(lines.texts),
            caption_features,
            pairs: owners.pairs,
            labels,
            files: read,
            account,
            split: split.clone(),
        };
        let dataset = one_row_an_image(dataset)?;
        settle_empty_captions(dataset, options.on_empty, &lines.path, |n| {
            Place::Line(n as u64 + 1)
        })
    }

    fn caption_feature_names(&self, path: &Path, split: &str) -> Vec<String> {
        Files {
            folder: path,
            split,
        }
        .caption_feature_names()
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::CaptionFeatures]
    }

    /// Captions with the ids of their images, which every image may have any number of; the
    /// features are linked, and caption embeddings written for the kept captions.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let pairs: Vec<Pair> = dataset.kept(keep).collect();
        let texts = dataset.require_captions()?;
        let source = dataset.files[0].parent().unwrap_or(Path::new("."));
        let source = Files {
            folder: source,
            split: &dataset.split,
        };
        let target = Files {
            folder: out,
            split: &dataset.split,
        };
        let captions = pairs.iter().map(|pair| {
            let id = &dataset.image_ids[pair.image as usize];
            format!("{id}\t{}", texts[pair.caption as usize].replace('\t', " "))
        });
        let mut written = vec![
            write_lines(&target.path("caps.tsv"), captions)?,
            write_lines(&target.path("ids.txt"), ids_of_rows(dataset))?,
        ];
        let parts = ["ims.npy", "ims_scale.npy", "ims_scales.npy", "labels.npy"];
        for part in parts.map(|part| source.path(part)) {
            if part.exists() {
                written.push(link_into(&part, out)?);
            }
        }
        let pictures = source.folder.join("images");
        if pictures.is_dir() {
            written.push(link_into(&pictures, out)?);
        }
        if let Some(named) = &dataset.caption_features {
            let rows: Vec<u32> = pairs.iter().map(|pair| pair.caption).collect();
            let path = target.path(&format!("caps_{}.npy", named.name));
            written.push(write_features(&path, &named.features, &rows)?);
            let stored: Vec<u32> = (rows.iter())
                .map(|row| named.features.stored_row(*row as usize) as u32)
                .collect();
            let others = source.caption_feature_names().into_iter();
            for other in others.filter(|other| *other != named.name) {
                let part = format!("caps_{other}.npy");
                let features = open_npy(&source.path(&part), &mut Account::default())?;
                if stored.iter().all(|row| (*row as usize) < features.len()) {
                    written.push(write_features(&target.path(&part), &features, &stored)?);
                }
            }
        }
        written.extend(link_other_splits(source.folder, source.split, out)?);
        Ok(written)
    }
}

/// Makes the splits that were not cleaned available beside the cleaned one, so that a matcher can
/// be trained on the cleaned list and measured on the same dev and test pairs.
fn link_other_splits(folder: &Path, cleaned: &str, out: &Path) -> Result<Vec<PathBuf>> {
    let prefixes: Vec<String> = (splits(folder)?.iter())
        .filter(|split| *split != cleaned)
        .map(|split| format!("{split}_"))
        .collect();
    let mut linked = Vec::new();
    for name in file_names(folder)? {
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            linked.push(link_into(&folder.join(name), out)?);
        }
    }
    Ok(linked)
}

/// The splits of a folder: what stands before `_ims.npy`, or `all` for `ims.npy` itself.
fn splits(folder: &Path) -> Result<Vec<String>> {
    let names = file_names(folder)?;
    let mut splits: Vec<String> = (names.iter())
        .filter_map(|name| name.strip_suffix("_ims.npy"))
        .filter(|split| !split.is_empty())
        .map(str::to_owned)
        .collect();
    if splits.is_empty() && names.iter().any(|name| name == "ims.npy") {
        splits.push("all".into());
    }
    if splits.is_empty() {
        return Err(Error::data(
            folder,
            Place::Whole,
            "no {split}_ims.npy and no ims.npy",
            "name the image features for instance train_ims.npy",
        ));
    }
    splits.sort();
    Ok(splits)
}

fn file_names(folder: &Path) -> Result<Vec<String>> {
    let failed = |source| Error::io(folder, "list", source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The files of one split.
struct Files<'a> {
    folder: &'a Path,
    split: &'a str,
}

/// The captions of one split as their file has them.
struct CaptionLines {
    path: PathBuf,
    texts: Vec<String>,
    /// The image id that stands before each caption, in a `.tsv` file.
    ids: Option<Vec<String>>,
}

/// The images of one split and whose the captions are.
struct Owners {
    ids: Vec<String>,
    pairs: Vec<Pair>,
}

impl Files<'_> {
    fn path(&self, part: &str) -> PathBuf {
        self.folder.join(format!("{}{part}", self.prefix()))
    }

    /// What stands before the parts of file names: nothing when the folder names no split.
    fn prefix(&self) -> String {
        let named = format!("{}_", self.split);
        let unsplit = self.split == "all" && !self.folder.join(format!("{named}ims.npy")).exists();
        if unsplit { String::new() } else { named }
    }

    fn captions(&self) -> Option<PathBuf> {
        ["caps.txt", "caps.tsv"]
            .map(|part| self.path(part))
            .into_iter()
            .find(|path| path.exists())
    }

    fn read_captions(&self, read: &mut Vec<PathBuf>) -> Result<CaptionLines> {
        let path = self.captions().ok_or_else(|| {
            let (text, table) = (name(&self.path("caps.txt")), name(&self.path("caps.tsv")));
            Error::data(
                self.folder,
                Place::Whole,
                format!("neither {text} nor {table} is there"),
                "write one caption a line, in the order of the images",
            )
        })?;
        read.push(path.clone());
        let lines = read_lines(&path)?;
        if path.extension().is_none_or(|extension| extension != "tsv") {
            return Ok(CaptionLines {
                path,
                texts: lines,
                ids: None,
            });
        }
        let mut ids = Vec::with_capacity(lines.len());
        let mut texts = Vec::with_capacity(lines.len());
        for (n, line) in lines.iter().enumerate() {
            // Some sets carry an address in a third column.
            let mut fields = line.split('\t');
            let (Some(id), Some(text)) = (fields.next(), fields.next()) else {
                return Err(Error::data(
                    &path,
                    Place::Line(n as u64 + 1),
                    "no tab, expected an image id, a tab and a caption",
                    "separate the two by one tab",
                ));
            };
            ids.push(id.to_owned());
            texts.push(text.to_owned());
        }
        Ok(CaptionLines {
            path,
            texts,
            ids: Some(ids),
        })
    }

    /// Finds the ids of the images, and the image of each caption.
    fn owners(
        &self,
        images: &Features,
        lines: &CaptionLines,
        read: &mut Vec<PathBuf>,
    ) -> Result<Owners> {
        let (n_images, n_captions) = (images.len(), lines.texts.len());
        let ids_path = self.path("ids.txt");
        let ids = if ids_path.exists() {
            read.push(ids_path.clone());
            Some(image_ids(
                &ids_path,
                read_lines(&ids_path)?,
                n_images,
                n_captions,
            )?)
        } else {
            None
        };
        if let (Some(ids), Some(caption_ids)) = (&ids, &lines.ids)
            && let Some(pairs) = pairs_by_id(lines, ids, caption_ids)?
        {
            return Ok(Owners {
                ids: ids.clone(),
                pairs,
            });
        }
        let k = captions_per_image(&lines.path, n_images, n_captions)?;
        let pairs = pairs_by_position(n_captions, k);
        let ids = ids.or_else(|| {
            let ids: Vec<String> = lines.ids.as_ref()?.iter().step_by(k).cloned().collect();
            refuse_duplicates(&lines.path, &ids, |n| Place::Line((n * k) as u64 + 1)).ok()?;
            Some(ids)
        });
        let ids = ids.unwrap_or_else(|| (0..n_images).map(|row| row.to_string()).collect());
        Ok(Owners { ids, pairs })
    }

    fn caption_feature_names(&self) -> Vec<String> {
        let prefix = format!("{}caps_", self.prefix());
        let names = file_names(self.folder).unwrap_or_default();
        let of_file =
            |name: &String| Some(name.strip_prefix(&prefix)?.strip_suffix(".npy")?.to_owned());
        let names = names.iter().filter_map(of_file);
        // Scales of integers are no embeddings.
        let is_scale = |name: &String| name.ends_with("_scale") || name.ends_with("_scales");
        names.filter(|name| !is_scale(name)).collect()
    }

    fn read_caption_features(
        &self,
        choice: &CaptionFeatures,
        n_captions: usize,
        read: &mut Vec<PathBuf>,
        account: &mut Account,
    ) -> Result<Option<NamedFeatures>> {
        let names = self.caption_feature_names();
        let name = match choice {
            CaptionFeatures::None => return Ok(None),
            CaptionFeatures::Auto => match names.into_iter().next() {
                Some(name) => name,
                None => return Ok(None),
            },
            CaptionFeatures::Named(name) if names.contains(name) => name.clone(),
            CaptionFeatures::Named(name) => {
                let file = self.path(&format!("caps_{name}.npy"));
                return Err(Error::data(
                    file,
                    Place::Whole,
                    format!("no such caption features; there are: {}", or_none(&names)),
                    "name one of them, or none to use the text",
                ));
            }
        };
        let path = self.path(&format!("caps_{name}.npy"));
        let features = open_npy(&path, account)?;
        read.extend(scale_beside(&path));
        if features.len() != n_captions || features.regions() != 1 {
            let shape = (features.len(), features.regions(), features.dim());
            return Err(Error::data(
                &path,
                Place::Whole,
                format!("shape {shape:?} for {n_captions} captions, expected [{n_captions}, d]"),
                "embed every caption once, in the order of the lines",
            ));
        }
        read.push(path);
        Ok(Some(NamedFeatures { name, features }))
    }

    /// What the folder holds and what is read of it; `read` are the files of this split.
    fn account(&self, read: &[PathBuf], options: &ReadOptions) -> Result<Account> {
        let mut account = Account::default();
        let own = format!("{}caps_", self.prefix());
        let others: Vec<String> = (splits(self.folder)?.iter())
            .filter(|split| *split != self.split)
            .map(|split| format!("{split}_"))
            .collect();
        account_for_folder(&mut account, self.folder, |name| {
            if name == "images" || read.iter().any(|file| file.ends_with(name)) {
                Fate::Used
            } else if name.starts_with(&own) && name.ends_with(".npy") {
                Fate::PassedOver("other caption embeddings are used, or none")
            } else if others.iter().any(|prefix| name.starts_with(prefix)) {
                Fate::OfOtherSplits
            } else {
                Fate::PassedOver("it is not a file of this format or split")
            }
        })?;
        let names = self.caption_feature_names();
        if let (CaptionFeatures::Auto, [first, _, ..]) = (&options.caption_features, &names[..]) {
            let all = names.join(", ");
            account.chose(format!(
                "caption embeddings '{first}', the first by name of {all}"
            ));
        }
        Ok(account)
    }

    fn read_labels(&self, n_images: usize, read: &mut Vec<PathBuf>) -> Result<Option<Vec<i64>>> {
        let path = self.path("labels.npy");
        if !path.exists() {
            return Ok(None);
        }
        let (labels, shape) = npy::read_ints(&path)?;
        if shape[0] != n_images || labels.is_empty() && n_images > 0 {
            return Err(Error::data(
                &path,
                Place::Whole,
                format!("labels {shape:?} for {n_images} images, expected [{n_images}]"),
                "write one class per image, -1 where it is unknown",
            ));
        }
        // Further columns hold finer classes.
        let labels = labels
            .into_iter()
            .step_by(shape.get(1).copied().unwrap_or(1).max(1))
            .collect();
        read.push(path);
        Ok(Some(labels))
    }
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// One id per image, from a file with one line per image or one per caption.
fn image_ids(
    path: &Path,
    mut ids: Vec<String>,
    n_images: usize,
    n_captions: usize,
) -> Result<Vec<String>> {
    let n_lines = ids.len();
    let mut k = 1;
    if n_lines != n_images {
        k = n_lines / n_images.max(1);
        let repeated = || ids.chunks(k).all(|run| run.iter().all(|id| *id == run[0]));
        if n_lines != n_captions
            || n_images == 0
            || !n_lines.is_multiple_of(n_images)
            || !repeated()
        {
            return Err(Error::data(
                path,
                Place::Whole,
                format!("{n_lines} ids for {n_images} images and {n_captions} captions"),
                "write one id per image, or one per caption with those of an image together",
            ));
        }
        ids = ids.into_iter().step_by(k).collect();
    }
    number_repeated_images(&mut ids);
    refuse_duplicates(path, &ids, |n| Place::Line((n * k) as u64 + 1))?;
    Ok(ids)
}

/// Some sets store an image once per caption: their ids come in runs of one length, and then get
/// a number so that each row keeps a name of its own.
fn number_repeated_images(ids: &mut [String]) {
    let run = ids.iter().take_while(|id| **id == ids[0]).count();
    let is_run = |ids: &[String]| ids.iter().all(|id| *id == ids[0]);
    if run < 2 || !ids.len().is_multiple_of(run) || !ids.chunks(run).all(is_run) {
        return;
    }
    for (n, id) in ids.iter_mut().enumerate() {
        id.push_str(&format!("#{}", n % run));
    }
}

/// Pairs by the ids that stand before the captions; `None` when they are names of something else.
fn pairs_by_id(
    lines: &CaptionLines,
    ids: &[String],
    caption_ids: &[String],
) -> Result<Option<Vec<Pair>>> {
    let rows: HashMap<&str, u32> = ids
        .iter()
        .enumerate()
        .map(|(row, id)| (id.as_str(), row as u32))
        .collect();
    let mut pairs = Vec::with_capacity(caption_ids.len());
    let mut unknown = None;
    for (n, id) in caption_ids.iter().enumerate() {
        match rows.get(id.as_str()) {
            Some(&image) => pairs.push(Pair {
                image,
                caption: n as u32,
            }),
            None => unknown = unknown.or(Some((n, id))),
        }
    }
    match unknown {
        Some((n, id)) if !pairs.is_empty() => Err(Error::data(
            &lines.path,
            Place::Line(n as u64 + 1),
            format!("image id '{id}' is not among the ids of the images"),
            "correct the id, or remove the line",
        )),
        Some(_) => Ok(None),
        None => Ok(Some(pairs)),
    }
}

/// The number of captions of every image, when captions stand in the order of the images.
///
/// # Errors
/// If the images do not divide the captions.
pub(super) fn captions_per_image(path: &Path, n_images: usize, n_captions: usize) -> Result<usize> {
    if n_images > 0 && n_captions > 0 && n_captions.is_multiple_of(n_images) {
        return Ok(n_captions / n_images);
    }
    let problem = match (n_images, n_captions) {
        (0, 0) => "no image and no caption".to_owned(),
        _ => format!("{n_captions} captions cannot be shared evenly by {n_images} images"),
    };
    Err(Error::data(
        path,
        Place::Whole,
        problem,
        "give every image the same number of captions, in the order of the images",
    ))
}

/// Pairs of `n_captions` captions with `k` consecutive ones an image.
pub(super) fn pairs_by_position(n_captions: usize, k: usize) -> Vec<Pair> {
    let pair = |caption: u32| Pair {
        image: caption / k as u32,
        caption,
    };
    (0..n_captions as u32).map(pair).collect()
}

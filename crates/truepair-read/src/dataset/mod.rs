//! Paired data as users have it: every [`Format`], and what can be done with all of them.
//!
//! Reading never guesses silently: a [`Format`] is either named or recognized, and [`inspect`] says
//! which one was found and what it holds.

mod alone;
mod base64;
mod base64_pictures;
mod captioned_pictures;
mod cell;
mod chinese_clip;
mod choice;
mod clip_retrieval;
mod coco;
mod column_names;
mod column_shape;
mod cub;
mod datacomp;
mod delimited;
mod embedding_columns;
mod embeddings;
mod empty_captions;
mod feature_keys;
mod flickr_tokens;
mod folder;
mod given_features;
mod huggingface;
mod image_index;
mod inspect;
mod json_lines;
mod json_list;
mod judged;
mod karpathy;
mod kept_archive;
mod kept_features;
mod kept_pairs;
mod kept_picture_files;
mod kept_pictures;
mod kept_records;
mod kept_shards;
mod kept_table;
mod kept_vectors;
mod leftovers;
mod links;
mod listed;
mod listing;
mod matrices;
mod msrvtt;
mod mteb;
mod named_folder;
mod naming;
mod options;
mod out_of_step;
mod page_header;
mod parquet_cells;
mod parquet_copy;
mod parquet_file;
mod parquet_leaf;
mod parquet_vectors;
mod picture_column;
mod picture_folders;
mod picture_place;
mod pictures;
mod plain_table;
mod precomp;
mod records;
mod selector;
mod several;
mod shard_names;
mod shard_schemas;
mod shards;
mod shown;
mod sides;
mod split_names;
mod stored_images;
mod table;
mod table_columns;
mod table_kind;
mod table_rows;
mod tar;
mod two_columns;
mod uid_list;
mod unread_keys;
mod unrecognized;
mod webdataset;
mod within_archive;
mod work_ahead;
mod write;
mod write_options;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use self::kept_picture_files::{Gallery, link_pictures};
use self::out_of_step::in_order;

pub use alone::{CaptionsAlone, PicturesAlone, open_captions, open_pictures};
pub use choice::{Choice, options_for_other_data};
pub use embeddings::open_embeddings;
pub use inspect::{
    CaptionFeaturesFound, CaptionsPerImage, Inspection, Labels, NonFinite, SplitInspection, inspect,
};
pub(crate) use leftovers::is_hidden;
pub(crate) use links::settle;
pub use links::{KeptFiles, KeptFolder, Unchanged};
pub use matrices::read_pairs;
pub use options::{CaptionFeatures, OnEmpty, Pictures, ReadOptions};
pub use parquet_file::{FileWithEnd, contained};
pub use picture_column::parquet_picture;
pub use plain_table::PlainTable;
pub use several::one_path_of;
pub(crate) use write::{link_into, write_lines, write_rows};
pub use write_options::{WriteForm, WriteOptions};

/// Every format, in the order in which they are tried: a folder or file is read by the first one
/// that recognizes it.
pub const FORMATS: &[&dyn Format] = &[
    &precomp::Precomp,
    &clip_retrieval::ClipRetrieval,
    &datacomp::DataComp,
    &embedding_columns::EmbeddingColumns,
    &embeddings::Embeddings,
    &msrvtt::Msrvtt,
    &karpathy::Karpathy,
    &coco::Coco,
    &flickr_tokens::FlickrTokens,
    &table::Table,
    &chinese_clip::ChineseClip,
    &mteb::Mteb,
    &cub::Cub,
    &webdataset::WebDataset,
    &folder::Folder,
    &huggingface::HuggingFace,
];

/// One way in which paired data lies on disk.
///
/// ```
/// use truepair_read::dataset::FORMATS;
///
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("pairs.csv");
/// std::fs::write(&path, "image,caption\na.jpg,a red ball\n")?;
/// let found = FORMATS.iter().find_map(|format| Some((format.name(), format.sniff(&path)?)));
/// let (name, why) = found.expect("a table is recognized");
/// assert_eq!(name, "table");
/// assert!(!why.is_empty(), "and it is said by what");
/// # Ok::<(), std::io::Error>(())
/// ```
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
    /// Reads one split. Feature values are not looked at; see
    /// [`Features::check_finite`](truepair_core::dataset::Features::check_finite). Whatever is met
    /// and not used stands in the [`Account`] with its reason;
    /// [`ReadOptions::strict`] is the caller's business.
    ///
    /// # Errors
    /// If a file is missing or is not what it should be; the message names file and place.
    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset>;
    /// Names of the caption embeddings that lie beside the captions of one split, sorted.
    fn caption_feature_names(&self, _path: &Path, _split: &str) -> Vec<String> {
        Vec::new()
    }
    /// Writes the kept pairs (`keep` `[n_pairs]`) into the folder `out`, as this format writes
    /// pairs, and returns the files written. Call it through [`write_kept`].
    ///
    /// # Errors
    /// If a file cannot be written; none is left half written.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>>;
    /// The choices of [`ReadOptions`] that mean something to it where it lies at `path`.
    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[]
    }
    /// Whether its cleaned lists still name images that lost all their captions.
    fn names_all_images(&self) -> bool {
        false
    }
    /// Whether the cleaned list of `dataset` still names the pictures of other splits.
    fn keeps_other_splits(&self, _dataset: &Dataset) -> bool {
        false
    }
    /// The forms in which it writes cleaned lists.
    fn forms(&self) -> &'static [WriteForm] {
        &[WriteForm::Own]
    }
    /// As [`write_kept`](Self::write_kept), as `options` ask for in one of the [`forms`](Self::forms).
    /// Call it through [`write_kept_into`].
    ///
    /// # Errors
    /// Those of [`write_kept`](Self::write_kept).
    fn write_as(
        &self,
        dataset: &Dataset,
        keep: &[bool],
        out: &Path,
        _options: &WriteOptions,
    ) -> Result<Vec<PathBuf>> {
        self.write_kept(dataset, keep, out)
    }
}

/// Reads one split of the data at `path`.
///
/// # Errors
/// If no format recognizes `path` (the message says what it looks like), if the split is missing
/// or holds no pair, or if a file is not what it should be.
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Dataset> {
    let path = path.as_ref();
    let (format, _) = recognize(path, options)?;
    let dataset = in_order(format.read(path, options)?, path, options)?;
    let dataset = named_folder::with_pictures(dataset, path, options)?;
    let dataset = shown::only_inside(dataset, path, options);
    if dataset.pairs.is_empty() {
        let met = dataset.account.summary();
        let met = met.map_or_else(String::new, |met| format!("; {met}"));
        return Err(Error::data(
            path,
            Place::Whole,
            format!("split '{}' holds no pair{met}", dataset.split),
            "choose another split, or check that its files are complete",
        ));
    }
    if options.strict {
        refuse_passing_over(path, &dataset.account)?;
    }
    Ok(dataset)
}

/// # Errors
/// If something was passed over; the message is the whole account.
pub(crate) fn refuse_passing_over(path: &Path, account: &Account) -> Result<()> {
    if account.passed_over().is_empty() {
        return Ok(());
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!(
            "strict reading, but not all is used: {}",
            account.lines().join("; ")
        ),
        "remove what is passed over or say how it is to be read; without strict reading it is \
         passed over",
    ))
}

/// Writes the kept pairs of `dataset` (`keep` `[n_pairs]`) into the folder `out` in the format that
/// the data was read from, with links to what does not change, and returns the files written.
///
/// # Errors
/// Those of [`write_kept_into`].
///
/// # Panics
/// If `keep` has another length than the pairs.
pub fn write_kept(dataset: &Dataset, keep: &[bool], out: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let options = WriteOptions::default();
    let written = write_kept_into(dataset, keep, &KeptFolder::of(out.as_ref()), &options);
    written.map(|kept| kept.files)
}

/// Writes the kept pairs of `dataset` (`keep` `[n_pairs]`) into a folder, in the form that `options` ask for of the
/// format that the data was read from.
///
/// # Errors
/// If no pair is kept, the folder holds the data itself, the data is of no [`Format`], the format does not
/// know the form, or a file cannot be written; none is left half written.
///
/// # Panics
/// If `keep` has another length than the pairs.
pub fn write_kept_into(
    dataset: &Dataset,
    keep: &[bool],
    target: &KeptFolder<'_>,
    options: &WriteOptions,
) -> Result<KeptFiles> {
    let out = target.folder;
    check_form(dataset, options)?;
    if dataset.kept(keep).next().is_none() {
        return Err(Error::argument(
            "no pair is kept",
            "lower the threshold for removing pairs",
        ));
    }
    std::fs::create_dir_all(out).map_err(|source| Error::io(out, "create", source))?;
    let own = |file: &Path| source_file::folder_of(file).canonicalize().ok();
    let out_full = out
        .canonicalize()
        .map_err(|source| Error::io(out, "read", source))?;
    let pictures = (0..dataset.n_images()).filter_map(|row| dataset.images.picture(row));
    let archives: HashSet<&Path> = pictures
        .filter(|picture| !matches!(picture, Picture::File(_)))
        .map(Picture::file)
        .collect();
    let mut files = dataset.files.iter().map(PathBuf::as_path).chain(archives);
    // Formats without a list of their own write beside their pictures.
    let mut first = (0..dataset.n_images().min(1)).filter_map(|row| dataset.images.picture(row));
    let lies_in_out = |file: &Path| {
        file.canonicalize()
            .is_ok_and(|file| file.starts_with(&out_full))
    };
    let is_own = dataset.files.is_empty()
        && first.any(|picture| matches!(picture, Picture::File(file) if lies_in_out(file)));
    if is_own || files.any(|file| own(file).is_some_and(|folder| folder == out_full)) {
        return Err(Error::argument(
            format!("{} is the folder of the data itself", out.display()),
            "choose another folder: the data is never overwritten",
        ));
    }
    let format = by_name(dataset.format)?;
    let mut files = format.write_as(dataset, keep, out, options)?;
    if let Some(root) = folder_of_list(dataset) {
        let gallery = if format.names_all_images() {
            Gallery::Whole
        } else {
            Gallery::Kept
        };
        files.extend(link_pictures(dataset, keep, gallery, &root, out)?);
        if format.keeps_other_splits(dataset) {
            files.extend(link_pictures_of_other_splits(format, dataset, &root, out)?);
        }
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    links::settle(files, target)
}

/// Links the pictures that the other splits of a list name. A split that cannot be read is left to who opens it.
fn link_pictures_of_other_splits(
    format: &dyn Format,
    dataset: &Dataset,
    root: &Path,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let mut pictures = (0..dataset.n_images()).filter_map(|row| dataset.images.picture(row));
    let is_file = |picture: &Picture| matches!(picture, Picture::File(_));
    let Some(first) = dataset.files.first().filter(|_| pictures.any(is_file)) else {
        return Ok(Vec::new());
    };
    let has_home = !dataset.account.sources(shards::HOME_ROLE).is_empty()
        || !dataset.account.sources(mteb::HOME_ROLE).is_empty();
    let path = if has_home { root } else { first };
    let options = table_columns::options_of(&dataset.account);
    let mut linked = Vec::new();
    for split in format.splits(path, &options).unwrap_or_default() {
        let options = ReadOptions {
            split,
            ..options.clone()
        };
        if options.split == dataset.split {
            continue;
        }
        let Ok(other) = format.read(path, &options) else {
            continue;
        };
        let all = vec![true; other.pairs.len()];
        linked.extend(link_pictures(&other, &all, Gallery::Whole, root, out)?);
    }
    Ok(linked)
}

/// The folder from which a list names its pictures.
fn folder_of_list(dataset: &Dataset) -> Option<PathBuf> {
    let mut homes = [shards::HOME_ROLE, mteb::HOME_ROLE].into_iter();
    let home = homes.find_map(|role| dataset.account.sources(role).pop());
    let home = home.map(PathBuf::from).filter(|home| home.is_dir());
    home.or_else(|| Some(dataset.files.first()?.parent()?.to_path_buf()))
}

/// Whether a cleaned list of `dataset` can be written as `options` ask for, to know it before the work.
///
/// # Errors
/// If the format of the data does not know the form; the message lists those it knows.
pub fn check_form(dataset: &Dataset, options: &WriteOptions) -> Result<()> {
    let forms = by_name(dataset.format)?.forms();
    if forms.contains(&options.form) {
        return Ok(());
    }
    let known: Vec<String> = forms.iter().map(WriteForm::to_string).collect();
    Err(Error::argument(
        format!(
            "cleaned lists of format '{}' are not written as {}",
            dataset.format, options.form
        ),
        format!("choose one of {}", known.join(", ")),
    ))
}

/// The splits that the data at `path` holds, sorted; `all` alone when it knows none.
///
/// # Errors
/// If no format recognizes `path`, or it cannot be read.
pub fn splits(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    recognize(path, options)?.0.splits(path, options)
}

/// Whether a format recognizes `path`, so that [`open`] says what is wrong with it.
pub fn is_recognized(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    FORMATS.iter().any(|format| format.sniff(path).is_some())
}

/// The format of `path` and why it was chosen.
///
/// # Errors
/// If there is none, or something is chosen that it does not have.
fn recognize(path: &Path, options: &ReadOptions) -> Result<(&'static dyn Format, String)> {
    let found = recognize_any(path, options)?;
    choice::check(found.0, path, options)?;
    Ok(found)
}

fn recognize_any(path: &Path, options: &ReadOptions) -> Result<(&'static dyn Format, String)> {
    if several::files_of(path)?.is_none() {
        std::fs::metadata(path).map_err(|source| Error::io(path, "read", source))?;
    } else if webdataset::WebDataset.sniff(path).is_none() {
        return Err(Error::data(
            path,
            Place::Whole,
            "several files are one data set where all of them are tar archives",
            "put tables or pictures into a folder of their own and name that",
        ));
    }
    if let Some(name) = &options.format {
        return Ok((by_name(name)?, "named by the caller".into()));
    }
    let found = FORMATS
        .iter()
        .find_map(|format| Some((*format, format.sniff(path)?)));
    found.ok_or_else(|| unrecognized::no_format(path))
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
    let named = splits.iter().map(|split| match split.as_str() {
        "" => "'' (of records that name none)",
        name => name,
    });
    let named: Vec<&str> = named.collect();
    Err(Error::data(
        path,
        Place::Whole,
        format!(
            "there is no split '{asked}'; there are: {}",
            named.join(", ")
        ),
        "choose one of them",
    ))
}

/// What the user would call the data at `path`.
pub(crate) fn name_of(path: &Path) -> String {
    if let Ok(Some(_)) = several::files_of(path) {
        return several::name_of(path);
    }
    // `.` and `..` have no name of their own.
    let full = path.canonicalize();
    let path = full.as_deref().unwrap_or(path);
    let path = if path.is_dir() {
        path
    } else {
        records::unpacked(path)
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_is_named() {
        let folder = tempfile::tempdir().unwrap();
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
            error.contains("'precom'") && error.contains("precomp, clip_retrieval"),
            "{error}"
        );
    }
}

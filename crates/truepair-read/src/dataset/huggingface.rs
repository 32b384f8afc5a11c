//! Folders of tables in shards, one file name a split, as the Hugging Face Hub stores data sets.
//!
//! `data/train-00000-of-00003.parquet`, `default/train/0000.parquet`, `train.jsonl` and the like;
//! images are structs of `bytes` and `path`, bytes, or names of files.
//! Source: <https://huggingface.co/docs/hub/datasets-file-names-and-splits>.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Picture};
use truepair_core::error::{Error, Place, Result};

use super::choice::OF_TABLES;
use super::given_features::find_beside;
use super::leftovers::entries;
use super::listing::Listing;
use super::picture_place::open_with_pictures;
use super::records::Source;
use super::shard_schemas::refuse_differences;
use super::shards::{HOME_ROLE, Layout, look};
use super::table_columns::{Columns, open_source};
use super::table_rows::{Tables, splits_in};
use super::webdataset::status::refuse_metadata;
use super::{Choice, Format, Pictures, ReadOptions, kept_shards, name_of, resolve_split};

/// A folder of tables in shards.
pub(super) struct HuggingFace;

impl Format for HuggingFace {
    fn name(&self) -> &'static str {
        "huggingface"
    }

    fn summary(&self) -> &'static str {
        "A folder of tables in shards as the Hugging Face Hub has them; images are structs of \
         `bytes` and `path`, bytes, or names of files; captions are columns, or places in them."
    }

    fn files(&self) -> &'static str {
        "`data/SPLIT-00000-of-0000N.parquet`, `CONFIG/SPLIT/0000.parquet`, `SPLIT.jsonl` or the like \
         (`.parquet`, `.csv`, `.tsv`, `.jsonl`); every shard of `N`"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        look(path).or_else(|| arrow_file(path).map(|name| format!("the folder holds {name}")))
    }

    fn splits(&self, path: &Path, options: &ReadOptions) -> Result<Vec<String>> {
        let tables = ShardedTables::open(path, options)?;
        Ok(tables.split_names())
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let tables = ShardedTables::open(path, options)?;
        let split = resolve_split(path, options, &tables.split_names())?;
        tables.refuse_differences()?;
        let files = tables.files_of(&split);
        let mut listing = Listing {
            account: tables.account_of(path, &files),
            ..Listing::default()
        };
        let options = with_pictures(&mut listing, &files, &tables.columns, options)?;
        let sources = files.iter().map(|file| open_source(file, &options));
        let sources = sources.collect::<Result<Vec<Source>>>()?;
        let rows = Tables {
            sources: &sources,
            columns: &tables.columns,
            split: &split,
        };
        let listing = rows.read(listing)?;
        let mut dataset = listing.into_dataset(self.name(), &files[0], split, &options)?;
        refuse_lost_pictures(path, &dataset)?;
        dataset.name = name_of(path);
        tables.note_others(&mut dataset);
        Ok(dataset)
    }

    fn keeps_other_splits(&self, dataset: &Dataset) -> bool {
        let home = dataset.account.sources(HOME_ROLE).pop();
        let layout = home.and_then(|home| Layout::of(Path::new(home)).ok());
        layout.is_some_and(|layout| layout.splits.len() > 1)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        OF_TABLES
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        kept_shards::write(dataset, keep, out)
    }
}

/// The tables of a folder, and what their columns hold.
struct ShardedTables {
    layout: Layout,
    columns: Columns,
    /// The splits that a column names, where the files name none or one.
    in_column: Option<Vec<String>>,
}

impl ShardedTables {
    fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        if let Some(name) = arrow_file(path) {
            return Err(Error::data(
                path,
                Place::Whole,
                format!("{name} is a file of Arrow, as save_to_disk writes it, which is not read"),
                "write parquet: datasets.load_from_disk(path)['train'].to_parquet('train.parquet')",
            ));
        }
        let layout = Layout::of(path)?;
        let Some(first) = layout.files().next() else {
            let remedy = "give a folder of .parquet, .csv or .jsonl files";
            return Err(Error::data(
                path,
                Place::Whole,
                "no table in the folder",
                remedy,
            ));
        };
        let (source, mut columns) = open_with_pictures(first, options)?;
        let is_alone = || options.features.is_none() && find_beside(first).is_err();
        if options.pictures == Pictures::Unused && is_alone() {
            refuse_metadata(first, source.columns())?;
        }
        let account = &mut columns.account;
        let in_column = match &columns.split {
            Some(column) if layout.splits.len() == 1 => {
                let sources = layout.files().map(|file| open_source(file, options));
                let sources = sources.collect::<Result<Vec<Source>>>()?;
                let found: Vec<String> = splits_in(&sources, column)?.into_iter().collect();
                let is_all = layout.splits.contains_key("all");
                (found.len() > 1 || is_all).then_some(found)
            }
            _ => None,
        };
        match (&in_column, &columns.split) {
            (Some(_), Some(column)) if !layout.splits.contains_key("all") => account.chose(
                format!("splits are those that column '{column}' names, not those of the files"),
            ),
            (None, Some(_)) => columns.split = None,
            _ => {}
        }
        Ok(Self {
            layout,
            columns,
            in_column,
        })
    }

    fn split_names(&self) -> Vec<String> {
        let names = self.in_column.clone();
        names.unwrap_or_else(|| self.layout.names())
    }

    /// # Errors
    /// If the files of all splits have not the same columns.
    fn refuse_differences(&self) -> Result<()> {
        let files: Vec<PathBuf> = self.layout.files().cloned().collect();
        refuse_differences(&files)
    }

    fn files_of(&self, split: &str) -> Vec<PathBuf> {
        match self.in_column {
            Some(_) => self.layout.files().cloned().collect(),
            None => self.layout.splits.get(split).cloned().unwrap_or_default(),
        }
    }

    fn account_of(&self, path: &Path, files: &[PathBuf]) -> Account {
        let mut account = self.layout.account.clone();
        account.read_as(HOME_ROLE, path.display());
        account.used("shard", files.len());
        let others = self.layout.files().count() - files.len();
        account.used("shard of other splits", others);
        account
    }

    /// Notes the files in the folder that were used for nothing. Pictures may be those of other
    /// splits, and nothing is said of them where there are some.
    fn note_others(&self, dataset: &mut Dataset) {
        let pictures = (0..dataset.n_images()).filter_map(|row| dataset.images.picture(row));
        let mut used: HashSet<PathBuf> = pictures.map(|p| p.file().to_path_buf()).collect();
        used.extend(dataset.files.iter().cloned());
        let has_others = self.split_names().len() > 1;
        let is_used =
            |file: &Path| used.contains(file) || (has_others && super::pictures::is_picture(file));
        self.layout.note_others(&mut dataset.account, is_used);
    }
}

/// Gives `listing` the pictures that stand in the files, and says where else images are looked for:
/// beside the files, where nothing else was asked for and there are no features.
fn with_pictures(
    listing: &mut Listing,
    files: &[PathBuf],
    columns: &Columns,
    options: &ReadOptions,
) -> Result<ReadOptions> {
    let mut options = options.clone();
    if options.features.is_some() {
        return Ok(options);
    }
    listing.take_pictures(files, columns)?;
    let has_features = || files.first().is_some_and(|file| find_beside(file).is_ok());
    if options.pictures == Pictures::Unused && (!listing.columns.is_empty() || !has_features()) {
        options.pictures = Pictures::Beside;
    }
    Ok(options)
}

/// # Errors
/// If the tables name pictures of which none is there.
fn refuse_lost_pictures(path: &Path, dataset: &Dataset) -> Result<()> {
    let mut pictures = (0..dataset.n_images()).filter_map(|row| dataset.images.picture(row));
    let Some(first @ Picture::Missing { .. }) = pictures.next() else {
        return Ok(());
    };
    if pictures.any(|picture| !matches!(picture, Picture::Missing { .. })) {
        return Ok(());
    }
    Err(Error::data(
        path,
        Place::Whole,
        format!("it names images, and neither features nor pictures of them are there: no {first}"),
        "give image features with --features, or the folder of the pictures with --pictures",
    ))
}

/// The name of a file of Arrow, as `save_to_disk` writes them.
fn arrow_file(folder: &Path) -> Option<String> {
    let of = |folder: &Path| {
        let files = entries(folder).ok()?;
        let found = files
            .iter()
            .find(|file| file.extension().is_some_and(|e| e == "arrow"))?;
        Some(found.file_name()?.to_string_lossy().into_owned())
    };
    let below = || entries(folder).ok()?.iter().find_map(|entry| of(entry));
    folder.is_dir().then(|| of(folder).or_else(below)).flatten()
}

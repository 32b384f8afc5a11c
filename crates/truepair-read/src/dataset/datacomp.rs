//! DataComp's metadata: shards of a table and of embeddings side by side, `HASH.parquet` and
//! `HASH.npz`.
//!
//! The arrays `MODEL_img` and `MODEL_txt` hold one row for every row of the table, whose columns `uid`
//! and `text` are read. A cleaned list is the list of kept uids that DataComp's resharder takes.
//! Source: <https://github.com/mlfoundations/datacomp>.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Features};
use truepair_core::error::{Error, Place, Result};

use super::given_features::GivenFeatures;
use super::kept_pairs::KeptPairs;
use super::kept_vectors::write_vectors;
use super::leftovers::{Fate, account_for_folder, entries, is_hidden};
use super::listing::Listing;
use super::parquet_file::ParquetFile;
use super::records::{self, Kind, Source};
use super::selector::Selector;
use super::sides::account_for_arrays;
use super::table_columns::{ColumnChoice, Columns, open_source};
use super::table_rows::{Tables, texts};
use super::write::link_into;
use super::{Choice, Format, ReadOptions, name_of, resolve_split, uid_list};
use crate::archive::Archive;

/// The list of uids that count, where a folder has one.
const KEPT: &str = "kept.npy";
const ID: &str = "uid";
const TEXT: &str = "text";

/// Tables and embeddings in shards of the same names.
pub(super) struct DataComp;

impl Format for DataComp {
    fn name(&self) -> &'static str {
        "datacomp"
    }

    fn summary(&self) -> &'static str {
        "DataComp's metadata with embeddings; `--embeddings` chooses the model where there are \
         several, and a list of uids which rows count."
    }

    fn files(&self) -> &'static str {
        "`HASH.parquet` with `uid` and `text` and `HASH.npz` with `MODEL_img` and `MODEL_txt` beside \
         it, any number of them; optional `kept.npy` of uids as pairs of 64-bit numbers"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let shards = shards(path).ok()?;
        let first = shards.first()?;
        let models = models_in(&first.arrays).ok()?;
        let name = first.arrays.file_name()?.display();
        (!models.is_empty()).then(|| {
            let models: Vec<String> = models.into_iter().collect();
            format!(
                "{name} holds embeddings of {} beside a table",
                models.join(", ")
            )
        })
    }

    fn splits(&self, _path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(vec!["all".into()])
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let split = resolve_split(path, options, &self.splits(path, options)?)?;
        let shards = shards(path)?;
        let mut account = account_of(path, &shards)?;
        let model = choose_model(&shards, options, &mut account)?;
        let given = embeddings(&shards, &model)?;
        let sources = shards
            .iter()
            .map(|shard| open_source(&shard.table, options));
        let sources = sources.collect::<Result<Vec<Source>>>()?;
        let columns = columns(&shards[0].table, &sources[0], options)?;
        let listing = Listing {
            account,
            given: Some(given),
            ..Listing::default()
        };
        let tables = Tables {
            sources: &sources,
            columns: &columns,
            split: &split,
        };
        let mut listing = tables.read(listing)?;
        let kept = match path.is_dir() {
            true => path.join(KEPT),
            false => path.with_file_name(KEPT),
        };
        if kept.is_file() {
            keep_only(&mut listing, &kept)?;
        }
        let mut dataset = listing.into_dataset(self.name(), &shards[0].table, split, options)?;
        dataset.name = name_of(path);
        if kept.is_file() {
            dataset.files.push(kept);
        }
        Ok(dataset)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[
            Choice::Embeddings,
            Choice::ImageColumn,
            Choice::CaptionColumns,
            Choice::IdColumn,
            Choice::CaptionFeatures,
        ]
    }

    /// The list of kept uids beside links to the shards; pairs that are not those of the rows, as
    /// planted noise makes them, become a table of vectors.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let Some(uids) = kept_uids(dataset, keep)? else {
            let order: Vec<usize> = (0..keep.len()).filter(|pair| keep[*pair]).collect();
            let target = out.join("pairs.parquet");
            write_vectors(dataset, &order, &target)?;
            return Ok(vec![target]);
        };
        let mut written = vec![uid_list::write(&out.join(KEPT), uids)?];
        for file in &dataset.files {
            if file.file_name().is_none_or(|name| name != KEPT) {
                written.push(link_into(file, out)?);
            }
        }
        Ok(written)
    }
}

/// A table and the arrays of its rows.
struct Shard {
    table: PathBuf,
    arrays: PathBuf,
}

/// The shards at `path`: a folder, the folder `metadata` in it, or one of two files.
///
/// # Errors
/// If a shard has one of its two files only.
fn shards(path: &Path) -> Result<Vec<Shard>> {
    let pair = |file: &Path| Shard {
        table: file.with_extension("parquet"),
        arrays: file.with_extension("npz"),
    };
    if !path.is_dir() {
        let shard = pair(path);
        let is_shard = path.is_file() && shard.table.is_file() && shard.arrays.is_file();
        return Ok(if is_shard { vec![shard] } else { Vec::new() });
    }
    let folder = match path.join("metadata") {
        inner if inner.is_dir() => inner,
        _ => path.to_path_buf(),
    };
    let (mut tables, mut arrays) = (BTreeSet::new(), BTreeSet::new());
    for file in entries(&folder)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let ending = file.extension().and_then(|ending| ending.to_str());
        match ending.filter(|_| file.is_file() && !is_hidden(&name)) {
            Some("parquet") => tables.insert(file.with_extension("")),
            Some("npz") => arrays.insert(file.with_extension("")),
            _ => false,
        };
    }
    if let Some(stem) = tables.symmetric_difference(&arrays).next() {
        let (is, is_not) = match tables.contains(stem) {
            true => ("parquet", "npz"),
            false => ("npz", "parquet"),
        };
        return Err(Error::data(
            stem.with_extension(is),
            Place::Whole,
            format!("there is no .{is_not} of this name beside it"),
            "copy the missing file, or move this one away",
        ));
    }
    let found = tables.iter().map(|stem| {
        let name = |ending: &str| {
            let mut name = stem.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            stem.with_file_name(name)
        };
        Shard {
            table: name(".parquet"),
            arrays: name(".npz"),
        }
    });
    Ok(found.collect())
}

/// The models of which a file has embeddings of images and of texts.
fn models_in(arrays: &Path) -> Result<BTreeSet<String>> {
    let names = Archive::open(arrays)?.names();
    let models = names.iter().filter_map(|name| name.strip_suffix("_img"));
    let models = models.filter(|model| names.iter().any(|name| *name == format!("{model}_txt")));
    Ok(models.map(str::to_owned).collect())
}

/// The model that is asked for, or the only one.
///
/// # Errors
/// If there are several and none is asked for, or the one that is asked for is not in every shard.
fn choose_model(shards: &[Shard], options: &ReadOptions, account: &mut Account) -> Result<String> {
    let Some(first) = shards.first() else {
        return Err(Error::argument(
            "there is no HASH.parquet with a HASH.npz beside it",
            "give the folder of DataComp's metadata",
        ));
    };
    let models = models_in(&first.arrays)?;
    let all = || models.iter().cloned().collect::<Vec<_>>().join(", ");
    let refuse = |problem: String, remedy: &str| {
        Err(Error::data(&first.arrays, Place::Whole, problem, remedy))
    };
    let found: Vec<&String> = match &options.embeddings {
        Some(asked) if models.contains(asked) => vec![asked],
        Some(asked) => models
            .iter()
            .filter(|model| model.contains(asked))
            .collect(),
        None => models.iter().collect(),
    };
    let model = match (found[..].first(), found.len(), &options.embeddings) {
        (Some(only), 1, _) => (*only).clone(),
        (None, _, Some(asked)) => {
            let problem = format!("no embeddings of '{asked}'; there are those of {}", all());
            return refuse(problem, "name one of them with --embeddings");
        }
        (None, _, None) => {
            return refuse("no arrays MODEL_img and MODEL_txt".into(), "embed the data");
        }
        _ => {
            let problem = format!("embeddings of several models: {}", all());
            return refuse(problem, "say which: --embeddings MODEL");
        }
    };
    for shard in shards {
        if !models_in(&shard.arrays)?.contains(&model) {
            let problem = format!("no arrays {model}_img and {model}_txt, which other shards have");
            let remedy = "copy the shard again";
            return Err(Error::data(&shard.arrays, Place::Whole, problem, remedy));
        }
        let used = [format!("{model}_img"), format!("{model}_txt")];
        account_for_arrays(account, &shard.arrays, &used.each_ref().map(String::as_str))?;
    }
    Ok(model)
}

/// The embeddings of all shards.
///
/// # Errors
/// If a shard has not as many rows of them as its table.
fn embeddings(shards: &[Shard], model: &str) -> Result<GivenFeatures> {
    let (mut images, mut captions) = (Vec::new(), Vec::new());
    for shard in shards {
        let n = ParquetFile::open(&shard.table)?.n_records() as usize;
        let mut archive = Archive::open(&shard.arrays)?;
        for (side, found) in [("img", &mut images), ("txt", &mut captions)] {
            let name = format!("{model}_{side}");
            let features = archive.features(&name)?;
            if features.len() != n || features.regions() != 1 {
                let problem = format!(
                    "array '{name}' has {} rows for {n} of the table",
                    features.len()
                );
                let remedy = "copy both files again";
                return Err(Error::data(&shard.arrays, Place::Whole, problem, remedy));
            }
            found.push(features);
        }
    }
    Ok(GivenFeatures {
        images: Features::concat(&images)?,
        rows: None,
        captions: Some(Features::concat(&captions)?),
        files: shards.iter().map(|shard| shard.arrays.clone()).collect(),
        account: Account::default(),
    })
}

fn columns(path: &Path, source: &Source, options: &ReadOptions) -> Result<Columns> {
    let mut choice = ColumnChoice::new(path, source);
    let uid = options.id_column.as_ref().or(options.image_column.as_ref());
    let options = ReadOptions {
        id_column: Some(uid.cloned().unwrap_or_else(|| ID.into())),
        caption_columns: Some(match &options.caption_columns {
            Some(names) => names.clone(),
            None => vec![TEXT.into()],
        }),
        ..options.clone()
    };
    let captions = choice.captions(&options, &[])?;
    let mut columns = choice.columns_of(None, captions, &options)?;
    columns.split = None;
    columns.image.clone_from(&columns.id);
    Ok(columns.with_the_rest(source.columns(), &[]))
}

/// Leaves out what the list of uids at `path` does not have.
fn keep_only(listing: &mut Listing, path: &Path) -> Result<()> {
    let wanted: HashSet<u128> = uid_list::read(path)?.into_iter().collect();
    let mut found = HashSet::new();
    for image in &mut listing.images {
        let uid = uid_list::uid_of(&image.id).filter(|uid| wanted.contains(uid));
        image.in_split &= uid.is_some();
        found.extend(uid);
    }
    let images = &listing.images;
    listing
        .captions
        .retain(|caption| images[caption.image as usize].in_split);
    let account = &mut listing.account;
    account.chose(format!(
        "the {} rows whose uid stands in {KEPT} are read, and the {} others are left out",
        found.len(),
        images.len() - found.len()
    ));
    account.pass_count("uid", "it is that of no row", wanted.len() - found.len());
    Ok(())
}

fn account_of(path: &Path, shards: &[Shard]) -> Result<Account> {
    let mut account = Account::default();
    account.used("shard", shards.len());
    if !path.is_dir() {
        return Ok(account);
    }
    let used: HashSet<PathBuf> = (shards.iter())
        .flat_map(|shard| [shard.table.clone(), shard.arrays.clone()])
        .collect();
    let folders = [path.to_path_buf(), path.join("metadata")];
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        account_for_folder(&mut account, folder, |name| {
            let is_known = name == KEPT || (folder == path && name == "metadata");
            match is_known || used.contains(&folder.join(name)) {
                true => Fate::Used,
                false => Fate::PassedOver("it is not a table or array of a shard"),
            }
        })?;
    }
    Ok(account)
}

/// The uids of the kept pairs; `None` when the pairs are not those of the rows, or an id is no uid.
fn kept_uids(dataset: &Dataset, keep: &[bool]) -> Result<Option<Vec<u128>>> {
    let mut pairs = KeptPairs::new(dataset, keep);
    let tables = dataset.files.iter();
    for table in tables.filter(|file| Kind::by_ending(file) == Some(Kind::Parquet)) {
        let found = records::columns(table)?;
        let Some(columns) = Columns::of_account(&dataset.account, &found) else {
            return Ok(None);
        };
        let wanted: Vec<Selector> = columns
            .id
            .iter()
            .chain(&columns.captions)
            .cloned()
            .collect();
        records::for_each_at(table, &wanted, |_, mut cells| {
            let captions = cells.split_off(columns.id.iter().len());
            let id = cells.pop().and_then(|cell| cell.only().ok().flatten());
            for text in texts(captions) {
                pairs.take(id.as_deref().unwrap_or_default(), &text);
            }
            Ok(())
        })?;
    }
    let Some(order) = pairs.into_order() else {
        return Ok(None);
    };
    let uid = |pair: usize| {
        let image = dataset.pairs[pair].image as usize;
        uid_list::uid_of(&dataset.image_ids[image])
    };
    Ok(order.into_iter().map(uid).collect())
}

//! The cleaned list of tables in parquet: the same files with all their columns, without the records
//! and the captions that were removed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Dataset, Picture};
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::kept_features::write_beside;
use super::kept_pairs::KeptPairs;
use super::kept_pictures;
use super::listing::Listing;
use super::naming::Naming;
use super::parquet_cells::{self, Elements};
use super::parquet_copy::{Kept, PartKept, copy};
use super::parquet_file::ParquetFile;
use super::parquet_leaf::Leaves;
use super::records::Kind;
use super::selector::Selector;
use super::shards::{HOME_ROLE, Layout};
use super::table_columns::{Columns, VECTOR_ROLE};
use super::two_columns::two_columns;
use super::write::link_as;

/// Writes the kept pairs of `dataset` as shards of the same names in `out`, beside the other splits.
///
/// # Errors
/// If a file cannot be read again or written.
pub(super) fn write(dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
    let is_parquet = |file: &&PathBuf| Kind::of(file) == Some(Kind::Parquet);
    let shards: Vec<&PathBuf> = dataset.files.iter().filter(is_parquet).collect();
    let home = dataset.account.sources(HOME_ROLE).pop().map(PathBuf::from);
    let place = |file: &Path| match home.as_ref().and_then(|home| file.strip_prefix(home).ok()) {
        Some(below) => out.join(below),
        None => out.join(file.file_name().unwrap_or_default()),
    };
    let mut written = Vec::new();
    match kept_of(dataset, keep, &shards)? {
        Some((kept, order)) => {
            for (source, kept) in shards.iter().zip(kept) {
                written.push(write_shard(source, &kept, &place(source))?);
            }
            if has_features_beside(dataset) {
                let list = place(shards[0]);
                written.push(write_beside(&list, dataset, &order)?);
            }
        }
        None => written.extend(write_pairs(dataset, keep, &place(shards[0]))?),
    }
    if let Some(home) = &home {
        written.extend(link_other_splits(dataset, home, &place)?);
    }
    Ok(written)
}

fn write_shard(source: &Path, kept: &Kept, target: &Path) -> Result<PathBuf> {
    if kept.is_all() {
        return link_as(source, target);
    }
    make_folder(target)?;
    copy(source, kept, target)?;
    Ok(target.to_path_buf())
}

fn make_folder(target: &Path) -> Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, "create", source))
}

/// Whether the features are neither pictures nor columns of the shards.
fn has_features_beside(dataset: &Dataset) -> bool {
    !dataset.images.are_pictures() && dataset.account.sources(VECTOR_ROLE).is_empty()
}

/// What stays of each shard, and the kept pairs in the order of the shards; `None` when the pairs are
/// not those of the shards, because noise was planted.
fn kept_of(
    dataset: &Dataset,
    keep: &[bool],
    shards: &[&PathBuf],
) -> Result<Option<(Vec<Kept>, Vec<usize>)>> {
    let Some(first) = shards.first() else {
        return Ok(None);
    };
    let file = ParquetFile::open(first)?;
    let names: Vec<String> = file.fields().iter().map(|f| f.name().to_owned()).collect();
    let Some(columns) = Columns::of_account(&dataset.account, &names) else {
        return Ok(None);
    };
    let files: Vec<PathBuf> = shards.iter().map(|file| (*file).clone()).collect();
    let mut listing = Listing::default();
    if has_pictures_inside(dataset) {
        listing.take_pictures(&files, &columns)?;
    }
    let lists = columns.captions.iter().map(|place| is_list(&file, place));
    let mut walk = Walk {
        pairs: KeptPairs::new(dataset, keep),
        naming: listing.naming,
        lists: lists.collect(),
        columns: &columns,
        record: 0,
    };
    let kept = files.iter().map(|file| walk.file(file));
    let kept = kept.collect::<Result<Vec<Kept>>>()?;
    Ok(walk.pairs.into_order().map(|order| (kept, order)))
}

fn has_pictures_inside(dataset: &Dataset) -> bool {
    let first = (dataset.n_images() > 0).then(|| dataset.images.picture(0));
    matches!(first.flatten(), Some(Picture::Value { .. }))
}

fn is_list(file: &ParquetFile, place: &Selector) -> bool {
    Leaves::find(file, place).is_ok_and(|leaves| leaves.texts.column.max_rep_level() > 0)
}

/// A walk over the records of all shards in their order.
struct Walk<'a> {
    pairs: KeptPairs<'a>,
    naming: Naming,
    columns: &'a Columns,
    /// Which of the places of captions lie in lists.
    lists: Vec<bool>,
    /// Records of the shards before.
    record: u32,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path) -> Result<Kept> {
        let mut kept = Kept::default();
        let wanted = self.columns.wanted();
        parquet_cells::for_each_elements(path, &wanted, u32::MAX, |_, elements| {
            let parts = self.record(elements);
            let at = kept.records.len() as u32;
            kept.records.push(parts.is_some());
            if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
                kept.parts.insert(at, parts);
            }
            Ok(())
        })?;
        Ok(kept)
    }

    /// What stays of one record: `None` when nothing does, and nothing in the list when all does.
    fn record(&mut self, mut elements: Vec<Elements>) -> Option<Vec<(String, PartKept)>> {
        let record = self.record;
        self.record += 1;
        let n_images = usize::from(self.columns.image.is_some());
        let of_captions = n_images..n_images + self.columns.captions.len();
        let captions: Vec<Elements> = elements.drain(of_captions).collect();
        let id = self.id(record, elements)?;
        if !self.pairs.has_image(&id) {
            return None;
        }
        let is_text = |text: &String| !text.trim().is_empty();
        let has_text = |found: &Elements| found.texts.iter().flatten().any(is_text);
        if !captions.iter().any(has_text) {
            return self.pairs.take(&id, "").then(Vec::new);
        }
        let mut parts = Vec::new();
        let mut any = false;
        for ((place, is_list), found) in
            (self.columns.captions.iter().zip(&self.lists)).zip(captions)
        {
            let flag = |text: Option<String>| match text.filter(is_text) {
                Some(text) => {
                    let keep = self.pairs.take(&id, &text);
                    any |= keep;
                    keep
                }
                // What is no caption stays with those that do.
                None => true,
            };
            let flags: Vec<bool> = found.texts.into_iter().map(flag).collect();
            if flags.iter().any(|keep| !keep) {
                let part = if *is_list {
                    PartKept::Elements(flags)
                } else {
                    PartKept::Nothing
                };
                parts.push((place.column.clone(), part));
            }
        }
        any.then_some(parts)
    }

    /// The id of the image of a record.
    fn id(&self, record: u32, elements: Vec<Elements>) -> Option<String> {
        let mut cells = elements.into_iter().map(Elements::into_cell);
        let n_images = usize::from(self.columns.image.is_some());
        let image = cells
            .by_ref()
            .take(n_images)
            .next()
            .unwrap_or(Cell::Missing);
        match &self.columns.id {
            Some(_) => cells.next_back()?.only().ok()?,
            None => self.naming.name(record, image).ok()?,
        }
    }
}

/// The kept pairs one a record, with their pictures or the features of their images.
fn write_pairs(dataset: &Dataset, keep: &[bool], target: &Path) -> Result<Vec<PathBuf>> {
    make_folder(target)?;
    if kept_pictures::hold_bytes(dataset) {
        kept_pictures::write(dataset, keep, target)?;
        return Ok(vec![target.to_path_buf()]);
    }
    let texts = dataset.require_captions()?;
    let order: Vec<usize> = (0..keep.len()).filter(|pair| keep[*pair]).collect();
    let row = |pair: &usize| {
        let pair = dataset.pairs[*pair];
        let id = dataset.image_ids[pair.image as usize].as_str();
        (id, texts[pair.caption as usize].as_str())
    };
    let rows: Vec<(&str, &str)> = order.iter().map(row).collect();
    let bytes = two_columns(["image", "caption"], &rows).map_err(|cause| {
        let problem = format!("cannot be written: {cause}");
        let remedy = "choose CSV or JSONL for the data";
        Error::data(target, Place::Whole, problem, remedy)
    })?;
    durable::write(target, &bytes)?;
    let mut written = vec![target.to_path_buf()];
    if !dataset.images.are_pictures() {
        written.push(write_beside(target, dataset, &order)?);
    }
    Ok(written)
}

/// Makes the splits that were not cleaned available beside the cleaned one.
fn link_other_splits(
    dataset: &Dataset,
    home: &Path,
    place: impl Fn(&Path) -> PathBuf,
) -> Result<Vec<PathBuf>> {
    let layout = Layout::of(home)?;
    let own: HashSet<&PathBuf> = dataset.files.iter().collect();
    let others = layout.files().filter(|file| !own.contains(file));
    others.map(|file| link_as(file, &place(file))).collect()
}

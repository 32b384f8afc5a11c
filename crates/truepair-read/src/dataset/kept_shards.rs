//! The cleaned list of tables: the same files with all their columns, without the records and the
//! captions that were removed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Dataset, Picture};
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::kept_features::write_beside;
use super::kept_pairs::KeptPairs;
use super::kept_pictures;
use super::kept_table::{KeptTable, Records, kept, pairs_alone};
use super::kept_vectors::write_vectors;
use super::listing::Listing;
use super::naming::Naming;
use super::parquet_cells::{self, Elements};
use super::parquet_copy::{Kept, PartKept, copy};
use super::parquet_file::ParquetFile;
use super::parquet_leaf::Leaves;
use super::records::{Kind, columns, unpacked};
use super::selector::{Selector, Step};
use super::shards::{HOME_ROLE, Layout};
use super::table_columns::{Columns, VECTOR_ROLE};
use super::table_rows::split_name;
use super::two_columns::two_columns;
use super::write::link_as;
use crate::text_file::{pack, packing_named_by};

/// Writes the kept pairs of `dataset` as tables of the same names in `out`, beside the other splits.
///
/// # Errors
/// If a file cannot be read again or written.
pub(super) fn write(dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
    let is_table = |file: &&PathBuf| Kind::of(file).is_some();
    let shards: Vec<&PathBuf> = dataset.files.iter().filter(is_table).collect();
    let home = dataset.account.sources(HOME_ROLE).pop().map(PathBuf::from);
    let below_home = |file: &Path| {
        let below = file.strip_prefix(home.as_ref()?).ok()?;
        // A table that is named itself has nothing below it.
        (!below.as_os_str().is_empty()).then(|| below.to_path_buf())
    };
    let place = |file: &Path| match below_home(file) {
        Some(below) => out.join(below),
        None => out.join(file.file_name().unwrap_or_default()),
    };
    let mut written = Vec::new();
    match kept_of(dataset, keep, &shards)? {
        Some((kept, order)) => {
            for (source, kept) in shards.iter().zip(kept) {
                written.push(write_shard(source, kept, &place(source))?);
            }
            if has_features_beside(dataset) {
                let list = unpacked(&place(shards[0])).to_path_buf();
                written.push(write_beside(&list, dataset, &order)?);
            }
        }
        None => {
            let kind = Kind::of(shards[0]);
            written.extend(write_pairs(dataset, keep, kind, &place(shards[0]))?);
        }
    }
    if let Some(home) = &home {
        written.extend(link_other_splits(dataset, home, place)?);
    }
    Ok(written)
}

/// What stays of one file.
enum KeptShard {
    Parquet(Kept),
    Text(KeptTable),
}

fn write_shard(source: &Path, kept: KeptShard, target: &Path) -> Result<PathBuf> {
    let is_whole = match &kept {
        KeptShard::Parquet(kept) => kept.is_all(),
        KeptShard::Text(kept) => !kept.has_changed,
    };
    if is_whole {
        return link_as(source, target);
    }
    make_folder(target)?;
    match kept {
        KeptShard::Parquet(kept) => copy(source, &kept, target)?,
        KeptShard::Text(kept) => write_text(target, kept.bytes)?,
    }
    Ok(target.to_path_buf())
}

/// Writes a table, packed as its name says.
fn write_text(target: &Path, bytes: Vec<u8>) -> Result<()> {
    let bytes = pack(packing_named_by(target), bytes);
    let bytes = bytes.map_err(|cause| Error::io(target, "pack", cause))?;
    durable::write(target, &bytes)
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
) -> Result<Option<(Vec<KeptShard>, Vec<usize>)>> {
    let Some(first) = shards.first() else {
        return Ok(None);
    };
    // Columns of a table that names none are called by numbers, which no header gives back.
    let named = columns_of(first)?;
    let Some(columns) = Columns::of_account(&dataset.account, &named) else {
        return Ok(None);
    };
    let files: Vec<PathBuf> = shards.iter().map(|file| (*file).clone()).collect();
    let mut listing = Listing::default();
    if has_pictures_inside(dataset) {
        listing.take_pictures(&files, &columns)?;
    }
    let mut walk = Walk {
        pairs: KeptPairs::new(dataset, keep),
        naming: match columns.image {
            Some(_) => listing.naming,
            None => Naming::Number,
        },
        columns: &columns,
        record: 0,
        split: &dataset.split,
    };
    let kept = files.iter().map(|file| walk.file(file));
    let kept = kept.collect::<Result<Vec<KeptShard>>>()?;
    Ok(walk.pairs.into_order().map(|order| (kept, order)))
}

/// The names of the columns of a table, and their numbers.
fn columns_of(path: &Path) -> Result<Vec<String>> {
    let mut named = columns(path)?;
    let numbers = (1..=named.len()).map(|number| number.to_string());
    let numbers: Vec<String> = numbers.filter(|number| !named.contains(number)).collect();
    named.extend(numbers);
    Ok(named)
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
    /// Records of the shards before.
    record: u32,
    /// The split that was read.
    split: &'a str,
}

impl Walk<'_> {
    fn file(&mut self, path: &Path) -> Result<KeptShard> {
        if Kind::by_ending(path) == Some(Kind::Parquet) {
            return self.parquet(path).map(KeptShard::Parquet);
        }
        let records = Records {
            columns: self.columns,
            naming: self.naming,
            first: self.record,
            split: self.split,
        };
        let (kept, n) = kept(path, records, &mut self.pairs)?;
        self.record += n;
        Ok(KeptShard::Text(kept))
    }

    fn parquet(&mut self, path: &Path) -> Result<Kept> {
        let file = ParquetFile::open(path)?;
        let lists = self.columns.captions.iter();
        let lists: Vec<bool> = lists.map(|place| is_list(&file, place)).collect();
        let mut kept = Kept::default();
        let wanted = self.columns.wanted();
        parquet_cells::for_each_elements(path, &wanted, u32::MAX, |_, elements| {
            let parts = self.record(elements, &lists);
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
    fn record(
        &mut self,
        mut elements: Vec<Elements>,
        lists: &[bool],
    ) -> Option<Vec<(String, PartKept)>> {
        let record = self.record;
        self.record += 1;
        let n_images = usize::from(self.columns.image.is_some());
        let of_captions = n_images..n_images + self.columns.captions.len();
        let captions: Vec<Elements> = elements.drain(of_captions).collect();
        if self.columns.split.is_some() {
            // The same pair may stand in another split too.
            let split = elements.remove(n_images).into_cell();
            if split_name(split) != self.split {
                return None;
            }
        }
        let id = self.id(record, elements)?;
        if !self.pairs.has_image(&id) {
            return None;
        }
        let has_caption = |(found, is_list): (&Elements, &bool)| {
            let mut texts = found.texts.iter().flatten();
            texts.any(|text| *is_list || is_text(text))
        };
        if !captions.iter().zip(lists).any(has_caption) {
            return self.pairs.take(&id, "").then(Vec::new);
        }
        let mut parts = Vec::new();
        let mut any = false;
        let places = self.columns.captions.iter().zip(lists);
        for ((place, is_list), found) in places.zip(captions) {
            let flags = self.flags(&id, (place, *is_list), found);
            any |= flags.any;
            if flags.stays.iter().all(|stays| *stays) {
                continue;
            }
            let part = if *is_list {
                PartKept::Elements(flags.stays)
            } else {
                PartKept::Nothing
            };
            parts.push((place.column.clone(), part));
        }
        any.then_some(parts)
    }

    /// Which elements at `place` stay: captions that are kept, and what is no caption beside them.
    fn flags(&mut self, id: &str, (place, is_list): (&Selector, bool), found: Elements) -> Flags {
        let mut flags = Flags::default();
        let is_talk = matches!(place.steps.first(), Some(Step::Where { .. }));
        let mut before_is_question = false;
        for text in found.texts {
            let text = text.and_then(|text| place.plain(text));
            let text = match text {
                // A blank element of a list is an empty caption.
                Some(text) if is_list && !is_text(&text) => Some(String::new()),
                other => other.filter(|text| is_text(text)),
            };
            let is_caption = text.is_some();
            let stays = text.is_none_or(|text| self.pairs.take(id, &text));
            flags.any |= is_caption && stays;
            // With an answer goes the question before it.
            if !stays && is_talk && before_is_question {
                flags.stays.pop();
                flags.stays.push(false);
            }
            flags.stays.push(stays);
            before_is_question = !is_caption;
        }
        flags
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

/// What stays of a list.
#[derive(Default)]
struct Flags {
    stays: Vec<bool>,
    /// Whether a caption does.
    any: bool,
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty()
}

/// The kept pairs one a record, with their pictures or the features of their images.
fn write_pairs(
    dataset: &Dataset,
    keep: &[bool],
    kind: Option<Kind>,
    target: &Path,
) -> Result<Vec<PathBuf>> {
    make_folder(target)?;
    if kept_pictures::hold_bytes(dataset) {
        kept_pictures::write(dataset, keep, target)?;
        return Ok(vec![target.to_path_buf()]);
    }
    let order: Vec<usize> = (0..keep.len()).filter(|pair| keep[*pair]).collect();
    if !dataset.account.sources(VECTOR_ROLE).is_empty() {
        write_vectors(dataset, &order, target)?;
        return Ok(vec![target.to_path_buf()]);
    }
    let texts = dataset.require_captions()?;
    let row = |pair: &usize| {
        let pair = dataset.pairs[*pair];
        let id = dataset.image_ids[pair.image as usize].as_str();
        (id, texts[pair.caption as usize].as_str())
    };
    let rows: Vec<(&str, &str)> = order.iter().map(row).collect();
    let bytes = match kind {
        Some(Kind::Parquet) => two_columns(["image", "caption"], &rows).map_err(|cause| {
            let problem = format!("cannot be written: {cause}");
            let remedy = "choose CSV or JSONL for the data";
            Error::data(target, Place::Whole, problem, remedy)
        })?,
        _ => pairs_alone(kind, &rows),
    };
    write_text(target, bytes)?;
    let mut written = vec![target.to_path_buf()];
    if !dataset.images.are_pictures() {
        written.push(write_beside(unpacked(target), dataset, &order)?);
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

//! Shards of samples in tar archives: `KEY.jpg`, `KEY.txt` and `KEY.json`, as webdataset and
//! img2dataset write them.
//!
//! Shards are read to their ends, so the members of a sample may lie anywhere in theirs. Pictures
//! stay where they are.

mod field;
mod group;
mod kept;
mod packed;
mod sample;
mod shards;
pub(super) mod status;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use truepair_core::dataset::{Account, Dataset, Picture};
use truepair_core::error::Result;

use field::Field;
use group::{KeyEnd, Members, Met, groups, key_end};
use kept::KeptKeys;
use packed::{PackedPictures, Shelf};
use sample::{Assembler, Wanted};
use shards::{Shard, Shards};

use super::captioned_pictures::{self, Captioned, Gathered};
use super::picture_folders::of_member;
use super::tar::{Member, Packing};
use super::write_options::{WriteForm, WriteOptions};
use super::{Choice, Format, ReadOptions, resolve_split};

/// One tar archive, or folders of them.
pub(super) struct WebDataset;

impl Format for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn summary(&self) -> &'static str {
        "Shards of pictures and captions as img2dataset writes them; members up to the first dot of \
         their name belong together, or up to the last one where a key would own several captioned \
         pictures. Folders or names with `train`, `val` or `test` in them are splits."
    }

    fn files(&self) -> &'static str {
        "one or more `.tar`, `.tar.gz` or `.tar.zst` of `KEY.jpg` (or `.png`, `.webp`, …) and \
         `KEY.txt` (or `.text`, `.caption`, `.cap`; one caption a line) or `KEY.json` with `caption` \
         or a list `captions`, optional `KEY.cls` (class), `NAME_stats.json` and `NAME.parquet` of \
         img2dataset beside a shard; the options of columns name other endings or keys"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let first = Shards::first(path)?;
        let name = first.file_name()?.to_string_lossy().into_owned();
        Some(match path.is_dir() {
            true => format!("the folder holds tar archives, {name} one of them"),
            false => format!("{name} is a tar archive by its ending"),
        })
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(Shards::find(path)?.splits())
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let shards = Shards::find(path)?;
        let split = resolve_split(path, options, &shards.splits())?;
        let kept = shards.kept.as_deref().map(KeptKeys::read).transpose()?;
        if let Some(kept) = kept.as_ref().filter(|_| path.is_dir()) {
            kept.refuse_missing(shards.all.iter().map(|shard| shard.name.as_str()))?;
        }
        let reader = Reader {
            options,
            kept: kept.as_ref(),
            shelf: Shelf::default(),
        };
        let own: Vec<&Shard> = (shards.all.iter())
            .filter(|shard| shard.split == split)
            .collect();
        let found = own.par_iter().map(|shard| reader.read(shard));
        let found = found.collect::<Result<Vec<Found>>>()?;
        let mut gathered = Gathered {
            account: shards.account,
            ..Gathered::default()
        };
        gathered.account.used("shard", own.len());
        let others = shards.all.len() - own.len();
        gathered.account.used("shard of other splits", others);
        join(found, &mut gathered);
        captioned_pictures::into_dataset(self.name(), path, split, gathered, options)
    }

    fn choices(&self, _path: &Path) -> &'static [Choice] {
        &[Choice::ImageColumn, Choice::CaptionColumns]
    }

    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        kept::write(dataset, keep, out, &WriteOptions::default())
    }

    fn forms(&self) -> &'static [WriteForm] {
        &[WriteForm::Own, WriteForm::Shards, WriteForm::Keys]
    }

    fn write_as(
        &self,
        dataset: &Dataset,
        keep: &[bool],
        out: &Path,
        options: &WriteOptions,
    ) -> Result<Vec<PathBuf>> {
        kept::write(dataset, keep, out, options)
    }
}

/// What one shard holds.
struct Found {
    pictures: Vec<Captioned>,
    account: Account,
    /// Keys of JSON that nobody asks for.
    unread: BTreeSet<String>,
    keys: Vec<String>,
}

/// Joins what the shards hold, in their order.
fn join(found: Vec<Found>, gathered: &mut Gathered) {
    let mut unread = BTreeSet::new();
    let mut keys = HashSet::new();
    for shard in found {
        gathered.account.merge(shard.account);
        gathered.pictures.extend(shard.pictures);
        unread.extend(shard.unread);
        for key in shard.keys {
            // Two keys of one hash are told of as one; nothing is decided by it.
            let mut hash = DefaultHasher::new();
            key.hash(&mut hash);
            if !keys.insert(hash.finish()) {
                let how = "it stands in several shards, whose names tell its samples apart";
                gathered.account.chose_for("key", how, key);
            }
        }
    }
    for key in unread {
        gathered
            .account
            .pass("key of JSON", "it is not asked for", key);
    }
}

struct Reader<'a> {
    options: &'a ReadOptions,
    kept: Option<&'a KeptKeys>,
    shelf: Shelf,
}

impl Reader<'_> {
    fn read(&self, shard: &Shard) -> Result<Found> {
        let wanted = Wanted::of(self.options);
        let members = Members::read(&shard.path, wanted.captions)?;
        let mut assembler = Assembler {
            shard: &shard.path,
            end: KeyEnd::FirstDot,
            wanted,
            account: members.account,
        };
        if !wanted.names_endings() {
            assembler.end = self.end(shard, &members.met, &mut assembler.account);
        }
        let mut found = Found {
            pictures: Vec::new(),
            account: Account::default(),
            unread: unread_keys(&members.met),
            keys: Vec::new(),
        };
        let pictures = self.samples(shard, &members.met, &mut assembler, &mut found)?;
        found.account = assembler.account;
        self.place(shard, members.packing, &pictures, &mut found);
        if self.kept.is_none() {
            let keys = found.keys.iter().map(String::as_str).collect();
            status::account_for_downloads(shard, &keys, &mut found.account)?;
        }
        Ok(found)
    }

    /// Adds the samples of a shard, whose pictures are returned and have yet to be placed.
    fn samples<'m>(
        &self,
        shard: &Shard,
        met: &'m [Met],
        assembler: &mut Assembler<'_>,
        found: &mut Found,
    ) -> Result<Vec<&'m Member>> {
        let kept = self.kept.and_then(|kept| kept.of_shard(&shard.name));
        let mut pictures = Vec::new();
        for group in groups(met, assembler.end) {
            let listed = kept.map(|kept| kept.get(group.key));
            if listed == Some(None) {
                assembler.account.used("sample of those left out", 1);
                continue;
            }
            let Some(sample) = assembler.sample(met, &group)? else {
                continue;
            };
            let captions = listed.flatten().and_then(Option::clone);
            found.keys.push(group.key.to_owned());
            found.pictures.push(Captioned {
                id: format!("{}#{}", shard.name, sample.picture.name),
                picture: Picture::Missing {
                    name: PathBuf::new(),
                },
                captions: captions.unwrap_or(sample.captions),
                label: sample.label,
            });
            pictures.push(sample.picture);
        }
        if let Some(kept) = self.kept {
            kept.refuse_unknown(&shard.name, &found.keys)?;
        }
        Ok(pictures)
    }

    fn end(&self, shard: &Shard, met: &[Met], account: &mut Account) -> KeyEnd {
        let (end, merged) = key_end(met);
        if let Some(key) = merged {
            let how = "names count up to the last dot, as up to the first one several captioned \
                       pictures would be one sample";
            account.chose_for("shard", how, format!("{}#{key}", shard.name));
        }
        end
    }

    /// Says of every picture where its bytes are.
    fn place(&self, shard: &Shard, packing: Packing, pictures: &[&Member], found: &mut Found) {
        let places = found.pictures.iter_mut().map(|one| &mut one.picture);
        if packing == Packing::Plain {
            let archive: Arc<Path> = shard.path.as_path().into();
            for (place, member) in places.zip(pictures) {
                *place = of_member(archive.clone(), member);
            }
            return;
        }
        let is_named = !shard.name.ends_with(".tar");
        let unnamed = if is_named {
            ""
        } else {
            ", though its name does not say so,"
        };
        let how = format!(
            "it is packed with {packing}{unnamed} and unpacked as it is read; unpack it before \
             pictures are read in random order"
        );
        found.account.chose_for("shard", &how, &shard.name);
        let members = pictures.iter().map(|member| (*member).clone()).collect();
        let column = Arc::new(PackedPictures::new(
            &shard.path,
            members,
            self.shelf.clone(),
        ));
        for (place, record) in places.zip(0..) {
            *place = Picture::Value {
                column: column.clone(),
                record,
            };
        }
    }
}

/// Keys that are told of; a shard with more is no list of captions.
const KEYS: usize = 1000;

fn unread_keys(met: &[Met]) -> BTreeSet<String> {
    let mut unread = BTreeSet::new();
    for (_, field) in met {
        if let Field::Json(json) = field {
            let keys = json.unread.iter().filter(|_| unread.len() < KEYS);
            let new: Vec<String> = keys.filter(|key| !unread.contains(*key)).cloned().collect();
            unread.extend(new);
        }
    }
    unread
}

#[cfg(test)]
mod tests;

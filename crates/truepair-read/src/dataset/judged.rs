//! Pictures and texts that lie apart and are joined by ids, as benchmarks of retrieval keep them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Features, Picture};
use truepair_core::error::{Error, Place, Result};
use truepair_core::pair::Pair;

use super::empty_captions::settle_empty_captions;
use super::kept_pairs::KeptPairs;
use super::{ReadOptions, name_of};
use crate::spelling::normal;

/// Items by their ids, in the order of their file.
#[derive(Debug)]
pub(super) struct Items<T> {
    pub(super) ids: Vec<String>,
    pub(super) items: Vec<T>,
    /// Where each item stands, for messages.
    places: Vec<Place>,
    index: HashMap<String, u32>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            items: Vec::new(),
            places: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<T> Items<T> {
    /// Adds an item that stands at `place` of `path`.
    ///
    /// # Errors
    /// If another item has its id, or the id is empty.
    pub(super) fn add(&mut self, path: &Path, place: Place, id: String, item: T) -> Result<()> {
        if id.trim().is_empty() {
            let remedy = "give every item an id";
            return Err(Error::data(path, place, "the id is empty", remedy));
        }
        let key = normal(&id).into_owned();
        if let Some(first) = self.index.insert(key, self.items.len() as u32) {
            let first = self.places[first as usize].to_string();
            let first = first.trim_start_matches([':', ' ']).to_owned();
            return Err(Error::data(
                path,
                place,
                format!("id '{id}' was already used (at {first})"),
                "give every item an id of its own, or remove one of the two",
            ));
        }
        self.ids.push(id);
        self.items.push(item);
        self.places.push(place);
        Ok(())
    }

    /// The index of the item with this id.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.index.get(normal(id).as_ref()).copied()
    }

    /// Leaves out the items whose flag in `stays` `[n]` is not set; returns their ids.
    pub(super) fn retain(&mut self, stays: &[bool]) -> Vec<String> {
        let flags = || stays.iter().copied();
        let mut left_out = Vec::new();
        let mut kept = Self::default();
        let all = std::mem::take(&mut self.ids)
            .into_iter()
            .zip(std::mem::take(&mut self.items))
            .zip(std::mem::take(&mut self.places));
        for (stays, ((id, item), place)) in flags().zip(all) {
            if !stays {
                left_out.push(id);
                continue;
            }
            let key = normal(&id).into_owned();
            kept.index.insert(key, kept.items.len() as u32);
            kept.ids.push(id);
            kept.items.push(item);
            kept.places.push(place);
        }
        *self = kept;
        left_out
    }
}

/// The pictures and texts of one split, and the ids that belong together.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) images: Items<Picture>,
    pub(super) texts: Items<String>,
    /// Ids of an image and a text.
    pub(super) pairs: Vec<(String, String)>,
    /// Every file that was read.
    pub(super) files: Vec<PathBuf>,
    /// Where the texts stand, for messages.
    pub(super) text_file: PathBuf,
    pub(super) account: Account,
}

impl Judged {
    /// Joins the pairs, whose ids must be known.
    ///
    /// # Errors
    /// If there is no image, or a text is empty and that is refused.
    ///
    /// # Panics
    /// If a pair has an id that no item has.
    pub(super) fn into_dataset(
        mut self,
        format: &'static str,
        path: &Path,
        split: String,
        options: &ReadOptions,
    ) -> Result<Dataset> {
        if self.images.items.is_empty() {
            let met = self.account.summary().unwrap_or_default();
            return Err(Error::data(
                path,
                Place::Whole,
                format!("split '{split}' has no picture; {met}"),
                "choose another split, or check that ids agree in all files",
            ));
        }
        let known = "pairs have known ids";
        let pair = |(image, text): &(String, String)| Pair {
            image: self.images.find(image).expect(known),
            caption: self.texts.find(text).expect(known),
        };
        let pairs: Vec<Pair> = self.pairs.iter().map(pair).collect();
        self.account.used("picture", self.images.items.len());
        self.account.used("caption", self.texts.items.len());
        self.account.used("pair", pairs.len());
        let pictures = &self.images.items;
        let files = pictures.iter().map(|picture| match picture {
            Picture::File(file) => Some(file.clone()),
            _ => None,
        });
        let files: Vec<Option<PathBuf>> = files.collect();
        let places = self.texts.places;
        let dataset = Dataset {
            name: name_of(path),
            format,
            split,
            image_files: match files.iter().any(Option::is_some) {
                true => files,
                false => Vec::new(),
            },
            images: Features::from_pictures(self.images.items),
            image_ids: self.images.ids,
            captions: Some(self.texts.items),
            caption_features: None,
            pairs,
            labels: None,
            files: self.files,
            account: self.account,
        };
        settle_empty_captions(dataset, options.on_empty, &self.text_file, |n| places[n])
    }
}

/// Which of `pairs`, ids of images and texts in the order in which they were read, stay; `None` when the
/// pairs of `dataset` are others than those, because noise was planted.
pub(super) fn kept_flags<'a>(
    dataset: &Dataset,
    keep: &[bool],
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<Vec<bool>> {
    let mut known = KeptPairs::new(dataset, keep);
    let flags = pairs.map(|(image, text)| known.take(image, text));
    let flags: Vec<bool> = flags.collect();
    known.into_order().map(|_| flags)
}

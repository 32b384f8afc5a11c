//! Which captions of a list stay, found again by their texts and the ids of their images.
//!
//! A list is read again in its own order when the cleaned one is written, so the n-th caption of an
//! image with some text is the n-th such pair of the data set, whatever was removed between.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use truepair_core::dataset::Dataset;

use crate::spelling::normal;

/// Pairs, by the id of their image and the text of their caption.
pub(super) struct KeptPairs<'a> {
    dataset: &'a Dataset,
    keep: &'a [bool],
    /// Rows of the images by their names in normal spelling.
    images: HashMap<Cow<'a, str>, u32>,
    /// The next pair of an image and a text, whose hash it is.
    first: HashMap<(u32, u64), usize>,
    /// The pair that follows each with the same image and text.
    after: Vec<Option<usize>>,
    /// Kept pairs in the order in which the list has them.
    found: Vec<usize>,
}

impl<'a> KeptPairs<'a> {
    /// The flags `keep` `[n_pairs]` of `dataset`.
    pub(super) fn new(dataset: &'a Dataset, keep: &'a [bool]) -> Self {
        let ids = dataset.image_ids.iter().map(|id| normal(id));
        let mut pairs = Self {
            dataset,
            keep,
            images: ids.zip(0..).collect(),
            first: HashMap::new(),
            after: vec![None; keep.len()],
            found: Vec::new(),
        };
        for (n, pair) in dataset.pairs.iter().enumerate().rev() {
            let key = (pair.image, hash(pairs.text(n)));
            pairs.after[n] = pairs.first.insert(key, n);
        }
        pairs
    }

    /// The text of pair `n`; nothing where captions are embeddings alone.
    fn text(&self, n: usize) -> &'a str {
        let texts = self.dataset.captions.as_ref();
        let caption = self.dataset.pairs[n].caption as usize;
        texts.map_or("", |texts| texts[caption].as_str())
    }

    /// Whether the data set has an image of this id.
    pub(super) fn has_image(&self, id: &str) -> bool {
        self.images.contains_key(normal(id).as_ref())
    }

    /// Whether the next caption `text` of image `id` is kept; those that the data set does not have
    /// are not.
    pub(super) fn take(&mut self, id: &str, text: &str) -> bool {
        let Some(&image) = self.images.get(normal(id).as_ref()) else {
            return false;
        };
        let key = (image, hash(text));
        let Some(&pair) = self.first.get(&key) else {
            return false;
        };
        match self.after[pair] {
            Some(next) => self.first.insert(key, next),
            None => self.first.remove(&key),
        };
        let keep = self.keep[pair] && self.text(pair) == text;
        if keep {
            self.found.push(pair);
        }
        keep
    }

    /// The kept pairs in the order in which they were taken; `None` when not all were: pairs were
    /// changed after they were read, as planted noise does.
    pub(super) fn into_order(self) -> Option<Vec<usize>> {
        let n_kept = self.keep.iter().filter(|keep| **keep).count();
        (self.found.len() == n_kept).then_some(self.found)
    }
}

fn hash(text: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    hash.finish()
}

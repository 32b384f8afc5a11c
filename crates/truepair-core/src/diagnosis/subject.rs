//! What diagnoses look at: one split, what its rows hold, and other splits beside it.

use std::collections::HashMap;

use crate::audit::group_captions;
use crate::dataset::{Dataset, RowContent, RowContents};
use crate::error::Result;
use crate::rng::Seed;

/// A split with what was learned of it in one pass.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The split.
    pub dataset: &'a Dataset,
    /// What its rows of image features hold; nothing where images are pictures.
    pub images: RowContents,
    /// What its rows of caption embeddings hold; nothing where there are none.
    pub captions: RowContents,
    /// Splits of the same data that should share no item with it.
    pub beside: Vec<&'a Subject<'a>>,
    pub(super) seed: Seed,
}

impl<'a> Subject<'a> {
    /// Reads every row of the split's features once. `seed` chooses what is looked at where not
    /// everything can be.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn new(dataset: &'a Dataset, seed: Seed) -> Result<Self> {
        let captions = match &dataset.caption_features {
            Some(named) => RowContents::of(&named.features)?,
            None => RowContents::default(),
        };
        Ok(Self {
            images: RowContents::of(&dataset.images)?,
            dataset,
            captions,
            beside: Vec::new(),
            seed,
        })
    }

    /// The same split with others beside it, whose items it should not hold.
    pub fn beside(self, others: Vec<&'a Subject<'a>>) -> Self {
        Self {
            beside: others,
            ..self
        }
    }

    /// Per image a number that equal ones share; every image by itself where they are pictures.
    pub(super) fn image_groups(&self) -> Vec<u32> {
        if self.images.is_empty() {
            (0..self.dataset.n_images() as u32).collect()
        } else {
            self.images.groups()
        }
    }

    /// Per caption a number that captions of equal normalized text share, or of equal vectors where
    /// there is no text.
    pub(super) fn caption_groups(&self) -> Vec<u32> {
        match &self.dataset.captions {
            Some(texts) => group_captions(texts),
            None => self.captions.groups(),
        }
    }

    /// Whether the row of an image says something: it is neither blank nor broken.
    pub(super) fn image_tells(&self, image: u32) -> bool {
        tells(&self.images, image)
    }

    /// Whether the row of a caption says something: it is neither blank nor broken.
    pub(super) fn caption_tells(&self, caption: u32) -> bool {
        tells(&self.captions, caption)
    }

    /// Whether some row holds a NaN or an infinite number.
    pub(super) fn is_broken(&self) -> bool {
        [&self.images, &self.captions]
            .into_iter()
            .any(|rows| (0..rows.len()).any(|row| rows.content(row) == RowContent::NotFinite))
    }
}

fn tells(rows: &RowContents, row: u32) -> bool {
    rows.is_empty() || rows.content(row as usize) == RowContent::Numbers
}

/// How often every group stands in a list, and where it stands first.
pub(super) fn tally(groups: &[u32]) -> HashMap<u32, (usize, usize)> {
    let mut tally = HashMap::new();
    for (place, &group) in groups.iter().enumerate() {
        tally.entry(group).or_insert((0, place)).0 += 1;
    }
    tally
}

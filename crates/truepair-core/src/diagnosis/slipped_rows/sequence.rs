//! The pairs as rows: which image, which caption, and which rows tell anything.

use std::collections::HashMap;

use super::super::Subject;
use crate::dataset::ImageRows;

/// The rows of a split in the order in which they were read.
pub(super) struct Sequence<'a> {
    pub(super) rows: ImageRows<'a>,
    /// Caption of every row.
    pub(super) caption: Vec<u32>,
    /// Per position a number that equal images share.
    image_group: Vec<u32>,
    /// Per row a number that equal captions share.
    caption_group: Vec<u32>,
    /// The first row of every position.
    first_row: Vec<u32>,
    /// Per row whether image and caption hold something.
    pub(super) tells: Vec<bool>,
    /// The position of every image.
    position_of: HashMap<u32, u32>,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(subject: &'a Subject<'a>) -> Self {
        let dataset = subject.dataset;
        let rows = ImageRows::new(&dataset.pairs, &dataset.image_ids);
        let (images, captions) = (subject.image_groups(), subject.caption_groups());
        let mut first_row = vec![u32::MAX; rows.images.len()];
        for (&position, row) in rows.position.iter().zip(0..) {
            let first: &mut u32 = &mut first_row[position as usize];
            *first = (*first).min(row);
        }
        let tells = (dataset.pairs.iter())
            .map(|pair| subject.image_tells(pair.image) && subject.caption_tells(pair.caption));
        Self {
            caption: dataset.pairs.iter().map(|pair| pair.caption).collect(),
            image_group: (rows.images.iter())
                .map(|&image| images[image as usize])
                .collect(),
            caption_group: (dataset.pairs.iter())
                .map(|pair| captions[pair.caption as usize])
                .collect(),
            first_row,
            tells: tells.collect(),
            position_of: rows.images.iter().copied().zip(0..).collect(),
            rows,
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.caption.len()
    }

    /// Number of distinct images.
    pub(super) fn n_positions(&self) -> usize {
        self.rows.images.len()
    }

    /// The position of an image.
    pub(super) fn position(&self, image: u32) -> u32 {
        self.position_of[&image]
    }

    /// Whether two positions hold the same image.
    pub(super) fn is_same(&self, a: u32, b: u32) -> bool {
        self.image_group[a as usize] == self.image_group[b as usize]
    }

    /// Whether a row's caption is also that of the image at a position.
    pub(super) fn has_caption_of(&self, row: u32, position: u32) -> bool {
        let other = self.first_row[position as usize];
        self.caption_group[row as usize] == self.caption_group[other as usize]
    }

    /// Captions an image, where all have as many and they stand together.
    pub(super) fn captions_an_image(&self) -> Option<usize> {
        let each = self.len() / self.n_positions().max(1);
        let in_runs = self.rows.position.iter().zip(0..);
        let mut in_runs =
            in_runs.map(|(&position, row): (_, usize)| position as usize == row / each);
        (each > 0 && in_runs.all(|fits| fits)).then_some(each)
    }
}

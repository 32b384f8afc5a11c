//! A split cut into equal parts of consecutive images with their captions, each ranked separately.

use crate::error::{Error, Result};
use crate::lists::distinct;
use crate::relevance::Relevance;
use crate::scores::Scorer;

/// Some images and captions of a split.
pub(super) struct Part<'a> {
    scorer: &'a dyn Scorer,
    images: Vec<u32>,
    captions: Vec<u32>,
}

impl<'a> Part<'a> {
    pub(super) fn new(scorer: &'a dyn Scorer, images: Vec<u32>, captions: Vec<u32>) -> Self {
        Self {
            scorer,
            images,
            captions,
        }
    }
}

/// Images of each fold, runs of the same length, with the captions that belong to them.
///
/// # Errors
/// If the number of folds is 0 or does not divide the number of images.
pub(super) fn folds(pairs: &Relevance, folds: u32) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
    let (n_images, folds) = (pairs.n_images(), folds as usize);
    if folds == 0 || n_images % folds != 0 {
        return Err(Error::argument(
            format!("{n_images} images cannot be cut into {folds} equal folds"),
            "choose a number of folds that divides the number of images, or 1",
        ));
    }
    let size = n_images / folds;
    let fold = |fold: usize| {
        let images: Vec<u32> = (fold * size..(fold + 1) * size).map(|i| i as u32).collect();
        let captions = images.iter().flat_map(|&image| pairs.captions_of(image));
        let captions = distinct(captions.copied());
        (images, captions)
    };
    Ok((0..folds).map(fold).collect())
}

impl Scorer for Part<'_> {
    fn n_images(&self) -> usize {
        self.images.len()
    }

    fn n_captions(&self) -> usize {
        self.captions.len()
    }

    fn tile(&self, images: &[u32], captions: &[u32], out: &mut [f32]) -> Result<()> {
        let images: Vec<u32> = images
            .iter()
            .map(|&image| self.images[image as usize])
            .collect();
        let captions: Vec<u32> = captions
            .iter()
            .map(|&caption| self.captions[caption as usize])
            .collect();
        self.scorer.tile(&images, &captions, out)
    }
}

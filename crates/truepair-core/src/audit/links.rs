//! Which captions count as assigned to which images, duplicates counting as one.

use super::{group_captions, group_images};
use crate::dataset::{Dataset, Features, RowContents};
use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::pair::Pair;

/// The given correspondences of a data set seen through its duplicate groups.
#[derive(Debug, Clone)]
pub struct Links {
    caption_group: Vec<u32>,
    image_group: Vec<u32>,
    captions_of_image: Lists,
    images_of_caption: Lists,
    /// What the rows of images and of captions hold, where they were looked at.
    rows: [RowContents; 2],
}

impl Links {
    /// Links the pairs of `dataset` through exact duplicates of captions and of images, so that a
    /// copy of a caption is never a wrong answer.
    ///
    /// # Errors
    /// If a feature row cannot be read.
    pub fn of(dataset: &Dataset) -> Result<Self> {
        let images = RowContents::of(&dataset.images)?;
        let captions = match &dataset.caption_features {
            Some(named) => RowContents::of(&named.features)?,
            None => RowContents::default(),
        };
        let caption_group = match &dataset.captions {
            Some(texts) => group_captions(texts),
            None => captions.groups(),
        };
        let image_group = if dataset.images.are_pictures() {
            groups_of_decoded(&dataset.images)?
        } else {
            images.groups()
        };
        let links = Self::new(&dataset.pairs, caption_group, image_group)?;
        Ok(Self {
            rows: [images, captions],
            ..links
        })
    }

    /// Whether the vector of the pair's image or caption says nothing: zeros, or one number throughout.
    pub fn is_blank(&self, pair: Pair) -> bool {
        let items = [pair.image, pair.caption];
        let mut sides = self.rows.iter().zip(items);
        sides.any(|(rows, item)| !rows.is_empty() && rows.is_blank(item as usize))
    }

    /// Links `pairs` given the duplicate group of every caption `[n_captions]` and of every image
    /// `[n_images]`; see [`group_captions`](super::group_captions) and
    /// [`group_images`](super::group_images). Group ids are below the number of members.
    ///
    /// # Errors
    /// If a pair names a caption or an image that has no group, or a group id is out of range.
    pub fn new(pairs: &[Pair], caption_group: Vec<u32>, image_group: Vec<u32>) -> Result<Self> {
        for (what, groups) in [("caption", &caption_group), ("image", &image_group)] {
            if let Some(row) = groups.iter().position(|&id| id as usize >= groups.len()) {
                return Err(Error::argument(
                    format!(
                        "{what} {row} is in group {} of {}",
                        groups[row],
                        groups.len()
                    ),
                    "number the groups from 0 without gaps",
                ));
            }
        }
        for (index, pair) in pairs.iter().enumerate() {
            if pair.image as usize >= image_group.len()
                || pair.caption as usize >= caption_group.len()
            {
                return Err(Error::argument(
                    format!(
                        "pair {index} joins image {} and caption {}, but there are {} images and \
                         {} captions",
                        pair.image,
                        pair.caption,
                        image_group.len(),
                        caption_group.len()
                    ),
                    "check the pair list against the features",
                ));
            }
        }
        let linked = |pair: &Pair| {
            (
                image_group[pair.image as usize],
                caption_group[pair.caption as usize],
            )
        };
        let captions_of_image = Lists::new(image_group.len(), pairs.iter().map(linked));
        let swapped = pairs
            .iter()
            .map(linked)
            .map(|(image, caption)| (caption, image));
        let images_of_caption = Lists::new(caption_group.len(), swapped);
        Ok(Self {
            caption_group,
            image_group,
            captions_of_image,
            images_of_caption,
            rows: Default::default(),
        })
    }

    /// Links without any duplicates: every caption and every image is its own group.
    ///
    /// ```
    /// use truepair_core::audit::Links;
    /// use truepair_core::pair::Pair;
    ///
    /// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 0, caption: 1 }, Pair { image: 1, caption: 2 }];
    /// let links = Links::without_duplicates(&pairs, 2, 3)?;
    /// assert_eq!(links.image_group(), [0, 1]);
    /// # Ok::<(), truepair_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a pair names an image or a caption that is not there.
    pub fn without_duplicates(pairs: &[Pair], n_images: usize, n_captions: usize) -> Result<Self> {
        Self::new(
            pairs,
            (0..n_captions as u32).collect(),
            (0..n_images as u32).collect(),
        )
    }

    /// Group of every caption `[n_captions]`.
    pub fn caption_group(&self) -> &[u32] {
        &self.caption_group
    }

    /// Group of every image `[n_images]`.
    pub fn image_group(&self) -> &[u32] {
        &self.image_group
    }

    /// Groups of the captions assigned to `image` or to a duplicate of it.
    pub(super) fn captions_of(&self, image: u32) -> &[u32] {
        self.captions_of_image.get(self.image_group[image as usize])
    }

    /// Groups of the images that `caption` or a duplicate of it is assigned to.
    pub(super) fn images_of(&self, caption: u32) -> &[u32] {
        self.images_of_caption
            .get(self.caption_group[caption as usize])
    }

    /// Whether some given pair joins a duplicate of `image` with a duplicate of `caption`.
    pub(super) fn joins(&self, image: u32, caption: u32) -> bool {
        let group = self.caption_group[caption as usize];
        self.captions_of(image).binary_search(&group).is_ok()
    }
}

fn groups_of_decoded(features: &Features) -> Result<Vec<u32>> {
    let copy = |index, out: &mut [f32]| features.copy_row(index, out);
    group_images(features.len(), features.row_len(), copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_inherits_every_link() {
        let pairs = [
            Pair {
                image: 0,
                caption: 0,
            },
            Pair {
                image: 2,
                caption: 1,
            },
        ];
        // Images 0 and 2 are one image; captions 1 and 2 are one caption.
        let links = Links::new(&pairs, vec![0, 1, 1], vec![0, 1, 0]).unwrap();
        assert_eq!(links.captions_of(0), [0, 1]);
        assert_eq!(links.images_of(2), [0]);
        assert!(links.joins(0, 2) && links.joins(2, 0) && !links.joins(1, 0));
    }

    #[test]
    fn pairs_outside_the_data_are_named() {
        let message = Links::without_duplicates(
            &[Pair {
                image: 3,
                caption: 0,
            }],
            3,
            1,
        )
        .unwrap_err()
        .to_string();
        assert!(
            message.contains("pair 0") && message.contains("image 3"),
            "{message}"
        );
    }
}

//! Who counts as right for whom, so that no code needs to know how many captions an image has.
//!
//! [`Relevance`] lists relevant items; [`LabelRelevance`] decides by labels, where lists would be
//! long. Both may leave queries without a relevant item; these are not measured.

mod escaped;
mod ids;
mod judgments;
mod labels;

pub use escaped::{escaped, unescaped};
pub use ids::Ids;
pub use judgments::{Direct, Judgments, Spelling, UnknownIds, UnknownItems};
pub(crate) use labels::{ABSENT, IRRELEVANT};
pub use labels::{Codes, LabelRelevance, MatchRule, Unlabeled};

use crate::lists::Lists;
use crate::pair::Pair;
use crate::scores::Direction;

/// The relevant captions of every image and the relevant images of every caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relevance {
    captions_of_image: Lists,
    images_of_caption: Lists,
    /// Relevant items of each query that are not in the gallery; empty when there are none.
    absent_of_image: Vec<u32>,
    absent_of_caption: Vec<u32>,
}

impl Relevance {
    /// Takes every pair as relevant in both directions; a pair given twice counts once.
    ///
    /// ```
    /// use truepair_core::pair::Pair;
    /// use truepair_core::relevance::Relevance;
    ///
    /// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 0, caption: 1 }];
    /// assert_eq!(Relevance::from_pairs(1, 2, &pairs).captions_of(0), [0, 1]);
    /// ```
    ///
    /// # Panics
    /// If a pair names an image or a caption that does not exist. Data sets are checked when they
    /// are read, so this is a mistake of the calling code.
    pub fn from_pairs(n_images: usize, n_captions: usize, pairs: &[Pair]) -> Self {
        Self::directed(n_images, n_captions, pairs, pairs)
    }

    /// Takes `image_to_text` as relevant when images are the queries and `text_to_image` when captions
    /// are: annotators who looked at each direction by itself leave sets that do not mirror each other.
    ///
    /// # Panics
    /// As [`from_pairs`](Self::from_pairs).
    pub fn directed(
        n_images: usize,
        n_captions: usize,
        image_to_text: &[Pair],
        text_to_image: &[Pair],
    ) -> Self {
        let by_image = image_to_text.iter().map(|pair| (pair.image, pair.caption));
        let by_caption = text_to_image.iter().map(|pair| (pair.caption, pair.image));
        let relevance = Self {
            captions_of_image: Lists::new(n_images, by_image),
            images_of_caption: Lists::new(n_captions, by_caption),
            absent_of_image: Vec::new(),
            absent_of_caption: Vec::new(),
        };
        relevance.captions_of_image.check_items(n_captions);
        relevance.images_of_caption.check_items(n_images);
        relevance
    }

    /// The same with relevant items outside the gallery, `[n_images]` and `[n_captions]` counts:
    /// they are never found and count among the relevant ones.
    ///
    /// # Panics
    /// If a vector has the wrong length.
    pub fn with_absent(mut self, of_image: Vec<u32>, of_caption: Vec<u32>) -> Self {
        assert_eq!(of_image.len(), self.n_images(), "one count per image");
        assert_eq!(of_caption.len(), self.n_captions(), "one count per caption");
        self.absent_of_image = of_image;
        self.absent_of_caption = of_caption;
        self
    }

    /// Number of images, with or without a relevant caption.
    pub fn n_images(&self) -> usize {
        self.captions_of_image.len()
    }

    /// Number of captions, with or without a relevant image.
    pub fn n_captions(&self) -> usize {
        self.images_of_caption.len()
    }

    /// Number of distinct relevant pairs, counted by image queries.
    pub fn n_pairs(&self) -> usize {
        self.captions_of_image.n_items()
    }

    /// Number of queries of a direction, with or without a relevant item.
    pub fn n_queries(&self, direction: Direction) -> usize {
        self.lists(direction).len()
    }

    /// The relevant items of a query that are in the gallery, ascending.
    pub fn relevant(&self, direction: Direction, query: u32) -> &[u32] {
        self.lists(direction).get(query)
    }

    /// How many items are relevant to a query but not in the gallery.
    pub fn n_absent(&self, direction: Direction, query: u32) -> u32 {
        let absent = match direction {
            Direction::ImageToText => &self.absent_of_image,
            Direction::TextToImage => &self.absent_of_caption,
        };
        absent.get(query as usize).copied().unwrap_or(0)
    }

    fn lists(&self, direction: Direction) -> &Lists {
        match direction {
            Direction::ImageToText => &self.captions_of_image,
            Direction::TextToImage => &self.images_of_caption,
        }
    }

    /// The captions relevant to an image, ascending.
    pub fn captions_of(&self, image: u32) -> &[u32] {
        self.captions_of_image.get(image)
    }

    /// The images relevant to a caption, ascending.
    pub fn images_of(&self, caption: u32) -> &[u32] {
        self.images_of_caption.get(caption)
    }

    /// Whether image and caption belong together.
    pub fn contains(&self, pair: Pair) -> bool {
        self.images_of(pair.caption)
            .binary_search(&pair.image)
            .is_ok()
    }

    /// Fewest and most captions of an image; (0, 0) without images.
    pub fn captions_per_image(&self) -> (u32, u32) {
        let counts = || {
            let lists = (0..self.captions_of_image.len() as u32).map(|list| self.captions_of(list));
            lists.map(|captions| captions.len() as u32)
        };
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// The relevance among `images` and `captions` alone, renumbered in the order given. Items
    /// outside the gallery stay there for the queries that keep them.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn part(&self, images: &[u32], captions: &[u32]) -> Relevance {
        let absent = |direction, queries: &[u32]| -> Vec<u32> {
            (queries.iter())
                .map(|&query| self.n_absent(direction, query))
                .collect()
        };
        Relevance {
            captions_of_image: self.captions_of_image.part(images, captions),
            images_of_caption: self.images_of_caption.part(captions, images),
            absent_of_image: absent(Direction::ImageToText, images),
            absent_of_caption: absent(Direction::TextToImage, captions),
        }
        .without_zero_counts()
    }

    /// Counts that are all zero are dropped, so that equal relevance compares equal.
    fn without_zero_counts(mut self) -> Self {
        for counts in [&mut self.absent_of_image, &mut self.absent_of_caption] {
            if counts.iter().all(|&count| count == 0) {
                counts.clear();
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(given: &[(u32, u32)]) -> Vec<Pair> {
        given
            .iter()
            .map(|&(image, caption)| Pair { image, caption })
            .collect()
    }

    #[test]
    fn both_directions_list_the_same_pairs_once() {
        let given = pairs(&[(2, 0), (0, 1), (2, 0), (0, 3), (1, 3)]);
        let relevance = Relevance::from_pairs(4, 5, &given);
        assert_eq!(relevance.captions_of(0), [1, 3]);
        assert_eq!(relevance.captions_of(2), [0]);
        assert_eq!(relevance.captions_of(3), [0u32; 0]);
        assert_eq!(relevance.images_of(3), [0, 1]);
        assert_eq!(relevance.images_of(4), [0u32; 0]);
        assert_eq!(
            (
                relevance.n_images(),
                relevance.n_captions(),
                relevance.n_pairs()
            ),
            (4, 5, 4)
        );
        assert_eq!(relevance.captions_per_image(), (0, 2));
        assert!(relevance.contains(Pair {
            image: 1,
            caption: 3
        }));
        assert!(!relevance.contains(Pair {
            image: 1,
            caption: 0
        }));
    }

    #[test]
    fn a_part_is_renumbered() {
        let relevance = Relevance::from_pairs(3, 4, &pairs(&[(0, 0), (1, 1), (1, 2), (2, 3)]));
        let part = relevance.part(&[2, 1], &[2, 3]);
        assert_eq!(part, Relevance::from_pairs(2, 2, &pairs(&[(0, 1), (1, 0)])));
    }

    #[test]
    fn directions_may_differ_and_parts_keep_what_is_absent() {
        let relevance = Relevance::directed(
            3,
            3,
            &pairs(&[(0, 0), (0, 1), (2, 2)]),
            &pairs(&[(0, 0), (1, 2)]),
        )
        .with_absent(vec![0, 0, 4], vec![0; 3]);
        assert_eq!(relevance.relevant(Direction::ImageToText, 0), [0, 1]);
        assert_eq!(relevance.relevant(Direction::TextToImage, 1), [0u32; 0]);
        assert_eq!(relevance.relevant(Direction::TextToImage, 2), [1]);
        let part = relevance.part(&[2, 1], &[2]);
        assert_eq!(part.relevant(Direction::ImageToText, 0), [0]);
        assert_eq!(part.relevant(Direction::TextToImage, 0), [1]);
        assert_eq!(part.n_absent(Direction::ImageToText, 0), 4);
        assert_eq!(part.n_absent(Direction::TextToImage, 0), 0);
    }

    #[test]
    fn nothing_is_relevant_without_pairs() {
        let relevance = Relevance::from_pairs(0, 0, &[]);
        assert_eq!(relevance.captions_per_image(), (0, 0));
    }

    #[test]
    #[should_panic(expected = "pair names item 3 of 3")]
    fn a_pair_outside_the_data_is_a_mistake_of_the_caller() {
        Relevance::from_pairs(3, 3, &pairs(&[(3, 0)]));
    }
}

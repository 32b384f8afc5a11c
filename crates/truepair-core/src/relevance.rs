//! Who counts as right for whom, so that no code needs to know how many captions an image has.

use crate::pair::Pair;

/// The relevant captions of every image and the relevant images of every caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relevance {
    captions_of_image: Lists,
    images_of_caption: Lists,
}

impl Relevance {
    /// Takes every pair as relevant in both directions; a pair given twice counts once.
    ///
    /// # Panics
    /// If a pair names an image or a caption that does not exist. Data sets are checked when they
    /// are read, so this is a mistake of the calling code.
    pub fn from_pairs(n_images: usize, n_captions: usize, pairs: &[Pair]) -> Self {
        let by_image = pairs.iter().map(|pair| (pair.image, pair.caption));
        let by_caption = pairs.iter().map(|pair| (pair.caption, pair.image));
        let relevance = Self {
            captions_of_image: Lists::new(n_images, by_image),
            images_of_caption: Lists::new(n_captions, by_caption),
        };
        assert_eq!(
            relevance.captions_of_image.items.len(),
            relevance.images_of_caption.items.len()
        );
        relevance
    }

    /// Number of images, with or without a relevant caption.
    pub fn n_images(&self) -> usize {
        self.captions_of_image.len()
    }

    /// Number of captions, with or without a relevant image.
    pub fn n_captions(&self) -> usize {
        self.images_of_caption.len()
    }

    /// Number of distinct relevant pairs.
    pub fn n_pairs(&self) -> usize {
        self.captions_of_image.items.len()
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

    /// Fewest and most captions that an image has; (0, 0) without images.
    pub fn captions_per_image(&self) -> (u32, u32) {
        let counts = || {
            self.captions_of_image
                .starts
                .windows(2)
                .map(|ends| ends[1] - ends[0])
        };
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// The relevance among `images` and `captions` alone, renumbered in the order given.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn part(&self, images: &[u32], captions: &[u32]) -> Relevance {
        let mut new_caption = vec![u32::MAX; self.n_captions()];
        for (new, &old) in captions.iter().enumerate() {
            new_caption[old as usize] = new as u32;
        }
        let mut pairs = Vec::new();
        for (image, &old) in images.iter().enumerate() {
            let kept = self
                .captions_of(old)
                .iter()
                .map(|&caption| new_caption[caption as usize]);
            let kept = kept.filter(|&caption| caption != u32::MAX);
            pairs.extend(kept.map(|caption| Pair {
                image: image as u32,
                caption,
            }));
        }
        Relevance::from_pairs(images.len(), captions.len(), &pairs)
    }
}

/// Lists of indices end to end; list `n` is `items[starts[n]..starts[n + 1]]`, sorted, distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn new(n: usize, entries: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut entries: Vec<(u32, u32)> = entries.collect();
        entries.sort_unstable();
        entries.dedup();
        let mut starts = vec![0u32; n + 1];
        for &(key, _) in &entries {
            assert!((key as usize) < n, "pair names item {key} of {n}");
            starts[key as usize + 1] += 1;
        }
        for list in 0..n {
            starts[list + 1] += starts[list];
        }
        Self {
            starts,
            items: entries.into_iter().map(|(_, item)| item).collect(),
        }
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn get(&self, list: u32) -> &[u32] {
        let list = list as usize;
        &self.items[self.starts[list] as usize..self.starts[list + 1] as usize]
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

//! Relevance by labels: of one class, with a common class, or with similar sets of classes.
//!
//! Lists of such relevance would be as long as the gallery, so it is determined pair by pair. Items
//! without a label are neither queries nor in a gallery.

use crate::error::{Error, Result};
use crate::scores::Direction;
use truepair_kernel::vector::wide;

/// The class of a row without a class.
const UNLABELED: i64 = -1;

/// Labels of images or captions: one class each, or one set of classes each as a row of bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    words: Vec<u64>,
    words_per_row: usize,
    labeled: Vec<bool>,
    /// Columns of the sets; 0 for single classes.
    n_columns: usize,
}

impl Codes {
    /// One class per row, `-1` for none; `n_classes` bounds them where it is known.
    ///
    /// # Errors
    /// If a label is below -1 or not below `n_classes`; the row is named.
    pub fn classes(labels: &[i64], n_classes: Option<u32>) -> Result<Self> {
        let limit = n_classes.map_or(i64::MAX, i64::from);
        let outside = |label: i64| label < UNLABELED || label >= limit;
        if let Some(row) = labels.iter().position(|&label| outside(label)) {
            let classes = n_classes.map_or("0, 1, ...".to_owned(), |n| {
                format!("0 to {}", n.saturating_sub(1))
            });
            return Err(Error::argument(
                format!(
                    "label {} of row {row} is outside the classes {classes}",
                    labels[row]
                ),
                "number the classes from 0, and write -1 where there is no label",
            ));
        }
        Ok(Self {
            words: labels.iter().map(|label| label.cast_unsigned()).collect(),
            words_per_row: 1,
            labeled: labels.iter().map(|&label| label != UNLABELED).collect(),
            n_columns: 0,
        })
    }

    /// One set of classes per row, `[n, k]` of 0 and 1; rows without a class are unlabeled.
    ///
    /// # Errors
    /// If a number is neither 0 nor 1; the row is named.
    ///
    /// # Panics
    /// If `k` is 0 or does not divide the number of values.
    pub fn sets(values: &[i64], k: usize) -> Result<Self> {
        assert!(
            k > 0 && values.len().is_multiple_of(k),
            "rows of another width"
        );
        let words_per_row = k.div_ceil(64);
        let mut words = vec![0u64; values.len() / k * words_per_row];
        for (row, values) in values.chunks_exact(k).enumerate() {
            for (class, &value) in values.iter().enumerate() {
                if value != 0 && value != 1 {
                    return Err(Error::argument(
                        format!("row {row} holds {value} for class {class}, expected 0 or 1"),
                        "write one column per class: 1 where the item has it",
                    ));
                }
                words[row * words_per_row + class / 64] |= (value as u64) << (class % 64);
            }
        }
        let labeled = words.chunks_exact(words_per_row);
        Ok(Self {
            labeled: labeled
                .map(|row| row.iter().any(|&word| word != 0))
                .collect(),
            words,
            words_per_row,
            n_columns: k,
        })
    }

    /// The labels that captions inherit: `owners` holds the image of each caption, or `None`.
    ///
    /// # Panics
    /// If an owner does not exist.
    pub fn inherited(&self, owners: &[Option<u32>]) -> Self {
        let mut words = Vec::with_capacity(owners.len() * self.words_per_row);
        for owner in owners {
            match owner {
                Some(owner) => words.extend_from_slice(self.row(*owner)),
                None => words.resize(words.len() + self.words_per_row, 0),
            }
        }
        Self {
            words,
            words_per_row: self.words_per_row,
            labeled: (owners.iter())
                .map(|owner| owner.is_some_and(|owner| self.labeled[owner as usize]))
                .collect(),
            n_columns: self.n_columns,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labeled.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.labeled.is_empty()
    }

    /// Rows without a label.
    pub fn n_unlabeled(&self) -> usize {
        self.labeled.iter().filter(|&&labeled| !labeled).count()
    }

    fn row(&self, at: u32) -> &[u64] {
        let at = at as usize * self.words_per_row;
        &self.words[at..at + self.words_per_row]
    }

    fn part(&self, rows: &[u32]) -> Self {
        let owners: Vec<Option<u32>> = rows.iter().map(|&row| Some(row)).collect();
        self.inherited(&owners)
    }
}

/// When two labels match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchRule {
    /// Equal classes, or equal sets of classes.
    Same,
    /// Sets with a class in common.
    Share,
    /// Sets that differ in at most this many classes.
    Distance(u32),
    /// Three levels of relevance: sets that differ in no, in at most one, in at most two classes.
    ///
    /// # Source
    /// Chun et al., CVPR 2021; code read at naver-ai/pcme@4947684.
    Plausible,
}

const PLAUSIBLE_LEVELS: u32 = 3;

impl std::fmt::Display for MatchRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same => write!(f, "same"),
            Self::Share => write!(f, "share"),
            Self::Distance(limit) => write!(f, "distance {limit}"),
            Self::Plausible => write!(f, "plausible"),
        }
    }
}

/// Relevance that follows from the labels of images and captions.
///
/// ```
/// use truepair_core::relevance::{Codes, LabelRelevance, MatchRule};
/// use truepair_core::scores::Direction;
///
/// let (images, captions) = (Codes::classes(&[0, 1], None)?, Codes::classes(&[1, 1, -1], None)?);
/// let relevance = LabelRelevance::new(images, captions, MatchRule::Same)?;
/// assert_eq!(relevance.level(Direction::ImageToText, 1, 0), Some(0));
/// assert_eq!(relevance.level(Direction::ImageToText, 0, 0), None);
/// assert!(!relevance.is_query(Direction::TextToImage, 2), "a caption without a class asks nothing");
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRelevance {
    images: Codes,
    captions: Codes,
    rule: MatchRule,
    /// Images and captions are the same items, and no item answers itself.
    one_set: bool,
    unlabeled: Unlabeled,
}

/// What happens to items without a label in a gallery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlabeled {
    /// They are removed from every ranking, as plausible-match R-precision does.
    #[default]
    Removed,
    /// They remain in the rankings and are relevant to no query, as in the mAP of penghu-cs/MRL@e0f5c8f.
    Kept,
}

impl LabelRelevance {
    /// Joins the labels of images and captions.
    ///
    /// # Errors
    /// If one side has classes and the other sets, sets differ in width, or `rule` needs sets and
    /// the labels are classes.
    pub fn new(images: Codes, captions: Codes, rule: MatchRule) -> Result<Self> {
        let refuse = |problem: &str, remedy: &str| Err(Error::argument(problem, remedy));
        if images.n_columns != captions.n_columns {
            return refuse(
                "images and captions are labeled with different kinds of classes",
                "give both as classes [n], or both as sets [n, k] of the same k",
            );
        }
        if rule != MatchRule::Same && images.n_columns == 0 {
            return refuse(
                "single classes are either equal or not; they cannot share classes and have no distance",
                "match them as `same`, or give sets of classes [n, k]",
            );
        }
        Ok(Self {
            images,
            captions,
            rule,
            one_set: false,
            unlabeled: Unlabeled::default(),
        })
    }

    /// The same with another treatment of items without a label.
    pub fn with_unlabeled(self, unlabeled: Unlabeled) -> Self {
        Self { unlabeled, ..self }
    }

    /// Relevance within one set of items: every item is a query for all others.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn within_one_set(items: Codes, rule: MatchRule) -> Result<Self> {
        Ok(Self {
            one_set: true,
            ..Self::new(items.clone(), items, rule)?
        })
    }

    /// Number of images, labeled or not.
    pub fn n_images(&self) -> usize {
        self.images.len()
    }

    /// Number of captions, labeled or not.
    pub fn n_captions(&self) -> usize {
        self.captions.len()
    }

    /// When two labels match.
    pub fn rule(&self) -> MatchRule {
        self.rule
    }

    /// Levels of relevance, at least 1.
    pub fn n_levels(&self) -> usize {
        match self.rule {
            MatchRule::Plausible => PLAUSIBLE_LEVELS as usize,
            _ => 1,
        }
    }

    /// Whether an item of a direction's query side has a label.
    pub fn is_query(&self, direction: Direction, query: u32) -> bool {
        self.sides(direction).0.labeled[query as usize]
    }

    /// Whether `item` is in the gallery of `query`.
    pub fn in_gallery(&self, direction: Direction, query: u32, item: u32) -> bool {
        let stands = self.unlabeled == Unlabeled::Kept || self.is_labeled(direction, item);
        stands && !(self.one_set && query == item)
    }

    fn is_labeled(&self, direction: Direction, item: u32) -> bool {
        self.sides(direction).1.labeled[item as usize]
    }

    /// The strictest level at which `item` is relevant to `query`.
    pub fn level(&self, direction: Direction, query: u32, item: u32) -> Option<usize> {
        if self.unlabeled == Unlabeled::Kept && !self.is_labeled(direction, item) {
            return None;
        }
        let (queries, gallery) = self.sides(direction);
        let level = level(self.rule, queries.row(query), gallery.row(item));
        (level != IRRELEVANT).then_some(level.into())
    }

    /// What every item is to `query`, by index: the strictest level at which it is relevant,
    /// [`IRRELEVANT`], or [`ABSENT`] where it is not in the query's gallery.
    pub(crate) fn standings(&self, direction: Direction, query: u32, standings: &mut Vec<u8>) {
        let (queries, gallery) = self.sides(direction);
        standings.resize(gallery.len(), IRRELEVANT);
        let row = queries.row(query);
        wide(
            #[inline(always)]
            || match self.rule {
                MatchRule::Same => fill(MatchRule::Same, row, &gallery.words, standings),
                MatchRule::Share => fill(MatchRule::Share, row, &gallery.words, standings),
                MatchRule::Plausible => fill(MatchRule::Plausible, row, &gallery.words, standings),
                rule @ MatchRule::Distance(_) => fill(rule, row, &gallery.words, standings),
            },
        );
        let of_unlabeled = match self.unlabeled {
            Unlabeled::Removed => ABSENT,
            Unlabeled::Kept => IRRELEVANT,
        };
        for (standing, &labeled) in standings.iter_mut().zip(&gallery.labeled) {
            *standing = if labeled { *standing } else { of_unlabeled };
        }
        if self.one_set {
            standings[query as usize] = ABSENT;
        }
    }

    /// The relevance among `images` and `captions` alone, renumbered in the order given.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn part(&self, images: &[u32], captions: &[u32]) -> Self {
        Self {
            images: self.images.part(images),
            captions: self.captions.part(captions),
            rule: self.rule,
            one_set: self.one_set,
            unlabeled: self.unlabeled,
        }
    }

    fn sides(&self, direction: Direction) -> (&Codes, &Codes) {
        match direction {
            Direction::ImageToText => (&self.images, &self.captions),
            Direction::TextToImage => (&self.captions, &self.images),
        }
    }
}

/// The level of an item that is not relevant.
pub(crate) const IRRELEVANT: u8 = u8::MAX - 1;
/// The standing of an item that is in no ranking of the query.
pub(crate) const ABSENT: u8 = u8::MAX;

/// Levels of all items; meant to be inlined into vector code, with the rule as a constant where possible.
#[inline(always)]
fn fill(rule: MatchRule, query: &[u64], words: &[u64], levels: &mut [u8]) {
    match query {
        // Sets of up to 128 classes: rows of a size that the compiler knows.
        [a] => {
            for (level, b) in levels.iter_mut().zip(words.as_chunks::<1>().0) {
                *level = self::level(rule, &[*a], b);
            }
        }
        [a, b] => {
            for (level, words) in levels.iter_mut().zip(words.as_chunks::<2>().0) {
                *level = self::level(rule, &[*a, *b], words);
            }
        }
        _ => {
            for (level, words) in levels.iter_mut().zip(words.chunks_exact(query.len())) {
                *level = self::level(rule, query, words);
            }
        }
    }
}

/// The strictest level at which two labels match.
#[inline(always)]
fn level(rule: MatchRule, a: &[u64], b: &[u64]) -> u8 {
    let differing = || -> u32 { a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum() };
    let matches = match rule {
        MatchRule::Same => a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0,
        MatchRule::Share => a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a & b)) != 0,
        MatchRule::Distance(limit) => differing() <= limit,
        MatchRule::Plausible => {
            let differing = differing();
            return if differing < PLAUSIBLE_LEVELS {
                differing as u8
            } else {
                IRRELEVANT
            };
        }
    };
    if matches { 0 } else { IRRELEVANT }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I2T: Direction = Direction::ImageToText;

    #[test]
    fn distances_count_classes_that_one_has_and_the_other_has_not() {
        // A and B agree, C has one class more, D shares nothing; E has no class.
        let rows = [
            1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0,
        ];
        let codes = Codes::sets(&rows, 5).unwrap();
        assert_eq!(codes.n_unlabeled(), 1);
        let labels = LabelRelevance::within_one_set(codes.clone(), MatchRule::Plausible).unwrap();
        let levels: Vec<_> = (0..4).map(|item| labels.level(I2T, 0, item)).collect();
        assert_eq!(levels, [Some(0), Some(0), Some(1), None]);
        let gallery: Vec<bool> = (0..5).map(|item| labels.in_gallery(I2T, 0, item)).collect();
        assert_eq!(gallery, [false, true, true, true, false]);
        assert!(!labels.is_query(I2T, 4) && labels.is_query(I2T, 3));
        let share = LabelRelevance::new(codes.clone(), codes, MatchRule::Share).unwrap();
        assert_eq!(
            (share.level(I2T, 0, 2), share.level(I2T, 0, 3)),
            (Some(0), None)
        );
        let kept = share.clone().with_unlabeled(Unlabeled::Kept);
        assert!(kept.in_gallery(I2T, 0, 4) && kept.level(I2T, 0, 4).is_none());
        let part = share.part(&[2, 4], &[3, 0]);
        assert_eq!(
            (part.level(I2T, 0, 1), part.is_query(I2T, 1)),
            (Some(0), false)
        );
    }

    #[test]
    fn sets_of_more_than_64_classes_span_words() {
        let mut rows = vec![0; 2 * 130];
        (rows[3], rows[129], rows[130 + 129]) = (1, 1, 1);
        let codes = Codes::sets(&rows, 130).unwrap();
        let rule = MatchRule::Distance(1);
        let labels = LabelRelevance::new(codes.clone(), codes, rule).unwrap();
        assert_eq!(labels.level(I2T, 0, 1), Some(0));
    }

    #[test]
    fn standings_are_levels_and_galleries_item_by_item() {
        let bit = |row: usize, class: usize| i64::from((row * 7 + class * class) % 23 < 2);
        for k in [5, 70, 130] {
            let sets: Vec<i64> = (0..40 * k).map(|at| bit(at / k, at % k)).collect();
            let items = Codes::sets(&sets, k).unwrap();
            assert!((1..40).contains(&items.n_unlabeled()) || k > 5);
            let rules = [
                MatchRule::Same,
                MatchRule::Share,
                MatchRule::Distance(3),
                MatchRule::Plausible,
            ];
            for rule in rules {
                for unlabeled in [Unlabeled::Removed, Unlabeled::Kept] {
                    let one = LabelRelevance::within_one_set(items.clone(), rule).unwrap();
                    let two = LabelRelevance::new(items.clone(), items.clone(), rule).unwrap();
                    for labels in [one, two].map(|labels| labels.with_unlabeled(unlabeled)) {
                        check_standings(&labels);
                    }
                }
            }
        }
    }

    fn check_standings(labels: &LabelRelevance) {
        let mut standings = Vec::new();
        for query in 0..40 {
            labels.standings(I2T, query, &mut standings);
            for (item, &standing) in (0..40).zip(&standings) {
                let level = labels.level(I2T, query, item);
                let expected = match labels.in_gallery(I2T, query, item) {
                    true => level.map_or(IRRELEVANT, |level| level as u8),
                    false => ABSENT,
                };
                assert_eq!(standing, expected, "{query} {item} {:?}", labels.rule());
            }
        }
    }

    #[test]
    fn captions_inherit_and_those_without_an_image_have_no_label() {
        let images = Codes::classes(&[4, -1, 9], None).unwrap();
        let captions = images.inherited(&[Some(2), Some(0), None, Some(1)]);
        assert_eq!(captions.n_unlabeled(), 2);
        let labels = LabelRelevance::new(images, captions, MatchRule::Same).unwrap();
        assert_eq!(labels.level(I2T, 0, 1), Some(0));
        assert_eq!(labels.level(I2T, 0, 0), None);
    }

    #[test]
    fn labels_outside_the_classes_and_of_another_length_are_named() {
        let error = Codes::classes(&[0, 3], Some(3)).unwrap_err().to_string();
        assert!(
            error.contains("label 3 of row 1 is outside the classes 0 to 2"),
            "{error}"
        );
        let error = Codes::classes(&[-2], None).unwrap_err().to_string();
        assert!(error.contains("label -2 of row 0"), "{error}");
        let error = Codes::sets(&[0, 1, 1, 7], 2).unwrap_err().to_string();
        assert!(error.contains("row 1 holds 7 for class 1"), "{error}");
    }

    #[test]
    fn rules_that_the_labels_cannot_answer_are_refused() {
        let classes = Codes::classes(&[0, 1], None).unwrap();
        let sets = Codes::sets(&[1, 0, 0, 1], 2).unwrap();
        let wider = Codes::sets(&[1, 0, 0, 0, 1, 0], 3).unwrap();
        assert!(LabelRelevance::new(classes.clone(), sets.clone(), MatchRule::Same).is_err());
        assert!(LabelRelevance::new(sets.clone(), wider, MatchRule::Same).is_err());
        assert!(LabelRelevance::new(classes.clone(), classes, MatchRule::Share).is_err());
        assert!(LabelRelevance::new(sets.clone(), sets, MatchRule::Share).is_ok());
    }
}

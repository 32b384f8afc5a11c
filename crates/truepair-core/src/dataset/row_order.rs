//! How rows of captions stand to rows of images where a list pairs them by position and got out of step.
//!
//! A row is a pair in the order in which it was read; its place in that order is its number, from 0.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pair::Pair;

/// One way in which captions stand to images by their rows.
///
/// ```
/// use truepair_core::dataset::RowOrder;
/// use truepair_core::pair::Pair;
///
/// // Every caption describes the image of the row before it.
/// let order: RowOrder = "shift:-1".parse()?;
/// let pairs: Vec<Pair> = (0..3).map(|n| Pair { image: n, caption: n }).collect();
/// let found = order.repaired(&pairs, &[])?;
/// assert_eq!(found.pairs, [Pair { image: 0, caption: 1 }, Pair { image: 1, caption: 2 }]);
/// assert_eq!(found.left_out, [0]);
/// assert_eq!(order.to_string(), "shift:-1");
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub enum RowOrder {
    /// The caption of row `n` belongs to the image of row `n + by`.
    Shift {
        /// How far the image stands from its caption, not 0.
        by: i64,
        /// The rows that slipped, each range with both its ends; all where there is none.
        rows: Vec<RangeInclusive<u32>>,
    },
    /// All first captions of the images, then all second ones, and so on.
    Blocks {
        /// Captions an image, at least 2.
        each: u32,
    },
    /// One side is sorted by its numbers as text, 0, 1, 10, 100, 2, and the other by its numbers.
    TextOrder {
        /// The side that is sorted as text.
        side: TextSide,
        /// The first number.
        first: u32,
    },
    /// The last image first.
    Reversed,
}

/// The side that is sorted as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSide {
    /// The images. Where their names are sorted as text, the names' numbers count.
    Images,
    /// The captions.
    Captions,
}

/// Pairs in another order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The captions of the rows in their order, each with its image.
    pub pairs: Vec<Pair>,
    /// Rows whose caption has no image in this order, ascending.
    pub left_out: Vec<u32>,
}

impl RowOrder {
    /// The pairs as this order reads them; `ids` are the images' names, or empty.
    ///
    /// # Errors
    /// If the order does not fit the rows.
    pub fn repaired(&self, pairs: &[Pair], ids: &[String]) -> Result<Repaired> {
        let images = self.images(&ImageRows::new(pairs, ids))?;
        let mut found = Repaired {
            pairs: Vec::with_capacity(pairs.len()),
            left_out: Vec::new(),
        };
        for ((pair, image), row) in pairs.iter().zip(images).zip(0..) {
            match image {
                Some(image) => found.pairs.push(Pair { image, ..*pair }),
                None => found.left_out.push(row),
            }
        }
        Ok(found)
    }

    /// The image of every row in this order, `[rows]`.
    ///
    /// # Errors
    /// If the order does not fit the rows.
    pub(crate) fn images(&self, rows: &ImageRows<'_>) -> Result<Vec<Option<u32>>> {
        let n = rows.pairs.len();
        match self {
            RowOrder::Shift { by, rows: slipped } => {
                refuse_beyond(slipped, n)?;
                let is_slipped = |row: u32| {
                    slipped.is_empty() || slipped.iter().any(|range| range.contains(&row))
                };
                let image = |row: u32| {
                    let at = i64::from(row) + if is_slipped(row) { *by } else { 0 };
                    Some(rows.pairs.get(usize::try_from(at).ok()?)?.image)
                };
                Ok((0..n as u32).map(image).collect())
            }
            RowOrder::Blocks { each } => {
                let each = *each as usize;
                if each < 2 || !n.is_multiple_of(each) {
                    return Err(unfit(format!("{n} captions are no {each} blocks alike")));
                }
                let image = |row: usize| Some(rows.pairs[row % (n / each) * each].image);
                Ok((0..n).map(image).collect())
            }
            RowOrder::TextOrder { side, first } => {
                let place_of = rows.text_places(*side, *first);
                Ok(rows.by_position(|at| place_of[at as usize]))
            }
            RowOrder::Reversed => {
                let last = rows.images.len().saturating_sub(1) as u32;
                Ok(rows.by_position(|at| last - at))
            }
        }
    }
}

fn refuse_beyond(ranges: &[RangeInclusive<u32>], n: usize) -> Result<()> {
    let beyond = ranges.iter().find(|range| *range.end() as usize >= n);
    match beyond {
        None => Ok(()),
        Some(range) => Err(unfit(format!(
            "rows {} to {} of {n}, counted from 0",
            range.start(),
            range.end()
        ))),
    }
}

fn unfit(problem: String) -> Error {
    Error::argument(problem, "give another order of the rows, or leave it out")
}

/// The images of rows, and in which order they first appear.
#[derive(Debug)]
pub(crate) struct ImageRows<'a> {
    pairs: &'a [Pair],
    ids: &'a [String],
    /// The distinct images in order of first appearance.
    pub(crate) images: Vec<u32>,
    /// The place in `images` of every row's image.
    pub(crate) position: Vec<u32>,
}

impl<'a> ImageRows<'a> {
    pub(crate) fn new(pairs: &'a [Pair], ids: &'a [String]) -> Self {
        let n_images = pairs.iter().map(|pair| pair.image + 1).max().unwrap_or(0);
        let mut place = vec![u32::MAX; n_images as usize];
        let mut images = Vec::new();
        let position = pairs.iter().map(|pair| {
            let place = &mut place[pair.image as usize];
            if *place == u32::MAX {
                *place = images.len() as u32;
                images.push(pair.image);
            }
            *place
        });
        Self {
            position: position.collect(),
            pairs,
            ids,
            images,
        }
    }

    /// The image of every row when `place` moves positions.
    fn by_position(&self, place: impl Fn(u32) -> u32) -> Vec<Option<u32>> {
        let image = |&at: &u32| Some(self.images[place(at) as usize]);
        self.position.iter().map(image).collect()
    }

    /// Where the image of the caption at every position stands.
    fn text_places(&self, side: TextSide, first: u32) -> Vec<u32> {
        let order = match (side, self.names_in_text_order()) {
            (TextSide::Images, Some(names)) => inverse(&natural_order(&names)),
            _ => text_order(self.images.len(), first),
        };
        match side {
            TextSide::Images => inverse(&order),
            TextSide::Captions => order,
        }
    }

    /// The images' names, where they are sorted as text and not by their numbers.
    fn names_in_text_order(&self) -> Option<Vec<&str>> {
        let names: Option<Vec<&str>> = (self.images.iter())
            .map(|&image| self.ids.get(image as usize).map(String::as_str))
            .collect();
        let is_natural = |names: &[&str]| names.is_sorted_by(|a, b| natural(a, b).is_le());
        names.filter(|names| names.is_sorted() && !is_natural(names))
    }
}

/// Which of `n` numbers stands at every place when they are sorted as text.
fn text_order(n: usize, first: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_by_cached_key(|number| (number + first).to_string());
    order
}

/// Which name comes at every place when names are sorted by their numbers.
fn natural_order(names: &[&str]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..names.len() as u32).collect();
    order.sort_by(|&a, &b| natural(names[a as usize], names[b as usize]));
    order
}

fn inverse(order: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; order.len()];
    for (&item, place) in order.iter().zip(0..) {
        inverse[item as usize] = place;
    }
    inverse
}

/// Compares runs of digits by their value and all else by its letters.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(usize, String)> {
        let is_digit = |c: &char| c.is_ascii_digit();
        let letters: Vec<char> = text.chars().collect();
        let runs = letters.chunk_by(|a, b| is_digit(a) == is_digit(b));
        let part = |run: &[char]| {
            let run: String = run.iter().collect();
            if run.starts_with(|c: char| c.is_ascii_digit()) {
                let digits = run.trim_start_matches('0').to_owned();
                (digits.len() + 1, digits)
            } else {
                (0, run)
            }
        };
        runs.map(part).collect()
    };
    parts(a).cmp(&parts(b))
}

impl fmt::Display for RowOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowOrder::Shift { by, rows } => {
                write!(f, "shift:{by}")?;
                let ranges = rows.iter().map(|r| format!("{}-{}", r.start(), r.end()));
                let ranges: Vec<String> = ranges.collect();
                if ranges.is_empty() {
                    Ok(())
                } else {
                    write!(f, ":{}", ranges.join(","))
                }
            }
            RowOrder::Blocks { each } => write!(f, "blocks:{each}"),
            RowOrder::TextOrder { side, first } => {
                f.write_str("text-order")?;
                if *side == TextSide::Captions {
                    f.write_str(":captions")?;
                }
                if *first > 0 {
                    write!(f, ":{first}")?;
                }
                Ok(())
            }
            RowOrder::Reversed => f.write_str("reversed"),
        }
    }
}

impl FromStr for RowOrder {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        parse(word).ok_or_else(|| {
            Error::argument(
                format!("'{word}' is no order of rows"),
                "write shift:-1, shift:-1:200-259, blocks:5, text-order, text-order:1, \
                 text-order:captions or reversed",
            )
        })
    }
}

/// Whether a word begins like an order of rows, and so is no name of a file.
///
/// ```
/// use truepair_core::dataset::is_row_order;
///
/// assert!(is_row_order("blocks:x") && !is_row_order("pairs.csv"));
/// ```
pub fn is_row_order(word: &str) -> bool {
    let name = word.split(':').next().unwrap_or_default();
    ["shift", "blocks", "text-order", "reversed"].contains(&name)
}

fn parse(word: &str) -> Option<RowOrder> {
    let mut parts = word.split(':');
    let name = parts.next()?;
    let parts: Vec<&str> = parts.collect();
    match (name, parts.as_slice()) {
        ("reversed", []) => Some(RowOrder::Reversed),
        ("blocks", [each]) => {
            let each = each.parse().ok().filter(|each| *each >= 2)?;
            Some(RowOrder::Blocks { each })
        }
        ("shift", [by, ranges @ ..]) if ranges.len() <= 1 => {
            let by = by.parse().ok().filter(|by| *by != 0)?;
            let ranges = ranges.iter().flat_map(|ranges| ranges.split(','));
            let rows = ranges.map(parse_range).collect::<Option<_>>()?;
            Some(RowOrder::Shift { by, rows })
        }
        ("text-order", rest) => {
            let (side, rest) = match rest {
                ["captions", rest @ ..] => (TextSide::Captions, rest),
                rest => (TextSide::Images, rest),
            };
            let first = match rest {
                [] => 0,
                [first] => first.parse().ok()?,
                _ => return None,
            };
            Some(RowOrder::TextOrder { side, first })
        }
        _ => None,
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end).then_some(start..=end)
}

impl TryFrom<String> for RowOrder {
    type Error = Error;

    fn try_from(word: String) -> Result<Self> {
        word.parse()
    }
}

impl From<RowOrder> for String {
    fn from(order: RowOrder) -> Self {
        order.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` images with `each` captions in the images' order.
    fn pairs(n: u32, each: u32) -> Vec<Pair> {
        let pair = |caption| Pair {
            image: caption / each,
            caption,
        };
        (0..n * each).map(pair).collect()
    }

    fn images(word: &str, pairs: &[Pair], ids: &[&str]) -> Vec<Option<u32>> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let order: RowOrder = word.parse().unwrap();
        order.images(&ImageRows::new(pairs, &ids)).unwrap()
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for word in [
            "shift:-1",
            "shift:3:0-7,20-29",
            "blocks:5",
            "text-order",
            "text-order:1",
            "text-order:captions",
            "text-order:captions:1",
            "reversed",
        ] {
            let order: RowOrder = word.parse().unwrap();
            assert_eq!(order.to_string(), word);
            let json = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<RowOrder>(&json).unwrap(), order);
        }
        for word in [
            "shift",
            "shift:0",
            "shift:1:9-3",
            "blocks:1",
            "blocks",
            "reversed:1",
            "x",
        ] {
            assert!(word.parse::<RowOrder>().is_err(), "{word}");
        }
    }

    #[test]
    fn a_shift_may_concern_some_rows_only() {
        let found = images("shift:-1:1-2", &pairs(4, 1), &[]);
        assert_eq!(found, [Some(0), Some(0), Some(1), Some(3)]);
        assert_eq!(images("shift:2", &pairs(3, 1), &[]), [Some(2), None, None]);
        let beyond: RowOrder = "shift:1:2-9".parse().unwrap();
        let message = beyond.repaired(&pairs(4, 1), &[]).unwrap_err().to_string();
        assert!(message.contains("rows 2 to 9 of 4"), "{message}");
    }

    #[test]
    fn blocks_are_shared_by_all_images() {
        let found = images("blocks:2", &pairs(3, 2), &[]);
        assert_eq!(found, [0, 1, 2, 0, 1, 2].map(Some));
        let unfit: RowOrder = "blocks:4".parse().unwrap();
        assert!(unfit.repaired(&pairs(3, 2), &[]).is_err());
    }

    #[test]
    fn text_order_is_that_of_the_numbers_or_of_the_names() {
        // The images stand as 0, 1, 10, 11, 2, ..., 9.
        let found = images("text-order", &pairs(12, 1), &[]);
        assert_eq!(found[2], Some(4));
        assert_eq!(found[10], Some(2));
        assert_eq!(
            images("text-order:captions", &pairs(12, 1), &[])[2],
            Some(10)
        );
        // As 1, 10, 11, 12, 2, ..., 9.
        assert_eq!(images("text-order:1", &pairs(12, 1), &[])[1], Some(4));
        let ids = ["p1.jpg", "p100.jpg", "p20.jpg", "p3.jpg"];
        assert_eq!(
            images("text-order", &pairs(4, 1), &ids),
            [0, 3, 2, 1].map(Some)
        );
        assert_eq!(
            images("reversed", &pairs(2, 2), &[]),
            [1, 1, 0, 0].map(Some)
        );
    }
}

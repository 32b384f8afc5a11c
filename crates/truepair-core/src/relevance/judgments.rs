//! Judgments by name, as files hold them, on their way to a [`Relevance`].

use super::{Ids, Relevance};
use crate::error::{Error, Place, Result};
use crate::pair::Pair;
use crate::scores::Direction;
use std::path::PathBuf;

/// What one file says about one direction: which items are relevant to which queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgments {
    /// The file, for messages.
    pub file: PathBuf,
    /// Queries in the order of the file, each with its relevant items.
    pub queries: Vec<(String, Vec<String>)>,
}

/// What to do with names that the data does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownIds {
    /// Stop and name them.
    #[default]
    Refuse,
    /// Relevant items count as never found, as in the official evaluators; queries are left out.
    Count,
    /// Leave queries and items out.
    Ignore,
}

/// How many names of a file the data does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnknownItems {
    /// Queries.
    pub queries: usize,
    /// Relevant items of queries that are known.
    pub items: usize,
}

/// One direction's judgments by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// Relevant pairs.
    pub pairs: Vec<Pair>,
    /// Per query, relevant items that the data does not have.
    pub absent: Vec<u32>,
    /// Names that the data does not have.
    pub unknown: UnknownItems,
}

impl Judgments {
    /// Looks the names up: `queries` and `gallery` are those of `direction`.
    ///
    /// # Errors
    /// If a name is unknown and `unknown` says to refuse; the first one and their number are named.
    pub fn resolve(
        &self,
        direction: Direction,
        queries: &Ids,
        gallery: &Ids,
        unknown: UnknownIds,
    ) -> Result<Direct> {
        let mut found = Direct {
            pairs: Vec::new(),
            absent: vec![0; queries.len()],
            unknown: UnknownItems::default(),
        };
        let mut first: Option<String> = None;
        for (name, items) in &self.queries {
            let Some(query) = queries.find(name) else {
                found.unknown.queries += 1;
                first.get_or_insert_with(|| format!("query '{name}'"));
                continue;
            };
            for item in items {
                match gallery.find(item) {
                    Some(item) => found.pairs.push(pair(direction, query, item)),
                    None => {
                        found.unknown.items += 1;
                        found.absent[query as usize] += u32::from(unknown == UnknownIds::Count);
                        first.get_or_insert_with(|| format!("item '{item}' of query '{name}'"));
                    }
                }
            }
        }
        match first {
            Some(first) if unknown == UnknownIds::Refuse => Err(Error::data(
                &self.file,
                Place::Whole,
                format!(
                    "{} queries and {} relevant items are not in the data, first {first}",
                    found.unknown.queries, found.unknown.items
                ),
                "give the ids of the data, or say that unknown ids are counted as never found or ignored",
            )),
            _ => Ok(found),
        }
    }

    /// The same judgments asked from the other side: every item becomes a query.
    pub fn mirrored(&self) -> Judgments {
        let mut order: Vec<(String, Vec<String>)> = Vec::new();
        let mut place = std::collections::HashMap::new();
        for (query, items) in &self.queries {
            for item in items {
                let at = *place.entry(item.as_str()).or_insert_with(|| {
                    order.push((item.clone(), Vec::new()));
                    order.len() - 1
                });
                order[at].1.push(query.clone());
            }
        }
        Judgments {
            file: self.file.clone(),
            queries: order,
        }
    }
}

fn pair(direction: Direction, query: u32, item: u32) -> Pair {
    match direction {
        Direction::ImageToText => Pair {
            image: query,
            caption: item,
        },
        Direction::TextToImage => Pair {
            image: item,
            caption: query,
        },
    }
}

impl Relevance {
    /// Joins the judgments of both directions.
    ///
    /// # Panics
    /// If they belong to other data than `n_images` and `n_captions` say.
    pub fn from_judgments(image_to_text: Direct, text_to_image: Direct) -> Self {
        let (n_images, n_captions) = (image_to_text.absent.len(), text_to_image.absent.len());
        Relevance::directed(
            n_images,
            n_captions,
            &image_to_text.pairs,
            &text_to_image.pairs,
        )
        .with_absent(image_to_text.absent, text_to_image.absent)
        .without_zero_counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgments() -> Judgments {
        let given = [
            ("a", vec!["x", "y"]),
            ("b", vec!["y", "gone"]),
            ("c", vec!["x"]),
        ];
        Judgments {
            file: "eccv.json".into(),
            queries: (given.into_iter())
                .map(|(query, items)| {
                    (
                        query.to_owned(),
                        items.into_iter().map(str::to_owned).collect(),
                    )
                })
                .collect(),
        }
    }

    fn ids(names: &[&str]) -> Ids {
        Ids::new(names.iter().map(|name| (*name).to_owned()).collect()).unwrap()
    }

    #[test]
    fn unknown_names_are_named_and_counted() {
        let resolve = |unknown| {
            judgments().resolve(
                Direction::ImageToText,
                &ids(&["b", "a"]),
                &ids(&["x", "y"]),
                unknown,
            )
        };
        let error = resolve(UnknownIds::Refuse).unwrap_err().to_string();
        assert!(
            error.contains("eccv.json: 1 queries and 1 relevant items are not in the data")
                && error.contains("item 'gone' of query 'b'"),
            "{error}"
        );
        let counted = resolve(UnknownIds::Count).unwrap();
        assert_eq!(counted.absent, [1, 0]);
        assert_eq!((counted.unknown.queries, counted.unknown.items), (1, 1));
        assert_eq!(resolve(UnknownIds::Ignore).unwrap().absent, [0, 0]);
        assert_eq!(
            counted.pairs[0],
            Pair {
                image: 1,
                caption: 0
            }
        );
    }

    #[test]
    fn a_mirror_asks_the_items() {
        let mirrored = judgments().mirrored();
        let expected = [
            ("x", vec!["a", "c"]),
            ("y", vec!["a", "b"]),
            ("gone", vec!["b"]),
        ];
        for ((query, items), (name, known)) in mirrored.queries.iter().zip(expected) {
            assert_eq!((query.as_str(), items.len()), (name, known.len()));
            assert!(items.iter().eq(known.iter()));
        }
        let direct = mirrored
            .resolve(
                Direction::TextToImage,
                &ids(&["x", "y", "gone"]),
                &ids(&["a", "b", "c"]),
                UnknownIds::Refuse,
            )
            .unwrap();
        assert_eq!(
            direct.pairs[1],
            Pair {
                image: 2,
                caption: 0
            }
        );
    }
}

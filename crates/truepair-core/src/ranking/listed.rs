//! Ranked lists made by another program: taken in their order, never sorted again.

use rayon::prelude::*;

use super::placed::{Level, Placed};
use super::sorted::Answers;
use crate::error::{Error, Result};
use crate::relevance::{Ids, Judgments, LabelRelevance, Relevance};
use crate::scores::Direction;

/// The items found for one query, best first, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The query.
    pub query: u32,
    /// Items of its gallery.
    pub items: Vec<u32>,
}

/// Lists of both directions; they may end at any length.
///
/// ```
/// use truepair_core::ranking::{List, RankedLists};
/// use truepair_core::scores::Direction;
///
/// // Another program ranked two of three captions for one image.
/// let list = List { query: 0, items: vec![2, 0] };
/// let lists = RankedLists::new(1, 3, vec![list], Vec::new())?;
/// assert_eq!(lists.list(Direction::ImageToText, 0), Some(&[2, 0][..]));
/// assert_eq!(lists.list(Direction::TextToImage, 1), None);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedLists {
    n_images: usize,
    n_captions: usize,
    /// Per image.
    image_to_text: Vec<Option<Vec<u32>>>,
    /// Per caption.
    text_to_image: Vec<Option<Vec<u32>>>,
}

impl RankedLists {
    /// Takes lists of `n_images` images and `n_captions` captions.
    ///
    /// # Errors
    /// If a query has two lists, or a list names an item twice or one that does not exist.
    pub fn new(
        n_images: usize,
        n_captions: usize,
        image_to_text: Vec<List>,
        text_to_image: Vec<List>,
    ) -> Result<Self> {
        Ok(Self {
            n_images,
            n_captions,
            image_to_text: by_query(image_to_text, n_images, n_captions)?,
            text_to_image: by_query(text_to_image, n_captions, n_images)?,
        })
    }

    /// Number of images.
    pub fn n_images(&self) -> usize {
        self.n_images
    }

    /// Number of captions.
    pub fn n_captions(&self) -> usize {
        self.n_captions
    }

    /// The list of a query.
    pub fn list(&self, direction: Direction, query: u32) -> Option<&[u32]> {
        self.side(direction).get(query as usize)?.as_deref()
    }

    /// The lists of `images` and `captions` alone, renumbered in the order given; other items are
    /// dropped from the lists.
    pub fn part(&self, images: &[u32], captions: &[u32]) -> Self {
        Self {
            n_images: images.len(),
            n_captions: captions.len(),
            image_to_text: part(&self.image_to_text, images, captions, self.n_captions),
            text_to_image: part(&self.text_to_image, captions, images, self.n_images),
        }
    }

    fn side(&self, direction: Direction) -> &[Option<Vec<u32>>] {
        match direction {
            Direction::ImageToText => &self.image_to_text,
            Direction::TextToImage => &self.text_to_image,
        }
    }

    /// Places the relevant items of every query, image queries first, and passes each query to `worth`.
    ///
    /// # Errors
    /// If sizes differ, or a query with a relevant item has no list; the first one and their number
    /// are named.
    pub fn placements<T: Send>(
        &self,
        relevance: &Relevance,
        worth: impl Fn(&Placed<'_>) -> T + Sync,
    ) -> Result<[Answers<T>; 2]> {
        self.check_sizes(relevance.n_images(), relevance.n_captions())?;
        let of = |direction| {
            let judged = |query| {
                let relevant = relevance.relevant(direction, query);
                let n_absent = relevance.n_absent(direction, query);
                (!relevant.is_empty() || n_absent > 0).then_some((relevant, n_absent))
            };
            self.each(direction, |query, list| {
                let (relevant, n_absent) = judged(query)?;
                let Some(items) = list else { return Some(None) };
                let found = (1u32..).zip(items);
                let found = found.filter(|(_, item)| relevant.binary_search(item).is_ok());
                // After the last relevant item there is nothing to look for.
                let ranks = found.take(relevant.len()).map(|(rank, _)| rank);
                let ranks: Vec<u32> = ranks.collect();
                let level = Level {
                    ranks: &ranks,
                    n_relevant: relevant.len() as u32 + n_absent,
                    n_absent,
                };
                let placed = Placed {
                    levels: &[level],
                    depth: items.len() as u32,
                    n_gallery: self.n_gallery(direction) as u32,
                };
                Some(Some(worth(&placed)))
            })
        };
        Ok([of(Direction::ImageToText)?, of(Direction::TextToImage)?])
    }

    /// The same with relevance by labels; items without a label are dropped from the lists.
    ///
    /// # Errors
    /// As [`placements`](Self::placements).
    pub fn placements_by_labels<T: Send>(
        &self,
        labels: &LabelRelevance,
        worth: impl Fn(&Placed<'_>) -> T + Sync,
    ) -> Result<[Answers<T>; 2]> {
        self.check_sizes(labels.n_images(), labels.n_captions())?;
        let of = |direction| {
            let n_gallery = self.n_gallery(direction) as u32;
            self.each(direction, |query, list| {
                if !labels.is_query(direction, query) {
                    return None;
                }
                let gallery: Vec<u32> = (0..n_gallery)
                    .filter(|&item| labels.in_gallery(direction, query, item))
                    .collect();
                let relevant = |level, item| {
                    (labels.level(direction, query, item)).is_some_and(|of| of <= level)
                };
                let n_relevant = |level| {
                    let found = gallery.iter().filter(|&&item| relevant(level, item));
                    found.count() as u32
                };
                if n_relevant(0) == 0 {
                    return None;
                }
                let Some(items) = list else { return Some(None) };
                let items: Vec<u32> = (items.iter().copied())
                    .filter(|&item| labels.in_gallery(direction, query, item))
                    .collect();
                let ranks: Vec<Vec<u32>> = (0..labels.n_levels())
                    .map(|level| {
                        let found = (1u32..).zip(&items);
                        let found = found.filter(|(_, item)| relevant(level, **item));
                        found.map(|(rank, _)| rank).collect()
                    })
                    .collect();
                let levels: Vec<Level<'_>> = (ranks.iter().enumerate())
                    .map(|(level, ranks)| Level {
                        ranks,
                        n_relevant: n_relevant(level),
                        n_absent: 0,
                    })
                    .collect();
                let placed = Placed {
                    levels: &levels,
                    depth: items.len() as u32,
                    n_gallery: gallery.len() as u32,
                };
                Some(Some(worth(&placed)))
            })
        };
        Ok([of(Direction::ImageToText)?, of(Direction::TextToImage)?])
    }

    fn n_gallery(&self, direction: Direction) -> usize {
        match direction {
            Direction::ImageToText => self.n_captions,
            Direction::TextToImage => self.n_images,
        }
    }

    fn check_sizes(&self, n_images: usize, n_captions: usize) -> Result<()> {
        if (self.n_images, self.n_captions) == (n_images, n_captions) {
            return Ok(());
        }
        Err(Error::argument(
            format!(
                "the lists are of {} images and {} captions, the relevance of {n_images} and \
                 {n_captions}",
                self.n_images, self.n_captions
            ),
            "give lists and relevance of the same split",
        ))
    }

    /// Looks at every query: `look` returns `None` for one that is not judged, and `Some(None)` for one
    /// that is judged but has no list.
    fn each<T: Send>(
        &self,
        direction: Direction,
        look: impl Fn(u32, Option<&[u32]>) -> Option<Option<T>> + Sync,
    ) -> Result<Answers<T>> {
        let n_queries = match direction {
            Direction::ImageToText => self.n_images,
            Direction::TextToImage => self.n_captions,
        };
        let mut answers = Answers {
            queries: Vec::new(),
            n_excluded: 0,
        };
        let mut missing = Vec::new();
        let queries = (0..n_queries as u32).into_par_iter();
        let found: Vec<Option<Option<T>>> = queries
            .map(|query| look(query, self.list(direction, query)))
            .collect();
        for (query, found) in (0..).zip(found) {
            match found {
                None => answers.n_excluded += 1,
                Some(None) => missing.push(query),
                Some(Some(worth)) => answers.queries.push((query, worth)),
            }
        }
        match missing.first() {
            None => Ok(answers),
            Some(first) => {
                let asked = match direction {
                    Direction::ImageToText => "image",
                    Direction::TextToImage => "caption",
                };
                Err(Error::argument(
                    format!(
                        "{} {asked} queries with a relevant item have no list, first {asked} {first}",
                        missing.len()
                    ),
                    "rank every query that is judged; an empty list says that nothing was found",
                ))
            }
        }
    }
}

fn by_query(lists: Vec<List>, n_queries: usize, n_gallery: usize) -> Result<Vec<Option<Vec<u32>>>> {
    let mut seen = vec![u32::MAX; n_gallery];
    let mut found = vec![None; n_queries];
    for (at, list) in lists.into_iter().enumerate() {
        let query = list.query;
        let refuse = |problem: String| {
            Err(Error::argument(
                problem,
                "list every item of the gallery at most once",
            ))
        };
        for &item in &list.items {
            match seen.get_mut(item as usize) {
                None => {
                    return refuse(format!("query {query} lists item {item} of {n_gallery}"));
                }
                Some(last) if *last == at as u32 => {
                    return refuse(format!("query {query} lists item {item} twice"));
                }
                Some(last) => *last = at as u32,
            }
        }
        match found.get_mut(query as usize) {
            None => {
                return refuse(format!(
                    "there is a list for query {query}, but only {n_queries} queries"
                ));
            }
            Some(Some(_)) => return refuse(format!("query {query} has two lists")),
            Some(place) => *place = Some(list.items),
        }
    }
    Ok(found)
}

/// The lists of `queries` with only the given ones of `n_items` items, renumbered.
fn part(
    lists: &[Option<Vec<u32>>],
    queries: &[u32],
    items: &[u32],
    n_items: usize,
) -> Vec<Option<Vec<u32>>> {
    let mut new_item = vec![u32::MAX; n_items];
    for (new, &old) in (0..).zip(items) {
        new_item[old as usize] = new;
    }
    let kept = |list: &Vec<u32>| -> Vec<u32> {
        let items = list.iter().map(|&item| new_item[item as usize]);
        items.filter(|&item| item != u32::MAX).collect()
    };
    let queries = queries.par_iter();
    queries
        .map(|&old| lists[old as usize].as_ref().map(kept))
        .collect()
}

impl List {
    /// Looks up the names in ranked lists read from a file.
    ///
    /// # Errors
    /// If a query or an item is not in the data; the first one and their number are named.
    pub fn resolve(named: &Judgments, queries: &Ids, gallery: &Ids) -> Result<Vec<List>> {
        let lists = named.resolve_lists(queries, gallery)?.into_iter();
        Ok(lists.map(|(query, items)| List { query, items }).collect())
    }
}

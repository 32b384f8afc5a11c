//! Judgments by name, as they are in files, on their way to a [`Relevance`].

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Ids, Relevance, unescaped};
use crate::dataset::Account;
use crate::error::{Error, Place, Result};
use crate::pair::Pair;
use crate::scores::Direction;

/// What a file says about one direction: which items belong to which queries, by name.
///
/// A name is stored once however often it occurs, so rankings of millions of entries fit in memory.
///
/// ```
/// use truepair_core::relevance::{Ids, Judgments, UnknownIds};
/// use truepair_core::scores::Direction;
///
/// let mut judgments = Judgments::new("i2t.json");
/// judgments.add("beach.jpg", ["c7", "c9"])?;
/// let images = Ids::new(vec!["beach.jpg".into()])?;
/// let captions = Ids::new(vec!["c7".into()])?;
/// // The gallery has no `c9`: counted as relevant and never found.
/// let found = judgments.resolve(Direction::ImageToText, &images, &captions, UnknownIds::Count)?;
/// assert_eq!((found.pairs.len(), found.absent), (1, vec![1]));
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgments {
    file: PathBuf,
    names: Vec<String>,
    number: HashMap<String, u32>,
    /// Numbers of each query's name and of its items' names, in the order of the file.
    queries: Vec<(u32, Vec<u32>)>,
    /// Numbers of the queries' names.
    asked: HashSet<u32>,
    spelling: Spelling,
    account: Account,
}

/// How a file spells names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spelling {
    /// As they are.
    #[default]
    Plain,
    /// Spaces may be [`escaped`](super::escaped); a name that the data has as it stands is that
    /// name.
    Escaped,
}

/// What to do with names that are not in the data.
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

/// How many names of a file are not in the data.
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
    /// For each query the number of relevant items that are not in the data.
    pub absent: Vec<u32>,
    /// Names that are not in the data.
    pub unknown: UnknownItems,
}

impl Judgments {
    /// No judgments yet; messages name `file`.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            names: Vec::new(),
            number: HashMap::new(),
            queries: Vec::new(),
            asked: HashSet::new(),
            spelling: Spelling::Plain,
            account: Account::default(),
        }
    }

    /// The same with names spelled as `spelling` says.
    pub fn spelled(mut self, spelling: Spelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// What the file was found to hold besides, and what was chosen where it left a choice.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Where a reader notes what it passes over or chooses.
    pub fn account_mut(&mut self) -> &mut Account {
        &mut self.account
    }

    /// The file, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Queries in the order of the file, each with its items.
    pub fn queries(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let name = |number: u32| self.names[number as usize].as_str();
        (self.queries.iter())
            .map(move |(query, items)| (name(*query), items.iter().map(move |&item| name(item))))
    }

    /// Adds a query with its items.
    ///
    /// # Errors
    /// If it lists an item twice, or the query was added before; the name is named.
    pub fn add<N: AsRef<str>>(
        &mut self,
        query: &str,
        items: impl IntoIterator<Item = N>,
    ) -> Result<()> {
        let items = items
            .into_iter()
            .map(|item| self.intern(item.as_ref()))
            .collect();
        self.add_interned(query, items)
    }

    /// Adds a query with its items as numbers from [`intern`](Self::intern), for files that are read
    /// item by item.
    ///
    /// # Errors
    /// If it lists an item twice, or the query was added before; the name is named.
    ///
    /// # Panics
    /// If a number does not belong to a name.
    pub fn add_interned(&mut self, query: &str, items: Vec<u32>) -> Result<()> {
        let mut sorted = items.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|two| two[0] == two[1]) {
            let item = &self.names[twice[0] as usize];
            return Err(Error::data(
                &self.file,
                Place::Whole,
                format!("query '{query}' lists '{item}' twice"),
                "list every item once",
            ));
        }
        let number = self.intern(query);
        if !self.asked.insert(number) {
            return Err(Error::data(
                &self.file,
                Place::Whole,
                format!("query '{query}' stands twice"),
                "write all items of a query in one place",
            ));
        }
        self.queries.push((number, items));
        Ok(())
    }

    /// The number of a name; it never changes.
    pub fn intern(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.number.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.number.insert(name.to_owned(), number);
        number
    }

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
        self.look_up(queries, gallery, |name, query, item, item_name| {
            match (query, item, item_name) {
                (None, _, None) => {
                    found.unknown.queries += 1;
                    first.get_or_insert_with(|| format!("query '{name}'"));
                }
                (Some(query), Some(item), _) => found.pairs.push(pair(direction, query, item)),
                (Some(query), None, Some(item)) => {
                    found.unknown.items += 1;
                    found.absent[query as usize] += u32::from(unknown == UnknownIds::Count);
                    first.get_or_insert_with(|| format!("item '{item}' of query '{name}'"));
                }
                _ => {}
            }
        })?;
        match first {
            Some(first) if unknown == UnknownIds::Refuse => Err(Error::data(
                &self.file,
                Place::Whole,
                format!(
                    "{} queries and {} relevant items are not in the data, first {first}",
                    found.unknown.queries, found.unknown.items
                ),
                "give the ids of the data, or say that unknown ids are counted as never found or \
                 ignored",
            )),
            _ => Ok(found),
        }
    }

    /// Calls `look` for every query with its name and index and no item; then, if the query is known,
    /// for each of its items with index and name.
    fn look_up(
        &self,
        queries: &Ids,
        gallery: &Ids,
        mut look: impl FnMut(&str, Option<u32>, Option<u32>, Option<&str>),
    ) -> Result<()> {
        let items = self.names.iter().map(|name| self.find(gallery, name));
        let item_of = items.collect::<Result<Vec<Option<u32>>>>()?;
        for (query, items) in &self.queries {
            let name = self.names[*query as usize].as_str();
            let query = self.find(queries, name)?;
            look(name, query, None, None);
            if query.is_some() {
                for &item in items {
                    let item_name = self.names[item as usize].as_str();
                    look(name, query, item_of[item as usize], Some(item_name));
                }
            }
        }
        Ok(())
    }

    /// The index of a name as the file spells it.
    ///
    /// # Errors
    /// If two names of the data could be meant.
    fn find(&self, ids: &Ids, name: &str) -> Result<Option<u32>> {
        let exact = ids.find(name);
        if self.spelling == Spelling::Plain {
            return Ok(exact);
        }
        let plain = unescaped(name);
        let meant = plain.as_deref().and_then(|plain| ids.find(plain));
        if let (Some(exact), Some(meant)) = (exact, meant)
            && exact != meant
        {
            return Err(Error::data(
                &self.file,
                Place::Whole,
                format!(
                    "'{name}' could be the id '{}' or the id '{}'",
                    ids.name(exact),
                    ids.name(meant)
                ),
                "give the items ids that differ in more than escaped spaces",
            ));
        }
        Ok(exact.or(meant))
    }

    /// Looks up names that must all be known.
    ///
    /// # Errors
    /// If one is not; the first one and their number are named.
    pub(crate) fn resolve_lists(
        &self,
        queries: &Ids,
        gallery: &Ids,
    ) -> Result<Vec<(u32, Vec<u32>)>> {
        let mut lists: Vec<(u32, Vec<u32>)> = Vec::with_capacity(self.queries.len());
        let mut n_unknown = 0;
        let mut first: Option<String> = None;
        self.look_up(queries, gallery, |name, query, item, item_name| {
            match (query, item, item_name) {
                (Some(query), _, None) => lists.push((query, Vec::new())),
                (Some(_), Some(item), Some(_)) => {
                    lists
                        .last_mut()
                        .expect("a query comes before its items")
                        .1
                        .push(item);
                }
                (_, _, item) => {
                    n_unknown += 1;
                    first.get_or_insert_with(|| match item {
                        None => format!("query '{name}'"),
                        Some(item) => format!("item '{item}' of query '{name}'"),
                    });
                }
            }
        })?;
        match first {
            None => Ok(lists),
            Some(first) => Err(Error::data(
                &self.file,
                Place::Whole,
                format!("{n_unknown} ids are not in the data, first {first}"),
                "rank the items of this data, under the same ids",
            )),
        }
    }

    /// The same judgments seen from the other side: every item becomes a query.
    pub fn mirrored(&self) -> Judgments {
        let mut place = vec![usize::MAX; self.names.len()];
        let mut mirrored: Vec<(u32, Vec<u32>)> = Vec::new();
        for (query, items) in &self.queries {
            for &item in items {
                let at = &mut place[item as usize];
                if *at == usize::MAX {
                    *at = mirrored.len();
                    mirrored.push((item, Vec::new()));
                }
                mirrored[*at].1.push(*query);
            }
        }
        Judgments {
            asked: mirrored.iter().map(|(query, _)| *query).collect(),
            queries: mirrored,
            ..self.clone()
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
    /// If they belong to data other than `n_images` and `n_captions` say.
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
        let mut judgments = Judgments::new("eccv.json");
        for (query, items) in [("a", ["x", "y"]), ("b", ["y", "gone"])] {
            judgments.add(query, items).unwrap();
        }
        judgments.add("c", ["x"]).unwrap();
        judgments
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
    fn a_query_that_stands_twice_is_refused() {
        let error = judgments().add("a", ["z"]).unwrap_err().to_string();
        assert!(
            error.contains("eccv.json: query 'a' stands twice"),
            "{error}"
        );
    }

    #[test]
    fn escaped_names_are_found_as_they_stand_or_unescaped() {
        let mut judgments = Judgments::new("i2t.run").spelled(Spelling::Escaped);
        judgments.add("img%201", ["a%20b", "50%25", "c"]).unwrap();
        let resolve = |items: &[&str]| {
            let queries = ids(&["img 1"]);
            judgments.resolve(
                Direction::ImageToText,
                &queries,
                &ids(items),
                UnknownIds::Refuse,
            )
        };
        let found = resolve(&["a b", "50%", "c"]).unwrap();
        assert_eq!(
            found
                .pairs
                .iter()
                .map(|pair| pair.caption)
                .collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(resolve(&["c", "50%", "a%20b"]).unwrap().pairs[0].caption, 2);
        let error = resolve(&["a b", "a%20b", "50%", "c"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("the id 'a%20b' or the id 'a b'"), "{error}");
    }

    #[test]
    fn a_mirror_asks_the_items() {
        let mirrored = judgments().mirrored();
        let found: Vec<(&str, Vec<&str>)> = (mirrored.queries())
            .map(|(query, items)| (query, items.collect()))
            .collect();
        let expected = [
            ("x", vec!["a", "c"]),
            ("y", vec!["a", "b"]),
            ("gone", vec!["b"]),
        ];
        assert_eq!(found, expected);
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

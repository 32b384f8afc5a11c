//! Relevance, or a ranking, as a JSON map from each query to its items, or to the scores of its items.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use truepair_core::error::{Error, Place, Result};
use truepair_core::relevance::Judgments;

use crate::text_file::read_whole;

/// Bytes of a file that is read whole.
const LARGEST: u64 = 1 << 36;
/// Floating-point numbers below this are told apart when they are whole.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Reads `{"query": ["item", ...], ...}`, or judgments as ranx, pytrec_eval and BEIR hold them,
/// `{"query": {"item": 1, ...}, ...}`, of which 0 and less say that an item is not relevant; ids may be
/// texts or whole numbers.
///
/// ```
/// use truepair_read::relevance::read_map;
///
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("i2t.json");
/// std::fs::write(&path, r#"{"beach.jpg": [7, "c9"], "sea.jpg": {"c4": 1, "c5": 0}}"#)?;
/// let judgments = read_map(&path)?;
/// let lists: Vec<Vec<&str>> = judgments.queries().map(|(_, items)| items.collect()).collect();
/// assert_eq!(lists, [vec!["7", "c9"], vec!["c4"]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the file cannot be read or is no such map (line and column are named), or a query or an item of
/// a query stands twice.
pub fn read_map(path: &Path) -> Result<Judgments> {
    read(path, Meaning::Judgments)
}

/// As [`read_map`], with lists and scores that rank: items of scores are in the order of falling
/// scores.
///
/// # Errors
/// Those of [`read_map`].
pub(crate) fn read_ranked_map(path: &Path) -> Result<Judgments> {
    read(path, Meaning::Ranking)
}

/// What the numbers beside items are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Relevant above 0.
    Judgments,
    /// Larger is better.
    Ranking,
}

fn read(path: &Path, meaning: Meaning) -> Result<Judgments> {
    let text = read_whole(path, LARGEST)?;
    let mut judgments = Judgments::new(path);
    let mut counts = Counts::default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let mut file = serde_json::Deserializer::from_slice(text);
    let map = Map {
        judgments: &mut judgments,
        counts: &mut counts,
        meaning,
    };
    let read = (map.deserialize(&mut file)).and_then(|read| file.end().map(|()| read));
    match read {
        Ok(Ok(())) => {
            counts.note(&mut judgments);
            Ok(judgments)
        }
        Ok(Err(twice)) => Err(twice),
        Err(cause) => Err(Error::data(
            path,
            Place::Whole,
            cause.to_string(),
            "write {\"query\": [\"item\", ...], ...}, or {\"query\": {\"item\": 1, ...}, ...}",
        )),
    }
}

/// What is to be said of a file.
#[derive(Default)]
struct Counts {
    irrelevant: usize,
    tied: usize,
    with_point: usize,
}

impl Counts {
    fn note(&self, judgments: &mut Judgments) {
        let account = judgments.account_mut();
        let why = "it says that an item is not relevant";
        account.pass_count("judgment", why, self.irrelevant);
        if self.tied > 0 {
            account.chose(format!(
                "{} items of equal scores are in trec_eval's order, the larger name first",
                self.tied
            ));
        }
        if self.with_point > 0 {
            account.chose(format!(
                "{} ids are whole numbers written with a point, read without it",
                self.with_point
            ));
        }
    }
}

/// The whole map; what stands twice is an error of ours.
struct Map<'a> {
    judgments: &'a mut Judgments,
    counts: &'a mut Counts,
    meaning: Meaning,
}

impl<'de> DeserializeSeed<'de> for Map<'_> {
    type Value = Result<()>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Map<'_> {
    type Value = Result<()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map from each query to a list of ids")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        // The rest is read on, or the parser would report an error of its own.
        let mut added = Ok(());
        while let Some(query) = map.next_key::<String>()? {
            let items = map.next_value_seed(Items {
                judgments: self.judgments,
                counts: self.counts,
            })?;
            if added.is_ok() {
                added = match items {
                    Found::Listed(items) => self.judgments.add_interned(&query, items),
                    Found::Scored(items) => self.add_scored(&query, items),
                };
            }
        }
        Ok(added)
    }
}

impl Map<'_> {
    fn add_scored(&mut self, query: &str, mut items: Vec<(String, f64)>) -> Result<()> {
        items.sort_by(|(a, one), (b, other)| {
            let by_score = other.partial_cmp(one).expect("JSON has no NaN");
            by_score.then(b.cmp(a))
        });
        let mut names: Vec<&str> = items.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
            return Err(Error::data(
                self.judgments.file(),
                Place::Whole,
                format!("query '{query}' lists '{}' twice", twice[0]),
                "list every item once",
            ));
        }
        match self.meaning {
            Meaning::Judgments => {
                let n = items.len();
                items.retain(|(_, relevance)| *relevance > 0.0);
                self.counts.irrelevant += n - items.len();
            }
            Meaning::Ranking => {
                let tied = items.chunk_by(|a, b| a.1 == b.1).map(<[_]>::len);
                self.counts.tied += tied.filter(|n| *n > 1).sum::<usize>();
            }
        }
        self.judgments
            .add(query, items.into_iter().map(|(name, _)| name))
    }
}

/// One query's items.
enum Found {
    /// As the numbers of their names.
    Listed(Vec<u32>),
    Scored(Vec<(String, f64)>),
}

struct Items<'a> {
    judgments: &'a mut Judgments,
    counts: &'a mut Counts,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of ids, or a map from ids to numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Name {
            judgments: self.judgments,
            counts: self.counts,
        })? {
            items.push(item);
        }
        Ok(Found::Listed(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = map.next_entry::<String, f64>()? {
            items.push(item);
        }
        Ok(Found::Scored(items))
    }
}

/// One item, as the number of its name.
struct Name<'a> {
    judgments: &'a mut Judgments,
    counts: &'a mut Counts,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id, a text or a whole number of at most 15 digits")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<u32, E> {
        Ok(self.judgments.intern(name))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u32, E> {
        Ok(self.judgments.intern(&number.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u32, E> {
        Ok(self.judgments.intern(&number.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<u32, E> {
        if number.fract() != 0.0 || number.abs() >= LARGEST_WHOLE {
            return Err(E::invalid_type(serde::de::Unexpected::Float(number), &self));
        }
        self.counts.with_point += 1;
        Ok(self.judgments.intern(&(number as i64).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Judgments> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        std::fs::write(&path, text).unwrap();
        read_map(&path)
    }

    #[test]
    fn ids_may_be_numbers_or_texts() {
        let found = read(r#"{"205636": [633028, "634789", -1], "7": []}"#).unwrap();
        let lists: Vec<(&str, Vec<&str>)> = (found.queries())
            .map(|(query, items)| (query, items.collect()))
            .collect();
        assert_eq!(
            lists,
            [("205636", vec!["633028", "634789", "-1"]), ("7", vec![])]
        );
    }

    #[test]
    fn what_is_no_map_of_lists_is_refused() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        let list = message("[1, 2]");
        assert!(
            list.contains("map.json: ") && list.contains("a map from each query"),
            "{list}"
        );
        let number = message("{\n\"a\": 3}");
        assert!(
            number.contains("expected a list of ids, or a map from ids to numbers at line 2"),
            "{number}"
        );
        assert!(message(r#"{"a": [1.5]}"#).contains("expected an id, a text or a whole number"));
        let twice = message(r#"{"a": [1, "1"], "b": [2]}"#);
        assert!(
            twice.contains("map.json: query 'a' lists '1' twice"),
            "{twice}"
        );
        assert!(message(r#"{"a": [1]} {}"#).contains("trailing characters"));
    }

    fn lists(judgments: &Judgments) -> Vec<(String, Vec<String>)> {
        let strings = |(query, items): (&str, _)| (query.to_owned(), owned(items));
        judgments.queries().map(strings).collect()
    }

    fn owned<'a>(items: impl Iterator<Item = &'a str>) -> Vec<String> {
        items.map(str::to_owned).collect()
    }

    #[test]
    fn scores_rank_and_judgments_above_0_are_relevant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        let text = r#"{"q": {"a": 0.1, "c": 2, "b": 2.0, "d": -1}, "r": {}, "s": {"x": 0}}"#;
        std::fs::write(&path, text).unwrap();
        let of = |items: &[&str]| {
            items
                .iter()
                .map(|item| item.to_string())
                .collect::<Vec<_>>()
        };
        let ranked = read_ranked_map(&path).unwrap();
        assert_eq!(lists(&ranked)[0].1, of(&["c", "b", "a", "d"]));
        let said = ranked.account().summary().unwrap();
        assert!(
            said.contains("2 items of equal scores are in trec_eval's order"),
            "{said}"
        );
        let judged = read_map(&path).unwrap();
        assert_eq!(lists(&judged)[0].1, of(&["c", "b", "a"]));
        assert_eq!(lists(&judged)[2].1, of(&[]));
        let said = judged.account().summary().unwrap();
        assert!(
            said.contains("2 judgments: it says that an item is not relevant"),
            "{said}"
        );
    }

    #[test]
    fn whole_numbers_with_a_point_are_ids_and_others_are_not() {
        let found = read(r#"{"q": [3.0, -1.0, 12]}"#).unwrap();
        assert_eq!(lists(&found)[0].1, ["3", "-1", "12"]);
        let said = found.account().summary().unwrap();
        assert!(
            said.contains("2 ids are whole numbers written with a point"),
            "{said}"
        );
        for text in [
            r#"{"q": [12345678901234567890123]}"#,
            r#"{"q": [1.5]}"#,
            r#"{"q": [NaN]}"#,
            r#"{"q": {"a": NaN}}"#,
            r#"{"q": {"a": "1"}}"#,
            r#"{"q": {"a": true}}"#,
            r#"{"q": [["a"]]}"#,
            r#"{"q": {"a": 1, "a": 0}}"#,
            r#"{"q": ["a"], "q": ["b"]}"#,
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("map.json"), "{text}: {error}");
        }
    }
}

//! From tokens to numbers, in the published file format.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::treebank::tokenize;
use crate::durable;
use crate::error::{Error, Place, Result};
use crate::source_file;

/// Fills captions up to the longest of a batch.
pub const PAD: u32 = 0;
/// Comes before every caption.
pub const START: u32 = 1;
/// Comes after every caption.
pub const END: u32 = 2;
/// Any token that is not in the vocabulary.
pub const UNKNOWN: u32 = 3;

const SPECIAL: [&str; 4] = ["<pad>", "<start>", "<end>", "<unk>"];

/// The tokens that a matcher knows; number = position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// A caption as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// [`START`], the tokens, [`END`].
    pub ids: Vec<u32>,
    /// Tokens left out because the caption was too long.
    pub n_truncated: usize,
    /// Kept tokens that are not in the vocabulary.
    pub n_unknown: usize,
}

impl Vocabulary {
    /// Collects the tokens that occur at least `min_count` times in `captions`, in the order of
    /// their first appearance; the published vocabularies use 4.
    ///
    /// ```
    /// use truepair_core::text::Vocabulary;
    ///
    /// let vocabulary = Vocabulary::build(["a red ball", "a ball"], 2);
    /// assert_eq!(vocabulary.word(vocabulary.number("ball")), Some("ball"));
    /// assert_eq!(vocabulary.number("red"), truepair_core::text::UNKNOWN);
    /// ```
    pub fn build<'a>(captions: impl IntoIterator<Item = &'a str>, min_count: u32) -> Self {
        let mut order: Vec<String> = Vec::new();
        let mut counts: HashMap<String, u32> = HashMap::new();
        for token in captions.into_iter().flat_map(tokenize) {
            let count = counts.entry(token).or_insert_with_key(|token| {
                order.push(token.clone());
                0
            });
            *count += 1;
        }
        let frequent = order
            .into_iter()
            .filter(|token| counts[token] >= min_count && !SPECIAL.contains(&token.as_str()));
        Self::from_words(
            SPECIAL
                .iter()
                .map(|word| word.to_string())
                .chain(frequent)
                .collect(),
        )
    }

    /// Number of tokens, the four special ones included.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Always false: the special tokens are always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The number of a token; [`UNKNOWN`] if the vocabulary does not have it.
    pub fn number(&self, token: &str) -> u32 {
        self.numbers.get(token).copied().unwrap_or(UNKNOWN)
    }

    /// Whether a caption holds a token of the vocabulary that is a word.
    pub fn knows(&self, caption: &str) -> bool {
        let is_word = |token: &String| token.chars().any(char::is_alphanumeric);
        let mut words = tokenize(caption).into_iter().filter(is_word);
        words.any(|word| self.numbers.contains_key(&word))
    }

    /// The token of a number.
    pub fn word(&self, number: u32) -> Option<&str> {
        self.words.get(number as usize).map(String::as_str)
    }

    /// Tokenizes a caption and numbers it, keeping at most `max_len` numbers with [`START`] and
    /// [`END`].
    ///
    /// # Panics
    /// If `max_len` is less than 2.
    pub fn encode(&self, caption: &str, max_len: usize) -> Encoded {
        assert!(
            max_len >= 2,
            "a caption needs its start and its end, not {max_len} numbers"
        );
        let tokens = tokenize(caption);
        let n_kept = tokens.len().min(max_len - 2);
        let mut ids = Vec::with_capacity(n_kept + 2);
        ids.push(START);
        ids.extend(tokens[..n_kept].iter().map(|token| self.number(token)));
        let n_unknown = ids.iter().filter(|&&id| id == UNKNOWN).count();
        ids.push(END);
        Encoded {
            ids,
            n_truncated: tokens.len() - n_kept,
            n_unknown,
        }
    }

    /// Reads a published vocabulary, `{"word2idx": …, "idx2word": …, "idx": n}`.
    ///
    /// # Errors
    /// If the file cannot be read, is not of that form, or its two maps contradict each other.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let bytes = source_file::read(path.as_ref(), source_file::LIST)
            .map_err(|source| Error::io(&path, "read", source))?;
        let bad = |place, problem: String| {
            Error::data(
                &path,
                place,
                problem,
                "give a vocabulary {word2idx, idx2word, idx}",
            )
        };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| {
            bad(
                Place::Line(error.line() as u64),
                format!("not a vocabulary: {error}"),
            )
        })?;
        stored
            .words()
            .map(Self::from_words)
            .map_err(|problem| bad(Place::Whole, problem))
    }

    /// Writes the published format so that `path` holds either the old or the new file.
    ///
    /// # Errors
    /// If the folder cannot be written or the disk is full.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let numbered = || (0u32..).zip(&self.words);
        let stored = Stored {
            word2idx: numbered()
                .map(|(number, word)| (word.clone(), number))
                .collect(),
            idx2word: numbered()
                .map(|(number, word)| (number.to_string(), word.clone()))
                .collect(),
            idx: self.words.len() as u32,
        };
        durable::write(
            path,
            &serde_json::to_vec(&stored).expect("texts and numbers are JSON"),
        )
    }

    fn from_words(words: Vec<String>) -> Self {
        let numbers = (0u32..)
            .zip(&words)
            .map(|(number, word)| (word.clone(), number))
            .collect();
        Self { words, numbers }
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    word2idx: BTreeMap<String, u32>,
    idx2word: BTreeMap<String, String>,
    idx: u32,
}

impl Stored {
    /// The words by number, or the contradiction that was found.
    fn words(mut self) -> Result<Vec<String>, String> {
        if self.word2idx.len() != self.idx as usize || self.idx2word.len() != self.idx as usize {
            return Err(format!(
                "idx is {}, but word2idx has {} words and idx2word {}",
                self.idx,
                self.word2idx.len(),
                self.idx2word.len()
            ));
        }
        let mut words = Vec::with_capacity(self.idx as usize);
        for number in 0..self.idx {
            let Some(word) = self.idx2word.remove(&number.to_string()) else {
                return Err(format!("idx2word has no word {number}"));
            };
            if self.word2idx.get(&word) != Some(&number) {
                return Err(format!(
                    "word2idx does not give `{word}` the number {number}"
                ));
            }
            words.push(word);
        }
        if !words.iter().take(SPECIAL.len()).eq(SPECIAL.iter()) {
            return Err(format!(
                "the first four words are not {}",
                SPECIAL.join(", ")
            ));
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::build(
            ["A dog runs.", "a dog sits.", "a cat sits", "<unk> a <unk>"],
            2,
        )
    }

    #[test]
    fn frequent_tokens_are_numbered_by_first_appearance() {
        let vocabulary = vocabulary();
        let words: Vec<&str> = (0..).map_while(|number| vocabulary.word(number)).collect();
        let expected = [
            "<pad>", "<start>", "<end>", "<unk>", "a", "dog", ".", "sits",
        ];
        assert_eq!(words[..8], expected);
        assert_eq!(vocabulary.number("dog"), 5);
        assert_eq!(vocabulary.number("cat"), UNKNOWN);
    }

    #[test]
    fn a_caption_is_framed_and_truncation_is_counted() {
        let vocabulary = vocabulary();
        let encoded = vocabulary.encode("a bird sits", 32);
        assert_eq!(encoded.ids, [START, 4, UNKNOWN, 7, END]);
        assert_eq!((encoded.n_truncated, encoded.n_unknown), (0, 1));
        let short = vocabulary.encode("a dog sits.", 4);
        assert_eq!((short.ids, short.n_truncated), (vec![START, 4, 5, END], 2));
        assert_eq!(vocabulary.encode("", 2).ids, [START, END]);
    }

    #[test]
    fn a_vocabulary_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.json");
        vocabulary().write(&path).unwrap();
        assert_eq!(Vocabulary::read(&path).unwrap(), vocabulary());
    }

    #[test]
    fn files_that_contradict_themselves_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocab.json");
        let cases = [
            ("[", "not a vocabulary"),
            (r#"{"word2idx": {}, "idx2word": {}, "idx": 1}"#, "idx is 1"),
            (
                r#"{"word2idx": {"a": 0}, "idx2word": {"1": "a"}, "idx": 1}"#,
                "no word 0",
            ),
            (
                r#"{"word2idx": {"a": 1}, "idx2word": {"0": "a"}, "idx": 1}"#,
                "number 0",
            ),
            (
                r#"{"word2idx": {"a": 0}, "idx2word": {"0": "a"}, "idx": 1}"#,
                "first four",
            ),
        ];
        for (content, expected) in cases {
            std::fs::write(&path, content).unwrap();
            let error = Vocabulary::read(&path).unwrap_err().to_string();
            assert!(
                error.contains("vocab.json") && error.contains(expected),
                "{error}"
            );
        }
        assert!(Vocabulary::read(folder.path().join("none.json")).is_err());
    }
}

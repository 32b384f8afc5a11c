//! Word vectors that somebody else trained, as the first weights of a word embedding.

use std::collections::HashMap;
use std::path::Path;

use memmap2::Mmap;
use rayon::prelude::*;
use truepair_core::error::Place;
use truepair_core::text::Vocabulary;
use truepair_core::{Error, Result, source_file};

use crate::backbone::Backbone;
use crate::parameters;

/// Bytes that one thread looks through at a time: 1 MiB.
const PART: usize = 1 << 20;

/// Tokens before the first word: padding, start, end, unknown.
const SPECIAL: u32 = 4;

/// The vectors of a vocabulary's words.
///
/// A word that the file does not hold is looked for without `-`, `.` and `'`, then up to its first
/// `/`, as PCME does.
///
/// # Source
/// The text format of GloVe (Pennington et al., EMNLP 2014): a line is a word and its numbers. The
/// fallbacks: naver-ai/pcme, `models/pie_model.py` and its vocabulary (recalled).
#[derive(Debug)]
pub struct WordVectors {
    /// Row of the vocabulary to its vector.
    found: HashMap<u32, Vec<f32>>,
    /// Words without a vector, in the order of the vocabulary.
    pub missing: Vec<String>,
    dim: usize,
    n_words: usize,
}

impl WordVectors {
    /// Finds the vectors of `vocabulary` in a file of any size, which is mapped, not read into
    /// memory; its lines are looked through by all threads.
    ///
    /// # Errors
    /// If the file cannot be read, holds no vector of a known word, or a number is not one.
    pub fn read(path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let n_words = vocabulary.len() as u32;
        let wanted = Wanted::new(vocabulary);
        let content = Content::map(path)?;
        let entries = entries(content.bytes(), |word| wanted.0.contains_key(word));
        let Some(dim) = entries.first().map(Entry::n_numbers) else {
            return Err(Error::data(
                path,
                Place::Whole,
                "it holds no word of the captions",
                "name a file of word vectors: a word and its numbers a line",
            ));
        };
        // Tokens with a space inside begin like others and have too many fields.
        let vectors: Vec<_> = (entries.par_iter())
            .filter(|entry| entry.n_numbers() == dim)
            .map(|entry| (entry, entry.vector()))
            .collect();
        let mut found: HashMap<u32, (usize, Vec<f32>)> = HashMap::new();
        for (entry, vector) in vectors {
            let Some(vector) = vector else {
                let problem = format!(
                    "the vector of '{}' has something else than numbers",
                    entry.word
                );
                let place = Place::Line(content.line_of(entry.start));
                let remedy = "a line is a word and its numbers, separated by spaces";
                return Err(Error::data(path, place, problem, remedy));
            };
            for &(row, rank) in &wanted.0[entry.word] {
                let held = (found.entry(row)).or_insert_with(|| (usize::MAX, Vec::new()));
                if rank < held.0 {
                    *held = (rank, vector.clone());
                }
            }
        }
        let missing = (SPECIAL..n_words).filter(|row| !found.contains_key(row));
        Ok(Self {
            missing: missing
                .filter_map(|row| vocabulary.word(row))
                .map(str::to_owned)
                .collect(),
            found: found
                .into_iter()
                .map(|(row, (_, vector))| (row, vector))
                .collect(),
            dim,
            n_words: vocabulary.len(),
        })
    }

    /// The backbone with these vectors in its word embedding; the other rows stay as they were drawn.
    ///
    /// # Errors
    /// If the backbone has no word embedding, or one of another width.
    pub fn apply(&self, caption: Backbone) -> Result<Backbone> {
        let mut weights = parameters::export(&caption);
        let refuse = |problem: String| {
            let remedy = format!("use a caption backbone with word_dim = {}", self.dim);
            Err(Error::argument(problem, remedy))
        };
        let Some(embed) = weights.get_mut("embed") else {
            return refuse("word vectors are given, but captions have no word embedding".into());
        };
        if embed.shape != [self.n_words, self.dim] {
            return refuse(format!(
                "word vectors have {} numbers, the word embedding is {:?}",
                self.dim, embed.shape
            ));
        }
        for (row, vector) in &self.found {
            embed.values[*row as usize * self.dim..][..self.dim].copy_from_slice(vector);
        }
        parameters::import(caption, weights)
    }

    /// How many words have no vector, and the first of them; `None` when all have one.
    pub fn warning(&self) -> Option<String> {
        const NAMED: usize = 20;
        let n = self.missing.len();
        let named: Vec<&str> = self
            .missing
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        (n > 0).then(|| {
            format!(
                "{n} of {} words have no word vector: {}{}",
                self.n_words - SPECIAL as usize,
                named.join(", "),
                if n > NAMED { ", …" } else { "" }
            )
        })
    }
}

/// What a word is looked up as, best first.
fn forms(word: &str) -> Vec<String> {
    let bare = word.replace(['-', '.', '\''], "");
    let first = word.split('/').next().unwrap_or_default().to_owned();
    let mut forms = vec![word.to_owned(), bare, first];
    forms.retain(|form| !form.is_empty());
    forms.dedup();
    forms
}

/// What is looked for: rows of the vocabulary, and how good the form is, by form.
struct Wanted(HashMap<String, Vec<(u32, usize)>>);

impl Wanted {
    fn new(vocabulary: &Vocabulary) -> Self {
        let mut wanted: HashMap<String, Vec<(u32, usize)>> = HashMap::new();
        for row in SPECIAL..vocabulary.len() as u32 {
            let forms = vocabulary.word(row).map(forms).unwrap_or_default();
            for (rank, form) in forms.into_iter().enumerate() {
                wanted.entry(form).or_default().push((row, rank));
            }
        }
        Self(wanted)
    }
}

/// A mapped file; an empty one cannot be mapped.
struct Content(Option<Mmap>);

impl Content {
    fn map(path: &Path) -> Result<Self> {
        let file = source_file::open(path).map_err(|cause| Error::io(path, "open", cause))?;
        let length = file
            .metadata()
            .map_err(|cause| Error::io(path, "read", cause))?
            .len();
        if length == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the mapping is read-only. Should another program shorten the file meanwhile, the
        // system ends this process with a bus error, as for every mapped file; no reference
        // outlives the mapping.
        let map = unsafe { Mmap::map(&file) }.map_err(|cause| Error::io(path, "map", cause))?;
        Ok(Self(Some(map)))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The number, from 1, of the line that a byte is in.
    fn line_of(&self, at: usize) -> u64 {
        let before = self.bytes()[..at].iter();
        1 + before.filter(|&&byte| byte == b'\n').count() as u64
    }
}

/// A line that may hold a vector.
struct Entry<'a> {
    /// Of its first byte in the file.
    start: usize,
    word: &'a str,
    numbers: &'a str,
}

impl Entry<'_> {
    fn n_numbers(&self) -> usize {
        self.numbers.split(' ').count()
    }

    /// `None` where a number is none.
    fn vector(&self) -> Option<Vec<f32>> {
        let numbers = self.numbers.split(' ').map(str::parse);
        numbers.collect::<std::result::Result<_, _>>().ok()
    }
}

/// The lines whose word is wanted, in the order of the file.
fn entries(bytes: &[u8], is_wanted: impl Fn(&str) -> bool + Sync) -> Vec<Entry<'_>> {
    let parts: Vec<Vec<Entry<'_>>> = (0..bytes.len().div_ceil(PART))
        .into_par_iter()
        .map(|part| {
            let end = bytes.len().min((part + 1) * PART);
            let mut start = first_line(bytes, part * PART);
            let mut entries = Vec::new();
            // A line belongs to the part that it starts in.
            while start < end {
                let rest = &bytes[start..];
                let length = rest.iter().position(|&byte| byte == b'\n');
                let line = &rest[..length.unwrap_or(rest.len())];
                entries.extend(entry(start, line).filter(|entry| is_wanted(entry.word)));
                start += line.len() + 1;
            }
            entries
        })
        .collect();
    parts.into_iter().flatten().collect()
}

/// Where the first line starts that starts at `from` or after it.
fn first_line(bytes: &[u8], from: usize) -> usize {
    let Some(before) = from.checked_sub(1) else {
        return 0;
    };
    let end = bytes[before..].iter().position(|&byte| byte == b'\n');
    end.map_or(bytes.len(), |length| before + length + 1)
}

fn entry(start: usize, line: &[u8]) -> Option<Entry<'_>> {
    // Words that are not UTF-8 are in no vocabulary.
    let text = std::str::from_utf8(line).ok()?;
    let (word, numbers) = text.trim_end().split_once(' ')?;
    Some(Entry {
        start,
        word,
        numbers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{BackboneConfig, GruConfig, InputShape};
    use crate::kernel::Precision;
    use crate::layer::Init;
    use burn::tensor::Device;
    use truepair_core::rng::Seed;

    fn vocabulary() -> Vocabulary {
        Vocabulary::build(["dog t-shirt red/green cat blorp dog"], 1)
    }

    fn file(lines: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("glove.txt");
        std::fs::write(&path, lines).unwrap();
        (folder, path)
    }

    fn gru(word_dim: usize) -> Backbone {
        let mut init = Init::new(Seed(1).stream("init", &[]), Device::flex(), Precision::F32);
        let config = BackboneConfig::Gru(GruConfig {
            word_dim,
            dim: 4,
            ..GruConfig::default()
        });
        config
            .build(InputShape::Tokens(vocabulary().len()), &mut init)
            .unwrap()
    }

    #[test]
    fn words_get_their_vectors_and_the_others_are_listed() {
        let words = vocabulary();
        let lines = "the 9 9\ntshirt 1 2\ndog 3 4\ndog . 5 6\nred 7 8\ncat 0.5 -1e-1\n";
        let (_folder, path) = file(lines);
        let vectors = WordVectors::read(&path, &words).unwrap();
        assert_eq!(vectors.missing, ["blorp"]);
        assert!(vectors.warning().unwrap().contains("1 of 5 words"));
        let before = parameters::export(&gru(2))["embed"].clone();
        let after = parameters::export(&vectors.apply(gru(2)).unwrap())["embed"].clone();
        let row = |word: &str| 2 * words.number(word) as usize;
        for (word, vector) in [
            ("dog", [3.0, 4.0]),
            ("t-shirt", [1.0, 2.0]),
            ("red/green", [7.0, 8.0]),
            ("cat", [0.5, -0.1]),
        ] {
            assert_eq!(after.values[row(word)..][..2], vector, "{word}");
        }
        assert_eq!(
            after.values[row("blorp")..][..2],
            before.values[row("blorp")..][..2]
        );
        assert_eq!(after.values[..8], before.values[..8]);
    }

    #[test]
    fn lines_are_found_wherever_parts_of_the_file_meet() {
        // Lines of many lengths over several parts; the last one has no end.
        let mut lines = String::new();
        for at in 0..150_000usize {
            lines += &format!("w{at} {}{}\n", at % 7, "0".repeat(at % 31));
        }
        lines += "w150000 5";
        assert!(lines.len() > 3 * PART);
        let found = entries(lines.as_bytes(), |_| true);
        assert_eq!(found.len(), 150_001);
        for (at, entry) in found.iter().enumerate() {
            assert_eq!(entry.word, format!("w{at}"));
            assert!(lines[entry.start..].starts_with(&format!("{} {}", entry.word, entry.numbers)));
        }
        let (_folder, path) = file(&lines.replacen("w140000 0", "dog x", 1));
        let error = WordVectors::read(&path, &vocabulary()).unwrap_err();
        assert!(error.to_string().contains("glove.txt:140001: "), "{error}");
    }

    #[test]
    fn the_first_of_equal_words_and_the_better_form_win_wherever_they_stand() {
        let (_folder, path) = file("green 9\nred 1\nred/green 2\r\nred/green 3\nred 4\n");
        let words = vocabulary();
        let vectors = WordVectors::read(&path, &words).unwrap();
        assert_eq!(vectors.found[&words.number("red/green")], [2.0]);
    }

    #[test]
    fn an_empty_file_holds_no_word() {
        let (_folder, path) = file("");
        let error = WordVectors::read(&path, &vocabulary()).unwrap_err();
        assert!(
            error.to_string().contains("no word of the captions"),
            "{error}"
        );
    }

    #[test]
    fn files_and_widths_that_do_not_fit_are_named() {
        let (_folder, path) = file("dog 3 4 5\n");
        let vectors = WordVectors::read(&path, &vocabulary()).unwrap();
        let error = vectors.apply(gru(2)).unwrap_err().to_string();
        assert!(
            error.contains("3 numbers") && error.contains("word_dim = 3"),
            "{error}"
        );
        let (_folder, path) = file("dog 3 x\n");
        let error = WordVectors::read(&path, &vocabulary())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("glove.txt:1: the vector of 'dog'"),
            "{error}"
        );
        let (_folder, path) = file("other 1\n");
        let error = WordVectors::read(&path, &vocabulary())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no word of the captions"), "{error}");
    }
}

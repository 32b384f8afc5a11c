//! Word vectors that somebody else trained, as the first weights of a word embedding.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use truepair_core::Error;
use truepair_core::error::Place;
use truepair_core::text::Vocabulary;

use crate::backbone::Backbone;
use crate::error::Result;
use crate::parameters;

/// Tokens before the first word: padding, start, end, unknown.
const SPECIAL: u32 = 4;

/// The vectors of a vocabulary's words.
///
/// A word that the file does not hold is looked for without `-`, `.` and `'`, then up to its first
/// `/`, as PCME does.
///
/// # Source
/// The text format of GloVe (Pennington et al., EMNLP 2014): a line is a word and its numbers. The
/// fallbacks: naver-ai/pcme, `models/pie_model.py` and its vocabulary [recalled].
#[derive(Debug)]
pub(crate) struct WordVectors {
    /// Row of the vocabulary to its vector.
    found: HashMap<u32, Vec<f32>>,
    /// Words without a vector, in the order of the vocabulary.
    pub(crate) missing: Vec<String>,
    dim: usize,
    n_words: usize,
}

impl WordVectors {
    /// Reads the vectors of `vocabulary` out of a file of any size, line by line.
    ///
    /// # Errors
    /// If the file cannot be read, holds no vector of a known word, or a number is not one.
    pub(crate) fn read(path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let n_words = vocabulary.len() as u32;
        let words = (SPECIAL..n_words).filter_map(|row| Some((row, vocabulary.word(row)?)));
        let mut wanted: HashMap<String, Vec<(u32, usize)>> = HashMap::new();
        for (row, word) in words {
            for (rank, form) in forms(word).into_iter().enumerate() {
                wanted.entry(form).or_default().push((row, rank));
            }
        }
        let (mut found, mut dim) = (HashMap::new(), None);
        each_vector(path, |line, word, numbers| {
            let Some(rows) = wanted.get(word) else {
                return Ok(());
            };
            let dim = *dim.get_or_insert_with(|| numbers.split(' ').count());
            // Tokens with a space inside begin like others and have too many fields.
            if numbers.split(' ').count() != dim {
                return Ok(());
            }
            let vector = numbers
                .split(' ')
                .map(str::parse)
                .collect::<std::result::Result<Vec<f32>, _>>();
            let Ok(vector) = vector else {
                let problem = format!("the vector of '{word}' has something else than numbers");
                let remedy = "a line is a word and its numbers, separated by spaces";
                return Err(Error::data(path, Place::Line(line), problem, remedy));
            };
            for &(row, rank) in rows {
                let held: &mut (usize, Vec<f32>) =
                    found.entry(row).or_insert_with(|| (usize::MAX, Vec::new()));
                if rank < held.0 {
                    *held = (rank, vector.clone());
                }
            }
            Ok(())
        })?;
        let Some(dim) = dim else {
            return Err(Error::data(
                path,
                Place::Whole,
                "it holds no word of the captions",
                "name a file of word vectors: a word and its numbers a line",
            )
            .into());
        };
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
    pub(crate) fn apply(&self, caption: Backbone) -> Result<Backbone> {
        let mut weights = parameters::export(&caption);
        let refuse = |problem: String| {
            let remedy = format!("use a caption backbone with word_dim = {}", self.dim);
            Err(Error::argument(problem, remedy).into())
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
    pub(crate) fn warning(&self) -> Option<String> {
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

/// Calls `visit` with the number, the word and the numbers of every line.
fn each_vector(
    path: &Path,
    mut visit: impl FnMut(u64, &str, &str) -> std::result::Result<(), Error>,
) -> Result<()> {
    let file = File::open(path).map_err(|cause| Error::io(path, "open", cause))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let n = reader
            .read_until(b'\n', &mut line)
            .map_err(|cause| Error::io(path, "read", cause))?;
        if n == 0 {
            break;
        }
        // Words that are not UTF-8 are in no vocabulary.
        if let Ok(text) = std::str::from_utf8(&line)
            && let Some((word, numbers)) = text.trim_end().split_once(' ')
        {
            visit(number, word, numbers)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{BackboneConfig, GruConfig, InputShape};
    use crate::init::Init;
    use crate::kernel::Precision;
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

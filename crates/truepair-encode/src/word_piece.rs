//! The tokenizer of BERT and its kin: cleaned, lower case, cut at punctuation, then into the longest
//! known pieces.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use truepair_core::error::Place;
use truepair_core::{Error, Result};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// A WordPiece tokenizer as `tokenizer.json` describes it.
///
/// ```
/// use std::path::Path;
/// use truepair_encode::WordPiece;
///
/// let tokenizer = WordPiece::open(Path::new("fixtures/encoders/tokenizer.json"), None)?;
/// // [CLS] a red dog [SEP], and nothing was cut.
/// assert_eq!(tokenizer.encode("A red dog"), (vec![2, 5, 12, 7, 3], false));
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Source
/// Devlin et al., NAACL 2019; the steps of huggingface/tokenizers, `BertNormalizer`,
/// `BertPreTokenizer` and `WordPiece`, against whose ids it is checked.
///
/// # Deviations
/// 1. Special tokens written in a text, such as `[MASK]`, are text.
#[derive(Debug)]
pub struct WordPiece {
    ids: HashMap<String, i64>,
    unknown: i64,
    prefix: String,
    /// Characters from which on a word is unknown as a whole.
    longest_word: usize,
    normalizer: Normalizer,
    /// Ids before and after every text.
    frame: [Vec<i64>; 2],
    max_tokens: usize,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Normalizer {
    #[serde(default = "yes")]
    clean_text: bool,
    #[serde(default = "yes")]
    handle_chinese_chars: bool,
    /// As `lowercase` when it is left open.
    strip_accents: Option<bool>,
    #[serde(default = "yes")]
    lowercase: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct File {
    model: FileModel,
    normalizer: Option<Value>,
    post_processor: Option<Value>,
    truncation: Option<Truncation>,
}

#[derive(Deserialize)]
struct FileModel {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Value,
    #[serde(default = "unknown_token")]
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
}

fn unknown_token() -> Option<String> {
    Some("[UNK]".into())
}

#[derive(Deserialize)]
struct Truncation {
    max_length: usize,
}

/// Tokens that the positions of most encoders reach.
const MAX_TOKENS: usize = 512;

impl WordPiece {
    /// Reads a `tokenizer.json`. Texts are cut to `max_tokens`, or to what the file says.
    ///
    /// # Errors
    /// If the file cannot be read or describes another kind of tokenizer.
    pub fn open(path: &Path, max_tokens: Option<usize>) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
        let refuse = |problem: String| {
            let remedy = "WordPiece tokenizers of BERT-like encoders are supported";
            Error::data(path, Place::Whole, problem, remedy)
        };
        let file: File = serde_json::from_slice(&bytes)
            .map_err(|cause| refuse(format!("no tokenizer: {cause}")))?;
        Self::build(file, max_tokens).map_err(refuse)
    }

    fn build(file: File, max_tokens: Option<usize>) -> std::result::Result<Self, String> {
        let kind = file.model.kind.as_deref().unwrap_or("WordPiece");
        if kind != "WordPiece" {
            return Err(format!("a tokenizer of type {kind}"));
        }
        let ids: HashMap<String, i64> = serde_json::from_value(file.model.vocab)
            .map_err(|cause| format!("no vocabulary: {cause}"))?;
        let id = |token: &str| {
            let id = ids.get(token).copied();
            id.ok_or_else(|| format!("token {token} is not in the vocabulary"))
        };
        let unknown = id(&file.model.unk_token.unwrap_or_else(|| "[UNK]".into()))?;
        let (before, after) = frame(file.post_processor.as_ref())?;
        let ids_of = |tokens: Vec<String>| tokens.iter().map(|token| id(token)).collect();
        let frame: [std::result::Result<Vec<i64>, String>; 2] = [ids_of(before), ids_of(after)];
        let [before, after] = frame;
        let frame = [before?, after?];
        let from_file = file.truncation.map(|truncation| truncation.max_length);
        let max_tokens = max_tokens.or(from_file).unwrap_or(MAX_TOKENS);
        let n_framing = frame[0].len() + frame[1].len();
        if max_tokens <= n_framing {
            return Err(format!("{max_tokens} tokens leave no room for a text"));
        }
        Ok(Self {
            unknown,
            prefix: (file.model.continuing_subword_prefix).unwrap_or_else(|| "##".into()),
            longest_word: file.model.max_input_chars_per_word.unwrap_or(100),
            normalizer: normalizer(file.normalizer)?,
            frame,
            max_tokens,
            ids,
        })
    }

    /// Most tokens of a text, the framing ones included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The ids of a text with those before and after it, and whether it was cut.
    pub fn encode(&self, text: &str) -> (Vec<i64>, bool) {
        let room = self.max_tokens - self.frame[0].len() - self.frame[1].len();
        let mut inner = Vec::new();
        for word in words(&self.normalizer.apply(text)) {
            self.pieces(word, &mut inner);
        }
        let cut = inner.len() > room;
        inner.truncate(room);
        let [before, after] = &self.frame;
        (
            [before, &inner, after]
                .into_iter()
                .flatten()
                .copied()
                .collect(),
            cut,
        )
    }

    /// The longest known pieces from the left; the whole word is unknown when a rest has none.
    fn pieces(&self, word: &str, out: &mut Vec<i64>) {
        let first = out.len();
        if word.chars().count() > self.longest_word {
            out.push(self.unknown);
            return;
        }
        let mut rest = word;
        let mut piece = String::new();
        while !rest.is_empty() {
            let start = if rest.len() == word.len() {
                ""
            } else {
                self.prefix.as_str()
            };
            let ends = rest.char_indices().rev().map(|(at, c)| at + c.len_utf8());
            let found = ends.into_iter().find_map(|end| {
                piece.clear();
                piece.push_str(start);
                piece.push_str(&rest[..end]);
                Some((end, *self.ids.get(&piece)?))
            });
            let Some((end, id)) = found else {
                out.truncate(first);
                out.push(self.unknown);
                return;
            };
            out.push(id);
            rest = &rest[end..];
        }
    }
}

fn normalizer(value: Option<Value>) -> std::result::Result<Normalizer, String> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(Normalizer {
            clean_text: false,
            handle_chinese_chars: false,
            strip_accents: Some(false),
            lowercase: false,
        });
    };
    match value["type"].as_str() {
        Some("BertNormalizer") => {
            serde_json::from_value(value).map_err(|cause| format!("no normalizer: {cause}"))
        }
        other => Err(format!(
            "a normalizer of type {}",
            other.unwrap_or("unknown")
        )),
    }
}

/// Tokens before and after a single text.
fn frame(value: Option<&Value>) -> std::result::Result<(Vec<String>, Vec<String>), String> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let token = |value: &Value| value.as_str().map(str::to_owned);
    match value["type"].as_str() {
        Some("BertProcessing") => {
            let of = |key: &str| token(&value[key][0]).into_iter().collect();
            Ok((of("cls"), of("sep")))
        }
        Some("TemplateProcessing") => {
            let parts = value["single"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let sequence = parts.iter().position(|part| part.get("Sequence").is_some());
            let (before, after) = parts.split_at(sequence.unwrap_or(parts.len()));
            let tokens = |parts: &[Value]| {
                let ids = parts
                    .iter()
                    .filter_map(|part| token(&part["SpecialToken"]["id"]));
                ids.collect()
            };
            Ok((tokens(before), tokens(after)))
        }
        other => Err(format!(
            "post-processing of type {}",
            other.unwrap_or("unknown")
        )),
    }
}

impl Normalizer {
    fn apply(self, text: &str) -> String {
        let mut text = text.to_owned();
        if self.clean_text {
            let kept = text.chars().filter(|c| !is_invisible(*c));
            text = kept
                .map(|c| if c.is_whitespace() { ' ' } else { c })
                .collect();
        }
        if self.handle_chinese_chars {
            let mut spaced = String::with_capacity(text.len());
            for c in text.chars() {
                match is_ideograph(c) {
                    true => spaced.extend([' ', c, ' ']),
                    false => spaced.push(c),
                }
            }
            text = spaced;
        }
        if self.strip_accents.unwrap_or(self.lowercase) {
            let marks = |c: &char| c.general_category() != GeneralCategory::NonspacingMark;
            text = text.nfd().filter(marks).collect();
        }
        match self.lowercase {
            true => text.to_lowercase(),
            false => text,
        }
    }
}

/// Control characters, formats and code points without a character; tabs and line ends are spaces.
fn is_invisible(c: char) -> bool {
    let space = matches!(c, '\t' | '\n' | '\r');
    let other = c.general_category_group() == GeneralCategoryGroup::Other;
    c == '\u{fffd}' || (other && !space)
}

/// The blocks of CJK ideographs.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x20000..=0x2a6df | 0x2a700..=0x2b73f
        | 0x2b740..=0x2b81f | 0x2b920..=0x2ceaf | 0xf900..=0xfaff | 0x2f800..=0x2fa1f)
}

/// Words between spaces, every punctuation mark a word of its own.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let end = match is_punctuation(first) {
                true => first.len_utf8(),
                false => rest.find(is_punctuation).unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(end);
            rest = after;
            Some(word)
        })
    })
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

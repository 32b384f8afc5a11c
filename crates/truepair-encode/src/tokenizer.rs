//! Texts to token ids, as a `tokenizer.json` says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::normalizers::Precompiled;
use tokenizers::{
    DecoderWrapper, ModelWrapper, NormalizerWrapper, PaddingDirection, PaddingParams,
    PaddingStrategy, PostProcessor, PostProcessorWrapper, PreTokenizerWrapper, TruncationDirection,
    TruncationParams, TruncationStrategy,
};
use truepair_core::error::Place;
use truepair_core::{Error, Result, source_file};

use crate::neighbors::{near, read_json};

/// The largest file that is read: vocabularies of a million entries take some tens of megabytes.
const LARGEST: u64 = 1 << 30;

/// How many tokens a text may have, those that frame it included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// At most this many; longer texts are cut.
    AtMost(usize),
    /// This many, no more and no fewer: longer texts are cut, shorter ones padded.
    Exactly(usize),
}

/// The tokens of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Their numbers in the vocabulary, `[t]`.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for padding, `[t]`.
    pub mask: Vec<i64>,
    /// The segment of each, `[t]`: 0 throughout for most encoders.
    pub types: Vec<i64>,
    /// Whether the text is longer than the tokenizer's length, and was cut.
    pub is_cut: bool,
}

/// A tokenizer as `tokenizer.json` describes it: WordPiece, BPE, Unigram or WordLevel with its
/// normalizers, pre-tokenizers and post-processors.
///
/// ```
/// use std::path::Path;
/// use truepair_encode::{Length, Tokenizer};
///
/// let path = Path::new("fixtures/encoders/tokenizer.json");
/// let tokenizer = Tokenizer::open(path, None)?;
/// // [CLS] a red dog [SEP]
/// assert_eq!(tokenizer.encode("A red dog")?.ids, [2, 5, 12, 7, 3]);
/// let padded = Tokenizer::open(path, Some(Length::Exactly(7)))?;
/// assert_eq!(padded.encode("A red dog")?.ids, [2, 5, 12, 7, 3, 0, 0]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    length: Length,
}

/// Tokens that the positions of most encoders reach.
const MAX_TOKENS: usize = 512;

/// Names that padding has where no file names it.
const PADDING: [&str; 3] = ["[PAD]", "<pad>", "<|endoftext|>"];

/// Models of tokenizers and what each cannot do without.
const MODELS: &[(&str, &[&str])] = &[
    ("BPE", &["vocab", "merges"]),
    ("Unigram", &["vocab"]),
    ("WordLevel", &["vocab", "unk_token"]),
    ("WordPiece", &["vocab"]),
];

impl Tokenizer {
    /// Reads a `tokenizer.json`. Without `length` the file says how long texts may be, and where it
    /// does not, 512 tokens.
    ///
    /// # Errors
    /// If the file cannot be read or describes no tokenizer, or texts are to be padded and no token
    /// for that is known.
    pub fn open(path: &Path, length: Option<Length>) -> Result<Self> {
        let io = |source| Error::io(path, "read", source);
        let refuse = |problem: String| {
            let remedy = "take the tokenizer.json that belongs to the encoder";
            Error::data(path, Place::Whole, problem, remedy)
        };
        let bytes = source_file::read(path, LARGEST).map_err(io)?;
        let file: Value = serde_json::from_slice(&bytes)
            .map_err(|cause| refuse(format!("not a tokenizer, since it is not JSON: {cause}")))?;
        check_charsmaps(&file).map_err(refuse)?;
        let inner = guarded(|| tokenizers::Tokenizer::from_bytes(&bytes));
        let mut inner = inner.map_err(|cause| refuse(what_is_wrong(&file, &cause)))?;
        check_added_tokens(&inner, &file).map_err(refuse)?;
        check_parts(&inner, &file).map_err(refuse)?;
        without_dropout(&mut inner);
        let mut tokenizer = Self {
            length: length.unwrap_or_else(|| length_of(&inner)),
            path: path.to_path_buf(),
            inner,
        };
        tokenizer.set_length()?;
        // A character that no vocabulary holds shows whether unknown ones can be read.
        tokenizer.encode("a \u{10fffd}")?;
        Ok(tokenizer)
    }

    /// How many tokens a text has.
    pub fn length(&self) -> Length {
        self.length
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// If the tokenizer cannot read it, for instance because it has no token for what is unknown.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        let encoding = guarded(|| self.inner.encode_fast(text, true));
        let encoding = encoding.map_err(|cause| {
            Error::data(
                &self.path,
                Place::Whole,
                format!("it cannot read the text '{text}': {cause}"),
                "take the tokenizer.json that belongs to the encoder",
            )
        })?;
        let wide = |values: &[u32]| values.iter().map(|value| i64::from(*value)).collect();
        Ok(Tokens {
            ids: wide(encoding.get_ids()),
            mask: wide(encoding.get_attention_mask()),
            types: wide(encoding.get_type_ids()),
            is_cut: !encoding.get_overflowing().is_empty(),
        })
    }

    fn set_length(&mut self) -> Result<()> {
        let (Length::AtMost(most) | Length::Exactly(most)) = self.length;
        let processor = self.inner.get_post_processor();
        let n_framing = processor.map_or(0, |processor| processor.added_tokens(false));
        let refuse = |problem: String, remedy: &str| {
            Err(Error::data(&self.path, Place::Whole, problem, remedy))
        };
        if most <= n_framing {
            return refuse(
                format!("{most} tokens leave no room for a text between {n_framing} that frame it"),
                "take the tokenizer.json that belongs to the encoder",
            );
        }
        let padding = match self.length {
            Length::AtMost(_) => None,
            Length::Exactly(n) => {
                let Some(padding) = self.padding(n)? else {
                    return refuse(
                        "no token for padding is known".into(),
                        "name it in tokenizer_config.json beside it, as `pad_token`",
                    );
                };
                Some(padding)
            }
        };
        let given = self.inner.get_truncation();
        let truncation = TruncationParams {
            max_length: most,
            direction: given.map_or(TruncationDirection::Right, |given| given.direction),
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        self.inner.with_padding(padding);
        let set = self.inner.with_truncation(Some(truncation)).map(drop);
        set.or_else(|cause| refuse(cause.to_string(), "correct its `truncation`"))
    }

    /// How texts are padded to `n` tokens; `None` where no token is known for it.
    fn padding(&self, n: usize) -> Result<Option<PaddingParams>> {
        let strategy = PaddingStrategy::Fixed(n);
        if let Some(given) = self.inner.get_padding() {
            return Ok(Some(PaddingParams {
                strategy,
                pad_to_multiple_of: None,
                ..given.clone()
            }));
        }
        let named = near(
            &self.path,
            &["tokenizer_config.json", "special_tokens_map.json"],
        );
        let mut names = Vec::new();
        for file in named {
            let token = read_json(&file)?["pad_token"].take();
            let name = token.as_str().or_else(|| token["content"].as_str());
            names.extend(name.map(str::to_owned));
        }
        names.extend(PADDING.map(str::to_owned));
        let found = names.into_iter().find_map(|name| {
            let id = self.inner.token_to_id(&name)?;
            Some((id, name))
        });
        Ok(found.map(|(pad_id, pad_token)| PaddingParams {
            strategy,
            direction: PaddingDirection::Right,
            pad_to_multiple_of: None,
            pad_id,
            pad_type_id: 0,
            pad_token,
        }))
    }
}

/// What the file says of the length of texts.
fn length_of(inner: &tokenizers::Tokenizer) -> Length {
    let padded = inner.get_padding().map(|padding| &padding.strategy);
    if let Some(PaddingStrategy::Fixed(n)) = padded {
        return Length::Exactly(*n);
    }
    let cut = inner.get_truncation().map(|cut| cut.max_length);
    Length::AtMost(cut.unwrap_or(MAX_TOKENS))
}

/// # Errors
/// If a token that the file adds has another number in it than the tokenizer gives it.
fn check_added_tokens(
    inner: &tokenizers::Tokenizer,
    file: &Value,
) -> std::result::Result<(), String> {
    for token in file["added_tokens"].as_array().into_iter().flatten() {
        let content = token["content"].as_str().unwrap_or_default();
        let found = inner.token_to_id(content).map(u64::from);
        if found != token["id"].as_u64() {
            let found = found.map_or_else(|| "none".into(), |id| id.to_string());
            return Err(format!(
                "added token '{content}' is to have the number {}, and has {found}",
                token["id"]
            ));
        }
    }
    Ok(())
}

/// # Errors
/// If a part was read as one of another type than the file says: the library reads files of former
/// times too, whose parts had none, and takes an unknown type for such a one.
fn check_parts(inner: &tokenizers::Tokenizer, file: &Value) -> std::result::Result<(), String> {
    let parts = [
        ("normalizer", serde_json::to_value(inner.get_normalizer())),
        (
            "pre_tokenizer",
            serde_json::to_value(inner.get_pre_tokenizer()),
        ),
        (
            "post_processor",
            serde_json::to_value(inner.get_post_processor()),
        ),
    ];
    for (name, read) in parts {
        let (said, read) = (types_in(&file[name]), types_in(&read.unwrap_or_default()));
        if let Some(unknown) = said.iter().find(|kind| !read.contains(kind)) {
            return Err(format!(
                "its `{name}` is of type {unknown}, which is not known"
            ));
        }
    }
    Ok(())
}

/// The types of a part and of the parts in it.
fn types_in(part: &Value) -> Vec<String> {
    let inner = match part {
        Value::Object(fields) => fields.values().flat_map(types_in).collect(),
        Value::Array(parts) => parts.iter().flat_map(types_in).collect(),
        _ => Vec::new(),
    };
    let own = part["type"].as_str().map(str::to_owned);
    own.into_iter().chain(inner).collect()
}

/// Merges are left out at random in training alone.
fn without_dropout(inner: &mut tokenizers::Tokenizer) {
    if let ModelWrapper::BPE(model) = inner.get_model()
        && model.dropout.is_some()
    {
        let mut model = model.clone();
        model.dropout = None;
        inner.with_model(ModelWrapper::BPE(model));
    }
}

/// # Errors
/// If the table of a normalizer of SentencePiece is not one; the library takes that for granted.
fn check_charsmaps(part: &Value) -> std::result::Result<(), String> {
    match part {
        Value::Object(fields) => {
            if part["type"] == "Precompiled"
                && let Err(cause) = serde_json::from_value::<Precompiled>(part.clone())
            {
                return Err(format!(
                    "a normalizer of type Precompiled is not understood: {cause}"
                ));
            }
            // Vocabularies are long and hold no parts.
            let mut parts = fields.iter().filter(|(name, _)| *name != "vocab");
            parts.try_for_each(|(_, part)| check_charsmaps(part))
        }
        Value::Array(parts) => parts.iter().try_for_each(check_charsmaps),
        _ => Ok(()),
    }
}

/// Which part of the file is not that of a tokenizer.
fn what_is_wrong(file: &Value, cause: &str) -> String {
    let Some(model) = file["model"].as_object() else {
        return "not a tokenizer, since it has no `model`".into();
    };
    if let Some(kind) = model.get("type").and_then(Value::as_str) {
        let Some((_, needed)) = MODELS.iter().find(|(name, _)| *name == kind) else {
            let known: Vec<&str> = MODELS.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            return format!("its model is of type {kind}, expected one of {known}");
        };
        if let Some(missing) = needed.iter().find(|key| !model.contains_key(**key)) {
            return format!("its model of type {kind} has no `{missing}`");
        }
    }
    if let Err(cause) = serde_json::from_value::<ModelWrapper>(file["model"].clone()) {
        return format!("its model is not understood: {cause}");
    }
    let parts = [
        (
            "normalizer",
            reads::<NormalizerWrapper>(&file["normalizer"]),
        ),
        (
            "pre_tokenizer",
            reads::<PreTokenizerWrapper>(&file["pre_tokenizer"]),
        ),
        (
            "post_processor",
            reads::<PostProcessorWrapper>(&file["post_processor"]),
        ),
        ("decoder", reads::<DecoderWrapper>(&file["decoder"])),
        ("truncation", reads::<TruncationParams>(&file["truncation"])),
        ("padding", reads::<PaddingParams>(&file["padding"])),
    ];
    for (part, read) in parts {
        if let Err(cause) = read {
            let kind = file[part]["type"].as_str();
            let kind = kind.map_or(String::new(), |kind| format!(" of type {kind}"));
            return format!("its `{part}`{kind} is not understood: {cause}");
        }
    }
    format!("not a tokenizer: {cause}")
}

fn reads<T: serde::de::DeserializeOwned>(
    part: &Value,
) -> std::result::Result<(), serde_json::Error> {
    serde_json::from_value::<Option<T>>(part.clone()).map(drop)
}

/// A file may describe what nobody meant; what it breaks is the file's fault.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|cause| cause.to_string()),
        Err(_) => Err("it contradicts itself".into()),
    }
}

//! Captions to vectors.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::model::{
    Input, Lane, Model, ModelFile, Output, Runtime, Tensor, Values, choose_output, finite,
    side_by_side,
};
use crate::neighbors::{near, read_json, told};
use crate::setting::Setting;
use crate::tokenizer::{Length, Tokenizer, Tokens};

/// Outputs that are one vector a text or one a token, best first.
const OUTPUTS: &[&str] = &[
    "sentence_embedding",
    "text_embeds",
    "text_features",
    "text_embeddings",
    "last_hidden_state",
];

/// As [`OUTPUTS`], of encoders that were trained with images: their own vector of a text comes
/// before those of its tokens.
const OUTPUTS_OF_PAIRS: &[&str] = &[
    "sentence_embedding",
    "text_embeds",
    "text_features",
    "text_embeddings",
    "pooler_output",
    "last_hidden_state",
];

/// Texts of equal length that are encoded at a time.
const BATCH: usize = 16;

/// A length that stands for "any" in a file of settings.
const ANY_LENGTH: u64 = 100_000;

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean, padding left out.
    #[default]
    Mean,
    /// That of the first token, `[CLS]`.
    First,
}

/// What a caller says of a text encoder; what is left open is looked up beside it.
#[derive(Debug, Clone, Default)]
pub struct TextOptions {
    /// The `tokenizer.json`; else the one beside the model or in the folder above is taken.
    pub tokenizer: Option<PathBuf>,
    /// The output to read; else it is recognized by its name.
    pub output: Option<String>,
    /// How tokens become one vector; else `1_Pooling/config.json` says it, else it is the mean.
    pub pooling: Option<Pooling>,
}

/// A text encoder in an ONNX file with its `tokenizer.json`.
///
/// Texts are encoded together only with others of the same number of tokens, so that nothing is
/// padded and no text changes another's vector, unless the model wants one length of all. Vectors
/// have length 1.
///
/// ```
/// use std::path::Path;
/// use truepair_encode::{Runtime, TextEncoder, TextOptions};
///
/// // `tokenizer.json` lies beside it.
/// let path = Path::new("fixtures/encoders/tiny_text.onnx");
/// let encoder = TextEncoder::open(path, &TextOptions::default(), &Runtime::BuiltIn)?;
/// let vectors = encoder.embed(&["a red dog", "the cat"])?;
/// assert_eq!(vectors.len(), 2 * encoder.dim());
/// // No text changes another's vector.
/// assert_eq!(encoder.embed(&["the cat"])?, vectors[encoder.dim()..]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TextEncoder {
    model: Model,
    tokenizer: Tokenizer,
    pooling: Pooling,
    /// Texts of a run, where the model wants one number of all.
    batch: Option<usize>,
    settings: Vec<Setting>,
    dim: usize,
}

impl TextEncoder {
    /// Opens the model at `path`. How long texts may be is what its input says, else
    /// `sentence_bert_config.json`, `tokenizer.json` or `tokenizer_config.json`; encoders that read
    /// padding, as SigLIP's, get it.
    ///
    /// # Errors
    /// If the file is not a model that can be run, there is no tokenizer, or an input is none of
    /// `input_ids`, `attention_mask`, `token_type_ids` and `position_ids`.
    pub fn open(path: &Path, options: &TextOptions, runtime: &Runtime) -> Result<Self> {
        let file = ModelFile::open(path)?;
        let family = Family::near(path)?;
        let known = if family.is_of_pairs(&file) {
            OUTPUTS_OF_PAIRS
        } else {
            OUTPUTS
        };
        let output = choose_output(&file, options.output.as_deref(), known)?;
        let inputs = file.inputs_of(&output)?;
        let roles = Role::of_all(&inputs).map_err(|problem| {
            let remedy = "choose an output that texts alone lead to, or export the text encoder";
            Error::data(path, Place::Whole, problem, remedy)
        })?;
        let tokenizer = tokenizer_of(path, options)?;
        let fixed = |axis: usize| inputs.first().and_then(|input| *input.shape.get(axis)?);
        let (length, source) = match fixed(1) {
            Some(n) => (Some(Length::Exactly(n)), "the model's input".to_owned()),
            None => length_near(path, &tokenizer, &family, roles.contains(&Role::Mask))?,
        };
        let (pooling, pooled_by) = pooling_of(path, options.pooling)?;
        let tokenizer_from = told(&tokenizer, path);
        let mut encoder = Self {
            tokenizer: Tokenizer::open(&tokenizer, length)?,
            model: file.load(&output, runtime)?,
            pooling,
            batch: fixed(0),
            settings: Vec::new(),
            dim: 0,
        };
        let (rank, dim) = encoder.shape_of_output()?;
        encoder.dim = dim;
        encoder.settings = vec![
            Setting::new("tokenizer", &tokenizer_from, &source_of_path(options)),
            Setting::new("length", encoder.length_told(), &source),
            Setting::new("output", encoder.output(), &source_of_output(options)),
        ];
        if rank == 3 {
            let name = match pooling {
                Pooling::Mean => "mean",
                Pooling::First => "first",
            };
            encoder
                .settings
                .push(Setting::new("pooling", name, &pooled_by));
        }
        Ok(encoder)
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Name of the output that is read.
    pub fn output(&self) -> &str {
        self.model.output()
    }

    /// How the vectors of tokens become one.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What it was set to, and where that was found.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The vectors `[n, d]` of texts, on all threads.
    ///
    /// # Errors
    /// If the tokenizer cannot read a text, the model cannot be run, or it does not return vectors
    /// of finite numbers.
    pub fn embed(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<f32>> {
        Ok(self.embed_counting(texts)?.0)
    }

    /// How many of the texts are longer than the tokenizer's length, and are cut.
    ///
    /// # Errors
    /// If the tokenizer cannot read a text.
    pub fn count_cut(&self, texts: &[impl AsRef<str> + Sync]) -> Result<usize> {
        let tokens = self.tokens(texts)?;
        Ok(tokens.iter().filter(|tokens| tokens.is_cut).count())
    }

    /// As [`embed`](Self::embed), with the number of texts that were cut.
    pub(crate) fn embed_counting(
        &self,
        texts: &[impl AsRef<str> + Sync],
    ) -> Result<(Vec<f32>, usize)> {
        let tokens = self.tokens(texts)?;
        let n_cut = tokens.iter().filter(|tokens| tokens.is_cut).count();
        Ok((self.embed_tokens(&tokens)?, n_cut))
    }

    fn tokens(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Tokens>> {
        let texts = texts.par_iter();
        texts
            .map(|text| self.tokenizer.encode(text.as_ref()))
            .collect()
    }

    fn embed_tokens(&self, tokens: &[Tokens]) -> Result<Vec<f32>> {
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|&text| tokens[text].ids.len());
        let equal = order.chunk_by(|&a, &b| tokens[a].ids.len() == tokens[b].ids.len());
        let batch = self.batch.unwrap_or(BATCH);
        let batches: Vec<&[usize]> = equal.flat_map(|same| same.chunks(batch)).collect();
        let vectors = side_by_side(batches.len(), |index, lane| {
            let batch = batches[index].iter().map(|&text| &tokens[text]);
            self.run(&batch.collect::<Vec<_>>(), lane)
        });
        let vectors = vectors.into_iter().collect::<Result<Vec<Vec<f32>>>>()?;
        let mut out = vec![0.0; self.dim * tokens.len()];
        for (batch, vectors) in batches.iter().zip(&vectors) {
            for (&text, vector) in batch.iter().zip(vectors.chunks_exact(self.dim.max(1))) {
                out[text * self.dim..][..self.dim].copy_from_slice(vector);
            }
        }
        Ok(out)
    }

    /// The model's output for texts of equal length; where it wants a number of texts, the first
    /// one stands in the empty places.
    fn output_for(&self, texts: &[&Tokens], lane: &Lane) -> Result<Output> {
        let n = self.batch.unwrap_or(texts.len());
        let filled: Vec<&Tokens> = (0..n)
            .map(|place| *texts.get(place).unwrap_or(&texts[0]))
            .collect();
        let tokens = texts[0].ids.len();
        let inputs = self.model.inputs().iter().map(|input| {
            let all = |of: fn(&Tokens) -> &Vec<i64>| -> Vec<i64> {
                filled.iter().flat_map(|text| of(text)).copied().collect()
            };
            let values = match Role::of(input, self.model.inputs().len()) {
                Some(Role::Mask) => all(|text| &text.mask),
                Some(Role::Types) => all(|text| &text.types),
                Some(Role::Positions) => (0..n).flat_map(|_| 0..tokens as i64).collect(),
                _ => all(|text| &text.ids),
            };
            let values = match input.numbers.are_whole() {
                true => Values::Ints(values),
                false => Values::Floats(values.into_iter().map(|value| value as f32).collect()),
            };
            Tensor {
                shape: vec![n, tokens],
                values,
            }
        });
        self.model.run(inputs.collect(), lane)
    }

    /// The vectors of texts of equal length.
    fn run(&self, texts: &[&Tokens], lane: &Lane) -> Result<Vec<f32>> {
        let output = self.output_for(texts, lane)?;
        let dim = self.vector_len(&output, texts)?;
        let mut vectors = match output.shape.len() {
            2 => output.values,
            _ => self.pool(&output.values, texts, dim),
        };
        vectors.truncate(texts.len() * dim);
        for vector in vectors.chunks_exact_mut(dim.max(1)) {
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            vector.iter_mut().for_each(|x| *x /= norm);
        }
        finite(vectors, &self.model)
    }

    /// Numbers of a vector.
    ///
    /// # Errors
    /// If the output is neither one vector a text nor one a token.
    fn vector_len(&self, output: &Output, texts: &[&Tokens]) -> Result<usize> {
        let (n, tokens) = (self.batch.unwrap_or(texts.len()), texts[0].ids.len());
        match *output.shape {
            [found, dim] if found == n => Ok(dim),
            [found, length, dim] if found == n && length == tokens => Ok(dim),
            ref shape => Err(Error::data(
                self.model.path(),
                Place::Whole,
                format!(
                    "output '{}' has shape {shape:?}, expected [{n}, d] or [{n}, {tokens}, d]",
                    self.output()
                ),
                "choose another output",
            )),
        }
    }

    /// Axes of the output and numbers of a vector; both are only known when the model has run.
    fn shape_of_output(&self) -> Result<(usize, usize)> {
        let tokens = self.tokenizer.encode("a")?;
        let output = self.output_for(&[&tokens], &Lane::new())?;
        Ok((output.shape.len(), self.vector_len(&output, &[&tokens])?))
    }

    fn pool(&self, values: &[f32], texts: &[&Tokens], dim: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(texts.len() * dim);
        let rows = texts[0].ids.len() * dim;
        for (text, values) in texts.iter().zip(values.chunks_exact(rows.max(1))) {
            let tokens = (values.chunks_exact(dim.max(1)).zip(&text.mask))
                .filter(|(_, mask)| **mask != 0)
                .map(|(token, _)| token);
            let n = text.mask.iter().filter(|mask| **mask != 0).count().max(1) as f32;
            match self.pooling {
                Pooling::First => out.extend(tokens.take(1).flatten()),
                Pooling::Mean => {
                    let mut mean = vec![0.0; dim];
                    for token in tokens {
                        mean.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
                    }
                    out.extend(mean.iter().map(|sum| sum / n));
                }
            }
        }
        out
    }

    fn length_told(&self) -> String {
        match self.tokenizer.length() {
            Length::AtMost(n) => format!("at most {n} tokens"),
            Length::Exactly(n) => format!("padded to {n} tokens"),
        }
    }
}

/// The `tokenizer.json` that was named, or the one near the model.
fn tokenizer_of(path: &Path, options: &TextOptions) -> Result<PathBuf> {
    if let Some(named) = &options.tokenizer {
        return Ok(named.clone());
    }
    let found = near(path, &["tokenizer.json"]).into_iter().next();
    found.ok_or_else(|| {
        Error::data(
            path,
            Place::Whole,
            "there is no tokenizer.json beside it or in the folder above",
            "name the tokenizer's file",
        )
    })
}

fn source_of_path(options: &TextOptions) -> String {
    let given = options.tokenizer.is_some();
    if given { "as given" } else { "found" }.to_owned()
}

fn source_of_output(options: &TextOptions) -> String {
    let given = options.output.is_some();
    if given { "as given" } else { "by its name" }.to_owned()
}

/// What an input reads of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ids,
    Mask,
    Types,
    Positions,
}

impl Role {
    /// The role of one of `n` inputs; a lone one of whole numbers reads the ids, whatever its name.
    fn of(input: &Input, n: usize) -> Option<Self> {
        match input.name.as_str() {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Types),
            "position_ids" => Some(Self::Positions),
            _ => (n == 1 && input.numbers.are_whole()).then_some(Self::Ids),
        }
    }

    fn of_all(inputs: &[Input]) -> std::result::Result<Vec<Self>, String> {
        let roles = inputs.iter().map(|input| {
            Self::of(input, inputs.len())
                .ok_or_else(|| format!("it reads '{}', which no text has", input.name))
        });
        let roles: Vec<Self> = roles.collect::<std::result::Result<_, _>>()?;
        match roles.contains(&Self::Ids) {
            true => Ok(roles),
            false => Err("it reads no tokens".into()),
        }
    }
}

/// The kind of network that `config.json` names.
#[derive(Debug, Default)]
struct Family {
    model_type: String,
    positions: Option<u64>,
}

impl Family {
    fn near(path: &Path) -> Result<Self> {
        let Some(file) = near(path, &["config.json"]).into_iter().next() else {
            return Ok(Self::default());
        };
        let config = read_json(&file)?;
        let of_text = &config["text_config"];
        let positions = |config: &Value| config["max_position_embeddings"].as_u64();
        Ok(Self {
            model_type: config["model_type"].as_str().unwrap_or_default().to_owned(),
            positions: positions(of_text).or_else(|| positions(&config)),
        })
    }

    /// Whether it was trained with images: it says so, or reads nothing but ids.
    fn is_of_pairs(&self, file: &ModelFile) -> bool {
        if !self.model_type.is_empty() {
            return ["clip", "siglip"]
                .iter()
                .any(|kind| self.model_type.contains(kind));
        }
        let inputs = file.inputs_of("pooler_output").unwrap_or_default();
        inputs.len() == 1
    }

    /// Whether it reads padding as it reads words, since it was trained with all texts of one
    /// length.
    fn reads_padding(&self) -> bool {
        self.model_type.contains("siglip")
    }
}

/// How long texts may be, and which file says so.
fn length_near(
    path: &Path,
    tokenizer: &Path,
    family: &Family,
    masked: bool,
) -> Result<(Option<Length>, String)> {
    if family.reads_padding() {
        let n = family.positions.unwrap_or(64) as usize;
        return Ok((Some(Length::Exactly(n)), "config.json".into()));
    }
    let sources: [(&str, &[&str]); 3] = [
        (
            "open_clip_config.json",
            &["model_cfg", "text_cfg", "context_length"],
        ),
        ("sentence_bert_config.json", &["max_seq_length"]),
        ("tokenizer_config.json", &["model_max_length"]),
    ];
    for (name, keys) in sources {
        if name == "tokenizer_config.json" && says_length(tokenizer)? {
            return Ok((None, told(tokenizer, path)));
        }
        let places = [path, tokenizer].map(|place| near(place, &[name]).into_iter().next());
        let Some(file) = places.into_iter().flatten().next() else {
            continue;
        };
        let config = read_json(&file)?;
        let value = keys.iter().fold(&config, |value, key| &value[*key]);
        let Some(n) = value.as_u64().filter(|n| *n < ANY_LENGTH) else {
            continue;
        };
        let n = n as usize;
        let length = match name == "open_clip_config.json" && !masked {
            true => Length::Exactly(n),
            false => Length::AtMost(n),
        };
        return Ok((Some(length), told(&file, path)));
    }
    Ok((None, "by default".into()))
}

/// Whether the tokenizer's own file says how long texts may be.
fn says_length(tokenizer: &Path) -> Result<bool> {
    if !tokenizer.is_file() {
        return Ok(false);
    }
    let file = read_json(tokenizer)?;
    Ok(file["truncation"].is_object() || file["padding"]["strategy"]["Fixed"].is_u64())
}

/// How the vectors of tokens become one, and what says so.
///
/// # Errors
/// If a file asks for something else than the mean or the first.
fn pooling_of(path: &Path, given: Option<Pooling>) -> Result<(Pooling, String)> {
    if let Some(pooling) = given {
        return Ok((pooling, "as given".into()));
    }
    let Some(file) = near(path, &["1_Pooling/config.json"]).into_iter().next() else {
        return Ok((Pooling::Mean, "by default".into()));
    };
    let config = read_json(&file)?;
    let asks = |key: &str| config[key].as_bool() == Some(true);
    let name = config["pooling_mode"].as_str().unwrap_or_default();
    let pooling = if asks("pooling_mode_mean_tokens") || name == "mean" {
        Pooling::Mean
    } else if asks("pooling_mode_cls_token") || name == "cls" {
        Pooling::First
    } else {
        return Err(Error::data(
            &file,
            Place::Whole,
            "it asks for another pooling than the mean or the first token",
            "say which of them to take",
        ));
    };
    Ok((pooling, "1_Pooling/config.json".into()))
}

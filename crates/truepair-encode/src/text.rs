//! Captions to vectors.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::image::{choose_output, finite};
use crate::onnx::Tensor;
use crate::runtime::{Model, Runtime};
use crate::word_piece::WordPiece;

/// Outputs that are one vector a text or one a token, best first.
const OUTPUTS: &[&str] = &["sentence_embedding", "text_embeds", "last_hidden_state"];

/// Texts of equal length that are encoded at a time.
const BATCH: usize = 16;

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// That of the first token, `[CLS]`.
    First,
}

/// A text encoder in an ONNX file with its `tokenizer.json`.
///
/// Texts are encoded together only with others of the same number of tokens, so that nothing is
/// padded and no text changes another's vector. Vectors have length 1.
///
/// ```
/// use std::path::Path;
/// use truepair_encode::{Pooling, Runtime, TextEncoder};
///
/// // `tokenizer.json` lies beside it.
/// let path = Path::new("fixtures/encoders/tiny_text.onnx");
/// let encoder = TextEncoder::open(path, None, None, Pooling::Mean, &Runtime::BuiltIn)?;
/// let vectors = encoder.embed(&["a red dog", "the cat"])?;
/// assert_eq!(vectors.len(), 2 * encoder.dim());
/// // No text changes another's vector.
/// assert_eq!(encoder.embed(&["the cat"])?, vectors[encoder.dim()..]);
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TextEncoder {
    model: Model,
    output: String,
    tokenizer: WordPiece,
    pooling: Pooling,
    dim: usize,
}

impl TextEncoder {
    /// Opens the model at `path`. Without `tokenizer`, the `tokenizer.json` beside it or in the
    /// folder above is taken.
    ///
    /// # Errors
    /// If the file is no model that can be run, there is no tokenizer, or an input is none of
    /// `input_ids`, `attention_mask`, `token_type_ids` and `position_ids`.
    pub fn open(
        path: &Path,
        tokenizer: Option<&Path>,
        output: Option<&str>,
        pooling: Pooling,
        runtime: &Runtime,
    ) -> Result<Self> {
        let model = Model::open(path, runtime)?;
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer.to_path_buf(),
            None => beside(path, "tokenizer.json").ok_or_else(|| {
                Error::data(
                    path,
                    Place::Whole,
                    "there is no tokenizer.json beside it or in the folder above",
                    "name the tokenizer's file",
                )
            })?,
        };
        if let Some(name) = model
            .inputs()
            .into_iter()
            .find(|name| !Input::is_known(name))
        {
            return Err(Error::data(
                path,
                Place::Whole,
                format!("it reads '{name}', which no text has"),
                "export the text encoder alone",
            ));
        }
        let output = choose_output(&model, output, OUTPUTS)?;
        let mut encoder = Self {
            tokenizer: WordPiece::open(&tokenizer, max_tokens(&tokenizer)?)?,
            model,
            output,
            pooling,
            dim: 0,
        };
        encoder.dim = encoder.embed(&["."])?.len();
        Ok(encoder)
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Name of the output that is read.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &WordPiece {
        &self.tokenizer
    }

    /// The vectors `[n, d]` of texts, on all threads.
    ///
    /// # Errors
    /// If the model cannot be run, or does not return vectors of finite numbers.
    pub fn embed(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<f32>> {
        let encode = |text: &_| -> Vec<i64> { self.tokenizer.encode(AsRef::as_ref(text)).0 };
        let ids: Vec<Vec<i64>> = texts.par_iter().map(encode).collect();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&text| ids[text].len());
        let equal = order.chunk_by(|&a, &b| ids[a].len() == ids[b].len());
        let batches: Vec<&[usize]> = equal.flat_map(|same| same.chunks(BATCH)).collect();
        let vectors = batches.par_iter().map(|batch| {
            let ids: Vec<&[i64]> = batch.iter().map(|&text| ids[text].as_slice()).collect();
            self.run(&ids)
        });
        let vectors = vectors.collect::<Result<Vec<Vec<f32>>>>()?;
        let dim = vectors
            .first()
            .map_or(0, |batch| batch.len() / batches[0].len());
        let mut out = vec![0.0; dim * texts.len()];
        for (batch, vectors) in batches.iter().zip(&vectors) {
            for (&text, vector) in batch.iter().zip(vectors.chunks_exact(dim.max(1))) {
                out[text * dim..][..dim].copy_from_slice(vector);
            }
        }
        Ok(out)
    }

    /// The vectors of texts of equal length.
    fn run(&self, ids: &[&[i64]]) -> Result<Vec<f32>> {
        let (n, tokens) = (ids.len(), ids[0].len());
        let inputs = self.model.inputs().into_iter().map(|name| {
            let values = match name {
                Input::IDS => ids.concat(),
                Input::MASK => vec![1; n * tokens],
                Input::POSITIONS => (0..n).flat_map(|_| 0..tokens as i64).collect(),
                _ => vec![0; n * tokens],
            };
            Tensor::ints(vec![n, tokens], values).expect("one value a token")
        });
        let output = self.model.run(inputs.collect(), &self.output)?;
        let refuse = |problem: String| {
            let remedy = format!("choose another output: {}", self.model.outputs().join(", "));
            Error::data(self.model.path(), Place::Whole, problem, remedy)
        };
        let values = output.as_floats().map_err(&refuse)?;
        let mut vectors = match *output.shape() {
            [found, _] if found == n => values.to_vec(),
            [found, length, d] if found == n && length == tokens => self.pool(values, tokens, d),
            ref shape => {
                return Err(refuse(format!(
                    "output '{}' has shape {shape:?}, expected [{n}, d] or [{n}, {tokens}, d]",
                    self.output
                )));
            }
        };
        for vector in vectors.chunks_exact_mut(values_per_text(&output, n)) {
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            vector.iter_mut().for_each(|x| *x /= norm);
        }
        finite(vectors, &self.model)
    }

    fn pool(&self, values: &[f32], tokens: usize, dim: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(values.len() / tokens);
        for text in values.chunks_exact(tokens * dim) {
            match self.pooling {
                Pooling::First => out.extend(&text[..dim]),
                Pooling::Mean => {
                    let mut mean = vec![0.0; dim];
                    for token in text.chunks_exact(dim) {
                        mean.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
                    }
                    out.extend(mean.iter().map(|sum| sum / tokens as f32));
                }
            }
        }
        out
    }
}

fn values_per_text(output: &Tensor, n: usize) -> usize {
    match output.shape() {
        [.., d] => (*d).max(1),
        [] => output.len() / n.max(1),
    }
}

/// Names of inputs.
struct Input;

impl Input {
    const IDS: &str = "input_ids";
    const MASK: &str = "attention_mask";
    const TYPES: &str = "token_type_ids";
    const POSITIONS: &str = "position_ids";

    fn is_known(name: &str) -> bool {
        [Self::IDS, Self::MASK, Self::TYPES, Self::POSITIONS].contains(&name)
    }
}

/// A file beside `path`, or in the folder above it, as model hubs lay them out.
fn beside(path: &Path, name: &str) -> Option<PathBuf> {
    let folders = path.ancestors().skip(1).take(2);
    let mut files = folders.map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}

/// The length that `sentence_bert_config.json` beside the tokenizer names.
fn max_tokens(tokenizer: &Path) -> Result<Option<usize>> {
    let Some(path) = beside(tokenizer, "sentence_bert_config.json") else {
        return Ok(None);
    };
    let bytes = std::fs::read(&path).map_err(|source| Error::io(&path, "read", source))?;
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(value["max_seq_length"]
        .as_u64()
        .map(|length| length as usize))
}

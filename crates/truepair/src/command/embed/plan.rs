//! From the arguments to what is embedded, by which encoders, and where it is kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use truepair_encode::job::{self, Job};
use truepair_encode::{ImageEncoder, Runtime, TextEncoder};

use super::args::{EmbedArgs, RuntimeChoice};
use super::source::Source;
use crate::encoded::{described_captions, described_images};

/// A job that can begin: encoders are loaded and the data is open.
pub(super) struct EmbedPlan {
    pub(super) images: Option<ImageEncoder>,
    pub(super) captions: Option<TextEncoder>,
    pub(super) source: Source,
    /// Everything that decides the output; two jobs with the same description give the same bytes.
    pub(super) description: Value,
    pub(super) out: PathBuf,
    half: bool,
    batch: usize,
}

impl EmbedPlan {
    /// # Errors
    /// If arguments contradict each other, or an encoder or the data cannot be read.
    pub(super) fn resolve(args: &EmbedArgs) -> Result<Self> {
        if args.read.pixels.is_some() {
            bail!("--pixels is for training on pixels (--size is the side that the encoder reads)")
        }
        let runtime = runtime(args)?;
        let images = args.image_encoder.as_deref();
        let images = images.map(|path| ImageEncoder::open(path, &args.prepare.options(), &runtime));
        let captions = args.text_encoder.as_deref();
        let captions =
            captions.map(|path| TextEncoder::open(path, &args.captions.options(), &runtime));
        let mut plan = Self {
            images: images.transpose()?,
            captions: captions.transpose()?,
            source: Source::open(args)?,
            description: Value::Null,
            out: (args.out.clone()).context("name the folder of the embeddings with --out")?,
            half: args.half,
            batch: args.batch.into(),
        };
        plan.description = plan.describe(args)?;
        Ok(plan)
    }

    /// The library's view of the encoders.
    pub(super) fn job(&self) -> Job<'_> {
        Job {
            images: self.images.as_ref(),
            captions: self.captions.as_ref(),
            half: self.half,
            batch: self.batch,
        }
    }

    /// What the encoders were set to, and where that was found.
    pub(super) fn settings(&self) -> Value {
        json!({
            "image_encoder": self.images.as_ref().map(ImageEncoder::settings),
            "text_encoder": self.captions.as_ref().map(TextEncoder::settings),
        })
    }

    fn describe(&self, args: &EmbedArgs) -> Result<Value> {
        let data: Result<Vec<Value>> = match &self.source {
            Source::Splits(splits) => (splits.iter())
                .map(|dataset| {
                    let hash = job::fingerprint(dataset)?;
                    Ok(json!({ "split": dataset.split, "sha256": hash }))
                })
                .collect(),
            alone => {
                let hash = job::fingerprint_of_items(alone.items());
                Ok(vec![json!({ "split": "all", "sha256": hash })])
            }
        };
        let images = match (&args.image_encoder, &self.images) {
            (Some(path), Some(encoder)) => described_images(path, encoder)?,
            _ => Value::Null,
        };
        let captions = match (&args.text_encoder, &self.captions) {
            (Some(path), Some(encoder)) => described_captions(path, encoder)?,
            _ => Value::Null,
        };
        let mut job = json!({
            "data": data?,
            "image_encoder": images,
            "text_encoder": captions,
            "half": self.half,
        });
        // Two runtimes round differently.
        if args.runtime != RuntimeChoice::BuiltIn {
            job["runtime"] = "ort".into();
        }
        Ok(job)
    }
}

fn runtime(args: &EmbedArgs) -> Result<Runtime> {
    match (args.runtime, &args.runtime_library) {
        (RuntimeChoice::BuiltIn, None) => Ok(Runtime::BuiltIn),
        (RuntimeChoice::BuiltIn, Some(_)) => {
            bail!("--runtime-library is for --runtime ort (give that too, or leave both out)")
        }
        (RuntimeChoice::Ort, library) => onnx_runtime(library.as_deref()),
    }
}

#[cfg(feature = "ort")]
fn onnx_runtime(library: Option<&Path>) -> Result<Runtime> {
    let library = library.context("--runtime ort needs --runtime-library")?;
    let threads = rayon::current_num_threads();
    let loaded = truepair_encode::OnnxRuntime::load(library, threads)?;
    Ok(Runtime::OnnxRuntime(loaded))
}

#[cfg(not(feature = "ort"))]
fn onnx_runtime(_library: Option<&Path>) -> Result<Runtime> {
    bail!(
        "--runtime ort: this program was built without ONNX Runtime (build it with \
         `cargo build --release --features ort`, or leave --runtime out)"
    )
}

//! From the arguments to what is embedded, by which encoders, and where it is kept.

use std::path::{Path, PathBuf};

#[cfg(feature = "ort")]
use anyhow::Context;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use truepair_core::dataset::Dataset;
use truepair_encode::job::{self, Job};
use truepair_encode::{ImageEncoder, Pooling, Runtime, TextEncoder};
use truepair_image::Preprocessing;
use truepair_read::dataset::{self, Pictures, ReadOptions};

use super::args::{EmbedArgs, RuntimeChoice};
use crate::file_hash::sha256;
use crate::progress::Bars;
use crate::remote;
use crate::staged_file::folder_of;

/// A job that can begin: encoders are loaded and the data is open.
pub(super) struct EmbedPlan {
    pub(super) images: ImageEncoder,
    pub(super) captions: Option<TextEncoder>,
    pub(super) splits: Vec<Dataset>,
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
        let images = image_encoder(args, &runtime)?;
        let captions = text_encoder(args, &runtime)?;
        let mut plan = Self {
            images,
            captions,
            splits: open_splits(args)?,
            description: Value::Null,
            out: args.out.clone(),
            half: args.half,
            batch: args.batch.into(),
        };
        plan.description = plan.describe(args)?;
        Ok(plan)
    }

    /// The library's view of the encoders.
    pub(super) fn job(&self) -> Job<'_> {
        Job {
            images: &self.images,
            captions: self.captions.as_ref(),
            half: self.half,
            batch: self.batch,
        }
    }

    fn describe(&self, args: &EmbedArgs) -> Result<Value> {
        let data: Result<Vec<Value>> = (self.splits.iter())
            .map(|dataset| {
                let hash = job::fingerprint(dataset)?;
                Ok(json!({ "split": dataset.split, "sha256": hash }))
            })
            .collect();
        let captions = match (&args.text_encoder, &self.captions) {
            (Some(path), Some(encoder)) => json!({
                "sha256": sha256(path)?,
                "output": encoder.output(),
                "pooling": Pooling::from(args.captions.pooling),
                "max_tokens": encoder.tokenizer().max_tokens(),
            }),
            _ => Value::Null,
        };
        let mut job = json!({
            "data": data?,
            "image_encoder": {
                "sha256": sha256(&args.image_encoder)?,
                "output": self.images.output(),
                "preprocessing": self.images.preprocessing(),
            },
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

fn image_encoder(args: &EmbedArgs, runtime: &Runtime) -> Result<ImageEncoder> {
    let path = &args.image_encoder;
    let beside = Preprocessing::beside(folder_of(path))?;
    let settings = args.prepare.over(beside);
    let output = args.prepare.image_output.as_deref();
    Ok(ImageEncoder::open(path, settings, output, runtime)?)
}

fn text_encoder(args: &EmbedArgs, runtime: &Runtime) -> Result<Option<TextEncoder>> {
    let Some(path) = &args.text_encoder else {
        return Ok(None);
    };
    let captions = &args.captions;
    Ok(Some(TextEncoder::open(
        path,
        captions.tokenizer.as_deref(),
        captions.text_output.as_deref(),
        captions.pooling.into(),
        runtime,
    )?))
}

fn open_splits(args: &EmbedArgs) -> Result<Vec<Dataset>> {
    let mut bars = Bars::new();
    let options = |split: &str| ReadOptions {
        pictures: match &args.read.pictures {
            Some(folder) => Pictures::In(folder.clone()),
            None => Pictures::Beside,
        },
        ..args.read.options(split)
    };
    let names = match &args.split {
        Some(names) => names.clone(),
        None => {
            let (data, options) = remote::fetched(&args.data, &options("all"), &mut bars)?;
            dataset::splits(data, &options)?
        }
    };
    let mut open = |name: &String| {
        let (data, options) = remote::fetched(&args.data, &options(name), &mut bars)?;
        Ok(dataset::open(data, &options)?)
    };
    names.iter().map(&mut open).collect()
}

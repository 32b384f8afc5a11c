//! `truepair embed`: pictures and captions become embeddings, in parts that survive being stopped.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use truepair_core::dataset::Dataset;
use truepair_core::durable;
use truepair_encode::job::{self, Job, Skipped};
use truepair_encode::{ImageEncoder, Pooling, Runtime, TextEncoder, layout};
use truepair_image::{Filter, Fit, Preprocessing};
use truepair_read::dataset::{self, Pictures, ReadOptions};

use super::Outcome;
use super::convert::sha256;
use crate::cli::ReadArgs;
use crate::interrupt;
use crate::progress::Bars;
use crate::render::{self, Form};

const EXAMPLES: &str = "\
Examples:
  truepair embed photos/ --image-encoder vision_model.onnx --text-encoder minilm.onnx --out features/
      Folders with NAME.txt beside NAME.jpg, tables, webdataset shards, Karpathy's JSON.
  truepair embed dataset_coco.json --pictures coco/ --image-encoder resnet.onnx --out features/
      Stopped with Ctrl-C? The same command goes on where it stopped.
  truepair audit features/ --out audit/
      Every other command reads the result.";

/// Folder of the parts of an unfinished job, inside the output.
const PARTS: &str = ".truepair-embed";
/// What a finished folder says about itself.
const SUMMARY: &str = "embed.json";
/// Images without an embedding.
const SKIPPED: &str = "skipped.tsv";

/// Arguments of `truepair embed`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EmbedArgs {
    /// Data with pictures: a folder, a table, a JSON file or webdataset shards.
    data: PathBuf,

    /// Image encoder: ONNX, one input [n, 3, size, size], an output [n, d].
    #[arg(long, value_name = "FILE")]
    image_encoder: PathBuf,

    /// Text encoder: ONNX; captions are kept as text only when it is left out.
    #[arg(long, value_name = "FILE")]
    text_encoder: Option<PathBuf>,

    /// Folder to make; goes on with the same job that was stopped there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Splits to embed, separated by commas; all by default.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    split: Option<Vec<String>>,

    /// Pictures that are encoded between two looks at Ctrl-C.
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,

    /// What runs the encoders. `ort` is there in programs built with `--features ort`.
    #[arg(long, value_name = "NAME", default_value = "built-in")]
    runtime: RuntimeChoice,

    /// Shared library of ONNX Runtime 1.17 or later, for `--runtime ort`.
    #[arg(long, value_name = "FILE", required_if_eq("runtime", "ort"))]
    runtime_library: Option<PathBuf>,

    /// Store 16-bit numbers.
    #[arg(long)]
    half: bool,

    #[command(flatten)]
    prepare: PrepareArgs,

    #[command(flatten)]
    captions: TextArgs,

    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuntimeChoice {
    /// The program's own forward passes
    BuiltIn,
    /// ONNX Runtime, loaded from a shared library
    Ort,
}

/// How pictures are prepared; a `preprocessor_config.json` beside the encoder is read first.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
struct PrepareArgs {
    /// Side of the square that the image encoder reads.
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,

    /// Shorter side before the middle is cut out; the size by default.
    #[arg(long, value_name = "PIXELS")]
    resize: Option<usize>,

    /// What happens to pictures that are not square.
    #[arg(long, value_name = "HOW")]
    fit: Option<FitChoice>,

    /// Kernel of the resampling.
    #[arg(long, value_name = "NAME")]
    filter: Option<FilterChoice>,

    /// Mean of red, green and blue, of values in [0, 1].
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    mean: Option<[f32; 3]>,

    /// Standard deviation of red, green and blue, of values in [0, 1].
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    std: Option<[f32; 3]>,

    /// Output of the image encoder; recognized by its name by default.
    #[arg(long, value_name = "NAME")]
    image_output: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FitChoice {
    /// Cut the middle out
    Crop,
    /// Change the proportions
    Stretch,
    /// Add white
    Pad,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FilterChoice {
    Bicubic,
    Bilinear,
}

/// How captions are encoded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Captions")]
struct TextArgs {
    /// Tokenizer; tokenizer.json beside the text encoder or one folder above by default.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,

    /// How the vectors of tokens become one.
    #[arg(long, value_name = "HOW", default_value = "mean")]
    pooling: PoolingChoice,

    /// Output of the text encoder; recognized by its name by default.
    #[arg(long, value_name = "NAME")]
    text_output: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PoolingChoice {
    /// Their mean
    Mean,
    /// That of the first token
    First,
}

fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.map_err(|_| "expected three numbers, such as 0.5,0.5,0.5")?;
    numbers
        .try_into()
        .map_err(|_| "expected three numbers".to_owned())
}

/// The JSON object that `truepair embed --json` prints, kept in the folder.
#[derive(Debug, Serialize)]
struct EmbedResult {
    command: &'static str,
    version: &'static str,
    splits: Vec<SplitResult>,
    /// Numbers of an image's and of a caption's vector.
    image_dim: usize,
    caption_dim: Option<usize>,
    skipped: usize,
    job: Value,
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct SplitResult {
    split: String,
    images: usize,
    captions: usize,
    skipped: usize,
}

pub(crate) fn run(args: &EmbedArgs, form: Form) -> Result<Outcome> {
    if args.read.pixels.is_some() {
        bail!("--pixels is for training on pixels (--size is the side that the encoder reads)")
    }
    let runtime = args.runtime()?;
    let images = args.image_encoder(&runtime)?;
    let captions = args.text_encoder(&runtime)?;
    let job = Job {
        images: &images,
        captions: captions.as_ref(),
        half: args.half,
        batch: args.batch.into(),
    };
    let splits = args.open_splits()?;
    let description = args.describe(&job, &splits)?;
    if let Some(done) = finished(&args.out, &description)? {
        render::note("this job is done already");
        form.print(&done, || text(&done, &args.out))?;
        return Ok(Outcome::Success);
    }
    let parts = open_parts(&args.out, &description)?;
    let mut bars = Bars::new();
    let (mut results, mut skipped) = (Vec::new(), Vec::new());
    for dataset in &splits {
        let folder = parts.join(&dataset.split);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{}: cannot create", folder.display()))?;
        let outcome = job.run(dataset, &folder, interrupt::stop_flag(), &mut bars)?;
        let job::Outcome::Done(embedded) = outcome else {
            bail!(
                "stopped: run the same command again to go on with {}",
                args.out.display()
            )
        };
        layout::write(dataset, &embedded, &args.out)?;
        results.push(SplitResult {
            split: dataset.split.clone(),
            images: embedded.images.len(),
            captions: dataset.n_captions(),
            skipped: embedded.skipped.len(),
        });
        skipped.extend(
            embedded
                .skipped
                .into_iter()
                .map(|one| (dataset.split.clone(), one)),
        );
    }
    write_skipped(&args.out, &skipped)?;
    let result = EmbedResult {
        command: "embed",
        version: env!("CARGO_PKG_VERSION"),
        splits: results,
        image_dim: images.dim(),
        caption_dim: captions.as_ref().map(TextEncoder::dim),
        skipped: skipped.len(),
        job: description,
        out: args.out.clone(),
    };
    let result = serde_json::to_value(&result)?;
    let json = serde_json::to_string_pretty(&result)? + "\n";
    durable::write(args.out.join(SUMMARY), json.as_bytes())?;
    // The result is whole; parts that cannot be removed only take space.
    let _ = std::fs::remove_dir_all(&parts);
    form.print(&result, || text(&result, &args.out))?;
    Ok(Outcome::Success)
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

impl EmbedArgs {
    fn runtime(&self) -> Result<Runtime> {
        match (self.runtime, &self.runtime_library) {
            (RuntimeChoice::BuiltIn, None) => Ok(Runtime::BuiltIn),
            (RuntimeChoice::BuiltIn, Some(_)) => {
                bail!("--runtime-library is for --runtime ort (give that too, or leave both out)")
            }
            (RuntimeChoice::Ort, library) => onnx_runtime(library.as_deref()),
        }
    }

    fn image_encoder(&self, runtime: &Runtime) -> Result<ImageEncoder> {
        let beside = Preprocessing::beside(folder_of(&self.image_encoder))?;
        let given = &self.prepare;
        let any = given.size.is_some()
            || given.resize.is_some()
            || given.fit.is_some()
            || given.filter.is_some()
            || given.mean.is_some()
            || given.std.is_some();
        let settings = any.then(|| given.over(beside.unwrap_or_default()));
        let output = given.image_output.as_deref();
        let path = &self.image_encoder;
        Ok(ImageEncoder::open(path, settings, output, runtime)?)
    }

    fn text_encoder(&self, runtime: &Runtime) -> Result<Option<TextEncoder>> {
        let Some(path) = &self.text_encoder else {
            return Ok(None);
        };
        let pooling = match self.captions.pooling {
            PoolingChoice::Mean => Pooling::Mean,
            PoolingChoice::First => Pooling::First,
        };
        let (tokenizer, output) = (&self.captions.tokenizer, &self.captions.text_output);
        Ok(Some(TextEncoder::open(
            path,
            tokenizer.as_deref(),
            output.as_deref(),
            pooling,
            runtime,
        )?))
    }

    fn open_splits(&self) -> Result<Vec<Dataset>> {
        let options = |split: &str| ReadOptions {
            pictures: match &self.read.pictures {
                Some(folder) => Pictures::In(folder.clone()),
                None => Pictures::Beside,
            },
            ..self.read.options(split)
        };
        let names = match &self.split {
            Some(names) => names.clone(),
            None => dataset::splits(&self.data, &options("all"))?,
        };
        let open = |name: &String| Ok(dataset::open(&self.data, &options(name))?);
        names.iter().map(open).collect()
    }

    /// All that decides what comes out; two jobs with the same description give the same bytes.
    fn describe(&self, job: &Job<'_>, splits: &[Dataset]) -> Result<Value> {
        let data: Result<Vec<Value>> = (splits.iter())
            .map(|dataset| {
                let hash = job::fingerprint(dataset)?;
                Ok(json!({ "split": dataset.split, "sha256": hash }))
            })
            .collect();
        let captions = match (&self.text_encoder, job.captions) {
            (Some(path), Some(encoder)) => json!({
                "sha256": sha256(path)?,
                "output": encoder.output(),
                "pooling": match self.captions.pooling {
                    PoolingChoice::Mean => Pooling::Mean,
                    PoolingChoice::First => Pooling::First,
                },
                "max_tokens": encoder.tokenizer().max_tokens(),
            }),
            _ => Value::Null,
        };
        let mut job = json!({
            "data": data?,
            "image_encoder": {
                "sha256": sha256(&self.image_encoder)?,
                "output": job.images.output(),
                "preprocessing": job.images.preprocessing(),
            },
            "text_encoder": captions,
            "half": self.half,
        });
        // Two runtimes round differently.
        if self.runtime != RuntimeChoice::BuiltIn {
            job["runtime"] = "ort".into();
        }
        Ok(job)
    }
}

impl PrepareArgs {
    fn over(&self, mut settings: Preprocessing) -> Preprocessing {
        if let Some(size) = self.size {
            settings.size = size;
            settings.resize = None;
        }
        settings.resize = self.resize.or(settings.resize);
        settings.fit = match self.fit {
            Some(FitChoice::Crop) => Fit::Crop,
            Some(FitChoice::Stretch) => Fit::Stretch,
            Some(FitChoice::Pad) => Fit::Pad,
            None => settings.fit,
        };
        settings.filter = match self.filter {
            Some(FilterChoice::Bicubic) => Filter::Bicubic,
            Some(FilterChoice::Bilinear) => Filter::Bilinear,
            None => settings.filter,
        };
        settings.mean = self.mean.unwrap_or(settings.mean);
        settings.std = self.std.unwrap_or(settings.std);
        settings
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The result in `out` when this very job made it.
///
/// # Errors
/// If another job made it.
fn finished(out: &Path, description: &Value) -> Result<Option<Value>> {
    let Ok(bytes) = std::fs::read(out.join(SUMMARY)) else {
        return Ok(None);
    };
    let result: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    check_same(out, &result["job"], description)?;
    Ok(Some(result))
}

/// The folder of the job's parts, made or found.
///
/// # Errors
/// If `out` holds something else, or the parts of another job.
fn open_parts(out: &Path, description: &Value) -> Result<PathBuf> {
    let place = out.display();
    let parts = out.join(PARTS);
    let marker = parts.join("job.json");
    if let Ok(bytes) = std::fs::read(&marker) {
        let stored: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        check_same(out, &stored, description)?;
        return Ok(parts);
    }
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{place}: is not empty (choose another --out)")
    }
    if !out.is_dir() {
        std::fs::create_dir(out).with_context(|| {
            format!(
                "{place}: cannot create the output folder (its parent must be an existing, writable \
                 folder)"
            )
        })?;
    }
    std::fs::create_dir(&parts).with_context(|| format!("{place}: cannot write into it"))?;
    durable::write(&marker, description.to_string().as_bytes())?;
    Ok(parts)
}

fn check_same(out: &Path, stored: &Value, description: &Value) -> Result<()> {
    if stored == description {
        return Ok(());
    }
    let differs = description.as_object().into_iter().flatten();
    let differs = differs.filter(|(key, value)| stored.get(key.as_str()) != Some(*value));
    let keys: Vec<&str> = differs.map(|(key, _)| key.as_str()).collect();
    bail!(
        "{}: holds another job, of other {} (choose another --out, or remove it)",
        out.display(),
        keys.join(", ")
    )
}

fn write_skipped(out: &Path, skipped: &[(String, Skipped)]) -> Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    let mut text = String::from("split\timage\tplace\tproblem\n");
    for (split, one) in skipped {
        let cells = [split, &one.id, &one.place, &one.problem];
        let cells = cells.map(|cell| cell.replace(['\t', '\n', '\r'], " "));
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    durable::write(out.join(SKIPPED), text.as_bytes())?;
    let (first, n) = (&skipped[0].1, skipped.len());
    render::note(&format!(
        "warning: {} skipped, the first {}: {} (see {})",
        render::count(n, "picture"),
        first.place,
        first.problem,
        out.join(SKIPPED).display()
    ));
    Ok(())
}

fn text(result: &Value, out: &Path) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0) as usize;
    let mut rows = Vec::new();
    let splits = result["splits"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for split in splits {
        let images = render::count(number(&split["images"]), "image");
        let captions = render::count(number(&split["captions"]), "caption");
        rows.push((
            split["split"].as_str().unwrap_or_default(),
            format!("{images}, {captions}"),
        ));
    }
    rows.push(("image vectors", number(&result["image_dim"]).to_string()));
    if !result["caption_dim"].is_null() {
        rows.push((
            "caption vectors",
            number(&result["caption_dim"]).to_string(),
        ));
    }
    rows.push((
        "skipped",
        render::count(number(&result["skipped"]), "picture"),
    ));
    rows.push(("folder", out.display().to_string()));
    render::fields(&rows)
}

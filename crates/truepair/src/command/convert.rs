//! `truepair convert`: a run directory made of a published PyTorch checkpoint.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use truepair_core::digest::Digest;
use truepair_train::published::{Assumption, Converted, Draft, MODELS, model};

use super::Outcome;
use crate::config;
use crate::output::{Existing, Stage};
use crate::render::{self, Form};
use crate::run_folder::PROVENANCE;

const EXAMPLES: &str = "\
Examples:
  truepair convert model_best.pth.tar --as vsrn --vocabulary f30k_precomp_vocab.json --out runs/vsrn
      Weights, sizes and options come from the checkpoint; nothing in it is run.
  truepair convert weights.safetensors --as vsepp --vocabulary vocab.json --out runs/order \\
      --set matcher.similarity.kind=order
      A file without options: what it does not tell is assumed, said, and may be set.
  truepair eval runs/vsrn --data f30k_precomp/
      Then measure it.";

/// Arguments of `truepair convert`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConvertArgs {
    /// Checkpoint of torch.save (.pth, .pth.tar, zip or legacy) or a safetensors file.
    checkpoint: PathBuf,

    /// The model whose checkpoint it is.
    #[arg(long = "as", value_name = "MODEL", value_parser = model_names())]
    model: String,

    /// Vocabulary that it was trained with: the research code's JSON, or a run's vocabulary.json.
    #[arg(long, value_name = "FILE")]
    vocabulary: PathBuf,

    /// Run directory to make.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,

    /// Change one value of the configuration that was read, for instance `--set
    /// training.max_tokens=64`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

fn model_names() -> PossibleValuesParser {
    PossibleValuesParser::new(MODELS.iter().map(|model| model.name))
}

/// The JSON object that `truepair convert --json` prints, kept in the run.
#[derive(Debug, Serialize)]
struct Conversion {
    command: &'static str,
    version: &'static str,
    /// Name of the checkpoint's file.
    checkpoint: String,
    /// SHA-256 of the checkpoint's file.
    sha256: String,
    #[serde(rename = "as")]
    model: &'static str,
    /// Repository and commit of the code that the model's weights are read like.
    code: &'static str,
    /// Options that the checkpoint does not hold, with the values taken instead.
    assumed: Vec<Assumption>,
    image: &'static str,
    caption: &'static str,
    similarity: &'static str,
    networks: usize,
    weights: usize,
    words: usize,
}

pub(crate) fn run(args: &ConvertArgs, form: Form) -> Result<Outcome> {
    let model = model(&args.model)?;
    check_free(&args.out)?;
    let stage = Stage::open(&args.out, "convert", Existing::Refuse)?;
    let mut draft = Draft::read(&args.checkpoint, model)?;
    let mut assumed = std::mem::take(&mut draft.assumed);
    assumed.retain(|one| !one.key.is_some_and(|key| config::sets_key(&args.set, key)));
    draft.config = config::changed(&draft.config, &args.set)?;
    let converted = draft.convert(&args.vocabulary)?;
    let result = Conversion {
        command: "convert",
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: file_name(&args.checkpoint),
        sha256: sha256(&args.checkpoint)?,
        model: model.name,
        code: model.source,
        assumed,
        image: converted.config.matcher.image.name(),
        caption: converted.config.matcher.caption.name(),
        similarity: converted.config.matcher.similarity.name(),
        networks: converted.peers.len(),
        weights: converted.n_weights(),
        words: converted.vocabulary.len(),
    };
    write(&stage, &converted, &result)?;
    stage.finish()?;
    remark(&result.assumed);
    form.print(&result, || text(&result, &args.out))?;
    Ok(Outcome::Success)
}

/// # Errors
/// If something lies in the folder already.
fn check_free(out: &Path) -> Result<()> {
    let taken = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        bail!("{}: is not empty (choose another --out)", out.display())
    }
    Ok(())
}

fn write(stage: &Stage, converted: &Converted, result: &Conversion) -> Result<()> {
    converted.write(stage.folder())?;
    stage.write_json(PROVENANCE, result)
}

/// Says which options were guessed.
fn remark(assumed: &[Assumption]) {
    if assumed.is_empty() {
        return;
    }
    let options: Vec<String> = (assumed.iter())
        .map(|one| match one.key {
            Some(key) => format!("{} = {} (--set {key}=...)", one.option, one.value),
            None => format!("{} = {}", one.option, one.value),
        })
        .collect();
    render::note(&format!(
        "the checkpoint does not tell these options, their defaults are assumed: {}",
        options.join(", ")
    ));
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let unreadable = || format!("{}: cannot read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut digest = Digest::new();
    digest.add_all(&mut file).with_context(unreadable)?;
    Ok(digest.hex())
}

fn text(result: &Conversion, out: &Path) -> String {
    render::fields(&[
        ("model", result.model.to_owned()),
        ("images", result.image.to_owned()),
        ("captions", result.caption.to_owned()),
        ("similarity", result.similarity.to_owned()),
        (
            "size",
            format!(
                "{} of {}",
                render::count(result.networks, "network"),
                render::count(result.weights, "weight")
            ),
        ),
        ("vocabulary", render::count(result.words, "word")),
        ("run", out.display().to_string()),
    ])
}

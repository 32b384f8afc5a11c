//! `truepair convert`: a run directory made of a published PyTorch checkpoint.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use schemars::JsonSchema;
use serde::Serialize;
use truepair_train::published::{Assumption, Converted, Draft, MODELS, model};

use crate::exit::Exit;
use crate::file_hash::sha256;
use crate::output::Output;
use crate::render::{self, Form};
use crate::run_folder::PROVENANCE;
use crate::staged_folder::{Existing, StagedFolder};
use crate::{config, folder, remote};

const EXAMPLES: &str = "\
Examples:
  truepair convert model_best.pth.tar --as vsrn --vocabulary f30k_precomp_vocab.json --out runs/vsrn
      Weights, sizes and options come from the checkpoint; nothing in it is run.
  truepair convert weights.safetensors --as vsepp --vocabulary vocab.json --out runs/order \\
      --set matcher.similarity.kind=order
      A file without options: what it does not say is assumed and reported, and can be set.
  truepair eval runs/vsrn --data f30k/
      Then measure it.";

/// Arguments of `truepair convert`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConvertArgs {
    /// Checkpoint of torch.save (.pth, .pth.tar, zip or legacy) or a safetensors file.
    checkpoint: PathBuf,

    /// Which model the checkpoint is of.
    #[arg(long = "as", value_name = "MODEL", value_parser = model_names())]
    model: String,

    /// Vocabulary that it was trained with: the research code's JSON, or a run's vocabulary.json.
    #[arg(long, value_name = "FILE")]
    vocabulary: PathBuf,

    /// Run directory to make.
    #[arg(long, value_name = "RUN", value_parser = remote::output())]
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
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Conversion {
    command: &'static str,
    version: &'static str,
    /// Name of the checkpoint's file.
    checkpoint: String,
    /// SHA-256 of the checkpoint's file.
    sha256: String,
    #[serde(rename = "as")]
    model: &'static str,
    /// Repository and commit of the code that defines how the weights are read.
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

impl Output for Conversion {
    const SCHEMA: &'static str = "truepair/conversion/1";
}

pub(crate) fn run(args: &ConvertArgs, form: Form) -> Result<Exit> {
    let model = model(&args.model)?;
    folder::check_free(&args.out)?;
    let stage = StagedFolder::open(&args.out, "convert", Existing::Refuse)?;
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
    Ok(Exit::Success)
}

fn write(stage: &StagedFolder, converted: &Converted, result: &Conversion) -> Result<()> {
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
        "the checkpoint does not hold these options, so their defaults are assumed: {}",
        options.join(", ")
    ));
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
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

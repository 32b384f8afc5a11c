//! `truepair eval`: retrieval of a run, of a score matrix, or of embeddings.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::{self, Features, ReadOptions};
use truepair_core::metric::{Protocol, Report, evaluate};
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::scores::{ScoreMatrix, Scorer};
use truepair_train::similarity::GaussianMeasure;

use super::Outcome;
use crate::accelerator;
use crate::audit::frozen;
use crate::progress::Bars;
use crate::render::{self, Form, Retrieval};
use crate::run_folder;
use crate::uncertainty::{self, SelfKnowledge};

const EXAMPLES: &str = "\
Examples:
  truepair eval runs/ncr
      The test split of the data that the run was trained on.
  truepair eval runs/vsrn --data f30k_precomp/ --split test
      Other data than the run was trained on; a converted checkpoint needs it.
  truepair eval --embeddings images.npy captions.npy
      Cosine of two matrices; caption rows follow their images evenly, for instance five each.
  truepair eval --embeddings images.npy captions.npy --pairs pairs.csv --folds 5
      Pairs from a file, and the mean over five folds of the images.
  truepair eval --scores scores.npy --json > mine.json
      A matrix [images, captions] that another program computed; larger is more similar.
  truepair eval runs/pcme --distance wasserstein
      Gaussian embeddings, ranked by another distance than the run was trained with.
  truepair eval runs/rcl --compare-with mine.json
      Side by side; refused when the two were not measured in the same way.";

/// Arguments of `truepair eval`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    subject: Subject,

    /// Split to rank.
    #[arg(long, default_value = "test", value_name = "NAME")]
    split: String,

    /// Data to rank instead of the data that the run was trained on.
    #[arg(long, value_name = "PATH", requires = "run")]
    data: Option<PathBuf>,

    /// Cut the images into this many equal folds and average, as in MS-COCO 1K (5).
    #[arg(long, default_value_t = 1, value_name = "K")]
    folds: u32,

    /// Which image row belongs to which caption row, for --scores and --embeddings.
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pairs: Option<PathBuf>,

    /// Name of the data in the stored protocol, for --scores and --embeddings.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "unnamed",
        conflicts_with = "run"
    )]
    name: String,

    /// Rank a run's Gaussian embeddings by this measure instead of its own score: `mean`,
    /// `expected-square`, `expected-likelihood`, `kullback-leibler`, `jeffreys`, `bhattacharyya`,
    /// `wasserstein`, `inclusion`; `kullback-leibler-released` and `inclusion-released` are what
    /// published code computes under those names.
    #[arg(long, value_name = "MEASURE", requires = "run", value_parser = measure_named)]
    distance: Option<GaussianMeasure>,

    /// An earlier result (`--json` of eval or train) to set beside this one.
    #[arg(long, value_name = "FILE")]
    compare_with: Option<PathBuf>,
}

/// What is evaluated.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// Run directory that `truepair train` or `truepair convert` wrote.
    run: Option<PathBuf>,

    /// Score matrix [images, captions] (.npy), larger = more similar.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,

    /// Image embeddings and caption embeddings (.npy, .npz, .safetensors).
    #[arg(long, value_names = ["IMAGES", "CAPTIONS"], num_args = 2)]
    embeddings: Option<Vec<PathBuf>>,
}

/// The JSON object that `truepair eval --json` prints.
#[derive(Debug, Serialize, Deserialize)]
struct Evaluation {
    unit: String,
    #[serde(flatten)]
    retrieval: Retrieval,
    protocol: Protocol,
    /// For runs whose embeddings are Gaussians.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncertainty: Option<SelfKnowledge>,
    /// The measure that was ranked by, where it is not the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distance: Option<GaussianMeasure>,
}

fn measure_named(name: &str) -> Result<GaussianMeasure, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

pub(crate) fn run(args: &EvalArgs, form: Form) -> Result<Outcome> {
    let mut bars = Bars::new();
    let (report, uncertainty) = match &args.subject {
        Subject {
            scores: Some(file), ..
        } => (of_scores(file, args, &mut bars)?, None),
        Subject {
            embeddings: Some(files),
            ..
        } => (of_embeddings(files, args, &mut bars)?, None),
        Subject {
            run: Some(folder), ..
        } => of_run(folder, args, &mut bars)?,
        _ => bail!("name a run, --scores or --embeddings"),
    };
    drop(bars);
    let compared = match &args.compare_with {
        Some(file) => Some(report.compare(&read_result(file)?)?),
        None => None,
    };
    let evaluation = Evaluation {
        unit: "percent".to_owned(),
        retrieval: Retrieval::of(&report),
        protocol: report.protocol.clone(),
        uncertainty,
        distance: args.distance,
    };
    form.print(&evaluation, || {
        let mut text = render::report_text(&report);
        if let Some(known) = &evaluation.uncertainty {
            text.push_str(&uncertainty::text(known));
        }
        if let Some(compared) = &compared {
            text.push_str(&format!("\n{}", render::comparison(compared)));
        }
        text
    })?;
    Ok(Outcome::Success)
}

fn of_scores(file: &Path, args: &EvalArgs, bars: &mut Bars) -> Result<Report> {
    let scores = ScoreMatrix(Features::open_npy(file)?.to_matrix()?);
    let (n_images, n_captions) = (scores.n_images(), scores.n_captions());
    let pairs = match &args.pairs {
        Some(pairs) => dataset::read_pairs(pairs, n_images, n_captions)?,
        None => consecutive(n_images, n_captions).with_context(|| {
            format!(
                "{}: {n_captions} captions (columns) cannot be shared evenly by {n_images} images \
                 (rows) (transpose the matrix, or say which belong together with --pairs)",
                file.display()
            )
        })?,
    };
    measure(&scores, &pairs, args, bars)
}

/// Captions in the order of their images, the same number each.
fn consecutive(n_images: usize, n_captions: usize) -> Option<Vec<Pair>> {
    let each = n_captions
        .checked_div(n_images)
        .filter(|each| each * n_images == n_captions)?;
    let caption = |caption: usize| Pair {
        image: (caption / each) as u32,
        caption: caption as u32,
    };
    (each > 0).then(|| (0..n_captions).map(caption).collect())
}

fn of_embeddings(files: &[PathBuf], args: &EvalArgs, bars: &mut Bars) -> Result<Report> {
    let [images, captions] = files else {
        bail!("--embeddings takes two files")
    };
    let options = ReadOptions {
        pairs: args.pairs.clone(),
        ..ReadOptions::default()
    };
    let dataset = dataset::open_embeddings(images, captions, &options)?;
    crate::data::check_finite(&dataset, bars)?;
    let scorer = frozen(&dataset)?;
    measure(&scorer, &dataset.pairs, args, bars)
}

fn of_run(run: &Path, args: &EvalArgs, bars: &mut Bars) -> Result<(Report, Option<SelfKnowledge>)> {
    let (data, read) = run_folder::data_of(run, args.data.as_deref())?;
    let mut trained = truepair_train::load(run, accelerator::chosen())?;
    if let Some(distance) = args.distance {
        trained = trained.measured_by(distance)?;
    }
    let options = ReadOptions {
        split: args.split.clone(),
        ..read
    };
    let dataset = crate::data::open(&data, &options, bars)?;
    let noise = run_folder::training_noise(run)?;
    let report = run_folder::measure(&trained, &dataset, noise, args.folds, bars)?;
    let known = uncertainty::measure(&trained, &dataset, bars)?;
    Ok((report, known))
}

fn measure(
    scorer: &dyn Scorer,
    pairs: &[Pair],
    args: &EvalArgs,
    bars: &mut Bars,
) -> Result<Report> {
    let relevance = Relevance::from_pairs(scorer.n_images(), scorer.n_captions(), pairs);
    let protocol = Protocol {
        folds: args.folds,
        ..Protocol::new(args.name.as_str(), args.split.as_str(), &relevance)
    };
    Ok(evaluate(scorer, &relevance, protocol, bars)?)
}

/// Reads what `truepair eval --json` or `truepair train --json` printed.
fn read_result(file: &Path) -> Result<Report> {
    let place = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("{place}: cannot read"))?;
    let unlike =
        || format!("{place}: is no result of truepair (store one with `truepair eval ... --json`)");
    let mut value: serde_json::Value = serde_json::from_str(&text).with_context(unlike)?;
    // A training result keeps its numbers under `test`.
    if let Some(test) = value.get("test").cloned() {
        let protocol = value["protocol"].take();
        value = test;
        value["protocol"] = protocol;
    }
    if value.get("unit").is_some_and(|unit| unit != "percent") {
        bail!(
            "{place}: recalls are in {}, expected percent (store it again)",
            value["unit"]
        );
    }
    value["unit"] = "percent".into();
    let stored: Evaluation = serde_json::from_value(value).with_context(unlike)?;
    Ok(stored.retrieval.with_protocol(stored.protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_follow_their_images_evenly_or_not_at_all() {
        let pairs = consecutive(2, 6).unwrap();
        assert_eq!(
            pairs[3],
            Pair {
                image: 1,
                caption: 3
            }
        );
        assert!(consecutive(4, 6).is_none() && consecutive(6, 4).is_none());
        assert!(consecutive(0, 6).is_none() && consecutive(6, 0).is_none());
    }
}

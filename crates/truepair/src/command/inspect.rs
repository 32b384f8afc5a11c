//! `truepair inspect`: what a folder or file of pairs holds, and what is wrong with it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, UsedEntry};
use truepair_read::dataset::{self, Inspection, SplitInspection};

use anyhow::{Context, Result, bail};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::encoded::{Encoders, LoadedEncoders};
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::Bars;
use crate::read_args::ReadArgs;
use crate::remote;
use crate::render::{self, Form, count, fields};
use crate::several::one_path;

const EXAMPLES: &str = "\
Examples:
  truepair inspect data/
  truepair inspect pairs.csv --features images.npy
  truepair inspect photos/ --image-encoder clip/onnx/vision_model.onnx
      Also how the encoder was set up, and by which files; nothing is embedded.
  truepair inspect embeddings/ --json
  truepair inspect s3://bucket/data/";

/// Arguments of `truepair inspect`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// Folder or file with the pairs, or its s3://, gs://, az:// or http(s):// address; several tar archives
    /// are one data set.
    #[arg(required = true)]
    path: Vec<PathBuf>,

    #[command(flatten)]
    encoders: Encoders,

    #[command(flatten)]
    read: ReadArgs,
}

/// A broken split is part of the answer and a failure all the same.
pub(crate) fn run(args: &InspectArgs, form: Form) -> Result<Exit> {
    let encoders = LoadedEncoders::load(&args.encoders)?;
    let options = encoders.reading(&args.read.options("train"))?;
    let typed = one_path(&args.path)?.context("name the data to look at")?;
    let (path, options) = remote::fetched(&typed, &options, &mut Bars::new())?;
    let found = dataset::inspect(path, &options)?;
    for line in encoders.settings() {
        render::note(&line);
    }
    let problems: Vec<&str> = found
        .splits
        .iter()
        .filter_map(|split| split.problem.as_deref())
        .collect();
    if problems.len() == found.splits.len() && !problems.is_empty() {
        bail!("{}", problems.join("\nerror: "))
    }
    let address = remote::is_address(&typed).then_some(typed.as_path());
    let inspected = Inspected {
        address,
        found: &found,
    };
    form.print(&inspected, || text(&inspected))?;
    for problem in &problems {
        render::note(&format!("error: {problem}"));
    }
    Ok(if problems.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    })
}

/// What was found, and where data that lies elsewhere lies.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Inspected<'a> {
    /// Where the data lies, when it is not on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a Path>,
    #[serde(flatten)]
    found: &'a Inspection,
}

impl Output for Inspected<'_> {
    const SCHEMA: &'static str = "truepair/inspection/1";
}

fn text(inspected: &Inspected<'_>) -> String {
    let Inspected { address, found } = inspected;
    let address = address.map(|address| ("address", address.display().to_string()));
    let mut first: Vec<(&str, String)> = address.into_iter().collect();
    first.push(("format", format!("{} ({})", found.format, found.why)));
    let mut out = fields(&first);
    for split in &found.splits {
        let _ = match &split.problem {
            Some(problem) => write!(
                out,
                "\nsplit {}\n  cannot be read: {problem}\n",
                split.split
            ),
            None => write!(out, "\nsplit {}\n{}", split.split, fields(&rows(split))),
        };
    }
    out
}

fn rows(split: &SplitInspection) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("  images", images(split)),
        ("  captions", captions(split)),
        ("  pairs", count(split.pairs, "pair")),
    ];
    for found in &split.caption_features {
        let dim = found
            .dim
            .map(|dim| format!(", {dim} numbers each"))
            .unwrap_or_default();
        let used = if found.used { "" } else { ", not used" };
        rows.push(("  caption embeddings", format!("{}{dim}{used}", found.name)));
    }
    if let Some(labels) = &split.labels {
        rows.push((
            "  labels",
            format!("{} labeled, {} classes", labels.labeled, labels.classes),
        ));
    }
    if split.pictures > 0 {
        rows.push(("  pictures", count(split.pictures, "picture")));
    }
    rows.extend(oddities(split));
    let found = split.diagnoses.iter();
    rows.extend(found.map(|one| ("  stands out", one.sentence())));
    rows.extend(account(&split.account));
    rows
}

/// What became of everything that was met.
fn account(account: &Account) -> Vec<(&'static str, String)> {
    let passed = account.passed_over().iter();
    let passed = passed.map(|entry| ("  passed over", entry.to_string()));
    let choices = account.choices().into_iter();
    let used = account.all_used().iter().map(UsedEntry::to_string);
    let used: Vec<String> = used.collect();
    let used = (!used.is_empty()).then(|| ("  used", used.join(", ")));
    (used.into_iter().chain(passed))
        .chain(choices.map(|choice| ("  chose", choice)))
        .collect()
}

/// What a reader should look at before trusting the data; empty where nothing stands out.
fn oddities(split: &SplitInspection) -> Vec<(&'static str, String)> {
    let counted = [
        (
            "  duplicate captions",
            split.duplicate_captions,
            "whose text occurred before, case and spacing aside",
        ),
        (
            "  duplicate images",
            split.duplicate_images,
            "whose features occurred before",
        ),
        ("  empty captions", split.empty_captions, "without text"),
    ];
    let mut rows: Vec<(&'static str, String)> = counted
        .iter()
        .filter(|(_, n, _)| *n > 0)
        .map(|(name, n, what)| (*name, format!("{n} {what}")))
        .collect();
    for (name, rows_found) in [
        ("  broken image rows", split.non_finite_images),
        ("  broken caption rows", split.non_finite_captions),
    ] {
        if let Some(first) = rows_found.first_row {
            rows.push((
                name,
                format!(
                    "{} with NaN or infinity, first row {first}",
                    rows_found.count
                ),
            ));
        }
    }
    rows
}

fn images(split: &SplitInspection) -> String {
    let regions = match split.regions {
        0 | 1 => String::new(),
        regions => format!("{regions} regions of "),
    };
    format!(
        "{}, {regions}{}",
        count(split.images, "image"),
        match split.dtype.as_str() {
            "pictures" => "no features yet (pictures; `--image-encoder` makes some)".to_owned(),
            dtype => format!("{} numbers each ({dtype})", split.dim),
        }
    )
}

fn captions(split: &SplitInspection) -> String {
    let each = match split.captions_per_image {
        Some(each) if each.min == each.max => format!(", {} per image", each.min),
        Some(each) => format!(", {} to {} per image", each.min, each.max),
        None => String::new(),
    };
    format!("{}{each}", count(split.captions, "caption"))
}

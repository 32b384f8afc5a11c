//! `truepair embed`: pictures and captions become embeddings, in parts that survive being stopped.

mod args;
mod by_run;
mod output;
mod plan;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truepair_core::dataset::Dataset;
use truepair_encode::job::{Embedded, Outcome, Skipped};
use truepair_encode::{ImageEncoder, TextEncoder, layout};

pub(crate) use args::EmbedArgs;
use output::SkippedImage;
use plan::EmbedPlan;
use source::Source;

use crate::encoded::told_cut;
use crate::exit::Exit;
use crate::interrupt;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form};

/// The JSON object that `truepair embed --json` prints, kept in the folder.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EmbedResult {
    command: String,
    version: String,
    splits: Vec<SplitResult>,
    /// Numbers of an image's and of a caption's vector.
    image_dim: Option<usize>,
    caption_dim: Option<usize>,
    /// Pictures without an embedding.
    skipped: usize,
    /// Captions that are longer than the text encoder reads, and were cut.
    #[serde(default)]
    cut_captions: usize,
    /// Everything that decides the output.
    job: Value,
    /// What the encoders were set to, and where that was found.
    settings: Value,
    out: PathBuf,
}

impl Output for EmbedResult {
    const SCHEMA: &'static str = "truepair/embed/1";
}

/// What was written of one split.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct SplitResult {
    split: String,
    images: usize,
    captions: usize,
    /// Pictures without an embedding.
    skipped: usize,
}

pub(crate) fn run(args: &EmbedArgs, form: Form) -> Result<Exit> {
    if let Some(run) = &args.run {
        return by_run::run(args, run, form);
    }
    let plan = EmbedPlan::resolve(args)?;
    let mut bars = Bars::new();
    (plan.source.accounts().into_iter()).for_each(|account| bars.tell(account));
    let out = plan.out.as_path();
    if let Some(done) = output::finished(out, &plan.description)? {
        render::note("this job is already done");
        form.print(&done, || text(&done, out))?;
        return Ok(Exit::Success);
    }
    let (parts, _lock) = output::open_parts(out, &plan.description)?;
    let done = embed(&plan, &parts, &mut bars).inspect_err(|_| {
        render::note(&format!(
            "{}: keeps what is embedded so far; the same command goes on with it",
            out.display()
        ));
    })?;
    output::write_skipped(out, &done.skipped)?;
    output::write_remarks(out, &done.remarks)?;
    if let Some(encoder) = &plan.captions
        && let Some(cut) = told_cut(done.n_cut, done.captions, encoder)
    {
        render::note(&format!("note: {cut}"));
    }
    let result = EmbedResult {
        command: "embed".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        splits: done.splits,
        image_dim: plan.images.as_ref().map(ImageEncoder::dim),
        caption_dim: plan.captions.as_ref().map(TextEncoder::dim),
        skipped: done.skipped.len(),
        cut_captions: done.n_cut,
        job: plan.description.clone(),
        settings: plan.settings(),
        out: plan.out.clone(),
    };
    output::finish(out, &result)?;
    form.print(&result, || text(&result, out))?;
    Ok(Exit::Success)
}

/// What came of all splits.
#[derive(Default)]
struct Done {
    splits: Vec<SplitResult>,
    skipped: Vec<SkippedImage>,
    /// Images that were read although something is wrong with them.
    remarks: Vec<SkippedImage>,
    /// Captions, and how many of them were cut.
    captions: usize,
    n_cut: usize,
}

/// Embeds all there is.
fn embed(plan: &EmbedPlan, parts: &Path, bars: &mut Bars) -> Result<Done> {
    let job = plan.job();
    let mut done = Done::default();
    let mut keep = |split: &str, captions: usize, embedded: Embedded| {
        done.n_cut += embedded.n_cut;
        done.captions += captions;
        done.splits.push(SplitResult {
            split: split.to_owned(),
            images: embedded.images.as_ref().map_or(0, |images| images.len()),
            captions,
            skipped: embedded.skipped.len(),
        });
        let of_split = |image| SkippedImage {
            split: split.to_owned(),
            image,
        };
        let skipped = embedded.skipped.into_iter();
        done.skipped.extend(skipped.map(of_split));
        done.remarks
            .extend(embedded.remarks.into_iter().map(of_split));
    };
    if let Source::Splits(splits) = &plan.source {
        for dataset in splits {
            let folder = part_folder(parts, &dataset.split)?;
            let outcome = job.run(dataset, &folder, interrupt::stop_flag(), bars)?;
            let embedded = finished(outcome)?;
            layout::write(dataset, &embedded, &plan.out)?;
            let captions = captions_of(dataset, &embedded.skipped);
            keep(&dataset.split, captions, embedded);
        }
    } else {
        let folder = part_folder(parts, "all")?;
        let items = plan.source.items();
        let outcome = job.run_items(items, &folder, interrupt::stop_flag(), bars)?;
        let embedded = finished(outcome)?;
        match items.captions {
            Some(captions) => layout::write_captions(captions, &embedded, &plan.out)?,
            None => layout::write_images(items.image_ids, &embedded, &plan.out)?,
        };
        keep("all", items.captions.map_or(0, <[String]>::len), embedded);
    }
    Ok(done)
}

fn part_folder(parts: &Path, split: &str) -> Result<PathBuf> {
    let folder = parts.join(split);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot create", folder.display()))?;
    Ok(folder)
}

fn finished(outcome: Outcome) -> Result<Embedded> {
    match outcome {
        Outcome::Done(embedded) => Ok(embedded),
        Outcome::Stopped => bail!("stopped"),
    }
}

/// Captions that are left when skipped pictures go with theirs.
fn captions_of(dataset: &Dataset, skipped: &[Skipped]) -> usize {
    let mut keep = vec![true; dataset.n_images()];
    for one in skipped {
        keep[one.row as usize] = false;
    }
    if skipped.is_empty() {
        return dataset.n_captions();
    }
    dataset.clone().with_images_kept(&keep).0.n_captions()
}

fn text(result: &EmbedResult, out: &Path) -> String {
    let splits = result.splits.iter().map(|split| {
        let images = render::count(split.images, "image");
        let captions = render::count(split.captions, "caption");
        (split.split.as_str(), format!("{images}, {captions}"))
    });
    let mut rows: Vec<(&str, String)> = splits.collect();
    for (side, dim, encoder) in [
        ("image vectors", result.image_dim, "image_encoder"),
        ("caption vectors", result.caption_dim, "text_encoder"),
    ] {
        if let Some(dim) = dim {
            let settings = told(&result.settings[encoder]);
            rows.push((side, format!("{dim} numbers; {settings}")));
        }
    }
    rows.push(("skipped", render::count(result.skipped, "picture")));
    if result.cut_captions > 0 {
        rows.push(("cut", render::count(result.cut_captions, "caption")));
    }
    rows.push(("folder", out.display().to_string()));
    render::fields(&rows)
}

/// An encoder's settings in one line, each with where it was found.
fn told(settings: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |setting: &Value| {
        let [name, value, source] = ["name", "value", "source"].map(|key| word(&setting[key]));
        format!("{name} {value} ({source})")
    };
    let settings = settings.as_array().map(Vec::as_slice).unwrap_or_default();
    settings.iter().map(one).collect::<Vec<_>>().join(", ")
}

//! `truepair embed`: pictures and captions become embeddings, in parts that survive being stopped.

mod args;
mod output;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use truepair_encode::job::{self, Skipped};
use truepair_encode::{TextEncoder, layout};

pub(crate) use args::EmbedArgs;
use plan::EmbedPlan;

use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Bars;
use crate::render::{self, Form};

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

pub(crate) fn run(args: &EmbedArgs, form: Form) -> Result<Exit> {
    let plan = EmbedPlan::resolve(args)?;
    let mut bars = Bars::new();
    (plan.splits.iter()).for_each(|dataset| bars.tell(&dataset.account));
    let out = plan.out.as_path();
    if let Some(done) = output::finished(out, &plan.description)? {
        render::note("this job is already done");
        form.print(&done, || text(&done, out))?;
        return Ok(Exit::Success);
    }
    let parts = output::open_parts(out, &plan.description)?;
    let (splits, skipped) = embed(&plan, &parts, &mut bars)?;
    output::write_skipped(out, &skipped)?;
    let result = EmbedResult {
        command: "embed",
        version: env!("CARGO_PKG_VERSION"),
        splits,
        image_dim: plan.images.dim(),
        caption_dim: plan.captions.as_ref().map(TextEncoder::dim),
        skipped: skipped.len(),
        job: plan.description.clone(),
        out: plan.out.clone(),
    };
    let result = serde_json::to_value(&result)?;
    output::finish(out, &result)?;
    form.print(&result, || text(&result, out))?;
    Ok(Exit::Success)
}

/// An image that was skipped, behind its split.
type OfSplit = (String, Skipped);

/// Embeds every split; returns what came of each, and the images that were skipped with their split.
fn embed(
    plan: &EmbedPlan,
    parts: &Path,
    bars: &mut Bars,
) -> Result<(Vec<SplitResult>, Vec<OfSplit>)> {
    let job = plan.job();
    let (mut results, mut all_skipped) = (Vec::new(), Vec::new());
    for dataset in &plan.splits {
        let folder = parts.join(&dataset.split);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{}: cannot create", folder.display()))?;
        let outcome = job.run(dataset, &folder, interrupt::stop_flag(), bars)?;
        let job::Outcome::Done(embedded) = outcome else {
            bail!(
                "stopped: run the same command again to continue with {}",
                plan.out.display()
            )
        };
        layout::write(dataset, &embedded, &plan.out)?;
        results.push(SplitResult {
            split: dataset.split.clone(),
            images: embedded.images.len(),
            captions: dataset.n_captions(),
            skipped: embedded.skipped.len(),
        });
        let skipped = embedded.skipped.into_iter();
        all_skipped.extend(skipped.map(|one| (dataset.split.clone(), one)));
    }
    Ok((results, all_skipped))
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

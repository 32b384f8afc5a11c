//! `truepair embed`: pictures and captions become embeddings, in parts that survive being stopped.

mod args;
mod output;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use truepair_core::dataset::Dataset;
use truepair_encode::job::{self, Skipped};
use truepair_encode::{TextEncoder, layout};

pub(crate) use args::EmbedArgs;
use output::SkippedImage;
use plan::EmbedPlan;

use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Bars;
use crate::render::{self, Form};
use crate::schema::Output;

/// The JSON object that `truepair embed --json` prints, kept in the folder.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EmbedResult {
    command: String,
    version: String,
    splits: Vec<SplitResult>,
    /// Numbers of an image's and of a caption's vector.
    image_dim: usize,
    caption_dim: Option<usize>,
    /// Pictures without an embedding.
    skipped: usize,
    /// Everything that decides the output.
    job: Value,
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
        command: "embed".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        splits,
        image_dim: plan.images.dim(),
        caption_dim: plan.captions.as_ref().map(TextEncoder::dim),
        skipped: skipped.len(),
        job: plan.description.clone(),
        out: plan.out.clone(),
    };
    output::finish(out, &result)?;
    form.print(&result, || text(&result, out))?;
    Ok(Exit::Success)
}

/// Embeds every split; returns what came of each, and the images that were skipped.
fn embed(
    plan: &EmbedPlan,
    parts: &Path,
    bars: &mut Bars,
) -> Result<(Vec<SplitResult>, Vec<SkippedImage>)> {
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
            captions: captions_of(dataset, &embedded.skipped),
            skipped: embedded.skipped.len(),
        });
        let skipped = embedded.skipped.into_iter();
        all_skipped.extend(skipped.map(|image| SkippedImage {
            split: dataset.split.clone(),
            image,
        }));
    }
    Ok((results, all_skipped))
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
    rows.push(("image vectors", result.image_dim.to_string()));
    if let Some(dim) = result.caption_dim {
        rows.push(("caption vectors", dim.to_string()));
    }
    rows.push(("skipped", render::count(result.skipped, "picture")));
    rows.push(("folder", out.display().to_string()));
    render::fields(&rows)
}

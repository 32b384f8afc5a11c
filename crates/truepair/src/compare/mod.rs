//! Methods side by side: a grid of runs that can be stopped and continued, and the tables of what
//! they measured.
//!
//! A cell of the grid is one run directory, made as `truepair train` makes it. It is finished once
//! it holds its result, and is then never run again. The tables are rebuilt from the run directories
//! every time, so they never know more than the runs do.
//!
//! Numbers of unlike protocols never share a block: every planted noise has its own, caption and
//! image shuffling are never mixed, and rows from publications stand apart from measured ones.

mod cell;
mod claim;
mod comparable_noise;
mod figure;
mod figure_column;
mod grid;
mod latex;
mod method;
mod names;
mod page;
mod plan;
mod published;
mod record;
mod rows;
mod split;
mod status;
mod table;
mod task;
mod text;
mod work;

pub(crate) use claim::claim;
pub(crate) use comparable_noise::ComparableNoise;
pub(crate) use grid::{Grid, Seeds, asked_noises};
#[cfg(test)]
pub(crate) use method::MethodKind;
pub(crate) use method::{Method, baselines, strategies};
pub(crate) use names::chosen;
pub(crate) use plan::{GridPlan, plan};
pub(crate) use published::{Published, PublishedRow, beside, table_names};
pub(crate) use record::CellRecord;
pub(crate) use rows::Rows;
pub(crate) use table::{MethodComparison, Spread};
pub(crate) use task::CellTask;
pub(crate) use text::terminal;
pub(crate) use work::finish;

use std::path::Path;

use anyhow::Result;
use truepair_core::durable;

use crate::run_folder;

/// Folder of the run directories inside the output folder.
pub(crate) const RUNS: &str = "runs";

/// Writes every form of the tables into `out`.
pub(crate) fn write(out: &Path, comparison: &MethodComparison) -> Result<()> {
    run_folder::publish(out, "compare.json", comparison)?;
    let files = [
        ("table.md", text::markdown(comparison)),
        ("table.tex", latex::document(comparison)),
        ("table.csv", text::csv(comparison)?),
        ("compare.html", page::render(comparison)?),
    ];
    for (name, text) in files {
        durable::write(out.join(name), text.as_bytes())?;
    }
    Ok(())
}

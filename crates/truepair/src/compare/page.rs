//! The comparison as one self-contained page: tables, plots, protocol; nothing is loaded, and the only script is
//! that of the theme button.

use anyhow::{Context, Result};
use askama::Template;

use super::figure::figures;
use super::published::PublishedBlock;
use super::table::{MethodComparison, MethodRow};
use super::text::{READING, cells, columns, failures, heading, protocol, title};
use crate::report::chart::Chart;
use crate::report::{THEME, filled, theme_policy};

const STYLE: &str = concat!(
    include_str!("../../templates/report.css"),
    include_str!("../../templates/compare.css")
);

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparisonPage<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    heading: String,
    protocol: String,
    columns: Vec<String>,
    blocks: Vec<BlockView>,
    figures: Vec<Chart>,
    published: &'a [PublishedBlock],
    failures: Vec<String>,
    reading: &'static [&'static str],
}

struct BlockView {
    title: String,
    rows: Vec<RowView>,
}

struct RowView {
    best: bool,
    name: String,
    cells: Vec<String>,
}

/// The page's HTML; every text passes through the template's escaping.
pub(super) fn render(comparison: &MethodComparison) -> Result<String> {
    let view = |row: &MethodRow| {
        let mut row_cells = cells(comparison, row);
        RowView {
            best: row.best,
            name: row_cells.remove(0),
            cells: row_cells,
        }
    };
    let blocks = comparison.blocks.iter().map(|block| BlockView {
        title: title(block),
        rows: block.rows.iter().map(view).collect(),
    });
    let failures = failures(comparison).map(|(cell, error)| format!("{cell}: {error}"));
    let page = ComparisonPage {
        style: STYLE,
        script: THEME,
        policy: theme_policy(),
        heading: heading(comparison),
        protocol: protocol(comparison),
        columns: columns(comparison),
        blocks: blocks.collect(),
        figures: figures(comparison),
        published: &comparison.published,
        failures: failures.collect(),
        reading: &READING,
    };
    filled(&page).context("the comparison's template")
}

//! The tables as text: for the terminal, for Markdown and for spreadsheets.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use truepair_core::metric::Unit;
use truepair_core::noise::NoiseSpec;

use super::figure_column::FigureColumn;
use super::published::{PublishedBlock, PublishedRow, all_columns};
use super::table::{MethodComparison, MethodRow, NoiseBlock, RowNumbers, Spread};
use crate::progress::duration;
use crate::render::{self, in_markdown, in_print, percent_text};

/// Columns of the long table; the recalls are those of all networks at the kept epoch.
pub(super) fn columns(comparison: &MethodComparison) -> Vec<String> {
    let first = [
        "method",
        "similarity",
        "seeds",
        "networks",
        "i2t R@1",
        "R@5",
        "R@10",
        "t2i R@1",
        "R@5",
        "R@10",
        "rSum",
        "rSum, one network",
        "rSum, last epoch",
    ];
    let last = [
        "to the best [95 %]",
        "split precision / recall",
        "s/epoch",
        "training",
    ];
    let mut columns: Vec<String> = first.map(str::to_owned).to_vec();
    columns.extend(shown(comparison).iter().map(|column| column.name(" ")));
    columns.extend(last.map(str::to_owned));
    if stand_beside(comparison) {
        columns.push("published: rSum (i2t R@1, 5, 10; t2i)".to_owned());
    }
    columns
}

/// Whether published results stand beside rows.
fn stand_beside(comparison: &MethodComparison) -> bool {
    let mut rows = comparison.blocks.iter().flat_map(|block| &block.rows);
    rows.any(|row| row.published.is_some())
}

/// Columns of the metrics that were asked for.
fn shown(comparison: &MethodComparison) -> Vec<FigureColumn> {
    let shown = comparison.shown.iter();
    shown.flat_map(|&metric| FigureColumn::of(metric)).collect()
}

/// How to read the tables.
pub(super) const READING: [&str; 5] = [
    "Recalls in percent on the test split, weights of the epoch that was kept (the best on the dev split or on \
     held-out pairs, or the last, as set); mean ± sample standard deviation over seeds.",
    "rSum and recalls average the scores of all networks of a method; one network alone and the \
     last epoch stand in columns of their own.",
    "The difference to the best row is paired by seed and query; its interval is a bootstrap over \
     test images, each with its captions.",
    "Split precision and recall say how well the method's beliefs at the kept epoch tell the \
     planted mismatches (belief below one half); a dash means that it has none.",
    "An oracle is told which pairs are mismatched; it is a bound and never counts as best.",
];

/// What the terminal shows.
pub(crate) fn terminal(comparison: &MethodComparison) -> String {
    let header = [
        "method",
        "similarity",
        "seeds",
        "rSum",
        "one network",
        "last epoch",
        "to the best",
    ];
    let mut out = String::new();
    let shown = shown(comparison);
    let header: Vec<String> = (header.into_iter().map(str::to_owned))
        .chain(shown.iter().map(|column| column.name(" ")))
        .collect();
    for block in &comparison.blocks {
        let mut rows = vec![header.clone()];
        rows.extend(block.rows.iter().map(|row| match &row.numbers {
            None => named(row, [reason(row)]),
            Some(numbers) => {
                let cells = [
                    spread(numbers.rsum),
                    spread(numbers.rsum_single),
                    spread(numbers.rsum_last),
                    to_best(row, numbers),
                ];
                let mut cells = named(row, cells);
                cells.extend(shown.iter().map(|column| figure(numbers, column)));
                cells
            }
        }));
        let _ = writeln!(out, "{}\n{}", title(block), render::table(&rows));
    }
    for published in &comparison.published {
        // Sources and notes are too long for a terminal.
        let short = |mut line: Vec<String>| {
            line.truncate(line.len() - 2);
            line
        };
        let mut rows = vec![short(published.columns())];
        rows.extend(published.lines().into_iter().map(short));
        let _ = writeln!(out, "{}\n{}", published.title, render::table(&rows));
    }
    for (row, failure) in failures(comparison) {
        let _ = writeln!(out, "failed: {row}: {failure}");
    }
    let _ = write!(
        out,
        "{}\n{}/compare.html and table.md, .tex, .csv hold the rest.\n",
        protocol(comparison),
        comparison.out.display()
    );
    out
}

/// What the tables are called.
pub(super) fn heading(comparison: &MethodComparison) -> String {
    match &comparison.title {
        Some(title) => format!("{title}, on {}", comparison.data),
        None => format!("Methods on {}", comparison.data),
    }
}

/// The whole result as Markdown.
pub(super) fn markdown(comparison: &MethodComparison) -> String {
    let mut out = format!(
        "# {}\n\n{}\n",
        in_markdown(&heading(comparison)),
        in_markdown(&protocol(comparison))
    );
    for block in &comparison.blocks {
        let _ = writeln!(out, "\n## {}\n", in_markdown(&title(block)));
        let rows = block.rows.iter().map(|row| cells(comparison, row));
        out.push_str(&markdown_table(&columns(comparison), rows));
    }
    for published in &comparison.published {
        let _ = writeln!(out, "\n## {}\n", in_markdown(&published.title));
        let rows = published.lines().into_iter();
        out.push_str(&markdown_table(&published.columns(), rows));
    }
    out.push('\n');
    for (row, failure) in failures(comparison) {
        let failed = format!("{row}: {failure}");
        let _ = writeln!(out, "- failed: {}", in_markdown(&failed));
    }
    for line in READING {
        let _ = writeln!(out, "- {line}");
    }
    out
}

fn markdown_table(header: &[impl AsRef<str>], rows: impl Iterator<Item = Vec<String>>) -> String {
    let header: Vec<&str> = header.iter().map(AsRef::as_ref).collect();
    let mut out = format!("| {} |\n|", header.join(" | "));
    out.push_str(&"---|".repeat(header.len()));
    out.push('\n');
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| in_markdown(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

/// Columns of the table for spreadsheets that say what a row is.
const CSV_NAMES: [&str; 9] = [
    "origin",
    "protocol",
    "noise",
    "method",
    "similarity",
    "oracle",
    "seeds",
    "failed",
    "networks",
];

/// Columns after those of the metrics that also hold a mean and are followed by one for its deviation,
/// `NAME_sd`.
const CSV_OTHER_WEIGHTS: [&str; 3] = ["rsum_single", "rsum_last", "rsum_last_single"];

/// One column for each number of every metric that applies to pairs, and of those that a published row has.
fn csv_figures(comparison: &MethodComparison) -> Vec<FigureColumn> {
    let published = || comparison.published.iter().flat_map(|block| &block.rows);
    let wanted = |column: &FigureColumn| {
        column.metric.applies(1) || published().any(|row| row.figure(column).is_some())
    };
    all_columns().filter(wanted).collect()
}

/// Columns at the end.
const CSV_REST: [&str; 11] = [
    "to_best",
    "to_best_low",
    "to_best_high",
    "to_best_p",
    "split_precision",
    "split_recall",
    "split_auc",
    "seconds_per_epoch",
    "train_seconds",
    "source",
    "note",
];

/// A line per row, measured and published, with means and deviations in columns of their own; shares are
/// fractions, as in JSON.
pub(super) fn csv(comparison: &MethodComparison) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = CSV_NAMES.map(str::to_owned).to_vec();
    let figures = csv_figures(comparison);
    let spreads =
        (figures.iter().map(|column| column.name("_"))).chain(CSV_OTHER_WEIGHTS.map(str::to_owned));
    header.extend(spreads.flat_map(|name| [name.clone(), format!("{name}_sd")]));
    header.extend(CSV_REST.map(str::to_owned));
    writer.write_record(&header)?;
    for block in &comparison.blocks {
        for row in &block.rows {
            let mut line = csv_line(block, row, &figures);
            line.resize(header.len(), String::new());
            writer.write_record(&line)?;
        }
    }
    for published in &comparison.published {
        for row in &published.rows {
            let mut line = published_line(published, row, &figures);
            line.resize(header.len() - 2, String::new());
            line.extend([row.source.clone(), row.note.clone().unwrap_or_default()]);
            writer.write_record(line)?;
        }
    }
    String::from_utf8(writer.into_inner()?).context("the table is text")
}

fn csv_line(block: &NoiseBlock, row: &MethodRow, figures: &[FigureColumn]) -> Vec<String> {
    let (protocol, rate) = noise_columns(&block.noise);
    let mut line = vec![
        "measured".to_owned(),
        protocol,
        rate,
        row.method.clone(),
        row.similarity.to_owned(),
        row.oracle.to_string(),
        row.runs.len().to_string(),
        row.failed.len().to_string(),
    ];
    let Some(numbers) = &row.numbers else {
        return line;
    };
    let plain = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
    line.push(numbers.networks.to_string());
    let others = [
        numbers.rsum_single,
        numbers.rsum_last,
        numbers.rsum_last_single,
    ];
    let figures = figures.iter().map(|column| numbers.figure(column));
    for spread in figures.chain(others.map(Some)) {
        line.extend([
            plain(spread.map(|spread| spread.mean)),
            plain(spread.and_then(|spread| spread.sd)),
        ]);
    }
    let (gap, split) = (numbers.to_best.as_ref(), numbers.split.as_ref());
    line.extend([
        plain(gap.map(|gap| gap.mean)),
        plain(gap.map(|gap| gap.low)),
        plain(gap.map(|gap| gap.high)),
        plain(gap.map(|gap| gap.p)),
        plain(split.and_then(|split| split.precision)),
        plain(split.map(|split| split.recall)),
        plain(split.map(|split| split.auc)),
        plain(Some(numbers.seconds_per_epoch)),
        plain(Some(numbers.train_seconds)),
    ]);
    line
}

/// All but source and note, which end the line.
fn published_line(
    block: &PublishedBlock,
    row: &PublishedRow,
    figures: &[FigureColumn],
) -> Vec<String> {
    let mut line = vec![
        "published".to_owned(),
        block.protocol.clone(),
        block.noise.map_or(String::new(), |rate| rate.to_string()),
        row.method.clone(),
    ];
    line.resize(CSV_NAMES.len(), String::new());
    for column in figures {
        let value = row
            .figure(column)
            .map_or(String::new(), |value| format!("{value:.4}"));
        line.extend([value, String::new()]);
    }
    line
}

fn noise_columns(noise: &NoiseSpec) -> (String, String) {
    match noise {
        NoiseSpec::None => ("none".to_owned(), "0".to_owned()),
        NoiseSpec::Rate { model, rate } => (model.clone(), rate.to_string()),
        NoiseSpec::File(path) => (format!("file {}", path.display()), String::new()),
    }
}

/// What was done to the training pairs of a block.
pub(super) fn title(block: &NoiseBlock) -> String {
    match &block.noise {
        NoiseSpec::None => "No planted noise".to_owned(),
        NoiseSpec::Rate { model, rate } => format!(
            "Noise protocol {model}: {} of the {model}s shuffled",
            percent_text(*rate)
        ),
        NoiseSpec::File(path) => format!("Noise from {}", path.display()),
    }
}

/// How everything was measured, in one line.
pub(super) fn protocol(comparison: &MethodComparison) -> String {
    let known = (comparison.blocks.iter()).find_map(|block| block.protocol.as_ref());
    let seeds: Vec<String> = (comparison.seeds.iter())
        .map(|seed| seed.0.to_string())
        .collect();
    let seeds = seeds.join(", ");
    match known {
        None => format!("No run is finished; seeds {seeds}."),
        Some(known) => format!(
            "Measured on {}, split {}: {} images, {} captions ({} per image) ranked at once; ties \
             count against the matcher; seeds {seeds}.",
            known.data, known.split, known.n_images, known.n_captions, known.captions_per_image
        ),
    }
}

/// Cells of a row of the long table.
pub(super) fn cells(comparison: &MethodComparison, row: &MethodRow) -> Vec<String> {
    let Some(numbers) = &row.numbers else {
        let mut cells = named(row, [String::new()]);
        cells.resize(columns(comparison).len(), String::new());
        cells[3] = reason(row);
        if let (Some(published), Some(last)) = (&row.published, cells.last_mut()) {
            *last = published.in_short();
        }
        return cells;
    };
    let mut cells = named(row, [numbers.networks.to_string()]);
    cells.extend(
        numbers
            .recalls
            .iter()
            .map(|recall| format!("{:.1}", render::percent(recall.mean))),
    );
    cells.extend([numbers.rsum, numbers.rsum_single, numbers.rsum_last].map(spread));
    cells.extend(
        shown(comparison)
            .iter()
            .map(|column| figure(numbers, column)),
    );
    cells.extend([
        to_best(row, numbers),
        split(numbers),
        format!("{:.2}", numbers.seconds_per_epoch),
        duration(numbers.train_seconds),
    ]);
    if stand_beside(comparison) {
        let published = row.published.as_ref();
        cells.push(published.map_or("–".to_owned(), PublishedRow::in_short));
    }
    cells
}

fn named<const N: usize>(row: &MethodRow, rest: [String; N]) -> Vec<String> {
    let oracle = if row.oracle { " (oracle)" } else { "" };
    let seeds = match row.failed.len() {
        0 => row.runs.len().to_string(),
        failed => format!("{} of {}", row.runs.len(), row.runs.len() + failed),
    };
    let names = [
        format!("{}{oracle}", row.method),
        row.similarity.to_owned(),
        seeds,
    ];
    names.into_iter().chain(rest).collect()
}

fn reason(row: &MethodRow) -> String {
    let first = row.failed.first();
    first.map_or("not run".to_owned(), |failure| {
        format!("failed: {}", failure.error)
    })
}

/// Every failed run with its reason.
pub(super) fn failures(comparison: &MethodComparison) -> impl Iterator<Item = (String, &str)> {
    (comparison.blocks.iter()).flat_map(|block| {
        block.rows.iter().flat_map(|row| {
            row.failed
                .iter()
                .map(|failure| (failure.name(), failure.error.as_str()))
        })
    })
}

/// A sum of shares in percent.
pub(super) fn spread(spread: Spread) -> String {
    in_unit(spread, Unit::SumOfFractions)
}

/// A number as tables print it.
fn in_unit(spread: Spread, unit: Unit) -> String {
    let mean = in_print(spread.mean, unit);
    match spread.sd {
        Some(sd) => format!("{mean:.1} ± {:.1}", in_print(sd, unit)),
        None => format!("{mean:.1}"),
    }
}

fn figure(numbers: &RowNumbers, column: &FigureColumn) -> String {
    let found = numbers.figure(column);
    found.map_or("–".to_owned(), |spread| {
        in_unit(spread, column.metric.unit())
    })
}

fn to_best(row: &MethodRow, numbers: &RowNumbers) -> String {
    match &numbers.to_best {
        _ if row.best => "best".to_owned(),
        None => "–".to_owned(),
        Some(gap) => {
            let [mean, low, high] = [gap.mean, gap.low, gap.high].map(render::percent);
            format!("{mean:+.1} [{low:+.1}, {high:+.1}]")
        }
    }
}

fn split(numbers: &RowNumbers) -> String {
    let share = |share: f64| format!("{:.1}", render::percent(share));
    match &numbers.split {
        None => "–".to_owned(),
        Some(split) => format!(
            "{} / {}",
            split.precision.map_or("–".to_owned(), share),
            share(split.recall)
        ),
    }
}

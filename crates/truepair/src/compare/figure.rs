//! The plots of a comparison: rSum against the noise rate, the split per epoch, belief histograms.

use truepair_core::noise::NoiseSpec;

use super::split::BeliefRecord;
use super::table::{MethodComparison, MethodRow, NoiseBlock, Spread};
use super::text::title;
use crate::report::chart::{Chart, LegendKey};
use crate::report::plot::{Axis, Plot, trimmed};

/// Colors that the style sheet has for series.
const N_COLORS: usize = 8;

/// Every figure for which there are numbers, in reading order.
pub(super) fn figures(comparison: &MethodComparison) -> Vec<Chart> {
    let similarities = similarities(comparison);
    let mut figures = Vec::new();
    for model in models(comparison) {
        for similarity in &similarities {
            figures.extend(by_rate(comparison, &model, similarity));
        }
    }
    for block in &comparison.blocks {
        for similarity in &similarities {
            let names = names(comparison, similarity);
            figures.extend(by_epoch(
                block,
                (similarity, &names),
                ("precision", |belief| belief.precision),
                "Of the pairs that a method calls mismatched, how many are; mean over seeds.",
            ));
            figures.extend(by_epoch(
                block,
                (similarity, &names),
                ("recall", |belief| Some(belief.recall)),
                "Of the planted mismatches, how many a method calls so; mean over seeds.",
            ));
        }
        figures.extend(block.rows.iter().filter_map(|row| histogram(block, row)));
    }
    figures
}

fn similarities(comparison: &MethodComparison) -> Vec<&'static str> {
    let rows = comparison.blocks.iter().flat_map(|block| &block.rows);
    let mut names: Vec<&str> = rows.map(|row| row.similarity).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The noise models that were planted at some rate.
fn models(comparison: &MethodComparison) -> Vec<String> {
    let mut names: Vec<String> = (comparison.blocks.iter())
        .filter_map(|block| match &block.noise {
            NoiseSpec::Rate { model, .. } => Some(model.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The rows of one similarity under any noise; the place of a row among them is its color in every figure.
fn names(comparison: &MethodComparison, similarity: &str) -> Vec<String> {
    let mut names = Vec::new();
    for row in comparison.blocks.iter().flat_map(|block| &block.rows) {
        let name = name(row);
        if row.similarity == similarity && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// One method's points.
struct Series {
    name: String,
    color: usize,
    points: Vec<(f64, Spread)>,
}

fn by_rate(comparison: &MethodComparison, model: &str, similarity: &str) -> Option<Chart> {
    let rate = |block: &NoiseBlock| match &block.noise {
        NoiseSpec::None => Some(0.0),
        NoiseSpec::Rate { model: own, rate } if own == model => Some(*rate),
        _ => None,
    };
    let names = names(comparison, similarity);
    let mut series: Vec<Series> = Vec::new();
    for block in &comparison.blocks {
        let Some(rate) = rate(block) else { continue };
        for (color, row) in rows_of(block, similarity, &names) {
            let Some(numbers) = &row.numbers else {
                continue;
            };
            let point = (rate, numbers.rsum.in_percent());
            match series.iter_mut().find(|series| series.color == color) {
                Some(series) => series.points.push(point),
                None => series.push(Series {
                    name: name(row),
                    color,
                    points: vec![point],
                }),
            }
        }
    }
    for one in &mut series {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let last = last_of(&series)?;
    Some(drawn(
        format!("rSum against noise: {model} shuffling, {similarity}"),
        "Test rSum of all networks at the kept epoch; lines through the dots are one standard \
         deviation over seeds.",
        &series,
        Axis::new(
            0.0,
            (last * 1.1).min(1.0),
            5,
            "share shuffled",
            percent_tick,
        ),
        ("rSum", number_tick),
    ))
}

/// The largest x of all points; `None` without any.
fn last_of(series: &[Series]) -> Option<f64> {
    let points = series.iter().flat_map(|one| &one.points);
    points.map(|point| point.0).reduce(f64::max)
}

fn by_epoch(
    block: &NoiseBlock,
    (similarity, names): (&str, &[String]),
    (what, value): (&'static str, fn(&BeliefRecord) -> Option<f64>),
    reading: &str,
) -> Option<Chart> {
    let series: Vec<Series> = rows_of(block, similarity, names)
        .map(|(color, row)| Series {
            name: name(row),
            color,
            points: per_epoch(row, value),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let last = last_of(&series)?;
    Some(drawn(
        format!("Split {what} per epoch: {}, {similarity}", title(block)),
        reading,
        &series,
        Axis::new(1.0, last.max(2.0), 5, "epoch", number_tick),
        (what, percent_tick),
    ))
}

/// Means over the seeds that have a value at an epoch; epochs counted from 1.
fn per_epoch(row: &MethodRow, value: fn(&BeliefRecord) -> Option<f64>) -> Vec<(f64, Spread)> {
    let n_epochs = row
        .runs
        .iter()
        .map(|run| run.epochs.len())
        .max()
        .unwrap_or(0);
    let at = |epoch: usize| {
        let beliefs = (row.runs.iter()).filter_map(|run| {
            run.epochs
                .iter()
                .find(|one| one.epoch == epoch)?
                .belief
                .as_ref()
        });
        let values: Vec<f64> = beliefs.filter_map(value).collect();
        (!values.is_empty()).then(|| ((epoch + 1) as f64, Spread::of(&values)))
    };
    (0..n_epochs).filter_map(at).collect()
}

fn drawn(
    title: String,
    reading: &str,
    series: &[Series],
    x: Axis,
    (y_name, y_format): (&'static str, fn(f64) -> String),
) -> Chart {
    let ends = series
        .iter()
        .flat_map(|one| &one.points)
        .flat_map(|(_, y)| {
            let sd = y.sd.unwrap_or(0.0);
            [y.mean - sd, y.mean + sd]
        });
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| {
        (low.min(y), high.max(y))
    });
    let margin = ((high - low) * 0.08).max(high.abs() * 0.01);
    let y = Axis::new((low - margin).max(0.0), high + margin, 4, y_name, y_format);
    let mut plot = Plot::new(x, y);
    let mut said = Vec::new();
    for one in series {
        let color = format!("s{}", one.color % N_COLORS);
        let means: Vec<(f64, f64)> = one.points.iter().map(|(x, y)| (*x, y.mean)).collect();
        plot.curve(&means, &format!("curve {color}"));
        for &(x, y) in &one.points {
            let sd = y.sd.unwrap_or(0.0);
            plot.line(
                (x, y.mean - sd),
                (x, y.mean + sd),
                &format!("curve {color}"),
            );
            plot.dot((x, y.mean), 3.5, &format!("point {color}"));
        }
        if let Some((x, y)) = one.points.last() {
            said.push(format!("{} {} at {x}", one.name, y_format(y.mean)));
        }
    }
    Chart {
        svg: plot.finish(&format!("{title}: {}", said.join(", "))),
        title,
        legend: (series.iter())
            .map(|one| LegendKey::new(format!("s{}", one.color % N_COLORS), one.name.clone()))
            .collect(),
        reading: reading.to_owned(),
    }
}

fn histogram(block: &NoiseBlock, row: &MethodRow) -> Option<Chart> {
    let split = row.numbers.as_ref()?.split.as_ref()?;
    let n_bins = split.matched.len();
    let tallest = split
        .matched
        .iter()
        .chain(&split.mismatched)
        .max()
        .copied()?;
    let mut plot = Plot::new(
        Axis::new(0.0, 1.0, 4, "belief that the pair is matched", percent_tick),
        Axis::new(0.0, tallest as f64 * 1.05, 4, "pairs", number_tick),
    );
    let width = 1.0 / n_bins as f64;
    for bin in 0..n_bins {
        let from = bin as f64 * width;
        let middle = from + width / 2.0;
        plot.bar(from, middle, split.mismatched[bin] as f64, "bar bad");
        plot.bar(middle, from + width, split.matched[bin] as f64, "bar good");
    }
    plot.upright(0.5, "rule dashed");
    let title = format!(
        "Beliefs of {} ({}): {}",
        name(row),
        row.similarity,
        title(block)
    );
    let description = format!(
        "{title}; {} matched and {} mismatched pairs, AUC {:.3}.",
        split.matched.iter().sum::<u64>(),
        split.mismatched.iter().sum::<u64>(),
        split.auc
    );
    Some(Chart {
        svg: plot.finish(&description),
        title,
        legend: vec![
            LegendKey::new("bad", "planted mismatch"),
            LegendKey::new("good", "true pair"),
        ],
        reading:
            "At the kept epoch, all seeds together; the dashed line is where a pair counts as \
                  mismatched."
                .to_owned(),
    })
}

/// The block's rows of one similarity, each with its color.
fn rows_of<'a>(
    block: &'a NoiseBlock,
    similarity: &'a str,
    names: &'a [String],
) -> impl Iterator<Item = (usize, &'a MethodRow)> + 'a {
    let rows = block
        .rows
        .iter()
        .filter(move |row| row.similarity == similarity);
    rows.filter_map(|row| {
        let color = names.iter().position(|known| *known == name(row))?;
        Some((color, row))
    })
}

fn name(row: &MethodRow) -> String {
    let oracle = if row.oracle { " (oracle)" } else { "" };
    format!("{}{oracle}", row.method)
}

fn percent_tick(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

fn number_tick(value: f64) -> String {
    trimmed(value, 1)
}

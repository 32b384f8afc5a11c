//! Evaluations with their intervals, for people.

use truepair_core::metric::{Figure, FigureDifference, Interval, Measured, Unit, Unmeasured};
use truepair_core::scores::Direction;

use super::retrieval::{difference_text, direction_text, protocol_text, shown};
use super::{count, table};

/// All figures, each with its interval when there are any, and how they were measured.
pub(crate) fn evaluation_text(
    measured: &Measured,
    figures: &[(Figure, Option<Interval>)],
) -> String {
    let with_intervals = figures.iter().any(|(_, interval)| interval.is_some());
    let header = if with_intervals {
        vec!["", "", "i2t", "95 %", "t2i", "95 %"]
    } else {
        vec!["", "", "i2t", "t2i"]
    };
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for of_metric in figures.chunk_by(|a, b| a.0.metric.name() == b.0.metric.name()) {
        let metric = of_metric[0].0.metric;
        let mut row = vec![metric.name().to_owned(), metric.arrow().to_string()];
        for direction in [Direction::ImageToText, Direction::TextToImage] {
            let joint =
                |figure: &Figure| figure.direction.is_none() && direction == Direction::ImageToText;
            let found = (of_metric.iter())
                .find(|(figure, _)| figure.direction == Some(direction) || joint(figure));
            row.push(found.map_or_else(String::new, |(figure, _)| {
                shown(figure.value, metric.unit())
            }));
            if with_intervals {
                let interval = found.and_then(|(_, interval)| *interval);
                row.push(interval.map_or_else(String::new, |of| range(of, metric.unit())));
            }
        }
        rows.push(row);
    }
    let mut text = format!("{}\nranks as they are, all else in percent\n", table(&rows));
    for one in measured.unmeasured() {
        text.push_str(&unmeasured_text(&one));
    }
    text.push_str(&queries_text(measured));
    text.push_str(&protocol_text(&measured.protocol));
    text
}

fn range(interval: Interval, unit: Unit) -> String {
    format!(
        "{} to {}",
        shown(interval.low, unit),
        shown(interval.high, unit)
    )
}

fn unmeasured_text(one: &Unmeasured) -> String {
    format!(
        "{} {} not measured: {} end before it is known\n",
        one.metric.name(),
        direction_text(Some(one.direction)),
        count(one.n_queries as usize, "list"),
    )
}

fn queries_text(measured: &Measured) -> String {
    let side = |direction| {
        let asked = measured.asked(direction);
        let excluded = match asked.n_excluded {
            0 => String::new(),
            n => format!(" ({} left out: nothing is relevant to them)", n),
        };
        format!("{}{excluded}", asked.rows.len())
    };
    super::fields(&[
        ("i2t queries   ", side(Direction::ImageToText)),
        ("t2i queries   ", side(Direction::TextToImage)),
    ])
}

/// How far ties matter; `gap` is a share of queries.
pub(crate) fn tie_gap_text(gap: f64) -> String {
    let points = super::percent(gap);
    if points > 0.1 {
        format!(
            "scores are saturated: with every tie in its favor a recall would rise by {points:.1} points\n"
        )
    } else {
        format!("ties move no recall by more than {points:.2} points\n")
    }
}

/// What the first evaluation has over the second, figure by figure.
pub(crate) fn differences_text(differences: &[FigureDifference]) -> String {
    let mut rows = vec![
        ["", "", "this", "other", "this - other", "95 %", "p"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for one in differences {
        let (metric, unit) = (one.first.metric, one.first.metric.unit());
        rows.push(vec![
            metric.name().to_owned(),
            direction_text(one.first.direction).to_owned(),
            shown(one.first.value, unit),
            shown(one.second, unit),
            difference_text(one.first.value - one.second, unit),
            range(one.interval, unit),
            format!("{:.3}", one.p),
        ]);
    }
    format!(
        "{}\npaired bootstrap over test images; p-values are not corrected for the number of rows\n",
        table(&rows)
    )
}

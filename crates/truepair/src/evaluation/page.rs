//! What a matcher gets wrong, to look at: for the hardest queries, or chosen ones, the first items of
//! the ranking, right and wrong marked. One self-contained page; nothing is loaded, and the only script is that of
//! the theme button.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use askama::Template;
use clap::Args;
use truepair_core::metric::{Measured, QueryRow};
use truepair_core::ranking::{Found, Queries, top_items};
use truepair_core::scores::Direction;

use super::{Judged, Ranker, Subject};
use crate::progress::Bars;
use crate::remote;
use crate::render::standard_rows;
use crate::report::picture::Pictures;
use crate::report::{THEME, filled, theme_policy};

const STYLE: &str = concat!(
    include_str!("../../templates/report.css"),
    include_str!("../../templates/evaluation.css")
);

/// Bytes that all pictures may take together, as text in the page.
const PICTURE_BYTES: usize = 24 << 20;

/// Items of the ranking that are shown of each query.
const SHOWN: usize = 10;

/// Relevant items that are shown beside a query.
const ANSWERS: usize = 5;

/// Arguments of the page.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Page")]
pub(crate) struct PageArgs {
    /// Write a page of the hardest queries with what was found for each.
    #[arg(long, value_name = "FILE", value_parser = remote::output())]
    pub(crate) page: Option<PathBuf>,

    /// Queries of each direction on the page.
    #[arg(long, value_name = "N", default_value_t = 30, requires = "page")]
    page_queries: usize,

    /// Ids of the queries to show instead of the hardest ones, separated by commas.
    #[arg(
        long,
        value_name = "IDS",
        value_delimiter = ',',
        requires = "page",
        conflicts_with = "page_queries"
    )]
    show: Option<Vec<String>>,
}

/// What a page is about.
pub(crate) struct PageSubject<'a> {
    pub(crate) subject: &'a Subject<'a>,
    pub(crate) judged: &'a Judged,
    pub(crate) measured: &'a Measured,
    /// The run or files that were evaluated.
    pub(crate) run: String,
}

#[derive(Template)]
#[template(path = "evaluation.html")]
struct EvaluationPage<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    data: &'a str,
    run: &'a str,
    protocol: String,
    /// The standard numbers: name, arrow, images asking, captions asking.
    figures: Vec<[String; 4]>,
    sections: Vec<Section>,
    picture_note: Option<String>,
}

struct Section {
    id: &'static str,
    title: &'static str,
    intro: String,
    queries: Vec<Query>,
}

/// A query with its answers and what was found instead.
struct Query {
    item: Item,
    rank: String,
    n_relevant: u32,
    answers: Vec<Item>,
    found: Vec<FoundItem>,
}

/// An image or a caption as shown; the template escapes every text.
struct Item {
    id: String,
    text: Option<String>,
    picture: Option<String>,
}

struct FoundItem {
    place: usize,
    right: bool,
    item: Item,
}

/// The whole page.
///
/// # Errors
/// If a query that was asked for is not there or was not measured, or the scorer fails.
pub(crate) fn render(args: &PageArgs, seen: &PageSubject<'_>, bars: &mut Bars) -> Result<String> {
    let PageSubject {
        subject,
        judged,
        measured,
        run,
    } = seen;
    let mut pictures = Pictures::of_files(&subject.pictures, PICTURE_BYTES);
    let mut sections = Vec::new();
    for direction in [Direction::ImageToText, Direction::TextToImage] {
        let rows = chosen(args, subject, measured, direction);
        if !rows.is_empty() {
            let n_all = measured.asked(direction).rows.len();
            let relevant = |query, item| judged.is_relevant(direction, query, item);
            let found = found(subject, direction, &rows, relevant, bars)?;
            let rows: Vec<(&QueryRow, Vec<u32>)> = rows.into_iter().zip(found).collect();
            let queries = queries(subject, direction, &rows, relevant, &mut pictures);
            sections.push(section(args, direction, queries, n_all));
        }
    }
    if let (Some(ids), true) = (&args.show, sections.is_empty()) {
        bail!(
            "no query is called {} (give ids of the data)",
            ids.join(" or ")
        );
    }
    let protocol = &measured.protocol;
    let page = EvaluationPage {
        style: STYLE,
        script: THEME,
        policy: theme_policy(),
        data: &protocol.data,
        run,
        figures: standard_rows(&measured.report()),
        protocol: format!(
            "{} images, {} captions, split {}, relevance: {}, folds: {}",
            protocol.n_images,
            protocol.n_captions,
            protocol.split,
            protocol.relevance,
            protocol.folds
        ),
        picture_note: (pictures.n_left_out + pictures.n_unreadable > 0).then(|| {
            format!(
                "{} pictures left out to keep this file small, {} could not be read.",
                pictures.n_left_out, pictures.n_unreadable
            )
        }),
        sections,
    };
    filled(&page).context("the page's template")
}

/// The rows to show: those asked for, or the hardest ones first. Equally hard ones are in the order
/// of the data.
fn chosen<'m>(
    args: &PageArgs,
    subject: &Subject<'_>,
    measured: &'m Measured,
    direction: Direction,
) -> Vec<&'m QueryRow> {
    let rows = measured.asked(direction).rows.iter();
    match &args.show {
        Some(ids) => {
            let asking = subject.sides(direction).0;
            let wanted: Vec<u32> = ids.iter().filter_map(|id| asking.find(id)).collect();
            rows.filter(|row| wanted.contains(&row.query)).collect()
        }
        None => {
            let mut hardest: Vec<&QueryRow> = rows.collect();
            let rank = |row: &QueryRow| row.first_rank.unwrap_or(u32::MAX);
            hardest.sort_by(|a, b| rank(b).cmp(&rank(a)).then(a.query.cmp(&b.query)));
            hardest.truncate(args.page_queries);
            hardest
        }
    }
}

fn section(args: &PageArgs, direction: Direction, queries: Vec<Query>, n_all: usize) -> Section {
    let (id, title) = match direction {
        Direction::ImageToText => ("i2t", "Images that ask for captions"),
        Direction::TextToImage => ("t2i", "Captions that ask for images"),
    };
    let intro = match &args.show {
        Some(_) => format!("{} of {n_all} queries, as asked for.", queries.len()),
        None => format!("The {} hardest of {n_all} queries.", queries.len()),
    };
    Section {
        id,
        title,
        intro,
        queries,
    }
}

/// The first items of the ranking of every row's query.
fn found(
    subject: &Subject<'_>,
    direction: Direction,
    rows: &[&QueryRow],
    relevant: impl Fn(u32, u32) -> bool + Sync,
    bars: &mut Bars,
) -> Result<Vec<Vec<u32>>> {
    let asked: Vec<u32> = rows.iter().map(|row| row.query).collect();
    Ok(match &subject.ranker {
        Ranker::Scores(scorer) => {
            let queries = Queries {
                direction,
                items: &asked,
            };
            let top = top_items(scorer.as_ref(), queries, SHOWN, bars, relevant)?;
            let items = |top: &Vec<Found>| top.iter().map(|found| found.item).collect();
            top.iter().map(items).collect()
        }
        Ranker::Lists(lists) => {
            let list = |&query| lists.list(direction, query).unwrap_or_default();
            asked
                .iter()
                .map(|query| list(query).iter().copied().take(SHOWN).collect())
                .collect()
        }
    })
}

/// The rows' queries as shown, each with the first items of its ranking.
fn queries(
    subject: &Subject<'_>,
    direction: Direction,
    rows: &[(&QueryRow, Vec<u32>)],
    relevant: impl Fn(u32, u32) -> bool,
    pictures: &mut Pictures<'_>,
) -> Vec<Query> {
    let n_gallery = subject.sides(direction).1.len() as u32;
    let answering = match direction {
        Direction::ImageToText => Direction::TextToImage,
        Direction::TextToImage => Direction::ImageToText,
    };
    let shown = rows.iter().map(|(row, found)| {
        let answers = (0..n_gallery)
            .filter(|&item| relevant(row.query, item))
            .take(ANSWERS);
        let answers: Vec<u32> = answers.collect();
        let mut item = |direction, index| show(subject, direction, index, pictures);
        Query {
            item: item(direction, row.query),
            rank: row
                .first_rank
                .map_or_else(|| "beyond the list".to_owned(), |rank| rank.to_string()),
            n_relevant: row.n_relevant,
            answers: answers
                .into_iter()
                .map(|index| item(answering, index))
                .collect(),
            found: (found.iter().enumerate())
                .map(|(at, &index)| FoundItem {
                    place: at + 1,
                    right: relevant(row.query, index),
                    item: item(answering, index),
                })
                .collect(),
        }
    });
    shown.collect()
}

/// An item of the side that asks in `direction`.
fn show(
    subject: &Subject<'_>,
    direction: Direction,
    index: u32,
    pictures: &mut Pictures<'_>,
) -> Item {
    let id = subject.sides(direction).0.name(index).to_owned();
    match direction {
        Direction::ImageToText => Item {
            id,
            text: None,
            picture: pictures.embed(index),
        },
        Direction::TextToImage => Item {
            id,
            text: subject
                .texts
                .as_ref()
                .and_then(|texts| texts.get(index as usize).cloned()),
            picture: None,
        },
    }
}

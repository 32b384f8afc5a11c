//! The hits of one question as a page: pictures, captions, and how likely each is an answer.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use askama::Template;
use truepair_index::Side;

use super::SearchResult;
use crate::render::percent_text;
use crate::report::picture::data_uri;
use crate::report::{THEME, filled, theme_policy};
use crate::search::{Engine, PictureLocator, SearchAnswer};

const STYLE: &str = concat!(
    include_str!("../../../templates/report.css"),
    include_str!("../../../templates/evaluation.css"),
    include_str!("../../../templates/search.css")
);

/// Bytes that all pictures may take together, as text in the page.
const PICTURE_BYTES: usize = 24 << 20;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    style: &'static str,
    script: &'static str,
    policy: String,
    query: &'a str,
    of: &'a str,
    index: String,
    nothing_here: bool,
    notes: &'a [String],
    cards: Vec<HitCard<'a>>,
}

/// A hit as shown; the template escapes every text.
struct HitCard<'a> {
    rank: usize,
    id: &'a str,
    text: Option<&'a str>,
    picture: Option<String>,
    score: String,
    /// In percent, as text and as the width of a bar.
    relevant: Option<(String, String)>,
    in_answer: bool,
    columns: String,
}

/// The whole page.
///
/// # Errors
/// If an item cannot be read.
pub(super) fn render(
    engine: &Engine,
    of: Side,
    answer: &SearchAnswer,
    result: &SearchResult,
) -> Result<String> {
    let mut bytes_left = PICTURE_BYTES;
    let mut cards = Vec::new();
    for (found, hit) in answer.hits.iter().zip(&result.hits) {
        let picture = match of {
            Side::Images => picture(engine, found.row, &mut bytes_left)?,
            Side::Captions => None,
        };
        let mut columns = String::new();
        for (name, value) in &hit.columns {
            let _ = write!(
                columns,
                "{}{name} {value}",
                if columns.is_empty() { "" } else { ", " }
            );
        }
        cards.push(HitCard {
            rank: hit.rank,
            id: &hit.id,
            text: hit.text.as_deref(),
            picture,
            score: format!("{:.4}", hit.score),
            relevant: hit
                .p_relevant
                .map(|p| (percent_text(p), format!("{:.1}", 100.0 * p))),
            in_answer: hit.in_answer == Some(true),
            columns,
        });
    }
    let page = SearchPage {
        style: STYLE,
        script: THEME,
        policy: theme_policy(),
        query: &result.query,
        of: &result.of,
        index: result.index.display().to_string(),
        nothing_here: result.nothing_here == Some(true),
        notes: &result.notes,
        cards,
    };
    filled(&page).context("cannot fill the page")
}

fn picture(engine: &Engine, row: usize, bytes_left: &mut usize) -> Result<Option<String>> {
    let item = engine.index.images().item(row)?;
    let locator = item.picture.as_deref().and_then(PictureLocator::parse);
    let uri = locator.and_then(|locator| data_uri(&locator.read().ok()?));
    let uri = uri.filter(|uri| uri.len() <= *bytes_left);
    if let Some(uri) = &uri {
        *bytes_left -= uri.len();
    }
    Ok(uri)
}

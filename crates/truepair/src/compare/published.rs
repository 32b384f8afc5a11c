//! Results of publications, for orientation beside measured ones.
//!
//! They were measured on other features, networks and machines, so they stand in blocks of their
//! own, named by the protocol under which they were taken, and nothing is compared with them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::metric::{Metric as _, RSum, Recall};
use truepair_core::noise::NoiseSpec;
use truepair_core::scores::Direction;

use super::figure_column::FigureColumn;
use super::method::Method;
use crate::render::{fraction, percent};

const LIBRARY: &str = include_str!("../../published.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    /// What each table was measured on.
    tables: BTreeMap<String, String>,
    /// Where numbers were read.
    sources: BTreeMap<String, String>,
    row: Vec<PublishedEntry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedEntry {
    data: String,
    noise: Option<f64>,
    protocol: String,
    method: String,
    /// In percent, as publications print them.
    recalls: [f64; 6],
    rsum: f64,
    source: String,
    note: Option<String>,
}

/// Which published result stands beside a row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedName {
    method: String,
    /// Where several sources print one.
    source: Option<String>,
}

/// Published rows of one protocol and noise rate.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PublishedBlock {
    pub(crate) title: String,
    /// `caption`, `image`, `unstated`, `none` or `real`.
    pub(crate) protocol: String,
    /// Share that the source names; `None` where the noise is real.
    pub(crate) noise: Option<f64>,
    pub(crate) rows: Vec<PublishedRow>,
}

/// One published result, recalls as fractions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PublishedRow {
    pub(crate) method: String,
    /// Recall@1, 5, 10 of images asking, then of captions asking.
    pub(crate) recalls: [f64; 6],
    pub(crate) rsum: f64,
    pub(crate) source: String,
    pub(crate) note: Option<String>,
}

impl PublishedRow {
    /// The number of a metric, where tables print it.
    pub(crate) fn figure(&self, column: &FigureColumn) -> Option<f64> {
        let name = column.metric.name();
        let side = match column.direction {
            None => return (name == RSum.name()).then_some(self.rsum),
            Some(Direction::ImageToText) => 0,
            Some(Direction::TextToImage) => 3,
        };
        let at = Recall::ALL
            .iter()
            .position(|recall| recall.name() == name)?;
        Some(self.recalls[side + at])
    }

    /// rSum, and the recalls of both directions.
    pub(super) fn in_short(&self) -> String {
        let cells = self.cells();
        format!(
            "{} ({}; {})",
            cells[7],
            cells[1..4].join(" "),
            cells[4..7].join(" ")
        )
    }

    pub(super) fn cells(&self) -> [String; 10] {
        let number = |at: usize| format!("{:.1}", percent(self.recalls[at]));
        [
            self.method.clone(),
            number(0),
            number(1),
            number(2),
            number(3),
            number(4),
            number(5),
            format!("{:.1}", percent(self.rsum)),
            self.source.clone(),
            self.note.clone().unwrap_or_default(),
        ]
    }
}

/// The published result that stands beside a method under a noise, if that was published.
///
/// # Errors
/// If the table has no result of that name at any rate.
pub(super) fn beside(
    table: Option<&str>,
    noise: &NoiseSpec,
    method: &Method,
) -> Result<Option<PublishedRow>> {
    let (Some(table), Some(name)) = (table, &method.published) else {
        return Ok(None);
    };
    let library = library()?;
    let named = |entry: &&PublishedEntry| {
        entry.data == table
            && entry.method == name.method
            && (name.source.as_ref()).is_none_or(|source| *source == entry.source)
    };
    let entries: Vec<&PublishedEntry> = library.row.iter().filter(named).collect();
    if entries.is_empty() {
        bail!(
            "row `{}`: no result `{}`{} is known of {table} (see published.toml)",
            method.name,
            name.method,
            (name.source.as_ref()).map_or(String::new(), |source| format!(" from `{source}`"))
        )
    }
    let here = entries.into_iter().find(|entry| fits(entry, noise));
    Ok(here.map(|entry| library.line(entry)))
}

/// Whether a result was published under this noise; one that states none stands beside every noise, with
/// its note.
fn fits(entry: &PublishedEntry, noise: &NoiseSpec) -> bool {
    let protocol = match noise {
        NoiseSpec::None => "none",
        NoiseSpec::Rate { model, .. } => model.as_str(),
        NoiseSpec::File(_) => "real",
    };
    let alike = entry.protocol == protocol || entry.protocol == "unstated";
    alike && (entry.noise.zip(rate_of(noise))).is_none_or(|(one, other)| (one - other).abs() < 1e-9)
}

/// The tables that can be asked for.
pub(crate) fn table_names() -> Result<Vec<&'static str>> {
    // Names live as long as the text that they are read from.
    let library = library()?;
    let known = |name: &String| {
        LIBRARY
            .find(name.as_str())
            .map(|at| &LIBRARY[at..at + name.len()])
    };
    Ok(library.tables.keys().filter_map(known).collect())
}

/// The published rows of a table at the rates of `noises`, each protocol apart, and those under
/// real noise.
pub(crate) fn blocks(table: &str, noises: &[NoiseSpec]) -> Result<Vec<PublishedBlock>> {
    let library = library()?;
    let rates: Vec<f64> = noises.iter().filter_map(rate_of).collect();
    let mut blocks: Vec<PublishedBlock> = Vec::new();
    for entry in library.row.iter().filter(|entry| entry.data == table) {
        let wanted = entry
            .noise
            .is_none_or(|noise| rates.iter().any(|rate| (rate - noise).abs() < 1e-9));
        if !wanted {
            continue;
        }
        let same = |block: &&mut PublishedBlock| {
            block.protocol == entry.protocol && block.noise == entry.noise
        };
        let line = library.line(entry);
        match blocks.iter_mut().find(same) {
            Some(block) => block.rows.push(line),
            None => blocks.push(PublishedBlock {
                title: library.title(entry),
                protocol: entry.protocol.clone(),
                noise: entry.noise,
                rows: vec![line],
            }),
        }
    }
    blocks.sort_by(|a, b| {
        let rate = |block: &PublishedBlock| block.noise.unwrap_or(f64::INFINITY);
        rate(a)
            .total_cmp(&rate(b))
            .then(a.protocol.cmp(&b.protocol))
    });
    Ok(blocks)
}

fn rate_of(noise: &NoiseSpec) -> Option<f64> {
    match noise {
        NoiseSpec::None => Some(0.0),
        NoiseSpec::Rate { rate, .. } => Some(*rate),
        NoiseSpec::File(_) => None,
    }
}

fn library() -> Result<Library> {
    toml::from_str(LIBRARY).context("the table of published results is broken")
}

impl Library {
    fn line(&self, entry: &PublishedEntry) -> PublishedRow {
        let source = self.sources.get(&entry.source).unwrap_or(&entry.source);
        PublishedRow {
            method: entry.method.clone(),
            recalls: entry.recalls.map(fraction),
            rsum: fraction(entry.rsum),
            source: source.clone(),
            note: entry.note.clone(),
        }
    }

    fn title(&self, entry: &PublishedEntry) -> String {
        let data = self.tables.get(&entry.data).unwrap_or(&entry.data);
        match entry.noise {
            Some(noise) => format!(
                "Published, protocol {}: {data}, noise {:.0} %",
                entry.protocol,
                noise * 100.0
            ),
            None => format!("Published, protocol {}: {data}", entry.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recalls_add_up_to_the_printed_sum_unless_a_note_says_otherwise() {
        for entry in library().unwrap().row {
            let sum: f64 = entry.recalls.iter().sum();
            let noted = entry
                .note
                .as_deref()
                .unwrap_or("")
                .contains("the recalls add up to");
            let off = (sum - entry.rsum).abs() > 0.0501;
            assert_eq!(off, noted, "{entry:?}: {sum}");
        }
    }

    #[test]
    fn every_row_names_a_table_a_source_a_protocol_and_shares() {
        let library = library().unwrap();
        assert!(library.row.len() > 300);
        for entry in &library.row {
            assert!(library.tables.contains_key(&entry.data), "{entry:?}");
            assert!(library.sources.contains_key(&entry.source), "{entry:?}");
            let protocols = ["caption", "image", "unstated", "none", "real"];
            assert!(protocols.contains(&entry.protocol.as_str()), "{entry:?}");
            assert_eq!(
                entry.noise == Some(0.0),
                entry.protocol == "none",
                "{entry:?}"
            );
            assert_eq!(entry.noise.is_none(), entry.protocol == "real", "{entry:?}");
            assert!(
                entry
                    .recalls
                    .iter()
                    .all(|recall| (0.0..=100.0).contains(recall))
            );
            assert!(entry.recalls[0] <= entry.recalls[1] && entry.recalls[1] <= entry.recalls[2]);
            assert!(entry.recalls[3] <= entry.recalls[4] && entry.recalls[4] <= entry.recalls[5]);
        }
    }

    #[test]
    fn protocols_never_share_a_block() {
        let noises = ["caption:0.2".parse().unwrap(), NoiseSpec::None];
        let blocks = blocks("f30k", &noises).unwrap();
        let kinds: Vec<(&str, Option<f64>)> = (blocks.iter())
            .map(|block| (block.protocol.as_str(), block.noise))
            .collect();
        let expected = [
            ("none", Some(0.0)),
            ("caption", Some(0.2)),
            ("image", Some(0.2)),
            ("unstated", Some(0.2)),
        ];
        assert_eq!(kinds, expected);
        assert!(
            blocks[1]
                .title
                .starts_with("Published, protocol caption: Flickr30K")
        );
        let ncr = blocks[1]
            .rows
            .iter()
            .find(|row| row.method == "NCR")
            .unwrap();
        assert_eq!((ncr.rsum, ncr.recalls[0]), (4.967, 0.75));
        assert_eq!(
            table_names().unwrap(),
            ["cc152k", "coco1k", "coco5k", "f30k"]
        );
    }
}

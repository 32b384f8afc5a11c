//! Results of publications, for orientation beside measured ones.
//!
//! They were measured on other features, networks and machines, so they stand in blocks of their
//! own, named by the protocol under which they were taken, and nothing is compared with them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_core::metric::{METRICS, Unit};
use truepair_core::noise::NoiseSpec;

use super::comparable_noise::ComparableNoise;
use super::figure_column::FigureColumn;
use crate::render::{self, fraction, percent};
use crate::row_file::PublishedName;

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

/// A row of the library: six recalls with their sum, or numbers of metrics by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedEntry {
    data: String,
    noise: Option<f64>,
    protocol: String,
    method: String,
    /// In percent, as publications print them.
    recalls: Option<[f64; 6]>,
    rsum: Option<f64>,
    /// Numbers of other metrics, or of some recalls alone, by direction and name as in `i2t r-precision`;
    /// shares in percent.
    #[serde(default)]
    figures: BTreeMap<String, f64>,
    source: String,
    note: Option<String>,
}

/// Published rows of one protocol and noise rate.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PublishedBlock {
    pub(crate) title: String,
    /// `caption`, `image`, `label`, `unstated`, `none` or `real`.
    pub(crate) protocol: String,
    /// Share that the source names; `None` where the noise is real, or its share not stated.
    pub(crate) noise: Option<f64>,
    pub(crate) rows: Vec<PublishedRow>,
}

/// What was published under the noises of a grid.
#[derive(Debug)]
pub(crate) struct Published {
    /// What each noise of the grid plants.
    pub(super) noises: Vec<ComparableNoise>,
    pub(super) blocks: Vec<PublishedBlock>,
}

/// One published result, shares as fractions.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct PublishedRow {
    pub(crate) method: String,
    /// Recall@1, 5, 10 of images asking, then of captions asking; `null` where `figures` hold what the
    /// source prints.
    pub(crate) recalls: Option<[f64; 6]>,
    pub(crate) rsum: Option<f64>,
    /// Numbers of metrics by direction and name, such as `i2t r-precision`.
    pub(crate) figures: BTreeMap<String, f64>,
    pub(crate) source: String,
    pub(crate) note: Option<String>,
}

/// The recalls and their sum, as every row of a paper's table has them, with the headings that tables
/// give them.
const USUAL: [(&str, &str); 7] = [
    ("i2t recall@1", "i2t R@1"),
    ("i2t recall@5", "R@5"),
    ("i2t recall@10", "R@10"),
    ("t2i recall@1", "t2i R@1"),
    ("t2i recall@5", "R@5"),
    ("t2i recall@10", "R@10"),
    ("rsum", "rSum"),
];

/// What stands where a source has no number.
const ABSENT: &str = "–";

impl PublishedBlock {
    /// The names of the numbers that its table has columns for, with the columns' headings.
    fn numbers(&self) -> Vec<(String, String)> {
        let has = |name: &str| self.rows.iter().any(|row| row.named(name).is_some());
        let whole = self.rows.iter().any(|row| row.recalls.is_some());
        let usual = USUAL.iter().filter(|_| whole);
        let usual = usual.map(|&(name, heading)| (name.to_owned(), heading.to_owned()));
        let mut numbers: Vec<(String, String)> = usual.collect();
        for name in all_columns().map(|column| column.name(" ")) {
            let known = numbers.iter().any(|(known, _)| *known == name);
            if !known && has(&name) {
                numbers.push((name.clone(), name));
            }
        }
        numbers
    }

    /// The headings of its table: the method, the numbers, source and note.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut columns = vec!["method".to_owned()];
        columns.extend(self.numbers().into_iter().map(|(_, heading)| heading));
        columns.extend(["source", "note"].map(str::to_owned));
        columns
    }

    /// The rows of its table, a cell for each of [`columns`](Self::columns).
    pub(super) fn lines(&self) -> Vec<Vec<String>> {
        let numbers = self.numbers();
        let line = |row: &PublishedRow| {
            let mut cells = vec![row.method.clone()];
            cells.extend(numbers.iter().map(|(name, _)| row.printed(name)));
            cells.extend([row.source.clone(), row.note.clone().unwrap_or_default()]);
            cells
        };
        self.rows.iter().map(line).collect()
    }
}

impl PublishedRow {
    /// The number of a metric, where the source prints it.
    pub(crate) fn figure(&self, column: &FigureColumn) -> Option<f64> {
        self.named(&column.name(" "))
    }

    /// rSum with the recalls of both directions, or what else the source prints.
    pub(crate) fn in_short(&self) -> String {
        if self.recalls.is_none() {
            let known = all_columns().map(|column| column.name(" "));
            let known = known.filter(|name| self.named(name).is_some());
            let known: Vec<String> = known
                .map(|name| format!("{name} {}", self.printed(&name)))
                .collect();
            return known.join(", ");
        }
        let [i1, i5, i10, t1, t5, t10, rsum] = USUAL.map(|(name, _)| self.printed(name));
        format!("{rsum} ({i1} {i5} {i10}; {t1} {t5} {t10})")
    }

    fn named(&self, name: &str) -> Option<f64> {
        let whole = self.recalls.zip(self.rsum);
        let at = USUAL.iter().position(|(usual, _)| *usual == name);
        match (whole, at) {
            (Some((recalls, rsum)), Some(at)) => Some(recalls.get(at).copied().unwrap_or(rsum)),
            _ => self.figures.get(name).copied(),
        }
    }

    fn printed(&self, name: &str) -> String {
        let Some(value) = self.named(name) else {
            return ABSENT.to_owned();
        };
        let is_rank = column(name).is_some_and(|column| column.metric.unit() == Unit::Rank);
        let value = if is_rank { value } else { percent(value) };
        format!("{value:.1}")
    }
}

/// The columns of all metrics.
pub(super) fn all_columns() -> impl Iterator<Item = FigureColumn> {
    METRICS.iter().flat_map(|&metric| FigureColumn::of(metric))
}

/// The column with this name, direction first.
fn column(name: &str) -> Option<FigureColumn> {
    all_columns().find(|column| column.name(" ") == name)
}

/// The published result that stands beside a row under this noise, if that was published.
///
/// # Errors
/// If the table has no result of that name at any rate.
pub(crate) fn beside(
    table: &str,
    noise: &ComparableNoise,
    name: &PublishedName,
) -> Result<Option<PublishedRow>> {
    let library = library()?;
    let named = |entry: &&PublishedEntry| {
        entry.data == table
            && entry.method == name.method
            && (name.source.as_ref()).is_none_or(|source| *source == entry.source)
    };
    let entries: Vec<&PublishedEntry> = library.row.iter().filter(named).collect();
    if entries.is_empty() {
        bail!(
            "no result `{}`{} is known of {table} (see published.toml)",
            name.method,
            (name.source.as_ref()).map_or(String::new(), |source| format!(" from `{source}`"))
        )
    }
    // One that states no rate stands beside every one, with its note; noise that came with the data is not planted.
    let here = entries.into_iter().find(|entry| {
        (entry.protocol == noise.protocol
            || entry.protocol == "unstated"
            || (entry.protocol == "real" && noise.protocol == "none"))
            && entry.noise.is_none_or(|rate| noise.has_rate(rate))
    });
    Ok(here.map(|entry| library.line(entry)))
}

impl Published {
    /// What the library has under `noises`, planted in `train`: beside rows, and all rows of `tables`.
    ///
    /// # Errors
    /// If a noise file cannot be read or does not fit the data.
    pub(crate) fn under(noises: &[NoiseSpec], train: &Dataset, tables: &[&str]) -> Result<Self> {
        let noises = noises.iter().map(|noise| ComparableNoise::of(noise, train));
        let noises = noises.collect::<Result<Vec<_>>>()?;
        let of_tables = tables.iter().map(|table| blocks(table, &noises));
        let blocks = of_tables.collect::<Result<Vec<_>>>()?.concat();
        if blocks.is_empty() && !tables.is_empty() {
            render::note(&format!(
                "--published {}: nothing was published at these noise rates",
                tables.join(",")
            ));
        }
        Ok(Self { noises, blocks })
    }
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

/// The published rows of a table at the rates of `noises`, each protocol apart, and those under real noise or noise of a
/// share that the source does not state.
fn blocks(table: &str, noises: &[ComparableNoise]) -> Result<Vec<PublishedBlock>> {
    let library = library()?;
    let mut blocks: Vec<PublishedBlock> = Vec::new();
    for entry in library.row.iter().filter(|entry| entry.data == table) {
        let wanted = entry
            .noise
            .is_none_or(|rate| noises.iter().any(|noise| noise.has_rate(rate)));
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

/// A number under its name, in the unit that files have.
fn figure((name, &value): (&String, &f64)) -> (String, f64) {
    let is_rank = column(name).is_some_and(|column| column.metric.unit() == Unit::Rank);
    (name.clone(), if is_rank { value } else { fraction(value) })
}

fn library() -> Result<Library> {
    toml::from_str(LIBRARY).context("the table of published results is broken")
}

impl Library {
    fn line(&self, entry: &PublishedEntry) -> PublishedRow {
        let source = self.sources.get(&entry.source).unwrap_or(&entry.source);
        PublishedRow {
            method: entry.method.clone(),
            recalls: entry.recalls.map(|recalls| recalls.map(fraction)),
            rsum: entry.rsum.map(fraction),
            figures: entry.figures.iter().map(figure).collect(),
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
            None if entry.protocol == "unstated" => {
                format!("Published, protocol unstated: {data}, noise not stated")
            }
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
            let Some((recalls, rsum)) = entry.recalls.zip(entry.rsum) else {
                continue;
            };
            let sum: f64 = recalls.iter().sum();
            let noted = entry
                .note
                .as_deref()
                .unwrap_or("")
                .contains("the recalls add up to");
            let off = (sum - rsum).abs() > 0.0501;
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
            let protocols = ["caption", "image", "label", "unstated", "none", "real"];
            assert!(protocols.contains(&entry.protocol.as_str()), "{entry:?}");
            assert_eq!(
                entry.noise == Some(0.0),
                entry.protocol == "none",
                "{entry:?}"
            );
            match entry.protocol.as_str() {
                "real" => assert!(entry.noise.is_none(), "{entry:?}"),
                "unstated" => {}
                _ => assert!(entry.noise.is_some(), "{entry:?}"),
            }
        }
    }

    #[test]
    fn every_row_holds_six_recalls_or_figures_of_known_metrics() {
        for entry in library().unwrap().row {
            assert_eq!(entry.recalls.is_some(), entry.rsum.is_some(), "{entry:?}");
            assert_eq!(
                entry.recalls.is_none(),
                !entry.figures.is_empty(),
                "{entry:?}"
            );
            if let Some(recalls) = entry.recalls {
                assert!(recalls.iter().all(|recall| (0.0..=100.0).contains(recall)));
                assert!(recalls[0] <= recalls[1] && recalls[1] <= recalls[2]);
                assert!(recalls[3] <= recalls[4] && recalls[4] <= recalls[5]);
            }
            for (name, value) in &entry.figures {
                let column = column(name).unwrap_or_else(|| panic!("{name}: {entry:?}"));
                let most = match column.metric.unit() {
                    Unit::Fraction => 100.0,
                    Unit::SumOfFractions => 600.0,
                    Unit::Rank => f64::INFINITY,
                };
                assert!((0.0..=most).contains(value), "{entry:?}");
            }
        }
    }

    /// A row that two tables of rows could mean is ambiguous to whoever names it.
    #[test]
    fn no_source_prints_a_method_twice_under_one_noise() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in library().unwrap().row {
            let noise = entry.noise.map(f64::to_bits);
            let key = (
                entry.data,
                entry.protocol,
                noise,
                entry.method,
                entry.source,
            );
            assert!(seen.insert(key.clone()), "{key:?}");
        }
    }

    /// The report copies these rows from NCR's table, with slips that each row's note names.
    #[test]
    fn rows_of_the_report_say_where_the_table_that_they_repeat_differs() {
        let rows = library().unwrap().row;
        let of = |source: &str, method: &str| {
            let found = rows.iter().find(|row| {
                let place = (row.data.as_str(), row.noise, row.protocol.as_str());
                place == ("f30k", Some(0.2), "caption")
                    && (row.source.as_str(), row.method.as_str()) == (source, method)
            });
            found
                .cloned()
                .unwrap_or_else(|| panic!("{source}: {method}"))
        };
        for method in ["SCAN", "VSRN", "IMRAM", "SAF", "SGR*", "SGR-C", "NCR"] {
            let (report, ncr) = (of("report", method), of("ncr", method));
            let note = report.note.unwrap_or_default();
            let differs = report.recalls != ncr.recalls;
            assert_eq!(differs, note.contains("NCR's own table prints"), "{method}");
            let pairs = report
                .recalls
                .unwrap()
                .into_iter()
                .zip(ncr.recalls.unwrap());
            for (_, printed) in pairs.filter(|(copied, printed)| copied != printed) {
                assert!(note.contains(&format!("{printed:.1}")), "{method}: {note}");
            }
        }
        for method in ["NLNC", "HNSF", "CAR", "CAR+HNSF"] {
            of("report", method);
        }
    }

    fn planted(protocol: &str, rate: f64) -> ComparableNoise {
        ComparableNoise {
            protocol: protocol.to_owned(),
            rate: Some(rate),
        }
    }

    #[test]
    fn a_row_stands_beside_noise_of_its_protocol_and_share() {
        let name = PublishedName {
            method: "NCR".to_owned(),
            source: Some("ncr".to_owned()),
        };
        let row = beside("f30k", &planted("caption", 0.2), &name).unwrap();
        assert_eq!(row.unwrap().rsum, Some(4.967));
        for other in [planted("caption", 0.3), planted("label", 0.2)] {
            assert!(beside("f30k", &other, &name).unwrap().is_none());
        }
    }

    #[test]
    fn protocols_never_share_a_block() {
        let noises = [planted("caption", 0.2), planted("none", 0.0)];
        let blocks = blocks("f30k", &noises).unwrap();
        let kinds: Vec<(&str, Option<f64>)> = (blocks.iter())
            .map(|block| (block.protocol.as_str(), block.noise))
            .collect();
        let expected = [
            ("none", Some(0.0)),
            ("caption", Some(0.2)),
            ("image", Some(0.2)),
            ("unstated", Some(0.2)),
            ("unstated", None),
        ];
        assert_eq!(kinds, expected);
        assert!(
            blocks[1]
                .title
                .starts_with("Published, protocol caption: Flickr30K")
        );
        assert!(blocks[4].title.ends_with("noise not stated"));
        let ncr = blocks[1]
            .rows
            .iter()
            .find(|row| row.method == "NCR")
            .unwrap();
        assert_eq!(
            (ncr.rsum, ncr.recalls.map(|all| all[0])),
            (Some(4.967), Some(0.75))
        );
        assert_eq!(
            table_names().unwrap(),
            [
                "cc152k",
                "coco1k",
                "coco5k",
                "cub",
                "eccv",
                "f30k",
                "inria",
                "nuswide",
                "wiki",
                "xmedianet"
            ]
        );
    }

    #[test]
    fn figures_stand_in_columns_of_their_own_and_what_is_missing_is_a_dash() {
        let cub = &blocks("cub", &[planted("none", 0.0)]).unwrap()[0];
        assert_eq!(
            cub.columns(),
            [
                "method",
                "i2t recall@1",
                "t2i recall@1",
                "i2t r-precision",
                "t2i r-precision",
                "source",
                "note"
            ]
        );
        let lines = cub.lines();
        let pcme = lines.iter().find(|line| line[0] == "PCME").unwrap();
        assert_eq!(pcme[1..5], ["46.9", "35.2", "26.3", "26.8"]);
        let row = cub.rows.iter().find(|row| row.method == "PCME").unwrap();
        let precision = column("i2t r-precision").unwrap();
        assert_eq!(row.figure(&precision), Some(0.263));

        // Beside rows of six recalls, a row that has some of them leaves the others out.
        let real = &blocks("cc152k", &[planted("none", 0.0)]).unwrap()[0];
        let lines = real.lines();
        let srem = lines.iter().find(|line| line[0] == "SREM").unwrap();
        assert_eq!(srem[1..8], ["40.9", "–", "–", "41.5", "–", "–", "372.2"]);
        assert_eq!(real.columns().len(), srem.len());
    }
}

//! Ranked lists as files: JSON maps and TREC runs.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::ranking::Found;
use truepair_core::relevance::{Ids, Judgments};

use crate::relevance::read_map;

/// Reads `{"query": ["best item", "second", ...], ...}`.
///
/// # Errors
/// As [`read_map`]; an item that a query lists twice is named.
pub fn read_list_map(path: &Path) -> Result<Judgments> {
    read_map(path)
}

/// Reads a run, `query Q0 item rank score tag`; items are in the order of falling scores, those of
/// equal scores in the order of their ranks.
///
/// # Source
/// Format of NIST's `trec_eval`, which orders equal scores by item instead.
///
/// # Errors
/// If the file cannot be read, a line has other fields or a score that is not finite, a query lists
/// an item twice, or ranks contradict scores; the line is named.
pub fn read_trec_run(path: &Path) -> Result<Judgments> {
    let mut order: Vec<(String, Vec<Entry>)> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    for (at, line) in crate::lines::read_lines(path)?.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let number = at as u64 + 1;
        let (query, entry) = Entry::parse(line, number).ok_or_else(|| {
            Error::data(
                path,
                Place::Line(number),
                format!("'{line}', expected query, Q0, item, rank, score, tag"),
                "write six fields separated by spaces, for instance `q7 Q0 d12 1 0.93 clip`",
            )
        })?;
        let at = *place.entry(query.clone()).or_insert_with(|| {
            order.push((query, Vec::new()));
            order.len() - 1
        });
        order[at].1.push(entry);
    }
    let mut judgments = Judgments::new(path);
    for (query, entries) in order {
        judgments.add(&query, in_order(path, &query, entries)?)?;
    }
    Ok(judgments)
}

struct Entry {
    item: String,
    rank: i64,
    score: f64,
    line: u64,
}

impl Entry {
    fn parse(line: &str, number: u64) -> Option<(String, Self)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[query, _, item, rank, score, _] = fields.as_slice() else {
            return None;
        };
        let score: f64 = score.parse().ok()?;
        let entry = Self {
            item: item.to_owned(),
            rank: rank.parse().ok()?,
            score: score.is_finite().then_some(score)?,
            line: number,
        };
        Some((query.to_owned(), entry))
    }
}

fn in_order(path: &Path, query: &str, mut entries: Vec<Entry>) -> Result<Vec<String>> {
    let refuse = |line: u64, problem: String, remedy: &str| {
        Err(Error::data(path, Place::Line(line), problem, remedy))
    };
    entries.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.rank.cmp(&b.rank)));
    if let Some(two) = entries.windows(2).find(|two| two[0].rank > two[1].rank) {
        let problem = format!(
            "query '{query}' has rank {} for a lower score than that of rank {}",
            two[1].rank, two[0].rank
        );
        return refuse(two[1].line, problem, "number the ranks by falling score");
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = entries.iter().find(|entry| !seen.insert(&entry.item)) {
        let problem = format!("query '{query}' lists '{}' twice", twice.item);
        return refuse(twice.line, problem, "list every item once");
    }
    Ok(entries.into_iter().map(|entry| entry.item).collect())
}

/// Writes the items that one query found, best first, as lines of a run.
///
/// ```
/// use truepair_core::ranking::Found;
/// use truepair_core::relevance::Ids;
/// use truepair_read::ranking::{read_trec_run, write_trec_run};
///
/// let gallery = Ids::new(vec!["c7".into(), "c9".into()])?;
/// let found = [Found { item: 1, score: 0.9 }, Found { item: 0, score: 0.5 }];
/// let mut run = Vec::new();
/// write_trec_run(&mut run, "beach.jpg", &found, &gallery, "mine")?;
/// assert!(run.starts_with(b"beach.jpg Q0 c9 1 0.9 mine\n"));
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("i2t.run");
/// std::fs::write(&path, run)?;
/// assert_eq!(read_trec_run(&path)?.queries().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If `out` cannot take the bytes.
///
/// # Panics
/// If an item has no id.
pub fn write_trec_run(
    out: &mut dyn Write,
    query: &str,
    found: &[Found],
    gallery: &Ids,
    tag: &str,
) -> std::io::Result<()> {
    for (rank, found) in (1..).zip(found) {
        let item = gallery.name(found.item);
        writeln!(out, "{query} Q0 {item} {rank} {} {tag}", found.score)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Judgments> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.txt");
        std::fs::write(&path, text).unwrap();
        read_trec_run(&path)
    }

    #[test]
    fn scores_decide_and_ranks_settle_ties() {
        let text = "q Q0 c 3 0.1 t\nq Q0 b 2 0.5 t\nq Q0 a 1 0.5 t\n\nr Q0 a 1 7 t\n";
        let found = read(text).unwrap();
        let lists: Vec<(&str, Vec<&str>)> = (found.queries())
            .map(|(query, items)| (query, items.collect()))
            .collect();
        assert_eq!(lists, [("q", vec!["a", "b", "c"]), ("r", vec!["a"])]);
    }

    #[test]
    fn broken_runs_are_refused_by_line() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(message("q Q0 a 1 0.5\n").contains("run.txt:1: 'q Q0 a 1 0.5', expected query"));
        assert!(message("q Q0 a 1 NaN t\n").contains("run.txt:1"));
        let twice = message("q Q0 a 1 3 t\nq Q0 b 2 2 t\nq Q0 a 3 1 t\n");
        assert!(
            twice.contains("run.txt:3: query 'q' lists 'a' twice"),
            "{twice}"
        );
        let ranks = message("q Q0 a 1 0.5 t\nq Q0 b 2 0.9 t\n");
        assert!(
            ranks.contains("run.txt:1: query 'q' has rank 1 for a lower score"),
            "{ranks}"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let ids = Ids::numbered(9);
        let found = [(4, 0.75), (1, 0.1), (7, -2.0)].map(|(item, score)| Found { item, score });
        let mut text = Vec::new();
        write_trec_run(&mut text, "q", &found, &ids, "truepair").unwrap();
        let again = read(std::str::from_utf8(&text).unwrap()).unwrap();
        let items: Vec<&str> = again.queries().flat_map(|(_, items)| items).collect();
        assert_eq!(items, ["4", "1", "7"]);
    }
}

//! Ranked lists as files: JSON maps and TREC runs.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::ranking::Found;
use truepair_core::relevance::{Ids, Judgments, Spelling, escaped};

use crate::lines::{Line, lines};
use crate::relevance::{not_empty, read_ranked_map};
use crate::trec_line::{fields, remedy};

/// Reads `{"query": ["best item", "second", ...], ...}`, or the scores of items,
/// `{"query": {"item": 0.9, ...}, ...}`, as ranx, pytrec_eval and BEIR hold them; of equal scores the
/// item with the larger name is first, as in `trec_eval`.
///
/// # Errors
/// As [`read_map`](crate::relevance::read_map); an item that a query lists twice is named.
pub fn read_list_map(path: &Path) -> Result<Judgments> {
    read_ranked_map(path)
}

/// Reads a run, `query Q0 item rank score tag`; items are in the order of falling scores, those of
/// equal scores in the order of their ranks, and those of equal ranks, too, as in `trec_eval`: the
/// larger name first. How many items are tied is said.
///
/// # Source
/// Format of NIST's `trec_eval`, which does not read ranks.
///
/// # Errors
/// If the file cannot be read, a line has other fields or a score that is not finite, a query lists
/// an item twice, or ranks contradict scores; the line is named.
pub fn read_trec_run(path: &Path) -> Result<Judgments> {
    let mut order: Vec<(String, Vec<Entry>)> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    let mut n_blank = 0;
    for line in lines(path)? {
        let Line { number, text } = line?;
        if text.trim().is_empty() {
            n_blank += 1;
            continue;
        }
        let (query, entry) = Entry::parse(path, &text, number)?;
        let at = *place.entry(query.clone()).or_insert_with(|| {
            order.push((query, Vec::new()));
            order.len() - 1
        });
        order[at].1.push(entry);
    }
    let mut judgments = Judgments::new(path).spelled(Spelling::Escaped);
    let mut ties = Ties::default();
    for (query, mut entries) in order {
        in_order(path, &query, &mut entries)?;
        ties.count(&entries);
        judgments.add(&query, entries.into_iter().map(|entry| entry.item))?;
    }
    ties.note(&mut judgments);
    judgments.account_mut().used("blank line", n_blank);
    Ok(judgments)
}

/// Items whose score another item of their query has, too.
#[derive(Default)]
struct Ties {
    ranked: usize,
    unranked: usize,
}

impl Ties {
    /// Counts those of one query, whose entries are in their order.
    fn count(&mut self, entries: &[Entry]) {
        for tied in entries.chunk_by(|a, b| a.score == b.score) {
            if tied.len() < 2 {
                continue;
            }
            let of_ranks = tied.chunk_by(|a, b| a.rank == b.rank);
            let unranked: usize = of_ranks.map(<[Entry]>::len).filter(|n| *n > 1).sum();
            self.unranked += unranked;
            self.ranked += tied.len() - unranked;
        }
    }

    fn note(&self, judgments: &mut Judgments) {
        let account = judgments.account_mut();
        if self.ranked > 0 {
            account.chose(format!(
                "{} items of equal scores are in the order of their ranks; trec_eval would put the \
                 larger name first",
                self.ranked
            ));
        }
        if self.unranked > 0 {
            account.chose(format!(
                "{} items of equal scores and ranks are in trec_eval's order, the larger name first",
                self.unranked
            ));
        }
    }
}

struct Entry {
    item: String,
    rank: i64,
    score: f64,
    line: u64,
}

impl Entry {
    fn parse(path: &Path, line: &str, number: u64) -> Result<(String, Self)> {
        let found = fields(line, 6);
        let parsed = || {
            let &[query, _, item, rank, score, _] = found.as_slice() else {
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
        };
        parsed().ok_or_else(|| {
            Error::data(
                path,
                Place::Line(number),
                format!("'{line}', expected query, Q0, item, rank, score, tag"),
                remedy(found.len(), 6, "q7 Q0 d12 1 0.93 clip"),
            )
        })
    }
}

/// Puts the entries of one query in their order.
fn in_order(path: &Path, query: &str, entries: &mut [Entry]) -> Result<()> {
    let refuse = |line: u64, problem: String, remedy: &str| {
        Err(Error::data(path, Place::Line(line), problem, remedy))
    };
    entries.sort_by(|a, b| {
        let by_score = b.score.partial_cmp(&a.score).expect("scores are finite");
        by_score.then(a.rank.cmp(&b.rank)).then(b.item.cmp(&a.item))
    });
    if let Some(two) = entries.windows(2).find(|two| two[0].rank > two[1].rank) {
        let problem = format!(
            "query '{query}' has rank {} for a lower score than that of rank {}",
            two[1].rank, two[0].rank
        );
        return refuse(two[1].line, problem, "number the ranks by falling score");
    }
    let mut seen = HashMap::new();
    for entry in entries.iter() {
        if let Some(other) = seen.insert(&entry.item, entry.line) {
            let (first, second) = (other.min(entry.line), other.max(entry.line));
            let problem = format!(
                "query '{query}' lists '{}' twice, first in line {first}",
                entry.item
            );
            return refuse(second, problem, "list every item once");
        }
    }
    Ok(())
}

/// Writes the items that one query found, best first, as lines of a run. Spaces in names are
/// [`escaped`]; of equal scores the later ones are written a trifle smaller, as `trec_eval` does not
/// read ranks and would order them by name.
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
/// If `out` cannot take the bytes, or a name is empty.
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
    let query = escaped(not_empty(query)?);
    let mut last = f32::INFINITY;
    for (rank, found) in (1..).zip(found) {
        let item = escaped(not_empty(gallery.name(found.item))?);
        // Adding zero turns -0 into 0, which is the same score.
        let score = (found.score + 0.0).min(last.next_down());
        writeln!(out, "{query} Q0 {item} {rank} {score} {tag}")?;
        last = score;
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
        assert_eq!(found.account().lines()[0], "used 1 blank line");
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

    /// The order in which `trec_eval` puts the lines of one query: by falling score in single
    /// precision, then by falling name.
    fn as_trec_eval(text: &str) -> Vec<String> {
        let mut lines: Vec<(f32, &str)> = (text.lines())
            .map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                (fields[4].parse().unwrap(), fields[2])
            })
            .collect();
        lines.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(a.1)));
        lines.into_iter().map(|(_, item)| item.to_owned()).collect()
    }

    #[test]
    fn ties_keep_their_order_in_trec_eval() {
        let ids = Ids::numbered(9);
        let tied = [
            (1, 1.0),
            (8, 1.0),
            (0, 1.0),
            (7, 0.99999994),
            (3, 0.0),
            (2, -0.0),
            (4, -1.0),
        ];
        let found = tied.map(|(item, score)| Found { item, score });
        let mut text = Vec::new();
        write_trec_run(&mut text, "q", &found, &ids, "t").unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(as_trec_eval(&text), ["1", "8", "0", "7", "3", "2", "4"]);
        let again = read(&text).unwrap();
        let items: Vec<&str> = again.queries().flat_map(|(_, items)| items).collect();
        assert_eq!(items, ["1", "8", "0", "7", "3", "2", "4"]);
        assert_eq!(again.account().summary(), None);
    }

    #[test]
    fn ties_of_others_are_said() {
        let lists = |text: &str| {
            let found = read(text).unwrap();
            let items: Vec<String> = (found.queries())
                .flat_map(|(_, items)| items.map(str::to_owned).collect::<Vec<_>>())
                .collect();
            (items, found.account().summary().unwrap_or_default())
        };
        let (items, said) = lists("q Q0 a 1 1 t\nq Q0 b 2 1 t\nq Q0 c 3 0 t\n");
        assert_eq!(items, ["a", "b", "c"]);
        assert!(
            said.contains("2 items of equal scores are in the order of their ranks"),
            "{said}"
        );
        let (items, said) = lists("q Q0 a 0 1 t\nq Q0 c 0 1 t\nq Q0 b 0 1 t\nq Q0 z 0 2 t\n");
        assert_eq!(items, ["z", "c", "b", "a"]);
        assert!(
            said.contains("3 items of equal scores and ranks are in trec_eval's"),
            "{said}"
        );
        assert_eq!(
            lists("q Q0 a 0 1 t\nq Q0 b 0 2 t\n"),
            (vec!["b".into(), "a".into()], String::new())
        );
    }

    #[test]
    fn names_with_spaces_are_escaped_or_stand_between_tabs() {
        let ids = Ids::new(vec!["cap 1".into()]).unwrap();
        let mut text = Vec::new();
        let found = [Found {
            item: 0,
            score: 0.5,
        }];
        write_trec_run(&mut text, "img\u{a0}1", &found, &ids, "t").unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "img%C2%A01 Q0 cap%201 1 0.5 t\n");
        let queries = Ids::new(vec!["img\u{a0}1".into()]).unwrap();
        let named = |text: &str| {
            let found = read(text).unwrap();
            let direction = truepair_core::scores::Direction::ImageToText;
            let unknown = truepair_core::relevance::UnknownIds::Refuse;
            found
                .resolve(direction, &queries, &ids, unknown)
                .unwrap()
                .pairs
                .len()
        };
        assert_eq!(named(&text), 1);
        assert_eq!(named("img%C2%A01\tQ0\tcap 1\t1\t0.5\tmy tag\n"), 1);
        let error = read("img 1 Q0 cap 1 1 0.5 t\n").unwrap_err().to_string();
        assert!(
            error.contains("run.txt:1: 'img 1 Q0") && error.contains("%20"),
            "{error}"
        );
    }
}

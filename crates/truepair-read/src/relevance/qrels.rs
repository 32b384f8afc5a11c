//! Relevance judgments in TREC's format, `query 0 item relevance`, and in BEIR's, three columns
//! between tabs.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::relevance::{Ids, Judgments, Relevance, Spelling, escaped};
use truepair_core::scores::Direction;

use crate::lines::{Line, lines};
use crate::trec_line::{fields, remedy};

/// Reads judgments; lines whose relevance is 0 or negative say that an item is not relevant, and are
/// counted.
///
/// Lines are TREC's `query 0 item relevance`, or BEIR's `query item relevance` between tabs, under a
/// header or not.
///
/// # Source
/// Formats of NIST's `trec_eval` and of BEIR.
///
/// # Errors
/// If the file cannot be read, a line has other fields, or an item is judged twice; the line is
/// named.
pub fn read_qrels(path: &Path) -> Result<Judgments> {
    let mut judged = Judged {
        path,
        queries: Vec::new(),
        place: HashMap::new(),
        first_line: HashMap::new(),
    };
    let (mut layout, mut n_irrelevant, mut n_blank) = (None, 0, 0);
    for line in lines(path)? {
        let Line { number, text } = line?;
        if text.trim().is_empty() {
            n_blank += 1;
            continue;
        }
        let is_first = layout.is_none();
        let layout = *layout.get_or_insert_with(|| Layout::of(&text));
        if is_first && layout == Layout::BeirWithHeader {
            continue;
        }
        let (query, item, relevance) = layout.parse(path, number, &text)?;
        let at = judged.query(query);
        judged.refuse_second(number, at, item)?;
        if relevance > 0.0 {
            judged.queries[at].1.push(item.to_owned());
        } else {
            n_irrelevant += 1;
        }
    }
    let mut judgments = Judgments::new(path).spelled(Spelling::Escaped);
    let why = "it says that an item is not relevant";
    judgments
        .account_mut()
        .pass_count("judgment", why, n_irrelevant);
    judgments.account_mut().used("blank line", n_blank);
    if layout == Some(Layout::Beir) {
        let how = "three columns without a header are query, item and relevance";
        judgments.account_mut().chose(how);
    }
    for (query, items) in judged.queries {
        judgments.add(&query, items)?;
    }
    Ok(judgments)
}

/// Judgments on their way into lists.
struct Judged<'a> {
    path: &'a Path,
    queries: Vec<(String, Vec<String>)>,
    /// Index of each query.
    place: HashMap<String, usize>,
    /// The line that judges an item of a query first.
    first_line: HashMap<(usize, String), u64>,
}

impl Judged<'_> {
    fn query(&mut self, query: &str) -> usize {
        if let Some(&at) = self.place.get(query) {
            return at;
        }
        self.place.insert(query.to_owned(), self.queries.len());
        self.queries.push((query.to_owned(), Vec::new()));
        self.queries.len() - 1
    }

    fn refuse_second(&mut self, line: u64, query: usize, item: &str) -> Result<()> {
        match self.first_line.insert((query, item.to_owned()), line) {
            None => Ok(()),
            Some(first) => Err(Error::data(
                self.path,
                Place::Line(line),
                format!(
                    "query '{}' lists '{item}' twice, first in line {first}",
                    self.queries[query].0
                ),
                "judge every item of a query once",
            )),
        }
    }
}

/// What the columns of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `query 0 item relevance`.
    Trec,
    /// `query item relevance`, between tabs.
    Beir,
    /// The same under a line that names the columns.
    BeirWithHeader,
}

impl Layout {
    /// The layout of a file that begins with this line.
    fn of(line: &str) -> Self {
        let between_tabs: Vec<&str> = line.split('\t').collect();
        let names = |cell: &str, words: &[&str]| {
            let cell = cell.trim().to_ascii_lowercase();
            words.iter().any(|word| cell.contains(word))
        };
        match between_tabs[..] {
            [query, _, score]
                if names(query, &["query", "qid"]) || names(score, &["score", "rel", "label"]) =>
            {
                Self::BeirWithHeader
            }
            [_, _, _] => Self::Beir,
            _ => Self::Trec,
        }
    }

    /// Query, item and relevance.
    fn parse<'a>(self, path: &Path, number: u64, line: &'a str) -> Result<(&'a str, &'a str, f64)> {
        let (n, expected, example) = match self {
            Self::Trec => (4, "query, 0, item, relevance", "q7 0 d12 1"),
            _ => (3, "query, item, relevance between tabs", "q7\td12\t1"),
        };
        let found = fields(line, n);
        let parsed = match (self, &found[..]) {
            (Self::Trec, &[query, _, item, relevance]) => Some((query, item, relevance)),
            (Self::Beir | Self::BeirWithHeader, &[query, item, relevance]) => {
                Some((query, item, relevance))
            }
            _ => None,
        };
        let parsed = parsed.and_then(|(query, item, relevance)| {
            let relevance: f64 = relevance.parse().ok()?;
            relevance.is_finite().then_some((query, item, relevance))
        });
        parsed.ok_or_else(|| {
            Error::data(
                path,
                Place::Line(number),
                format!("'{line}', expected {expected}"),
                remedy(found.len(), n, example),
            )
        })
    }
}

/// Writes one direction's relevant pairs; spaces in names are [`escaped`], and relevant items outside
/// the gallery have no name and are left out.
///
/// # Errors
/// If `out` cannot take the bytes, or a name is empty.
///
/// # Panics
/// If there are fewer ids than queries or items.
pub fn write_qrels(
    out: &mut dyn Write,
    relevance: &Relevance,
    direction: Direction,
    queries: &Ids,
    gallery: &Ids,
) -> std::io::Result<()> {
    for query in 0..relevance.n_queries(direction) as u32 {
        let name = not_empty(queries.name(query))?;
        for &item in relevance.relevant(direction, query) {
            let item = not_empty(gallery.name(item))?;
            writeln!(out, "{} 0 {} 1", escaped(name), escaped(item))?;
        }
    }
    Ok(())
}

/// A name that can stand in a line.
pub(crate) fn not_empty(name: &str) -> std::io::Result<&str> {
    match name.is_empty() {
        true => Err(std::io::Error::other(
            "an id is empty, and cannot stand in a TREC file",
        )),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use truepair_core::pair::Pair;
    use truepair_core::relevance::UnknownIds;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let pairs = [(0, 1), (0, 2), (2, 0)].map(|(image, caption)| Pair { image, caption });
        let relevance = Relevance::from_pairs(3, 3, &pairs);
        let ids = Ids::numbered(3);
        let folder = tempfile::tempdir().unwrap();
        let read = |direction| {
            let mut bytes = Vec::new();
            write_qrels(&mut bytes, &relevance, direction, &ids, &ids).unwrap();
            let path = folder.path().join("qrels");
            std::fs::write(&path, bytes).unwrap();
            let judgments = read_qrels(&path).unwrap();
            judgments
                .resolve(direction, &ids, &ids, UnknownIds::Refuse)
                .unwrap()
        };
        let again =
            Relevance::from_judgments(read(Direction::ImageToText), read(Direction::TextToImage));
        assert_eq!(again, relevance);
    }

    #[test]
    fn lines_without_relevance_make_a_query_and_other_lines_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qrels");
        std::fs::write(&path, "a 0 x 0\na 0 y 2\n\nb 0 x 0\n").unwrap();
        let judgments = read_qrels(&path).unwrap();
        let found: Vec<(&str, Vec<&str>)> = (judgments.queries())
            .map(|(query, items)| (query, items.collect()))
            .collect();
        assert_eq!(found, [("a", vec!["y"]), ("b", vec![])]);
        let said = judgments.account().lines().join("; ");
        assert!(
            said.contains("1 blank line") && said.contains("2 judgments"),
            "{said}"
        );
        std::fs::write(&path, "a 0 x 1\na 0 y\n").unwrap();
        let error = read_qrels(&path).unwrap_err().to_string();
        assert!(
            error.contains("qrels:2: 'a 0 y', expected query"),
            "{error}"
        );
    }

    fn read(text: &str) -> Result<Judgments> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qrels.tsv");
        std::fs::write(&path, text).unwrap();
        read_qrels(&path)
    }

    fn lists(judgments: &Judgments) -> Vec<(String, Vec<String>)> {
        let text = |(query, items): (&str, _)| (query.to_owned(), strings(items));
        judgments.queries().map(text).collect()
    }

    fn strings<'a>(items: impl Iterator<Item = &'a str>) -> Vec<String> {
        items.map(str::to_owned).collect()
    }

    #[test]
    fn the_columns_of_beir_are_read_with_and_without_their_names() {
        let rows = "q 1\tc 1\t1\nq 1\tc 2\t0\nq 2\tc 2\t2.0\n";
        let expected = [
            ("q 1".to_owned(), vec!["c 1".to_owned()]),
            ("q 2".to_owned(), vec!["c 2".to_owned()]),
        ];
        let found = read(&format!("query-id\tcorpus-id\tscore\r\n{rows}")).unwrap();
        assert_eq!(lists(&found), expected);
        assert_eq!(
            found.account().summary().unwrap(),
            "passed over 1 judgment: it says that an item is not relevant"
        );
        let found = read(rows).unwrap();
        assert_eq!(lists(&found), expected);
        assert!(
            found
                .account()
                .summary()
                .unwrap()
                .contains("three columns without a header")
        );
    }

    #[test]
    fn items_judged_twice_and_lines_of_other_fields_are_named() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        let twice = message("a 0 x 1\nb 0 x 1\na 0 x 0\n");
        assert!(
            twice.contains("qrels.tsv:3: query 'a' lists 'x' twice, first in line 1"),
            "{twice}"
        );
        let spaces = message("img 1.jpg 0 cap 1 1\n");
        assert!(
            spaces.contains("qrels.tsv:1") && spaces.contains("%20"),
            "{spaces}"
        );
        assert!(message("a 0 x NaN\n").contains("expected query, 0, item"));
        assert!(message("query-id\tcorpus-id\tscore\na\tx\n").contains("qrels.tsv:2"));
        assert!(message("a\tx\tyes\n").contains("qrels.tsv:1"));
    }

    #[test]
    fn names_with_spaces_come_back() {
        let pairs = [Pair {
            image: 0,
            caption: 1,
        }];
        let relevance = Relevance::from_pairs(1, 2, &pairs);
        let images = Ids::new(vec!["img 1%.jpg".into()]).unwrap();
        let captions = Ids::new(vec!["a".into(), "cap\t2".into()]).unwrap();
        let mut bytes = Vec::new();
        let direction = Direction::ImageToText;
        write_qrels(&mut bytes, &relevance, direction, &images, &captions).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "img%201%25.jpg 0 cap%092 1\n");
        let again = read(&text).unwrap();
        let found = again
            .resolve(direction, &images, &captions, UnknownIds::Refuse)
            .unwrap();
        assert_eq!(found.pairs, pairs);
        let nameless = Ids::new(vec![String::new()]).unwrap();
        let mut bytes = Vec::new();
        assert!(write_qrels(&mut bytes, &relevance, direction, &nameless, &captions).is_err());
    }
}

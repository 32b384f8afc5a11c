//! Relevance judgments in TREC's format, `query 0 item relevance`.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};
use truepair_core::relevance::{Ids, Judgments, Relevance};
use truepair_core::scores::Direction;

/// Reads judgments; lines whose relevance is 0 or negative say that an item is not relevant.
///
/// # Source
/// Format of NIST's `trec_eval`.
///
/// # Errors
/// If the file cannot be read, or a line has other fields; the line is named.
pub fn read_qrels(path: &Path) -> Result<Judgments> {
    let mut queries: Vec<(String, Vec<String>)> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    for (at, line) in crate::lines::read_lines(path)?.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let relevance = fields.get(3).and_then(|field| field.parse::<i64>().ok());
        let (&[query, _, item, _], Some(relevance)) = (fields.as_slice(), relevance) else {
            return Err(Error::data(
                path,
                Place::Line(at as u64 + 1),
                format!("'{line}', expected query, 0, item, relevance"),
                "write four fields separated by spaces, for instance `q7 0 d12 1`",
            ));
        };
        let at = *place.entry(query.to_owned()).or_insert_with(|| {
            queries.push((query.to_owned(), Vec::new()));
            queries.len() - 1
        });
        if relevance > 0 {
            queries[at].1.push(item.to_owned());
        }
    }
    let mut judgments = Judgments::new(path);
    for (query, items) in queries {
        judgments.add(&query, items)?;
    }
    Ok(judgments)
}

/// Writes one direction's relevant pairs; relevant items outside the gallery have no name and are
/// left out.
///
/// # Errors
/// If `out` cannot take the bytes.
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
        for &item in relevance.relevant(direction, query) {
            writeln!(out, "{} 0 {} 1", queries.name(query), gallery.name(item))?;
        }
    }
    Ok(())
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
        std::fs::write(&path, "a 0 x 1\na 0 y\n").unwrap();
        let error = read_qrels(&path).unwrap_err().to_string();
        assert!(
            error.contains("qrels:2: 'a 0 y', expected query"),
            "{error}"
        );
    }
}

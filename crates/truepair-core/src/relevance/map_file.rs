//! Relevance as a JSON map from each query to its relevant items.

use std::path::Path;

use super::Judgments;
use super::ids::json_name;
use crate::error::{Error, Place, Result};

/// Reads `{"query": ["item", ...], ...}`; ids may be texts or integers.
///
/// # Errors
/// If the file cannot be read or is no such map, or a query lists an item twice.
pub fn read_map(path: &Path) -> Result<Judgments> {
    let text = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
    let refuse = |problem: String, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text)
        .map_err(|cause| refuse(cause.to_string(), "write {\"query\": [\"item\", ...], ...}"))?;
    let mut queries = Vec::with_capacity(map.len());
    for (query, items) in map {
        let names: Option<Vec<String>> =
            (items.as_array()).and_then(|items| items.iter().map(json_name).collect::<Option<_>>());
        let names = names.ok_or_else(|| {
            refuse(
                format!("the items of query '{query}' are {items}, expected a list of ids"),
                "write {\"query\": [\"item\", ...], ...}",
            )
        })?;
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|two| two[0] == two[1]) {
            return Err(refuse(
                format!("query '{query}' lists '{}' twice", twice[0]),
                "list every item once",
            ));
        }
        queries.push((query, names));
    }
    Ok(Judgments {
        file: path.into(),
        queries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Judgments> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        std::fs::write(&path, text).unwrap();
        read_map(&path)
    }

    #[test]
    fn ids_may_be_numbers_or_texts() {
        let found = read(r#"{"205636": [633028, "634789"], "7": []}"#).unwrap();
        let first = ("205636".to_owned(), vec!["633028".into(), "634789".into()]);
        assert_eq!(found.queries, [first, ("7".to_owned(), Vec::new())]);
    }

    #[test]
    fn what_is_no_map_of_lists_is_refused() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            message("[1, 2]").contains("map.json: "),
            "{}",
            message("[1]")
        );
        assert!(message(r#"{"a": 3}"#).contains("items of query 'a' are 3"));
        assert!(message(r#"{"a": [1.5]}"#).contains("expected a list of ids"));
        assert!(message(r#"{"a": [1, "1"]}"#).contains("query 'a' lists '1' twice"));
    }
}

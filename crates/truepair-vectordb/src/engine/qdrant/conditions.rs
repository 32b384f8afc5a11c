//! A filter as Qdrant's conditions, which are JSON.

use serde_json::{Value as Json, json};
use truepair_core::error::{Error, Result};

use crate::filter::{Comparison, Filter};
use crate::json_row::json_of;
use crate::record::Value;

/// Whole numbers up to here are the same as numbers of 64 bits.
const EXACT: u64 = 1 << 53;

/// The condition that holds for the same records as `filter`.
///
/// # Errors
/// If Qdrant cannot ask for it: the order of texts.
pub(super) fn condition(filter: &Filter) -> Result<Json> {
    Ok(match filter {
        Filter::Compare {
            column,
            comparison,
            value,
        } => compare(column, *comparison, value)?,
        Filter::In { column, values } => {
            let parts = values
                .iter()
                .map(|value| compare(column, Comparison::Equal, value));
            any(parts.collect::<Result<_>>()?)
        }
        Filter::And(filters) => {
            let parts: Vec<Json> = filters.iter().map(condition).collect::<Result<_>>()?;
            json!({ "must": parts })
        }
        Filter::Or(filters) => any(filters.iter().map(condition).collect::<Result<_>>()?),
        Filter::Not(filter) => json!({ "must_not": [condition(filter)?] }),
    })
}

/// One of them at least; of none, nothing, which an empty `should` would not say.
fn any(parts: Vec<Json>) -> Json {
    if parts.is_empty() {
        return json!({ "must_not": [{ "must": [] }] });
    }
    json!({ "should": parts })
}

fn compare(column: &str, comparison: Comparison, value: &Value) -> Result<Json> {
    let key = key(column)?;
    let is = |value: &Value| json!({ "key": key, "match": { "value": json_of(value) } });
    Ok(match (comparison, value) {
        (Comparison::Equal, Value::Bool(_) | Value::Text(_)) => is(value),
        (Comparison::Equal, Value::Int(whole)) if whole.unsigned_abs() > EXACT => is(value),
        (Comparison::NotEqual, Value::Text(text)) => {
            let differs = json!({ "key": key, "match": { "except": [text] } });
            json!({ "must": [differs], "must_not": [{ "is_empty": { "key": key } }] })
        }
        (_, Value::Bool(given)) => {
            let fits = |own: &bool| match comparison {
                Comparison::NotEqual => own != given,
                Comparison::Less => !own & given,
                Comparison::AtMost => own <= given,
                Comparison::Greater => own & !given,
                _ => own >= given,
            };
            let truths = [false, true].into_iter().filter(fits);
            any(truths.map(|own| is(&Value::Bool(own))).collect())
        }
        (_, Value::Text(_)) => {
            let problem = format!(
                "Qdrant cannot order texts, as `{column} {} …` asks",
                comparison.sign()
            );
            return Err(Error::argument(
                problem,
                "compare texts with = and != there",
            ));
        }
        (_, number) => {
            let number = json_of(number);
            let range = |range: Json| json!({ "key": key, "range": range });
            match comparison {
                Comparison::Equal => range(json!({ "gte": number, "lte": number })),
                Comparison::NotEqual => any(vec![
                    range(json!({ "lt": number })),
                    range(json!({ "gt": number })),
                ]),
                Comparison::Less => range(json!({ "lt": number })),
                Comparison::AtMost => range(json!({ "lte": number })),
                Comparison::Greater => range(json!({ "gt": number })),
                Comparison::AtLeast => range(json!({ "gte": number })),
            }
        }
    })
}

/// A column's name as a path: quoted where a sign would be read as part of a path.
fn key(column: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if column.bytes().all(is_plain) {
        return Ok(column.to_owned());
    }
    if column.contains('"') {
        let problem =
            format!("Qdrant cannot ask for the column {column:?}, whose name holds a quote");
        return Err(Error::argument(problem, "name the column differently"));
    }
    Ok(format!("\"{column}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(comparison: Comparison, value: Value) -> Json {
        condition(&Filter::compare("w", comparison, value)).unwrap()
    }

    #[test]
    fn comparisons_are_ranges_and_matches() {
        assert_eq!(
            of(Comparison::Equal, Value::Int(3)),
            json!({ "key": "w", "range": { "gte": 3, "lte": 3 } })
        );
        assert_eq!(
            of(Comparison::NotEqual, Value::Float(0.5)),
            json!({ "should": [
                { "key": "w", "range": { "lt": 0.5 } },
                { "key": "w", "range": { "gt": 0.5 } },
            ] })
        );
        assert_eq!(
            of(Comparison::Equal, Value::Int(i64::MAX)),
            json!({ "key": "w", "match": { "value": i64::MAX } })
        );
        assert_eq!(
            of(Comparison::NotEqual, Value::Text("a".into())),
            json!({
                "must": [{ "key": "w", "match": { "except": ["a"] } }],
                "must_not": [{ "is_empty": { "key": "w" } }],
            })
        );
        assert_eq!(
            of(Comparison::Less, Value::Bool(true)),
            json!({ "should": [{ "key": "w", "match": { "value": false } }] })
        );
        let less = Filter::compare("w", Comparison::Less, Value::Text("a".into()));
        assert!(
            condition(&less)
                .unwrap_err()
                .to_string()
                .contains("order texts")
        );
        assert_eq!(key("a.b").unwrap(), "\"a.b\"");
        assert!(key("a\"b").unwrap_err().to_string().contains("quote"));
    }

    #[test]
    fn nothing_and_everything_stay_so() {
        assert_eq!(
            condition(&Filter::And(vec![])).unwrap(),
            json!({ "must": [] })
        );
        let nothing = json!({ "must_not": [{ "must": [] }] });
        assert_eq!(condition(&Filter::Or(vec![])).unwrap(), nothing);
        let not = Filter::Not(Box::new(Filter::Or(vec![])));
        assert_eq!(condition(&not).unwrap(), json!({ "must_not": [nothing] }));
    }
}

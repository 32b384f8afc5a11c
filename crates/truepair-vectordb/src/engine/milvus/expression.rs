//! A filter as an expression of Milvus. It has no parameters in REST, so texts and names are escaped here.

use std::fmt::Write as _;

use crate::filter::{Comparison, Filter};
use crate::record::Value;

/// The expression that holds for the same records as `filter`.
pub(super) fn expression(filter: &Filter) -> String {
    match filter {
        Filter::Compare {
            column,
            comparison,
            value,
        } => compare(column, *comparison, value),
        Filter::In { column, values } => {
            let parts = values
                .iter()
                .map(|value| compare(column, Comparison::Equal, value));
            joined(parts.collect(), "or", NOTHING)
        }
        Filter::And(filters) => joined(filters.iter().map(expression).collect(), "and", EVERYTHING),
        Filter::Or(filters) => joined(filters.iter().map(expression).collect(), "or", NOTHING),
        Filter::Not(filter) => format!("(not ({}))", expression(filter)),
    }
}

/// Constants are no conditions to Milvus; every id has a character.
const EVERYTHING: &str = "(id != \"\")";
const NOTHING: &str = "(id == \"\")";

fn joined(parts: Vec<String>, word: &str, of_none: &str) -> String {
    if parts.is_empty() {
        return of_none.to_owned();
    }
    format!("({})", parts.join(&format!(" {word} ")))
}

fn compare(column: &str, comparison: Comparison, value: &Value) -> String {
    let left = if column == "id" {
        "id".to_owned()
    } else {
        format!("$meta[{}]", quoted(column))
    };
    if column == "id" && !matches!(value, Value::Text(_)) {
        return NOTHING.to_owned();
    }
    let test = |sign: &str, right: &str| format!("{left} {sign} {right}");
    match (comparison, value) {
        (Comparison::Equal, _) => test("==", &literal(value)),
        // Milvus finds what is missing, or of another kind, unequal; here it is not.
        (Comparison::NotEqual, Value::Bool(value)) => test("==", &literal(&Value::Bool(!value))),
        (Comparison::NotEqual, _) => {
            let right = literal(value);
            format!("({} or {})", test("<", &right), test(">", &right))
        }
        // Truths have no order there: false is before true.
        (_, Value::Bool(value)) => {
            let fits = |own: bool| match comparison {
                Comparison::Less => !own & value,
                Comparison::AtMost => own <= *value,
                Comparison::Greater => own & !value,
                _ => own >= *value,
            };
            let truths = [false, true].into_iter().filter(|own| fits(*own));
            let parts = truths.map(|own| test("==", &literal(&Value::Bool(own))));
            joined(parts.collect(), "or", NOTHING)
        }
        (other, _) => test(other.sign(), &literal(value)),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        // Milvus reads the sign apart from the digits, of which this one has too many.
        Value::Int(i64::MIN) => format!("{:?}", i64::MIN as f64),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(text) => quoted(text),
    }
}

/// Between quotes that the text cannot end.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_names_cannot_end_their_quotes() {
        let filter = Filter::compare(
            "a\"] == 1 or $meta[\"b",
            Comparison::Equal,
            Value::Text("x\\\" or id != \"\n".into()),
        );
        assert_eq!(
            expression(&filter),
            r#"$meta["a\"] == 1 or $meta[\"b"] == "x\\\" or id != \"\n""#
        );
    }

    #[test]
    fn what_milvus_means_differently_is_put_in_other_words() {
        let of = |comparison, value| expression(&Filter::compare("w", comparison, value));
        assert_eq!(
            of(Comparison::NotEqual, Value::Int(3)),
            r#"($meta["w"] < 3 or $meta["w"] > 3)"#
        );
        assert_eq!(
            of(Comparison::NotEqual, Value::Bool(true)),
            r#"$meta["w"] == false"#
        );
        assert_eq!(
            of(Comparison::Less, Value::Bool(true)),
            r#"($meta["w"] == false)"#
        );
        assert_eq!(of(Comparison::Less, Value::Bool(false)), NOTHING);
        assert_eq!(
            of(Comparison::AtLeast, Value::Float(2.0)),
            r#"$meta["w"] >= 2.0"#
        );
        let id = Filter::compare("id", Comparison::Equal, Value::Int(3));
        assert_eq!(
            expression(&Filter::Not(Box::new(id))),
            format!("(not ({NOTHING}))")
        );
        assert_eq!(expression(&Filter::And(vec![])), EVERYTHING);
    }
}

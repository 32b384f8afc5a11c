//! A filter as a condition of SQL: the text is made of fixed words, what was given goes into parameters.

use tokio_postgres::types::ToSql;

use crate::filter::{Comparison, Filter};
use crate::record::Value;

/// A value for `$1`, `$2`, …
pub(crate) type Parameter = Box<dyn ToSql + Sync + Send>;

/// The condition that holds for the same records as `filter`; its values are appended to `parameters`.
/// Never unknown (`NULL`), so that `NOT` turns it around.
pub(crate) fn condition(filter: &Filter, parameters: &mut Vec<Parameter>) -> String {
    match filter {
        Filter::Compare {
            column,
            comparison,
            value,
        } => compare(column, *comparison, value, parameters),
        Filter::In { column, values } => is_one_of(column, values, parameters),
        Filter::And(filters) => joined(filters, "AND", "true", parameters),
        Filter::Or(filters) => joined(filters, "OR", "false", parameters),
        Filter::Not(filter) => format!("(NOT {})", condition(filter, parameters)),
    }
}

fn joined(
    filters: &[Filter],
    word: &str,
    of_none: &str,
    parameters: &mut Vec<Parameter>,
) -> String {
    let parts: Vec<String> = (filters.iter())
        .map(|filter| condition(filter, parameters))
        .collect();
    if parts.is_empty() {
        return of_none.to_owned();
    }
    format!("({})", parts.join(&format!(" {word} ")))
}

fn compare(
    column: &str,
    comparison: Comparison,
    value: &Value,
    parameters: &mut Vec<Parameter>,
) -> String {
    let sign = match comparison {
        Comparison::NotEqual => "<>",
        other => other.sign(),
    };
    match value {
        Value::Bool(value) => test(column, Kind::Bool, sign, "", Box::new(*value), parameters),
        Value::Int(value) => test(column, Kind::Int, sign, "", Box::new(*value), parameters),
        Value::Float(value) => test(column, Kind::Float, sign, "", Box::new(*value), parameters),
        Value::Text(value) => {
            let value = Box::new(value.clone());
            test(column, Kind::Text, sign, "", value, parameters)
        }
    }
}

fn is_one_of(column: &str, values: &[Value], parameters: &mut Vec<Parameter>) -> String {
    let (mut bools, mut ints, mut floats, mut texts) = (vec![], vec![], vec![], vec![]);
    for value in values {
        match value {
            Value::Bool(value) => bools.push(*value),
            Value::Int(value) => ints.push(*value),
            Value::Float(value) => floats.push(*value),
            Value::Text(value) => texts.push(value.clone()),
        }
    }
    let mut parts = Vec::new();
    let mut add = |is_empty: bool, kind, values: Parameter| {
        if !is_empty {
            parts.push(test(column, kind, "=", "[]", values, parameters));
        }
    };
    add(bools.is_empty(), Kind::Bool, Box::new(bools));
    add(ints.is_empty(), Kind::Int, Box::new(ints));
    add(floats.is_empty(), Kind::Float, Box::new(floats));
    add(texts.is_empty(), Kind::Text, Box::new(texts));
    if parts.is_empty() {
        return "false".to_owned();
    }
    format!("({})", parts.join(" OR "))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

impl Kind {
    /// What jsonb calls it, the type of the parameter, and the type that is compared.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Bool => ("boolean", "bool", "bool"),
            // Exact beyond 2^53, and with numbers that are not whole.
            Self::Int => ("number", "int8", "numeric"),
            Self::Float => ("number", "float8", "float8"),
            Self::Text => ("string", "text", "text COLLATE \"C\""),
        }
    }
}

/// `column sign value`, or `column sign ANY(values)` where `list` is `[]`.
fn test(
    column: &str,
    kind: Kind,
    sign: &str,
    list: &str,
    value: Parameter,
    parameters: &mut Vec<Parameter>,
) -> String {
    let (in_json, given, compared) = kind.words();
    let own = ["id", "caption", "picture"]
        .iter()
        .find(|own| **own == column);
    let is_number = matches!(kind, Kind::Int | Kind::Float);
    let mut parameter = |value: Parameter| {
        parameters.push(value);
        format!("${}", parameters.len())
    };
    let right = |place: String| {
        if list.is_empty() {
            format!("{place}::{given}")
        } else {
            format!("ANY({place}::{given}[])")
        }
    };
    match own {
        Some(own) if kind == Kind::Text => {
            let right = right(parameter(value));
            format!("COALESCE(t.{own} COLLATE \"C\" {sign} {right}, false)")
        }
        Some(_) => "false".to_owned(),
        None if column == "p_mismatched" && is_number => {
            let right = right(parameter(value));
            format!("COALESCE(t.p_mismatched {sign} {right}, false)")
        }
        None if column == "p_mismatched" => "false".to_owned(),
        None => {
            let name = parameter(Box::new(column.to_owned()));
            let right = right(parameter(value));
            format!(
                "CASE WHEN jsonb_typeof(t.metadata -> {name}::text) = '{in_json}' \
                 THEN (t.metadata ->> {name}::text)::{compared} {sign} {right} ELSE false END"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_given_stands_in_parameters() {
        let nasty = "x'; DROP TABLE t; --\" $1";
        let text = Value::Text(nasty.into());
        let filter = Filter::Or(vec![
            Filter::compare(nasty, Comparison::Equal, text.clone()),
            Filter::Not(Box::new(Filter::compare(
                "id",
                Comparison::Less,
                text.clone(),
            ))),
            Filter::In {
                column: nasty.into(),
                values: vec![text, Value::Int(1), Value::Bool(true), Value::Float(0.5)],
            },
        ]);
        let mut parameters: Vec<Parameter> = vec![Box::new(1i64)];
        let sql = condition(&filter, &mut parameters);
        assert!(!sql.contains("DROP") && !sql.contains(nasty), "{sql}");
        let given = |word: &str| {
            parameters
                .iter()
                .filter(|p| format!("{p:?}").contains(word))
                .count()
        };
        // The name five times, its text in a comparison with the column, with the id and in the list.
        assert_eq!(given("DROP"), 8);
        assert!(sql.contains("$12") && !sql.contains("$13"), "{sql}");
    }

    #[test]
    fn the_text_of_a_comparison() {
        let mut parameters = Vec::new();
        let filter = Filter::compare("width", Comparison::NotEqual, Value::Int(3));
        assert_eq!(
            condition(&filter, &mut parameters),
            "CASE WHEN jsonb_typeof(t.metadata -> $1::text) = 'number' \
             THEN (t.metadata ->> $1::text)::numeric <> $2::int8 ELSE false END"
        );
        let filter = Filter::compare("p_mismatched", Comparison::Less, Value::Float(0.5));
        let sql = condition(&filter, &mut parameters);
        assert_eq!(sql, "COALESCE(t.p_mismatched < $3::float8, false)");
        let filter = Filter::compare("p_mismatched", Comparison::Less, Value::Text("a".into()));
        assert_eq!(condition(&filter, &mut parameters), "false");
        assert_eq!(condition(&Filter::And(vec![]), &mut parameters), "true");
        assert_eq!(parameters.len(), 3);
    }
}

//! Which records may be hits: a small typed language that every engine speaks in its own way.

use std::cmp::Ordering;

use truepair_core::error::{Error, Result};

use crate::record::{Record, Value};

/// A condition on a record. Columns are those of [`Record::columns`], and `id`, `caption`, `picture` and
/// `p_mismatched`.
///
/// A comparison holds for a record that has the column with a value of the same kind (whole and other
/// numbers are one kind), and for no other: `width < 5` and `width != 5` are both false without a width, while
/// `not width = 5` is true.
///
/// ```
/// use truepair_vectordb::{Comparison, Filter, Record, Value};
///
/// let web = Filter::compare("source", Comparison::Equal, Value::Text("web".into()));
/// let wide = Filter::compare("width", Comparison::Greater, Value::Int(512));
/// let filter = Filter::And(vec![web, Filter::Not(Box::new(wide))]);
/// let mut record = Record::default();
/// assert!(!filter.holds(&record));
/// record.columns.insert("source".into(), Value::Text("web".into()));
/// assert!(filter.holds(&record));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// The column's value on the left, the given one on the right.
    Compare {
        /// Name of the column.
        column: String,
        /// How the two are compared.
        comparison: Comparison,
        /// The given value.
        value: Value,
    },
    /// The column's value equals one of these; of none, false.
    In {
        /// Name of the column.
        column: String,
        /// The given values.
        values: Vec<Value>,
    },
    /// All hold; of none, true.
    And(Vec<Filter>),
    /// One holds at least; of none, false.
    Or(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// The sign, as SQL, Milvus and people write it; equality is `=`.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

impl Filter {
    /// A comparison of a column with a value.
    pub fn compare(column: &str, comparison: Comparison, value: Value) -> Self {
        Self::Compare {
            column: column.to_owned(),
            comparison,
            value,
        }
    }

    /// Whether it holds for `record`; what every engine must answer.
    pub fn holds(&self, record: &Record) -> bool {
        match self {
            Self::Compare {
                column,
                comparison,
                value,
            } => value_of(record, column)
                .and_then(|own| order(&own, value))
                .is_some_and(|order| comparison.holds(order)),
            Self::In { column, values } => value_of(record, column).is_some_and(|own| {
                (values.iter()).any(|value| order(&own, value).is_some_and(Ordering::is_eq))
            }),
            Self::And(filters) => filters.iter().all(|filter| filter.holds(record)),
            Self::Or(filters) => filters.iter().any(|filter| filter.holds(record)),
            Self::Not(filter) => !filter.holds(record),
        }
    }

    /// # Errors
    /// If a value is no finite number or a text holds what no database takes.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Compare { column, value, .. } => check_value(column, value),
            Self::In { column, values } => values
                .iter()
                .try_for_each(|value| check_value(column, value)),
            Self::And(filters) | Self::Or(filters) => filters.iter().try_for_each(Self::check),
            Self::Not(filter) => filter.check(),
        }
    }
}

fn check_value(column: &str, value: &Value) -> Result<()> {
    let is_usable = match value {
        Value::Float(number) => number.is_finite(),
        Value::Text(text) => !text.contains('\0'),
        Value::Bool(_) | Value::Int(_) => true,
    };
    if is_usable && !column.contains('\0') {
        return Ok(());
    }
    let problem = format!("the filter compares column {column:?} with {value:?}");
    Err(Error::argument(
        problem,
        "compare with finite numbers, and texts without the character of code 0",
    ))
}

fn value_of(record: &Record, column: &str) -> Option<Value> {
    let text = |text: Option<&String>| text.cloned().map(Value::Text);
    match column {
        "id" => Some(Value::Text(record.id.clone())),
        "caption" => text(record.caption.as_ref()),
        "picture" => text(record.picture.as_ref()),
        "p_mismatched" => record.p_mismatched.map(Value::Float),
        _ => record.columns.get(column).cloned(),
    }
}

/// How two values of one kind are ordered.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (left, right) => number(left)?.partial_cmp(&number(right)?),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Bool(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(column: &str, comparison: Comparison, value: Value) -> bool {
        let record = Record {
            id: "a".into(),
            columns: [
                ("n".to_owned(), Value::Int(3)),
                ("t".to_owned(), Value::Text("b".into())),
            ]
            .into(),
            ..Record::default()
        };
        Filter::compare(column, comparison, value).holds(&record)
    }

    #[test]
    fn only_values_of_one_kind_compare() {
        assert!(holds("n", Comparison::Equal, Value::Float(3.0)));
        assert!(holds("n", Comparison::Less, Value::Float(3.5)));
        assert!(!holds("n", Comparison::Greater, Value::Int(3)));
        assert!(holds("n", Comparison::AtLeast, Value::Int(3)));
        assert!(holds("t", Comparison::AtMost, Value::Text("b".into())));
        assert!(holds("t", Comparison::NotEqual, Value::Text("c".into())));
        for comparison in [Comparison::Equal, Comparison::NotEqual, Comparison::Less] {
            assert!(!holds("n", comparison, Value::Text("3".into())));
            assert!(!holds("missing", comparison, Value::Int(3)));
        }
        assert!(holds("id", Comparison::Equal, Value::Text("a".into())));
        assert!(!holds("p_mismatched", Comparison::Less, Value::Float(0.5)));
    }

    #[test]
    fn nothing_and_everything() {
        let record = Record::default();
        assert!(Filter::And(vec![]).holds(&record) && !Filter::Or(vec![]).holds(&record));
        let none = Filter::In {
            column: "id".into(),
            values: vec![],
        };
        assert!(!none.holds(&record) && Filter::Not(Box::new(none)).holds(&record));
        let nan = Filter::compare("x", Comparison::Less, Value::Float(f64::NAN));
        assert!(Filter::Not(Box::new(nan)).check().is_err());
    }
}

//! A filter as plain values, without the places where it was typed.

use super::expression::{Expression, Operator};
use crate::item::Value;

/// What a [`Filter`](super::Filter) says.
///
/// ```
/// use truepair_index::{Condition, Filter, Value};
///
/// let filter = Filter::parse("width >= 512")?;
/// let Condition::Compare { column, sign, value } = filter.condition() else { unreachable!() };
/// assert_eq!((column.as_str(), sign, value), ("width", ">=", Value::Int(512)));
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All hold.
    All(Vec<Condition>),
    /// One holds at least.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A column has no value.
    Missing(String),
    /// A column is compared with a value.
    Compare {
        /// Its name.
        column: String,
        /// `=`, `!=`, `<`, `<=`, `>` or `>=`.
        sign: &'static str,
        /// The value on the right.
        value: Value,
    },
    /// A column equals one of these.
    In {
        /// Its name.
        column: String,
        /// The values.
        values: Vec<Value>,
    },
    /// A column of text holds this part.
    Contains {
        /// Its name.
        column: String,
        /// The part.
        value: Value,
    },
}

impl Condition {
    pub(super) fn of(expression: &Expression) -> Self {
        let all = |parts: &[Expression]| parts.iter().map(Self::of).collect();
        match expression {
            Expression::All(parts) => Self::All(all(parts)),
            Expression::Any(parts) => Self::Any(all(parts)),
            Expression::Not(part) => Self::Not(Box::new(Self::of(part))),
            Expression::Missing(field) => Self::Missing(field.name.clone()),
            Expression::Compare(field, operator, literal) => Self::Compare {
                column: field.name.clone(),
                sign: sign(*operator),
                value: literal.value.clone(),
            },
            Expression::In(field, literals) => Self::In {
                column: field.name.clone(),
                values: literals
                    .iter()
                    .map(|literal| literal.value.clone())
                    .collect(),
            },
            Expression::Contains(field, literal) => Self::Contains {
                column: field.name.clone(),
                value: literal.value.clone(),
            },
        }
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "=",
        Operator::Unequal => "!=",
        Operator::Below => "<",
        Operator::AtMost => "<=",
        Operator::Above => ">",
        Operator::AtLeast => ">=",
    }
}

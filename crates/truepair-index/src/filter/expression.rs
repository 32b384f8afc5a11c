//! What a filter means, and whether columns have the types that it asks for.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use truepair_core::Result;

use super::token::refuse;
use crate::item::{Value, ValueKind};

/// Fields that every item has a place for; all are text.
pub(super) const FIELDS: [&str; 3] = ["id", "text", "picture"];

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Missing(Field),
    Compare(Field, Operator, Literal),
    In(Field, Vec<Literal>),
    Contains(Field, Literal),
}

/// A column or field, and the character where it is named.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) at: usize,
}

/// A value, and the character where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub(super) value: Value,
    pub(super) at: usize,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Operator {
    /// The operator that is written so.
    pub(super) fn of(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" | "==" => Operator::Equal,
            "!=" => Operator::Unequal,
            "<" => Operator::Below,
            "<=" => Operator::AtMost,
            ">" => Operator::Above,
            ">=" => Operator::AtLeast,
            _ => return None,
        })
    }

    /// Whether values in this order pass.
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::Unequal => ordering.is_ne(),
            Operator::Below => ordering.is_lt(),
            Operator::AtMost => ordering.is_le(),
            Operator::Above => ordering.is_gt(),
            Operator::AtLeast => ordering.is_ge(),
        }
    }
}

impl Expression {
    /// Whether columns of these types can be filtered so.
    pub(super) fn check(&self, columns: &BTreeMap<String, ValueKind>) -> Result<()> {
        match self {
            Expression::All(parts) | Expression::Any(parts) => {
                parts.iter().try_for_each(|part| part.check(columns))
            }
            Expression::Not(part) => part.check(columns),
            Expression::Missing(field) => field.kind(columns).map(drop),
            Expression::Compare(field, operator, literal) => {
                let kind = field.kind(columns)?;
                let ordered = !matches!(operator, Operator::Equal | Operator::Unequal);
                if kind == ValueKind::Bool && ordered {
                    let problem = format!("`{}` is true or false and has no order", field.name);
                    return Err(refuse(field.at, problem, "compare it by = or !="));
                }
                literal.check(field, kind)
            }
            Expression::In(field, literals) => {
                let kind = field.kind(columns)?;
                literals
                    .iter()
                    .try_for_each(|literal| literal.check(field, kind))
            }
            Expression::Contains(field, literal) => {
                let kind = field.kind(columns)?;
                if kind != ValueKind::Text {
                    let problem = format!(
                        "`{}` holds {kind}, and `contains` asks for text",
                        field.name
                    );
                    return Err(refuse(field.at, problem, "compare it by =, <, >"));
                }
                literal.check(field, kind)
            }
        }
    }
}

impl Field {
    fn kind(&self, columns: &BTreeMap<String, ValueKind>) -> Result<ValueKind> {
        if FIELDS.contains(&self.name.as_str()) {
            return Ok(ValueKind::Text);
        }
        if let Some(kind) = columns.get(&self.name) {
            return Ok(*kind);
        }
        let names = columns.keys().map(String::as_str).chain(FIELDS);
        let near = (names.clone())
            .map(|name| (strsim::osa_distance(&self.name, name), name))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= self.name.chars().count().div_ceil(3));
        let remedy = match near {
            Some((_, name)) => format!("did you mean `{name}`?"),
            None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
        };
        Err(refuse(
            self.at,
            format!("there is no column `{}`", self.name),
            &remedy,
        ))
    }
}

impl Literal {
    fn check(&self, field: &Field, kind: ValueKind) -> Result<()> {
        let given = self.value.kind();
        if given == kind || (given.joined(kind).is_some() && kind != ValueKind::Bool) {
            return Ok(());
        }
        let problem = format!(
            "`{}` holds {kind}, and this value is of the type {given}",
            field.name
        );
        let remedy = match kind {
            ValueKind::Text => "write text in quotes",
            ValueKind::Bool => "write true or false",
            ValueKind::Int | ValueKind::Float => "write a number without quotes",
        };
        Err(refuse(self.at, problem, remedy))
    }
}

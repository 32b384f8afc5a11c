//! A condition on all rows of a part at once, column by column.

use std::cmp::Ordering;

use truepair_core::Result;

use super::expression::{Expression, Field, Literal, Operator};
use crate::bitmap::Bitmap;
use crate::item::Value;
use crate::segment::{Cells, Part, StoredColumn};

/// The rows of a part that pass; the expression fits the part's columns.
pub(super) fn evaluate(expression: &Expression, part: &Part) -> Result<Bitmap> {
    let n = part.n();
    Ok(match expression {
        Expression::All(parts) => {
            let mut rows = Bitmap::new(n).complement();
            for inner in parts {
                rows.intersect(&evaluate(inner, part)?);
            }
            rows
        }
        Expression::Any(parts) => {
            let mut rows = Bitmap::new(n);
            for inner in parts {
                rows.unite(&evaluate(inner, part)?);
            }
            rows
        }
        Expression::Not(inner) => evaluate(inner, part)?.complement(),
        Expression::Missing(field) => present(field, part)?.complement(),
        Expression::Compare(field, operator, literal) => {
            compare(field, part, literal, |ordering| operator.holds(ordering))?
        }
        Expression::In(field, literals) => {
            let mut rows = Bitmap::new(n);
            for literal in literals {
                let equal = |ordering| Operator::Equal.holds(ordering);
                rows.unite(&compare(field, part, literal, equal)?);
            }
            rows
        }
        Expression::Contains(field, literal) => {
            let Value::Text(text) = &literal.value else {
                unreachable!("the types were checked")
            };
            texts(field, part, |found| contains(found, text.as_bytes()))?
        }
    })
}

fn column<'a>(field: &Field, part: &'a Part) -> Option<&'a StoredColumn> {
    part.columns()
        .iter()
        .find(|column| column.name == field.name)
}

/// The rows that have a value.
fn present(field: &Field, part: &Part) -> Result<Bitmap> {
    match field.name.as_str() {
        "id" | "text" | "picture" => texts(field, part, |_| true),
        _ => Ok(
            column(field, part).map_or(Bitmap::new(part.n()), |column| column.present(part.n()))
        ),
    }
}

/// The rows whose value stands to the literal as `holds` says.
fn compare(
    field: &Field,
    part: &Part,
    literal: &Literal,
    holds: impl Fn(Ordering) -> bool,
) -> Result<Bitmap> {
    let n = part.n();
    if let Value::Text(text) = &literal.value {
        return texts(field, part, |found| holds(found.cmp(text.as_bytes())));
    }
    let Some(column) = column(field, part) else {
        return Ok(Bitmap::new(n));
    };
    let is = |ordering: Option<Ordering>| ordering.is_some_and(&holds);
    let mut rows = match (column.cells(), &literal.value) {
        (Cells::Bool(values), Value::Bool(wanted)) => {
            Bitmap::of(n, |row| holds((values[row] != 0).cmp(wanted)))
        }
        (Cells::Int(values), Value::Int(wanted)) => {
            Bitmap::of(n, |row| holds(values[row].cmp(wanted)))
        }
        (Cells::Int(values), Value::Float(wanted)) => {
            Bitmap::of(n, |row| is((values[row] as f64).partial_cmp(wanted)))
        }
        (Cells::Float(values), Value::Float(wanted)) => {
            Bitmap::of(n, |row| is(values[row].partial_cmp(wanted)))
        }
        (Cells::Float(values), Value::Int(wanted)) => {
            let wanted = *wanted as f64;
            Bitmap::of(n, |row| is(values[row].partial_cmp(&wanted)))
        }
        _ => unreachable!("the types were checked"),
    };
    rows.intersect(&column.present(n));
    Ok(rows)
}

/// The rows that have a text of which `holds` is true.
fn texts(field: &Field, part: &Part, holds: impl Fn(&[u8]) -> bool) -> Result<Bitmap> {
    let mut rows = Bitmap::new(part.n());
    let mut take = |row: usize, text: Option<&str>| {
        if text.is_some_and(|text| holds(text.as_bytes())) {
            rows.insert(row);
        }
    };
    match field.name.as_str() {
        "id" => (0..part.n()).try_for_each(|row| part.id(row).map(|id| take(row, Some(id))))?,
        "text" => (0..part.n()).try_for_each(|row| part.text(row).map(|text| take(row, text)))?,
        "picture" => {
            (0..part.n()).try_for_each(|row| part.picture(row).map(|place| take(row, place)))?;
        }
        _ => {
            let Some(column) = column(field, part) else {
                return Ok(rows);
            };
            let Cells::Text(values) = column.cells() else {
                unreachable!("the types were checked")
            };
            let mut rows = Bitmap::of(part.n(), |row| holds(values.get(row)));
            rows.intersect(&column.present(part.n()));
            return Ok(rows);
        }
    }
    Ok(rows)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

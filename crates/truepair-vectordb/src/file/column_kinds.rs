//! Which columns records have, and of what kind.

use std::collections::BTreeMap;

use crate::record::{Record, Value};

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Truths.
    Bool,
    /// Whole numbers.
    Int,
    /// Numbers, some of which are not whole.
    Float,
    /// Texts, or values of several kinds as texts.
    Text,
}

/// Columns by name. A table of files has the same columns in every record, so they are learned first.
///
/// ```
/// use truepair_vectordb::{ColumnKind, ColumnKinds, Record, Value};
///
/// let mut kinds = ColumnKinds::default();
/// for width in [Value::Int(3), Value::Float(0.5)] {
///     kinds.learn(&Record { columns: [("width".into(), width)].into(), ..Record::default() });
/// }
/// assert_eq!(kinds.get("width"), Some(ColumnKind::Float));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnKinds(BTreeMap<String, ColumnKind>);

impl ColumnKinds {
    /// Adds the columns of a record; a column of whole and other numbers holds numbers, one of anything else
    /// besides holds texts.
    pub fn learn(&mut self, record: &Record) {
        for (name, value) in &record.columns {
            let kind = match value {
                Value::Bool(_) => ColumnKind::Bool,
                Value::Int(_) => ColumnKind::Int,
                Value::Float(_) => ColumnKind::Float,
                Value::Text(_) => ColumnKind::Text,
            };
            match self.0.get_mut(name) {
                None => drop(self.0.insert(name.clone(), kind)),
                Some(known) => *known = both(*known, kind),
            }
        }
    }

    /// The kind of a column.
    pub fn get(&self, name: &str) -> Option<ColumnKind> {
        self.0.get(name).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), *kind))
    }
}

fn both(one: ColumnKind, other: ColumnKind) -> ColumnKind {
    use ColumnKind::{Float, Int, Text};
    match (one, other) {
        (one, other) if one == other => one,
        (Int | Float, Int | Float) => Float,
        _ => Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_several_kinds_become_what_holds_all() {
        let of = |values: &[Value]| {
            let mut kinds = ColumnKinds::default();
            for value in values {
                kinds.learn(&Record {
                    columns: [("x".to_owned(), value.clone())].into(),
                    ..Record::default()
                });
            }
            kinds.get("x").unwrap()
        };
        assert_eq!(
            of(&[Value::Bool(true), Value::Bool(false)]),
            ColumnKind::Bool
        );
        assert_eq!(of(&[Value::Float(0.5), Value::Int(1)]), ColumnKind::Float);
        assert_eq!(of(&[Value::Int(1), Value::Bool(true)]), ColumnKind::Text);
        assert_eq!(
            of(&[Value::Text("a".into()), Value::Int(1)]),
            ColumnKind::Text
        );
    }
}

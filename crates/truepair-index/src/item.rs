//! What an index keeps of an item besides its vector.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use truepair_core::scores::Matrix;

/// One of the two galleries of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The gallery of images.
    Images,
    /// The gallery of captions.
    Captions,
}

impl Side {
    /// Both, images first.
    pub const BOTH: [Side; 2] = [Side::Images, Side::Captions];

    /// `images` or `captions`.
    pub fn name(self) -> &'static str {
        match self {
            Side::Images => "images",
            Side::Captions => "captions",
        }
    }
}

/// An item of a gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, which no other live item of its gallery has.
    pub id: String,
    /// A caption's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where a picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Further values by column; a column that is not here is missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Value>,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// The type of its column.
    pub fn kind(&self) -> ValueKind {
        match self {
            Value::Bool(_) => ValueKind::Bool,
            Value::Int(_) => ValueKind::Int,
            Value::Float(_) => ValueKind::Float,
            Value::Text(_) => ValueKind::Text,
        }
    }
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// True or false.
    Bool,
    /// Whole numbers of 64 bits.
    Int,
    /// Numbers of double precision.
    Float,
    /// Text.
    Text,
}

impl ValueKind {
    /// The type that holds values of both: whole numbers are numbers, nothing else mixes.
    pub(crate) fn joined(self, other: ValueKind) -> Option<ValueKind> {
        use ValueKind::{Float, Int};
        match (self, other) {
            _ if self == other => Some(self),
            (Int, Float) | (Float, Int) => Some(Float),
            _ => None,
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueKind::Bool => "true or false",
            ValueKind::Int => "whole numbers",
            ValueKind::Float => "numbers",
            ValueKind::Text => "text",
        })
    }
}

/// Items and their vectors, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// What is kept of each.
    pub items: Vec<Item>,
    /// Their vectors `[items.len(), dim]`, finite.
    pub vectors: Matrix,
}

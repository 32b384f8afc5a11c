//! Which rows a search may find: `source = "web" and (width > 512 or not missing(license))`.

mod condition;
mod evaluate;
mod expression;
mod parse;
mod token;

use std::collections::BTreeMap;
use std::fmt;

use truepair_core::Result;

use crate::bitmap::Bitmap;
use crate::item::ValueKind;
use crate::segment::Part;
pub use condition::Condition;
use expression::Expression;

/// A condition on the columns of an item, and on its `id`, `text` and `picture`.
///
/// | | |
/// |---|---|
/// | `width > 512` | also `=`, `!=`, `<`, `<=`, `>=`; text is compared byte by byte, `true` and `false` only by `=` and `!=` |
/// | `source in ("web", "book")` | equals one of them |
/// | `text contains "cat"` | of text: is part of it |
/// | `missing(license)` | has no value |
/// | `not a`, `a and b`, `a or b`, `(a)` | binding in this order |
///
/// A comparison with a value that is missing does not hold, whatever the operator. Text stands in `"` or `'`,
/// a backslash takes the next character as it is; a column whose name is no word stands in backticks.
/// Comparing a column with a value of another type is an error, not false.
///
/// ```
/// use truepair_index::Filter;
///
/// assert!(Filter::parse("source = \"web\" and (width > 512 or not missing(license))").is_ok());
/// let error = Filter::parse("width > and").unwrap_err().to_string();
/// assert!(error.starts_with("filter, character 9: expected a value"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    text: String,
    root: Expression,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// If the text is no filter; the error says at which character, counted from 1, and what was expected.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self {
            text: text.to_owned(),
            root: parse::parse(text)?,
        })
    }

    /// Whether a gallery with these columns can be filtered so; a search checks it too.
    ///
    /// # Errors
    /// If a column is not there, or is compared with a value of another type; the error names the
    /// nearest column.
    pub fn check(&self, columns: &BTreeMap<String, ValueKind>) -> Result<()> {
        self.root.check(columns)
    }

    /// What it says, for engines that speak another language.
    pub fn condition(&self) -> Condition {
        Condition::of(&self.root)
    }

    /// The rows of all parts that pass.
    pub(crate) fn evaluate(
        &self,
        parts: &[Part],
        columns: &BTreeMap<String, ValueKind>,
    ) -> Result<Bitmap> {
        self.check(columns)?;
        let mut passing = Bitmap::new(0);
        for part in parts {
            passing.extend(&evaluate::evaluate(&self.root, part)?);
        }
        Ok(passing)
    }
}

/// As it was typed.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

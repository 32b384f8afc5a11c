//! What one record of a table holds in one column, whatever kind of file it lies in.

/// What one record holds in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing: the key is absent, or its value null.
    Missing,
    /// One text; numbers as they are written.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
    /// An object, or a list of objects, with these keys and no `path`: it holds no text by itself.
    Keys(Vec<String>),
}

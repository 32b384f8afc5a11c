//! What one record of a table holds in one column, or at a place inside it, whatever kind of file it
//! lies in.

/// What one record holds at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing: the key is absent, or its value null.
    #[default]
    Missing,
    /// One text; numbers as they are written.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

impl Cell {
    /// The text alone.
    ///
    /// # Errors
    /// The texts, if there are several.
    pub(super) fn only(self) -> Result<Option<String>, Vec<String>> {
        match self {
            Cell::Missing => Ok(None),
            Cell::One(text) => Ok(Some(text)),
            Cell::Many(mut texts) if texts.len() < 2 => Ok(texts.pop()),
            Cell::Many(texts) => Err(texts),
        }
    }

    /// All texts.
    pub(super) fn texts(self) -> Vec<String> {
        match self {
            Cell::Missing => Vec::new(),
            Cell::One(text) => vec![text],
            Cell::Many(texts) => texts,
        }
    }
}

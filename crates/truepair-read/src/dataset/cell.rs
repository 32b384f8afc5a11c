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
    /// A list of texts of which some are null.
    Gapped(Vec<Option<String>>),
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
            gapped @ Cell::Gapped(_) => Cell::Many(gapped.texts()).only(),
        }
    }

    /// All texts that are there.
    pub(super) fn texts(self) -> Vec<String> {
        match self {
            Cell::Missing => Vec::new(),
            Cell::One(text) => vec![text],
            Cell::Many(texts) => texts,
            Cell::Gapped(texts) => texts.into_iter().flatten().collect(),
        }
    }

    /// The texts as captions. An element of a list that is null or blank is an empty caption; a cell that holds no list
    /// and no text is none, as tables have as many columns as the image with the most captions.
    pub(super) fn captions(self) -> Vec<String> {
        let filled = |text: String| match text.trim().is_empty() {
            true => String::new(),
            false => text,
        };
        match self {
            Cell::Missing => Vec::new(),
            Cell::One(text) if text.trim().is_empty() => Vec::new(),
            Cell::One(text) => vec![text],
            Cell::Many(texts) => texts.into_iter().map(filled).collect(),
            Cell::Gapped(texts) => {
                let texts = texts.into_iter().map(Option::unwrap_or_default);
                texts.map(filled).collect()
            }
        }
    }
}

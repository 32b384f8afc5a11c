//! A plot with the words around it, as every page of this program shows it.

/// A plot with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// The inline `<svg>`, in which text of the data is escaped.
    pub(crate) svg: String,
    /// What the colors mean.
    pub(crate) legend: Vec<LegendKey>,
    /// How to read it, in one or two sentences.
    pub(crate) reading: String,
}

/// One entry of a legend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LegendKey {
    /// Class of the style sheet that colors both the mark and its swatch.
    pub(crate) class: String,
    pub(crate) text: String,
}

impl LegendKey {
    pub(crate) fn new(class: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            text: text.into(),
        }
    }
}

//! What is found for a question.

/// A hit by its row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) row: usize,
    /// Larger is more similar; comparable within one question only.
    pub(crate) score: f32,
    /// Probability that the item answers.
    pub(crate) p_relevant: Option<f64>,
    /// Whether it belongs to the answer set of the coverage asked for.
    pub(crate) in_answer: Option<bool>,
}

/// The hits of a question, best first: as many as were asked for, or more where the answer set is larger.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchAnswer {
    pub(crate) hits: Vec<Found>,
    /// Probability that nothing answers, at even odds.
    pub(crate) p_nothing: Option<f64>,
    /// Whether so few answerable queries look as hopeless that nothing here seems to match.
    pub(crate) nothing_here: Option<bool>,
    /// What whoever reads the numbers should know.
    pub(crate) notes: Vec<String>,
}

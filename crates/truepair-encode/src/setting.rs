//! What an encoder was set to, and where that was found.

use std::fmt;

use serde::Serialize;

/// One setting of an encoder, for instance `mean` from `preprocessor_config.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// What is set.
    pub name: &'static str,
    /// To what.
    pub value: String,
    /// The file or argument that says so.
    pub source: String,
}

impl Setting {
    pub(crate) fn new(name: &'static str, value: impl fmt::Display, source: &str) -> Self {
        Self {
            name,
            value: value.to_string(),
            source: source.to_owned(),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.value, self.source)
    }
}

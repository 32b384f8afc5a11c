//! The ways in which the self-check changes pairs.

use serde::{Deserialize, Serialize};

/// What is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum InjectionKind {
    /// Captions exchanged at random: mismatched pairs.
    Random,
    /// Captions moved to an image that looks like their own: near misses, also mismatched.
    Near,
    /// Captions replaced by what no matcher can read, random words or numbers. Whether such a pair
    /// is mismatched cannot be told, so none should be called so.
    Illegible,
}

impl InjectionKind {
    /// All kinds.
    pub const ALL: [InjectionKind; 3] = [
        InjectionKind::Random,
        InjectionKind::Near,
        InjectionKind::Illegible,
    ];

    /// The word that a user writes.
    pub const fn name(self) -> &'static str {
        match self {
            InjectionKind::Random => "random",
            InjectionKind::Near => "near",
            InjectionKind::Illegible => "illegible",
        }
    }

    /// Whether pairs of this kind are mismatched.
    pub const fn is_mismatch(self) -> bool {
        !matches!(self, InjectionKind::Illegible)
    }
}

//! SGRAF: similarity vectors of words and of whole items, joined by graph reasoning (SGR) or by
//! attention filtration (SAF).

mod global;
mod joint;
mod nodes;
pub mod published;
mod saf;
mod sgr;
#[cfg(test)]
mod tests;

pub use global::{TextGlobal, VisualGlobal};
pub use joint::{Sgraf, SgrafConfig};
pub use nodes::NodeEncoder;
pub use saf::{AttentionNorm, Saf, SafConfig};
pub use sgr::{Reasoning, Sgr, SgrConfig};

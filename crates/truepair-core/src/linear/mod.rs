//! `linear`: a matcher with a closed form, ridge-regularized canonical correlation.
//!
//! Linear maps take the vectors of two modalities into one space; a few decompositions of small
//! matrices give the maps. The fit takes seconds, memory does not grow with the number of pairs, and on
//! frozen embeddings it is the baseline that a trained head has to beat. It is the audit's default
//! matcher.
//!
//! It reads vectors only: regions are pooled, and texts become vectors by
//! [`LatentSemantics`](crate::text::LatentSemantics) first.

mod canonical;
mod choice;
mod config;
mod cross_fit;
mod kept_judge;
mod matcher;
mod moments;
mod ready;
mod vectors;

pub use config::{Chosen, LinearConfig, Pooling, VectorsConfig};
pub use cross_fit::LinearLearner;
pub use kept_judge::{KeptJudge, NewItems};
pub use matcher::{LinearMatcher, Projection};
pub use ready::ReadyMatchers;
pub use vectors::{ItemVectors, SideVectors};

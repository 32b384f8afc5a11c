//! What somebody else trained, before the first step: networks and word vectors.

mod weights;
mod word_vectors;

pub(crate) use weights::load;
pub use word_vectors::WordVectors;

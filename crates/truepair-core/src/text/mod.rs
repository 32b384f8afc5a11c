//! From captions to tokens, from tokens to numbers, and from captions to vectors without an encoder.
//!
//! Published vocabularies and matchers see captions the way NLTK splits them; a token that is split
//! elsewhere is an unknown word to them. So [`treebank::tokenize`] follows NLTK to the token, and
//! [`Vocabulary`] reads and writes the published files. [`LatentSemantics`] needs neither: it counts
//! words, and pieces of a few characters where words are rare or not separated.

mod latent_semantics;
mod sentence;
mod sparse;
mod terms;
pub mod treebank;
mod unfamiliar;
mod visible;
mod vocabulary;

pub use latent_semantics::{LatentSemantics, LatentSemanticsConfig};
pub use unfamiliar::unfamiliar_captions;
pub use visible::{invisible, is_blank};
pub use vocabulary::{END, Encoded, PAD, START, UNKNOWN, Vocabulary};

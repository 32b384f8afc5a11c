//! Captions to tokens, and tokens to numbers.
//!
//! Published vocabularies and matchers see captions the way NLTK splits them; a token that is split
//! elsewhere is an unknown word to them. So [`treebank::tokenize`] follows NLTK to the token, and
//! [`Vocabulary`] reads and writes the published files.

mod sentence;
pub mod treebank;
mod vocabulary;

pub use vocabulary::{END, Encoded, PAD, START, UNKNOWN, Vocabulary};

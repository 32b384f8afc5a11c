//! How a matcher reads captions that are texts.

use truepair_core::Result;
use truepair_core::dataset::Dataset;
use truepair_core::rng::Seed;
use truepair_core::text::{LatentSemantics, Vocabulary};

use crate::matcher::MatcherConfig;

/// The vocabulary convention of the published precomputed data sets.
const MIN_WORD_COUNT: u32 = 4;

/// What makes texts into what a caption backbone reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Texts {
    /// Token ids, for backbones that embed words themselves.
    Tokens(Vocabulary),
    /// Vectors, for backbones that read features where the data has none.
    Vectors(LatentSemantics),
}

impl Texts {
    /// Learns to read the captions of `train` as the matcher wants them; `None` where it reads caption
    /// features that the data brings.
    ///
    /// # Errors
    /// If the data has no texts.
    pub fn of(config: &MatcherConfig, train: &Dataset, seed: Seed) -> Result<Option<Self>> {
        if config.caption.reads_tokens() {
            let captions = train.require_captions()?.iter().map(String::as_str);
            return Ok(Some(Self::Tokens(Vocabulary::build(
                captions,
                MIN_WORD_COUNT,
            ))));
        }
        Ok(match &config.text {
            None => None,
            Some(text) => {
                let analysis = LatentSemantics::fit(train.require_captions()?, text, seed)?;
                Some(Self::Vectors(analysis))
            }
        })
    }

    /// Whether a text holds a word that the captions of training held.
    pub fn know(&self, text: &str) -> bool {
        match self {
            Self::Tokens(vocabulary) => vocabulary.knows(text),
            Self::Vectors(analysis) => analysis.knows(text),
        }
    }

    /// The token ids, where captions are read as such.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match self {
            Self::Tokens(vocabulary) => Some(vocabulary),
            Self::Vectors(_) => None,
        }
    }
}

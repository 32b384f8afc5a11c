//! How captions are read, as a run directory keeps it.

use std::path::Path;

use truepair_core::text::{LatentSemantics, Vocabulary};

use super::file;
use crate::error::Result;
use truepair_model::matcher::MatcherConfig;
use truepair_model::reader::Texts;

/// Writes what a run directory keeps.
pub(super) fn write(texts: &Texts, dir: &Path) -> Result<()> {
    match texts {
        Texts::Tokens(vocabulary) => vocabulary.write(dir.join(file::VOCABULARY))?,
        Texts::Vectors(analysis) => analysis.write(dir.join(file::ANALYSIS))?,
    }
    Ok(())
}

/// Reads what [`write`] wrote for such a matcher.
pub(super) fn read(config: &MatcherConfig, dir: &Path) -> Result<Option<Texts>> {
    Ok(if config.caption.reads_tokens() {
        let vocabulary = Vocabulary::read(dir.join(file::VOCABULARY))?;
        Some(Texts::Tokens(vocabulary))
    } else if config.text.is_some() {
        let analysis = LatentSemantics::read(dir.join(file::ANALYSIS))?;
        Some(Texts::Vectors(analysis))
    } else {
        None
    })
}

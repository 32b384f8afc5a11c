//! What an audit said of its pairs, read back.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use truepair_core::dataset::Dataset;
use truepair_core::pair::Pair;
use truepair_read::dataset::PlainTable;

/// The verdicts of an audit by image and caption.
pub(crate) struct StoredVerdicts(HashMap<(String, String), StoredVerdict>);

/// What was said of one pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StoredVerdict {
    /// Probability, [0, 1], that it is mismatched; `None` where it could not be told.
    pub(crate) p_mismatched: Option<f64>,
    /// Whether the cleaned list holds it.
    pub(crate) is_kept: bool,
}

impl StoredVerdicts {
    /// # Errors
    /// If the folder holds no verdicts, or a probability is none.
    pub(crate) fn read(audit: &Path) -> Result<Self> {
        let file = audit.join("verdicts.csv");
        let columns = ["image", "caption", "posterior", "keep", "judgment"];
        let table = PlainTable::read(&file, Some(&columns))
            .with_context(|| format!("{}: holds no verdicts to go on from", audit.display()))?;
        let mut verdicts = HashMap::with_capacity(table.records.len());
        for (record, cells) in table.records.into_iter().enumerate() {
            let cells = cells.into_iter().map(Option::unwrap_or_default);
            let Ok([image, caption, posterior, keep, judgment]) =
                <[String; 5]>::try_from(cells.collect::<Vec<_>>())
            else {
                unreachable!("as many cells as columns were asked for")
            };
            let Some(posterior) = (posterior.parse().ok()).filter(|p| (0.0..=1.0).contains(p))
            else {
                bail!(
                    "{}: record {}: `{posterior}` is no probability (audit again)",
                    file.display(),
                    record + 1
                )
            };
            let verdict = StoredVerdict {
                p_mismatched: (judgment != "unknown").then_some(posterior),
                is_kept: keep == "true",
            };
            verdicts.insert((image, caption), verdict);
        }
        Ok(Self(verdicts))
    }

    /// What was said of a pair of the data.
    pub(crate) fn of(&self, dataset: &Dataset, pair: Pair) -> Option<StoredVerdict> {
        self.0.get(&Self::key(dataset, pair)).copied()
    }

    /// Image and caption of a pair as verdicts name them.
    pub(crate) fn key(dataset: &Dataset, pair: Pair) -> (String, String) {
        let caption = match &dataset.captions {
            Some(texts) => texts[pair.caption as usize].clone(),
            None => pair.caption.to_string(),
        };
        (dataset.image_ids[pair.image as usize].clone(), caption)
    }
}

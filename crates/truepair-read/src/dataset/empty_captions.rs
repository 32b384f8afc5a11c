//! What becomes of captions without a text, in every format alike.

use std::path::Path;

use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Place, Result};

use super::OnEmpty;

/// Does with the empty captions of `dataset` what `on_empty` says; `place` says where caption `n`
/// stands in `path`.
///
/// # Errors
/// If there is one and `on_empty` refuses it.
pub(super) fn settle_empty_captions(
    mut dataset: Dataset,
    on_empty: OnEmpty,
    path: &Path,
    place: impl Fn(usize) -> Place,
) -> Result<Dataset> {
    let texts = dataset.captions.as_deref().unwrap_or_default();
    let is_empty = |text: &String| text.trim().is_empty();
    let Some(first) = texts.iter().position(is_empty) else {
        return Ok(dataset);
    };
    match on_empty {
        OnEmpty::Keep => Ok(dataset),
        OnEmpty::Error => Err(Error::data(
            path,
            place(first),
            "empty caption",
            "write a caption, remove the pair, or set on_empty = \"drop\"",
        )),
        OnEmpty::Drop => {
            let kept: Vec<u32> = (0..texts.len())
                .filter(|&n| !is_empty(&texts[n]))
                .map(|n| n as u32)
                .collect();
            let empty = texts.len() - kept.len();
            (dataset.account).pass_count("caption", "it is empty and asked to be dropped", empty);
            dataset.select_captions(&kept);
            Ok(dataset)
        }
    }
}

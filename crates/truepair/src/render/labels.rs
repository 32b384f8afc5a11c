//! Figures of labeled data as text.

use truepair_core::labeled::ClassRetrieval;
use truepair_train::labeled::LabelEpoch;

/// Mean average precision of every direction, as fractions: the unit of the literature.
pub(crate) fn class_map_text(found: &ClassRetrieval) -> String {
    let each: Vec<String> = (found.directions.iter())
        .map(|one| format!("{} to {} {:.3}", one.query, one.gallery, one.map))
        .collect();
    format!("{} (mean {:.3})", each.join(", "), found.mean)
}

/// One epoch in one line.
pub(crate) fn label_epoch_text(record: &LabelEpoch) -> String {
    let mut line = format!("epoch {:3}  loss {:.4}", record.epoch + 1, record.loss);
    if let Some(map) = record.selection_map {
        line.push_str(&format!("  mAP {map:.4}"));
        if record.best {
            line.push_str("  best so far");
        }
    }
    line
}

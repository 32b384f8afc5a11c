//! Which classes there are, and labels as numbers from 0.

use std::collections::HashSet;
use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};
use truepair_core::labeled::{LabeledSet, Modality};

use super::names::{RawModality, RawSplit};

/// The numbering of the classes in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Classes {
    /// Label of the first class, 0 or 1.
    pub(super) first: i64,
    pub(super) count: usize,
}

/// Finds the numbering. The number of classes is the one asked for, else that of the class names,
/// else what the labels of `train` (or of the only split) span. Numbers begin at 1 when no label is
/// 0.
///
/// # Errors
/// If there are fewer than two classes, more than [`MAX_CLASSES`] and than items, or names and number
/// disagree.
pub(super) fn settle(
    path: &Path,
    splits: &[RawSplit],
    names: Option<&[String]>,
    asked: Option<usize>,
) -> Result<Classes> {
    let labels = |split: &RawSplit| -> Vec<i64> {
        (split.modalities.iter())
            .flat_map(|modality| modality.labels.values.iter().copied())
            .collect()
    };
    let all: Vec<i64> = splits.iter().flat_map(labels).collect();
    let train = splits.iter().find(|split| split.split == "train");
    let of_train = train.or(splits.first()).map(labels).unwrap_or_default();
    let largest = of_train.iter().copied().max().unwrap_or(0);
    let known = asked.or(names.map(<[String]>::len));
    let from_zero = all.contains(&0) || known.is_some_and(|count| largest < count as i64);
    let first = i64::from(!from_zero);
    let spanned = usize::try_from(largest - first + 1).unwrap_or(0);
    let count = known.unwrap_or(spanned);
    let refuse =
        |problem: String, remedy: &str| Err(Error::data(path, Place::Whole, problem, remedy));
    if let (Some(asked), Some(names)) = (asked, names)
        && asked != names.len()
    {
        return refuse(
            format!("{} classes are named, {asked} were asked for", names.len()),
            "leave the number out, or correct the names",
        );
    }
    if count < 2 {
        return refuse(
            format!("{count} class(es), expected at least 2"),
            "labels are class numbers, counted from 0 or 1",
        );
    }
    let n_labels = splits.iter().map(|split| labels(split).len()).max();
    if count > MAX_CLASSES.max(n_labels.unwrap_or(0)) {
        return refuse_too_many(path, splits, count, largest);
    }
    Ok(Classes { first, count })
}

/// As many classes are taken whatever the number of items.
const MAX_CLASSES: usize = 10_000;

/// Names the item of the largest label, which is likely not a class.
fn refuse_too_many(
    path: &Path,
    splits: &[RawSplit],
    count: usize,
    largest: i64,
) -> Result<Classes> {
    let modalities = splits.iter().flat_map(|split| &split.modalities);
    let found = modalities.into_iter().find_map(|modality| {
        let values = &modality.labels.values;
        let row = values.iter().position(|label| *label == largest)?;
        Some((modality.labels.path.as_path(), Place::Row(row as u64)))
    });
    let (path, place) = found.unwrap_or((path, Place::Whole));
    Err(Error::data(
        path,
        place,
        format!("label {largest} makes {count} classes, more than there are items"),
        "number the classes from 0 without gaps: np.unique(labels, return_inverse=True)[1]",
    ))
}

/// Says which classes have no item in any split.
pub(super) fn note_empty(splits: &[RawSplit], classes: Classes, account: &mut Account) {
    let modalities = splits.iter().flat_map(|split| &split.modalities);
    let labels: HashSet<i64> = modalities
        .flat_map(|modality| modality.labels.values.iter().copied())
        .collect();
    let all = (classes.first..).take(classes.count);
    let empty: Vec<i64> = all.filter(|class| !labels.contains(class)).collect();
    if !empty.is_empty() {
        let names: Vec<String> = empty.iter().take(10).map(ToString::to_string).collect();
        let more = if empty.len() > 10 { ", …" } else { "" };
        account.chose(format!(
            "{} classes, of which {} have no item: {}{more}",
            classes.count,
            empty.len(),
            names.join(", ")
        ));
    }
}

/// The splits with labels from 0.
///
/// # Errors
/// If a label lies outside the classes; file and row are named.
pub(super) fn number(splits: Vec<RawSplit>, classes: Classes) -> Result<Vec<LabeledSet>> {
    (splits.into_iter())
        .map(|raw| {
            let modalities: Result<Vec<Modality>> = (raw.modalities.into_iter())
                .map(|modality| numbered(modality, classes))
                .collect();
            Ok(LabeledSet {
                split: raw.split,
                n_classes: classes.count,
                modalities: modalities?,
            })
        })
        .collect()
}

fn numbered(modality: RawModality, classes: Classes) -> Result<Modality> {
    let last = classes.first + classes.count as i64 - 1;
    let check = |(row, &label): (usize, &i64)| {
        if (classes.first..=last).contains(&label) {
            return Ok((label - classes.first) as u32);
        }
        Err(Error::data(
            &modality.labels.path,
            Place::Row(row as u64),
            format!(
                "label {label} is outside the {} classes {} to {last}",
                classes.count, classes.first
            ),
            "correct the label, or remove the item",
        ))
    };
    let labels: Result<Vec<u32>> = modality
        .labels
        .values
        .iter()
        .enumerate()
        .map(check)
        .collect();
    Ok(Modality {
        labels: labels?,
        name: modality.name,
        features: modality.features,
    })
}

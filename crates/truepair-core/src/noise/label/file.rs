//! Wrong labels from a file: one list for all modalities, or one column per modality.

use std::path::Path;

use crate::error::{Error, Place, Result};
use crate::labeled::LabeledSet;
use crate::npy;

const REMEDY: &str = "use the labels made for this split, or plant noise with symmetric:RATE";

/// The labels of every modality according to an `.npy` file `[n]` or `[n, m]` of labels as the data
/// numbers them.
pub(super) fn labels(set: &LabeledSet, path: &Path, first_label: i64) -> Result<Vec<Vec<u32>>> {
    let (values, shape) = npy::read_ints(path)?;
    let (n, m) = (set.len(), set.modalities.len());
    let columns = shape.get(1).copied().unwrap_or(1);
    if shape[0] != n || (columns != 1 && columns != m) {
        return Err(Error::data(
            path,
            Place::Whole,
            format!(
                "labels of shape {shape:?}, but split '{}' has {n} items in {m} modalities",
                set.split
            ),
            REMEDY,
        ));
    }
    let label = |item: usize, column: usize| {
        let value = values[item * columns + column];
        let class = u32::try_from(value - first_label).ok();
        class
            .filter(|&class| (class as usize) < set.n_classes)
            .ok_or_else(|| {
                let last = first_label + set.n_classes as i64 - 1;
                Error::data(
                    path,
                    Place::Row(item as u64),
                    format!("label {value} is outside the classes {first_label} to {last}"),
                    REMEDY,
                )
            })
    };
    (0..m)
        .map(|modality| {
            let column = if columns == 1 { 0 } else { modality };
            (0..n).map(|item| label(item, column)).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::set;
    use super::*;
    use crate::noise::{LabelNoiseSpec, corrupt_labels};
    use crate::rng::Seed;

    fn planted(values: &[i64], shape: &[usize], first: i64) -> Result<Vec<Vec<u32>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.npy");
        let mut bytes = npy::header_bytes("<i8", shape);
        values
            .iter()
            .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        std::fs::write(&path, bytes).unwrap();
        let (noisy, manifest) =
            corrupt_labels(&set(3, 2, 3), &LabelNoiseSpec::File(path), first, Seed(0))?;
        assert_eq!(manifest.protocol, "file");
        Ok(noisy
            .modalities
            .into_iter()
            .map(|modality| modality.labels)
            .collect())
    }

    #[test]
    fn one_column_is_shared_and_labels_may_begin_at_1() {
        assert_eq!(
            planted(&[2, 0, 1], &[3], 0).unwrap(),
            [[2, 0, 1], [2, 0, 1]]
        );
        let columns = planted(&[1, 2, 2, 2, 3, 1], &[3, 2], 1).unwrap();
        assert_eq!(columns, [[0, 1, 2], [1, 1, 0]]);
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused() {
        let error =
            |values: &[i64], shape: &[usize]| planted(values, shape, 0).unwrap_err().to_string();
        assert!(error(&[0, 1], &[2]).contains("3 items in 2 modalities"));
        assert!(error(&[0; 9], &[3, 3]).contains("shape [3, 3]"));
        let outside = error(&[0, 3, 1], &[3]);
        assert!(
            outside.contains("row 1: label 3 is outside the classes 0 to 2"),
            "{outside}"
        );
    }
}

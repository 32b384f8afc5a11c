//! What must hold of tensors by name.

use std::path::Path;

use truepair_read::checkpoint::{Scalar, TensorValues, read};

/// Reads a checkpoint twice.
pub(crate) fn read_all(path: &Path) {
    let Ok(found) = read(path) else {
        return;
    };
    for (name, tensor) in &found.tensors {
        let n = match &tensor.values {
            TensorValues::F32(values) => values.len(),
            TensorValues::I64(values) => values.len(),
        };
        assert_eq!(n, tensor.shape.iter().product::<usize>(), "of `{name}`");
    }
    let again = read(path).expect("what was read once is read again");
    assert!(found.tensors.keys().eq(again.tensors.keys()));
    assert_eq!(found.skipped, again.skipped);
    // A number that is none differs from itself.
    let is_same = |(one, other): (&Scalar, &Scalar)| {
        one == other
            || matches!((one, other), (Scalar::Float(one), Scalar::Float(_)) if one.is_nan())
    };
    assert!(found.settings.keys().eq(again.settings.keys()));
    assert!(
        found
            .settings
            .values()
            .zip(again.settings.values())
            .all(is_same)
    );
}

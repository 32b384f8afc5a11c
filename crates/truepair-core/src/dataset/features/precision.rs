//! Whether numbers in double precision stay apart in single precision, in which everything is worked out.

use std::path::Path;

use super::bytes::Bytes;
use crate::error::{Error, Place, Result};
use crate::npy::{Header, Number, number_at};

/// Rows that are looked at.
const ROWS: usize = 64;
/// Share of a row's different numbers that may become equal to another.
const LOST: f64 = 0.1;

/// Looks whether the numbers of a `.npy` matrix, by some of its rows, stay apart in single precision.
///
/// # Errors
/// If the file cannot be read, or more than a tenth of the numbers in a row become equal to another: of
/// numbers far from 0 that lie close together, little is left.
pub fn check_single_precision(path: &Path) -> Result<()> {
    let bytes = Bytes::map(path)?;
    let header = Header::parse(path, &bytes)?;
    let (Number::F64, &[n_rows, n_columns]) = (header.number, &header.shape[..]) else {
        return Ok(());
    };
    let place = |row: usize, column: usize| match header.fortran {
        true => row + column * n_rows,
        false => row * n_columns + column,
    };
    for row in (0..n_rows).step_by(n_rows.div_ceil(ROWS).max(1)) {
        let values = (0..n_columns).map(|column| number_at(&header, &bytes, place(row, column)));
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let n_different = values.len();
        let mut single: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        single.dedup();
        if (n_different - single.len()) as f64 > LOST * n_different as f64 {
            return Err(Error::data(
                path,
                Place::Row(row as u64),
                format!(
                    "of {n_different} different numbers single precision leaves {}",
                    single.len()
                ),
                "subtract what they have in common and scale them, which changes no rank: s -= s.mean(); \
                 s /= s.std()",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::header_bytes;

    #[test]
    fn numbers_that_single_precision_makes_equal_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.npy");
        let check = |offset: f64| {
            let values = (0..600).map(|at| offset + f64::from(at * at % 599) * 1e-4);
            let mut bytes = header_bytes("<f8", &[20, 30]);
            bytes.extend(values.flat_map(f64::to_le_bytes));
            std::fs::write(&path, bytes).unwrap();
            check_single_precision(&path)
        };
        check(0.0).unwrap();
        let error = check(-1e6).unwrap_err().to_string();
        assert!(error.contains("single precision leaves"), "{error}");
    }
}

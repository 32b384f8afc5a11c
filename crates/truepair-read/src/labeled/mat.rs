//! MATLAB files: v5 and v7 by the reader beside this file, v7.3 as the HDF5 it is.

use std::path::Path;

use truepair_core::error::Result;

use super::LabeledFormat;
use super::container::Arrays;
use super::{hdf5, matlab};

/// A `.mat` file.
pub(super) struct Mat;

impl LabeledFormat for Mat {
    fn name(&self) -> &'static str {
        "mat"
    }

    fn summary(&self) -> &'static str {
        "One MATLAB file, versions 5, 7 and 7.3; matrices of numbers, one row an item."
    }

    fn files(&self) -> &'static str {
        "`I_tr`, `T_tr`, `L_tr`, `I_te`, `T_te`, `L_te`, or the names of the other layouts; cell \
         arrays, structures and objects are refused"
    }

    fn sniff(&self, path: &Path) -> bool {
        path.is_file() && path.extension().is_some_and(|ending| ending == "mat")
    }

    fn arrays(&self, path: &Path) -> Result<Arrays> {
        if hdf5_pure::is_hdf5(path).unwrap_or(false) {
            return hdf5::read(path, hdf5::Orientation::Columns);
        }
        let mut arrays = Arrays::of(path);
        arrays.add_variables(path, matlab::read(path)?);
        Ok(arrays)
    }
}

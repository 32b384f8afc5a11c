//! MATLAB files: v4, v5 and v7 by the readers beside this file, v7.3 as the HDF5 it is.

use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::LabeledFormat;
use super::container::Arrays;
use super::{hdf5, matlab, matlab4};
use crate::text_file::read_whole;

/// Bytes of a file that is read whole; larger ones are of version 7.3.
const LARGEST: u64 = 1 << 33;

/// A `.mat` file.
pub(super) struct Mat;

impl LabeledFormat for Mat {
    fn name(&self) -> &'static str {
        "mat"
    }

    fn summary(&self) -> &'static str {
        "One MATLAB file, versions 4 to 7.3; full or sparse matrices of numbers, one row an item."
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
        let bytes = read_whole(path, LARGEST)?;
        let variables = match matlab::byte_order(&bytes) {
            Some(order) => matlab::read(path, &bytes, order)?,
            None if matlab4::is_of_this_version(&bytes) => matlab4::read(path, &bytes)?,
            None => {
                return Err(Error::data(
                    path,
                    Place::Whole,
                    "not a MATLAB file of version 4, 5, 7 or 7.3",
                    "save it again, for instance with save('-v7', ...)",
                ));
            }
        };
        let mut arrays = Arrays::of(path);
        arrays.add_variables(path, variables);
        Ok(arrays)
    }
}

//! One `.npz` file with an array for every split, modality and its labels.

use std::path::Path;

use truepair_core::error::Result;

use super::container::Arrays;
use super::{KeptForm, LabeledFormat};

/// NumPy's archive of arrays.
pub(super) struct Npz;

impl LabeledFormat for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn summary(&self) -> &'static str {
        "One file of named arrays, as `numpy.savez` writes it."
    }

    fn files(&self) -> &'static str {
        "`train_img`, `train_txt`, `train_lab`, `test_img`, …; any modality names; optional texts \
         `classes`"
    }

    fn sniff(&self, path: &Path) -> bool {
        path.is_file() && path.extension().is_some_and(|ending| ending == "npz")
    }

    fn arrays(&self, path: &Path) -> Result<Arrays> {
        let mut arrays = Arrays::of(path);
        arrays.add_archive(path)?;
        Ok(arrays)
    }

    fn kept_form(&self) -> KeptForm {
        KeptForm::Archive
    }
}

//! In place of a graph where the program was built without them: there is none.

use truepair_core::dataset::Bytes;
use truepair_core::{Error, Result};

use crate::search::Hit;
use crate::settings::Settings;

/// A graph that cannot exist.
#[derive(Debug)]
pub(crate) enum NoGraph {}

impl NoGraph {
    pub(crate) fn build(_: &Settings, _: Bytes, _: usize) -> Result<Vec<u8>> {
        Err(Error::argument(
            "this program was built without graphs",
            "build it with the feature `ann`",
        ))
    }

    pub(crate) fn open(settings: &Settings, _: Bytes, rows: Bytes, n: usize) -> Result<Self> {
        match Self::build(settings, rows, n) {
            Ok(_) => unreachable!("it is always an error"),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn search(
        &self,
        _: &[f32],
        _: usize,
        _: Option<&dyn Fn(usize) -> bool>,
    ) -> Result<Vec<Hit>> {
        match *self {}
    }
}

//! Items that stand in the training split and in one that is measured on, told where a matcher is trained or
//! measured.

use std::path::Path;

use anyhow::Result;
use truepair_core::dataset::Dataset;
use truepair_core::diagnosis::{Diagnosis, Subject, shared_items};
use truepair_core::rng::Seed;
use truepair_read::dataset::{self, ReadOptions};

use crate::encoded::LoadedEncoders;
use crate::progress::Bars;
use crate::{remote, render};

/// Numbers of a training split that are read again when a run is measured, at most.
const NUMBERS: usize = 1 << 28;

/// Tells which items of the measured splits stand in the training split.
pub(crate) fn tell(train: &Dataset, measured: &[&Dataset], bars: &mut Bars) -> Result<()> {
    if measured.is_empty() {
        return Ok(());
    }
    let train = Subject::new(train, Seed(0))?;
    for split in measured {
        let subject = Subject::new(split, Seed(0))?.beside(vec![&train]);
        bars.stands_out(&shared_items(&subject)?);
    }
    Ok(())
}

/// Which items of `measured` stand in the split that a run was trained on, which is read again unless it is
/// too large; told, and returned.
pub(crate) fn with_training(
    (data, read): (&Path, &ReadOptions),
    encoders: &LoadedEncoders,
    measured: &Dataset,
    bars: &mut Bars,
) -> Result<Vec<Diagnosis>> {
    if read.split == measured.split {
        return Ok(Vec::new());
    }
    let unknown = |why: &str| {
        render::note(&format!(
            "note: items that stand in {} and in {} were not looked for: {why} (`truepair inspect {}` \
             looks)",
            read.split,
            measured.split,
            data.display()
        ));
        Ok(Vec::new())
    };
    let train = if encoders.are_none() {
        let (data, read) = remote::fetched(data, read, bars)?;
        dataset::open(data, &read).map_err(anyhow::Error::from)
    } else {
        (encoders.open(data, read, bars)).map(|encoded| encoded.dataset)
    };
    let train = match train {
        Ok(train) => train,
        Err(error) => return unknown(&error.to_string()),
    };
    if train.images.len() * train.images.row_len() > NUMBERS {
        return unknown("the training split is large");
    }
    let train = Subject::new(&train, Seed(0))?;
    let found = shared_items(&Subject::new(measured, Seed(0))?.beside(vec![&train]))?;
    bars.stands_out(&found);
    Ok(found)
}

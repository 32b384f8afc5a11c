//! An earlier result, and an evaluation held against it.

use std::path::Path;

use anyhow::{Result, bail};
use truepair_core::metric::{Comparison, FigureDifference, Measured, Protocol};
use truepair_core::rng::Seed;

use super::outcome::{DifferenceRecord, Stored};
use super::query_table::read_parquet;
use crate::render;

/// The result that `--compare-with` names.
pub(crate) struct Earlier {
    result: Option<EarlierResult>,
    /// In what it was measured otherwise, as `name: this, not that`.
    pub(crate) unlike: Vec<String>,
}

enum EarlierResult {
    Figures(Stored),
    Queries(Box<Measured>),
}

impl Earlier {
    /// Reads it and holds its protocol against the one that is about to be measured under.
    ///
    /// # Errors
    /// If it is not a result, or was measured otherwise and may not be.
    pub(crate) fn read(
        file: Option<&Path>,
        may_be_unlike: bool,
        protocol: &Protocol,
    ) -> Result<Self> {
        let Some(file) = file else {
            return Ok(Self {
                result: None,
                unlike: Vec::new(),
            });
        };
        let is_table = file.extension().is_some_and(|ending| ending == "parquet");
        let (result, other) = if is_table {
            let mut queries = read_parquet(file)?;
            let other = std::mem::replace(&mut queries.protocol, protocol.clone());
            (EarlierResult::Queries(Box::new(queries)), other)
        } else {
            let stored = Stored::read(file)?;
            let other = stored.protocol.clone();
            (EarlierResult::Figures(stored), other)
        };
        let unlike = protocol.differences(&other);
        if !unlike.is_empty() && !may_be_unlike {
            bail!(
                "{}: was not measured in the same way: {} (evaluate both alike, for instance one network \
                 of a run with --ensemble 1; or add --compare-unlike, which compares all the same and \
                 prints the difference)",
                file.display(),
                unlike.join("; ")
            )
        }
        Ok(Self {
            result: Some(result),
            unlike,
        })
    }

    /// Holds what was measured against it; intervals of single queries are of `n_resamples` draws.
    ///
    /// # Errors
    /// If the queries are not the same.
    pub(crate) fn compare(
        &self,
        measured: &Measured,
        n_resamples: usize,
        seed: Seed,
    ) -> Result<AgainstEarlier> {
        match &self.result {
            None => Ok(AgainstEarlier::Nothing),
            Some(EarlierResult::Figures(stored)) => {
                Ok(AgainstEarlier::Figures(stored.compare(measured)))
            }
            Some(EarlierResult::Queries(other)) => {
                let found = measured.differences(other, n_resamples, seed)?;
                Ok(AgainstEarlier::Queries(found))
            }
        }
    }
}

/// What came of `--compare-with`.
pub(crate) enum AgainstEarlier {
    Nothing,
    /// Numbers side by side.
    Figures(Comparison),
    /// Differences on the same queries.
    Queries(Vec<FigureDifference>),
}

impl AgainstEarlier {
    pub(crate) fn records(&self) -> Option<Vec<DifferenceRecord>> {
        match self {
            AgainstEarlier::Nothing => None,
            AgainstEarlier::Figures(comparison) => Some(
                comparison
                    .rows
                    .iter()
                    .map(DifferenceRecord::side_by_side)
                    .collect(),
            ),
            AgainstEarlier::Queries(rows) => {
                Some(rows.iter().map(DifferenceRecord::paired).collect())
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            AgainstEarlier::Nothing => String::new(),
            AgainstEarlier::Figures(rows) => format!("\n{}", render::comparison(rows)),
            AgainstEarlier::Queries(rows) => format!("\n{}", render::differences_text(rows)),
        }
    }
}

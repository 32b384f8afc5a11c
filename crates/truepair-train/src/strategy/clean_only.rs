//! The oracle: what a method could reach if it knew which pairs are mismatched.

use serde::{Deserialize, Serialize};
use truepair_core::Error;
use truepair_core::ledger::Ledger;
use truepair_core::pair::Pair;
use truepair_core::rng::Stream;

use super::{BatchView, Epoch, Judgement, Plan, Strategy};
use crate::error::Result;
use crate::objective::ObjectiveConfig;

/// Settings of `clean-only`, the bound that the literature prints as SGR-C and SAF-C.
///
/// The session hands it the truth about planted noise
/// ([`Session::matched`](crate::Session::matched)); it trains on the matched pairs and never sees
/// the others. It is no method and is labeled an oracle wherever it is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanOnlyConfig {
    /// What is minimized.
    pub objective: ObjectiveConfig,
}

#[derive(Debug)]
struct CleanOnly {
    objective: ObjectiveConfig,
}

impl CleanOnlyConfig {
    pub(super) fn build(&self, _n_main: usize) -> Result<Box<dyn Strategy>> {
        self.objective.check()?;
        Ok(Box::new(CleanOnly {
            objective: self.objective.clone(),
        }))
    }
}

impl Strategy for CleanOnly {
    fn plan(
        &mut self,
        _epoch: Epoch,
        ledgers: &mut [Ledger],
        _pairs: &[Pair],
        _rng: &mut Stream,
    ) -> Result<Plan> {
        let told = &ledgers[0].clean_posterior;
        let matched: Vec<u32> = (0..told.len() as u32)
            .filter(|&pair| told[pair as usize] > 0.5)
            .collect();
        if matched.len() < 2 {
            return Err(Error::argument(
                format!("{} of {} pairs are matched", matched.len(), told.len()),
                "plant less noise: the oracle needs at least 2 matched pairs",
            )
            .into());
        }
        Ok(Plan::same(1, vec![matched]))
    }

    fn takes_closed_form(&self) -> bool {
        true
    }

    fn pair_loss(&mut self, _epoch: Epoch, view: &mut BatchView<'_>) -> Judgement {
        self.objective.pair_loss(view.scores).into()
    }
}

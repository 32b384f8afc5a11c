//! `--fail-above` and the end of a noise rate that it looks at, for pairs and for labels.

use clap::Args;
use truepair_core::audit::NoiseRate;

use crate::drop_rule;

/// When a command exits with 1.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct GateArgs {
    /// Exit with 1 when the share of wrong pairs (or labels) is above this one, or there is no verdict.
    #[arg(long, value_name = "SHARE", value_parser = drop_rule::fraction)]
    pub(crate) fail_above: Option<f64>,

    /// Which end of that share `--fail-above` looks at.
    #[arg(
        long,
        value_name = "END",
        value_enum,
        default_value = "low",
        requires = "fail_above"
    )]
    pub(crate) fail_on: FailOn,
}

/// What of a noise rate a gate looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FailOn {
    /// The lower end of the interval: fails when it is certain.
    Low,
    /// The point.
    Estimate,
    /// The upper end of the interval: passes when it is certain.
    High,
}

impl FailOn {
    pub(crate) fn of(self, rate: NoiseRate) -> f64 {
        match self {
            FailOn::Low => rate.low,
            FailOn::Estimate => rate.estimate,
            FailOn::High => rate.high,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            FailOn::Low => "the lower end of the noise rate",
            FailOn::Estimate => "the noise rate",
            FailOn::High => "the upper end of the noise rate",
        }
    }
}

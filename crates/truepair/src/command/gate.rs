//! Which end of a noise rate `--fail-above` looks at, for pairs and for labels.

use truepair_core::audit::NoiseRate;

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

//! `--fail-above` and the end of a noise rate that it looks at, for pairs and for labels.

use clap::Args;
use truepair_core::audit::NoiseRate;

use crate::drop_rule;
use crate::exit::Exit;
use crate::render::{self, percent_text};

/// When a command exits with 1.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct GateArgs {
    /// Exit with 1 when the share of wrong pairs (or labels) is above this one, or there is no
    /// verdict.
    #[arg(long, value_name = "SHARE", value_parser = drop_rule::fraction)]
    fail_above: Option<f64>,

    /// Which end of that share `--fail-above` looks at.
    #[arg(
        long,
        value_name = "END",
        value_enum,
        default_value = "low",
        requires = "fail_above"
    )]
    fail_on: FailOn,
}

impl GateArgs {
    pub(crate) fn is_asked_for(self) -> bool {
        self.fail_above.is_some()
    }

    /// Whether the highest of `rates` passes; an audit without verdicts, and so without rates, passes
    /// no gate. `whose` follows "the noise rate" in the remark on a gate that is not met.
    pub(crate) fn exit(self, rates: Option<&[NoiseRate]>, whose: &str) -> Exit {
        let Some(limit) = self.fail_above else {
            return Exit::Success;
        };
        let Some(rates) = rates else {
            render::note("gate not met: the audit gives no verdicts");
            return Exit::GateNotMet;
        };
        let worst = rates.iter().map(|rate| self.fail_on.of(*rate));
        let worst = worst.reduce(f64::max).unwrap_or(0.0);
        if worst <= limit {
            return Exit::Success;
        }
        render::note(&format!(
            "gate not met: {}{whose} is {}, above {}",
            self.fail_on.words(),
            share_text(worst),
            share_text(limit)
        ));
        Exit::GateNotMet
    }
}

/// A share with as many digits as it needs to differ from 0.
fn share_text(share: f64) -> String {
    if share == 0.0 || share >= 0.0005 {
        percent_text(share)
    } else {
        format!("{:.1e} %", render::percent(share))
    }
}

/// Which part of a noise rate a gate looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// The lower end of the interval: fails only when certain.
    Low,
    /// The point.
    Estimate,
    /// The upper end of the interval: passes only when certain.
    High,
}

impl FailOn {
    fn of(self, rate: NoiseRate) -> f64 {
        match self {
            FailOn::Low => rate.low,
            FailOn::Estimate => rate.estimate,
            FailOn::High => rate.high,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            FailOn::Low => "the lower end of the noise rate",
            FailOn::Estimate => "the noise rate",
            FailOn::High => "the upper end of the noise rate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_zero_is_not_printed_as_zero() {
        assert_eq!(share_text(0.0), "0.0 %");
        assert_eq!(share_text(0.05), "5.0 %");
        assert_eq!(share_text(4e-48), "4.0e-46 %");
    }
}

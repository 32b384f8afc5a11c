//! Ranges of settings that several methods have.

use truepair_core::Error;

use crate::error::Result;

/// Refuses a setting outside [0, 1]; `hint` says which value is usual.
pub(super) fn check_share(name: &str, value: f64, hint: &str) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    let problem = format!("strategy.{name} = {value} is not in [0, 1]");
    Err(Error::argument(problem, hint).into())
}

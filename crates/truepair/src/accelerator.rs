//! Where this process computes: chosen once on the command line, looked up by every command.

use std::sync::OnceLock;

use anyhow::Result;
use truepair_model::Accelerator;

static CHOSEN: OnceLock<Accelerator> = OnceLock::new();

/// Records what the user chose, after checking that it is available.
///
/// # Errors
/// If this build or this machine does not have it.
pub(crate) fn choose(accelerator: Accelerator) -> Result<()> {
    accelerator.device()?;
    CHOSEN.get_or_init(|| accelerator);
    Ok(())
}

/// What the user chose; the processor by default.
pub(crate) fn chosen() -> Accelerator {
    CHOSEN.get().copied().unwrap_or_default()
}

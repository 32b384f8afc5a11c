//! Where this process computes: said once on the command line, asked for by every command.

use std::sync::OnceLock;

use anyhow::Result;
use truepair_train::Accelerator;

static CHOSEN: OnceLock<Accelerator> = OnceLock::new();

/// Takes up what the user said, after a look whether it is there.
///
/// # Errors
/// If this build or this machine does not have it.
pub(crate) fn choose(accelerator: Accelerator) -> Result<()> {
    accelerator.device()?;
    CHOSEN.get_or_init(|| accelerator);
    Ok(())
}

/// What the user said; the processor by default.
pub(crate) fn chosen() -> Accelerator {
    CHOSEN.get().copied().unwrap_or_default()
}

//! How much is asked of a server: requests side by side, and further attempts.

use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Cause, StoreError};

/// Requests that are open at the same time.
pub(crate) const AT_ONCE: usize = 8;
/// Attempts, the first one among them.
const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; four times as long before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Attempts that have failed.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `error`, if there is none.
    pub(crate) async fn after(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.0 += 1;
        if self.0 >= ATTEMPTS || error.cause() != Cause::Passing {
            return Err(error);
        }
        sleep(FIRST_WAIT * 4_u32.pow(self.0 - 1)).await;
        Ok(())
    }
}

//! The audit that a strategy may ask for.

use super::{RclConfig, UnauditedStrategy};
use crate::config::AuditSettings;

/// Settings of a cross-fitted audit that a strategy asks for. Its networks are trained by a strategy
/// that asks for none.
pub type AuditRequest = AuditSettings<UnauditedStrategy>;

impl Default for AuditRequest {
    fn default() -> Self {
        Self::with_networks_by(UnauditedStrategy::Rcl(RclConfig::default()))
    }
}

//! What a run is made of: as typed ([`Recipe`], where the data may fill in what is left open) and
//! as run ([`Config`], complete, the form that a run directory keeps).

mod audit;
mod default_backbone;
mod recipe;
mod resolved;
mod sizes;
mod training;

pub use audit::{AuditMatcher, AuditSettings};
pub use recipe::{MatcherRecipe, RecipeOf};
pub use resolved::{Config, Recipe};
pub(crate) use sizes::check_sizes;
pub use training::{Keep, Reduction, Sampling, TrainingConfig};

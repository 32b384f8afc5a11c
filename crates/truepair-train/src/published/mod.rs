//! Published models: from a checkpoint of the research code to a run directory.
//!
//! A model is one file, its `mod` line and one row of [`MODELS`]. A file says under which names the
//! research code keeps the weights, and how sizes and settings are read from a checkpoint: sizes
//! from the shapes of tensors, and what shapes cannot tell from the options that the research code
//! stores beside them.
//!
//! Accepted layouts, after [`checkpoint::read`](truepair_read::checkpoint::read) has flattened the file:
//!
//! | in the file | is read as |
//! |---|---|
//! | `model.0.fc.weight` | `img_enc.fc.weight`: a list of state dicts, in the order of [`Model`]'s parts |
//! | `model.img_enc.fc.weight`, `state_dict.img_enc.fc.weight` | `img_enc.fc.weight` |
//! | `0.fc.weight`, `img_enc.fc.weight` | `img_enc.fc.weight`, with nothing around the state |
//! | `model_A.0.fc.weight`, `model_B.0.fc.weight` | the networks of a model with two |
//!
//! What lies beside the state, such as that of an optimizer, is left alone. Gates of a GRU are
//! stacked r, z, n there and here. Counters `num_batches_tracked` are passed over.

mod convert;
pub mod encoders;
pub mod imram;
pub mod names;
mod ncr;
mod scan;
mod settings;
pub mod sgraf;
mod state;
#[cfg(test)]
mod tests;
pub mod vse_infinity;
mod vsepp;
pub mod vsrn;

use std::fmt::Write;

use truepair_core::Error;

pub use convert::{Converted, Draft};
pub use names::Names;
pub use settings::Assumption;

use crate::error::Result;
use crate::strategy::StrategyConfig;
use settings::Settings;
use state::State;
use truepair_model::matcher::MatcherConfig;

/// Every model that can be converted.
pub static MODELS: &[Model] = &[
    vsepp::MODEL,
    scan::MODEL,
    vsrn::MODEL,
    imram::MODEL,
    sgraf::SGR,
    sgraf::SAF,
    vse_infinity::MODEL,
    ncr::MODEL,
];

/// Regions an image in the published features, where no weight depends on their number.
const REGIONS: usize = 36;

/// A published model: where its checkpoints keep what.
#[derive(Debug)]
pub struct Model {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Repository and commit of the research code.
    pub source: &'static str,
    /// Key of each network in the file.
    networks: &'static [&'static str],
    /// Parts of a network, in the order in which the research code lists them.
    parts: &'static [&'static str],
    /// Rows of the word embedding beyond the vocabulary.
    extra_words: usize,
    strategy: fn() -> StrategyConfig,
    infer: fn(&State, &mut Settings<'_>) -> Result<Found>,
    /// Our names of all weights of a matcher with those of the research code.
    names: fn(&MatcherConfig) -> Names,
    /// Whether no score of a matcher depends on a tensor.
    unread: fn(&MatcherConfig, &str) -> bool,
}

/// What a checkpoint tells about its model.
struct Found {
    matcher: MatcherConfig,
    /// Numbers in a feature vector, when the layer that reads them is there.
    width: Option<usize>,
    /// Vectors an image.
    regions: usize,
}

/// The model of this name.
///
/// # Errors
/// If there is none; the message lists all.
pub fn model(name: &str) -> Result<&'static Model> {
    let found = MODELS.iter().find(|model| model.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        Error::argument(
            format!("`{name}` is no published model"),
            format!("there are: {}", names.join(", ")),
        )
        .into()
    })
}

/// The table of `docs/formats.md`.
pub fn models_table() -> String {
    let mut table = String::from("| `--as` | checkpoints of | code |\n|---|---|---|\n");
    for model in MODELS {
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            model.name, model.summary, model.source
        );
    }
    table
}

/// The strategy of a network that was trained on its own.
fn alone() -> StrategyConfig {
    StrategyConfig::Plain(Default::default())
}

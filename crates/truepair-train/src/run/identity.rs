//! Which run a checkpoint belongs to.

use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_core::digest::Digest;
use truepair_core::rng::Seed;

use crate::config::Config;

/// What must be equal for a checkpoint to be continued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    config: String,
    seed: Seed,
    n_pairs: usize,
    pairs: String,
}

impl Identity {
    pub(super) fn new(config: &Config, seed: Seed, train: &Dataset) -> Self {
        Self {
            config: config.to_toml(),
            seed,
            n_pairs: train.pairs.len(),
            pairs: pairs_hash(train),
        }
    }

    /// The resolved config as `config.toml` holds it.
    pub(super) fn config(&self) -> &str {
        &self.config
    }

    /// What differs, in words; `None` when a run of `other` may continue one of `self`.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        if self.config != other.config {
            let line = (self.config.lines().zip(other.config.lines()))
                .find(|(a, b)| a != b)
                .map_or("its length".to_owned(), |(a, b)| {
                    format!("`{a}` there, `{b}` here")
                });
            return Some(format!("the config differs: {line}"));
        }
        if self.seed != other.seed {
            return Some(format!("its seed is {}, not {}", self.seed.0, other.seed.0));
        }
        (self.pairs != other.pairs).then(|| {
            format!(
                "its {} pairs are not the {} given ones",
                self.n_pairs, other.n_pairs
            )
        })
    }
}

fn pairs_hash(dataset: &Dataset) -> String {
    let mut digest = Digest::new();
    for pair in &dataset.pairs {
        digest.add(&pair.image.to_le_bytes());
        digest.add(&pair.caption.to_le_bytes());
    }
    digest.hex()
}

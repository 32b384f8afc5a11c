//! Trained networks: embeddings, class scores, retrieval, and the files of a run.

use std::collections::HashMap;
use std::path::Path;

use truepair_core::Error as CoreError;
use truepair_core::durable;
use truepair_core::labeled::{ClassRetrieval, LabeledSet, class_retrieval};
use truepair_core::scores::Matrix;

use super::config::LabelConfig;
use super::network::LabelNetworks;
use super::session::{EPOCH_SCHEMA, LabelEpoch};
use super::view::tensor;
use crate::error::Result;
use crate::run::{Tensors, file, stamped};
use truepair_model::layer::Mode;
use truepair_model::numbers::floats;
use truepair_model::parameters;

/// Items that are embedded at a time.
const BLOCK: usize = 1024;
/// Version of `weights.safetensors` of labeled runs.
const VERSION: u32 = 1;

/// The outcome of a run: the kept epoch's networks.
#[derive(Debug)]
pub struct LabelTrained {
    /// The resolved config.
    pub config: LabelConfig,
    /// The networks, outside the graph.
    pub networks: LabelNetworks,
    /// Names of the modalities, in the order of the networks.
    pub modalities: Vec<String>,
    /// Width of every modality's features.
    pub widths: Vec<usize>,
    /// One record an epoch.
    pub history: Vec<LabelEpoch>,
}

/// What a set becomes, one matrix a modality.
struct Encoded {
    embeddings: Vec<Matrix>,
    class_scores: Vec<Matrix>,
}

impl LabelTrained {
    pub(super) fn new(
        config: &LabelConfig,
        networks: LabelNetworks,
        set: &LabeledSet,
        history: Vec<LabelEpoch>,
    ) -> Self {
        Self {
            config: config.clone(),
            networks,
            modalities: (set.modalities.iter())
                .map(|modality| modality.name.clone())
                .collect(),
            widths: (set.modalities.iter())
                .map(|modality| modality.features.dim())
                .collect(),
            history,
        }
    }

    /// Epoch whose weights were kept, from 0.
    pub fn best_epoch(&self) -> usize {
        let best = self.history.iter().rposition(|record| record.best);
        best.unwrap_or(0)
    }

    /// Embeddings of length 1, per modality `[n, d]`.
    ///
    /// # Errors
    /// If a modality has another width than the networks.
    pub fn embed(&self, set: &LabeledSet) -> Result<Vec<Matrix>> {
        Ok(self.encode(set)?.embeddings)
    }

    /// Scores for every class, per modality `[n, k]`, larger = more likely.
    ///
    /// # Errors
    /// If a modality has another width than the networks.
    pub fn class_scores(&self, set: &LabeledSet) -> Result<Vec<Matrix>> {
        Ok(self.encode(set)?.class_scores)
    }

    /// Mean average precision of every direction; whatever shares the label is relevant.
    ///
    /// # Errors
    /// If a modality has another width than the networks or a score is not a number.
    pub fn retrieval(&self, set: &LabeledSet) -> Result<ClassRetrieval> {
        let labels: Vec<Vec<u32>> = (set.modalities.iter())
            .map(|modality| modality.labels.clone())
            .collect();
        Ok(class_retrieval(
            &self.modalities,
            &self.encode(set)?.embeddings,
            &labels,
        )?)
    }

    fn encode(&self, set: &LabeledSet) -> Result<Encoded> {
        let mut encoded = Encoded {
            embeddings: Vec::new(),
            class_scores: Vec::new(),
        };
        let device = self.networks.centers.val().device();
        for (at, modality) in set.modalities.iter().enumerate() {
            if modality.features.dim() != self.widths[at] {
                return Err(CoreError::argument(
                    format!(
                        "modality '{}' of split '{}' has {} numbers an item, and {} in training",
                        modality.name,
                        set.split,
                        modality.features.dim(),
                        self.widths[at]
                    ),
                    "extract the features of all splits alike",
                )
                .into());
            }
            let rows = modality.features.pooled()?;
            let (mut embeddings, mut scores) = (Vec::new(), Vec::new());
            for first in (0..rows.len()).step_by(BLOCK) {
                let items: Vec<u32> =
                    (first as u32..(first + BLOCK).min(rows.len()) as u32).collect();
                let input = tensor(&rows, &items, &device);
                let embedding = self.networks.networks[at].forward(input, &mut Mode::Evaluate);
                let score = (self.config.method).class_scores(&self.networks, embedding.clone());
                embeddings.extend(floats(embedding));
                scores.extend(floats(score));
            }
            let [d, k] = self.networks.centers.val().dims();
            encoded.embeddings.push(Matrix::new(embeddings, d));
            encoded.class_scores.push(Matrix::new(scores, k));
        }
        Ok(encoded)
    }

    /// Writes `config.toml`, `metrics.jsonl` and `weights.safetensors` into `dir`.
    ///
    /// # Errors
    /// If a file cannot be written; none is left half written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        durable::write(dir.join(file::CONFIG), self.config.to_toml().as_bytes())?;
        let mut lines = String::new();
        for record in &self.history {
            lines.push_str(&stamped(EPOCH_SCHEMA, record));
            lines.push('\n');
        }
        durable::write(dir.join(file::METRICS), lines.as_bytes())?;
        let mut tensors = Tensors::default();
        for (name, values) in parameters::export(&self.networks) {
            tensors.push(name, &values.shape, &values.values);
        }
        let head = serde_json::json!({
            "version": VERSION, "kind": "labels", "modalities": self.modalities,
            "widths": self.widths,
        });
        let metadata = HashMap::from([("truepair".to_owned(), head.to_string())]);
        durable::write(dir.join(file::WEIGHTS), &tensors.bytes(metadata))?;
        Ok(())
    }
}

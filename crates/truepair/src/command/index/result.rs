//! What `truepair index` prints.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::answer::AnswerQuality;
use truepair_index::{Index, Kind, Storage};

use crate::output::Output;
use crate::render::{self, percent_text};

/// The JSON object that `truepair index --json` prints, and that a new index keeps.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IndexResult {
    pub(super) command: String,
    pub(super) version: String,
    /// What was done: created, appended, deleted, compacted, checked or calibrated.
    pub(super) did: String,
    pub(super) index: PathBuf,
    /// Counts every change.
    pub(super) index_version: u64,
    pub(super) images: usize,
    pub(super) captions: usize,
    /// Numbers of a vector.
    pub(super) dim: usize,
    /// How vectors lie on the disk: `f32`, `f16` or `int8`.
    pub(super) storage: String,
    /// How neighbors are found: `exact` or `hnsw`.
    pub(super) kind: String,
    /// How good probabilities are when they are fitted to one half of the images and held against the other.
    pub(super) text_to_image: Option<AnswerQuality>,
    pub(super) image_to_text: Option<AnswerQuality>,
    /// Share of the ten nearest that the graph of neighbors finds, by gallery.
    pub(super) recall_at_10: Option<GalleryRecall>,
    /// Images and captions that were deleted.
    pub(super) deleted: Option<usize>,
    /// Images that were sent to a database or a file.
    pub(super) sent: Option<usize>,
    /// What whoever uses the index should know.
    pub(super) notes: Vec<String>,
}

/// Share of the ten nearest items that a graph of neighbors finds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GalleryRecall {
    pub(super) images: Option<f64>,
    pub(super) captions: Option<f64>,
}

impl Output for IndexResult {
    const SCHEMA: &'static str = "truepair/index/1";
}

impl IndexResult {
    pub(super) fn new(did: &str, folder: PathBuf, index: &Index) -> Self {
        let settings = index.settings();
        let storage = match settings.storage {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
            Storage::Int8 => "int8",
        };
        let kind = match settings.kind {
            Kind::Exact => "exact",
            Kind::Hnsw { .. } => "hnsw",
        };
        Self {
            command: "index".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            did: did.to_owned(),
            index: folder,
            index_version: index.version(),
            images: index.images().len(),
            captions: index.captions().len(),
            dim: settings.dim,
            storage: storage.to_owned(),
            kind: kind.to_owned(),
            text_to_image: None,
            image_to_text: None,
            recall_at_10: None,
            deleted: None,
            sent: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn text(&self) -> String {
        let holds = format!(
            "{}, {}; vectors of {} numbers, {}, {}",
            render::count(self.images, "image"),
            render::count(self.captions, "caption"),
            self.dim,
            self.storage,
            self.kind
        );
        let mut rows = vec![
            (self.did.as_str(), self.index.display().to_string()),
            ("holds", holds),
        ];
        if let Some(deleted) = self.deleted {
            rows.push(("deleted", render::count(deleted, "item")));
        }
        if let Some(sent) = self.sent {
            rows.push((
                "images",
                format!("{} sent now", render::count(sent, "image")),
            ));
        }
        for (direction, quality) in [
            ("text to image", &self.text_to_image),
            ("image to text", &self.image_to_text),
        ] {
            rows.extend(
                quality
                    .as_ref()
                    .map(|quality| (direction, quality_text(quality))),
            );
        }
        if let Some(recall) = self.recall_at_10 {
            let text =
                [("images", recall.images), ("captions", recall.captions)].map(|(name, share)| {
                    share.map(|share| format!("{} of {name}", percent_text(share)))
                });
            let text: Vec<String> = text.into_iter().flatten().collect();
            rows.push(("ten nearest found", text.join(", ")));
        }
        let mut out = render::fields(&rows);
        for note in &self.notes {
            out.push_str(&format!("note: {note}\n"));
        }
        out
    }
}

fn quality_text(quality: &AnswerQuality) -> String {
    let sets = match (quality.covered, quality.set_size) {
        (Some(covered), Some(size)) => format!(
            "sets for 90 % hold an answer for {} with {size:.1} hits on average",
            percent_text(covered)
        ),
        _ => "no set of 100 hits can promise 90 %".to_owned(),
    };
    format!(
        "P(relevant) off by {} (ECE); {sets}; no answer told with AUC {:.3} ({:.3} by the best score alone)",
        percent_text(quality.ece),
        quality.nothing_auc,
        quality.top_score_auc
    )
}

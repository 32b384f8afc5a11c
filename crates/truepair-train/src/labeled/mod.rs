//! Learning a joint space of several modalities from class labels, some of which are wrong.
//!
//! Labelled data has no pairs to believe or doubt, so it has a loop of its own: one network a
//! modality, class centers that all of them share, and a method that turns a batch into one loss an
//! item. No truth about planted label noise ever comes here. [`cross_fit_labels`] is the label
//! audit's training.

mod config;
mod contrastive;
mod cross_entropy;
mod cross_fit;
mod method;
mod mrl;
mod network;
mod robust_clustering;
mod rono;
mod session;
mod trained;
mod trainer;
mod view;

pub use config::{LabelConfig, LabelSelect, LabelTrainingConfig};
pub use contrastive::{SelfTerm, multimodal_contrastive};
pub use cross_entropy::CrossEntropyConfig;
pub use cross_fit::{LabelCrossFitConfig, cross_fit_labels};
pub use method::LabelMethodConfig;
pub use mrl::MrlConfig;
pub use network::{LabelNetworks, ModalityNetwork, NetworkConfig};
pub use robust_clustering::robust_clustering;
pub use rono::RonoConfig;
pub use session::{EPOCH_SCHEMA, LabelEpoch, LabelSession, LabelWatch};
pub use trained::LabelTrained;
pub use trainer::train_labels;
pub use truepair_model::backbone::InputScale;
pub use view::{ItemLoss, LabelView, one_hot};

//! Layers that backbones and similarities are built of, how their weights begin, and how a pass
//! through them runs.

mod batch_norm;
mod convolution;
mod gpo;
mod init;
mod linear;
mod mode;
mod pie;
mod recurrent;
mod sentence;
mod trunk;

pub use batch_norm::BatchNorm;
pub use convolution::Convolution;
pub use gpo::Gpo;
pub use init::Init;
pub use linear::Linear;
pub use mode::Mode;
pub use pie::{LocalAttention, PieNet};
pub use recurrent::GruLayer;
pub use sentence::{BackwardState, Sentence};
pub use trunk::Trunk;

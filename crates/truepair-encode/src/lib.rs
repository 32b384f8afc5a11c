//! Embeddings of pictures and captions by encoders in ONNX files.
//!
//! [`ImageEncoder`] and [`TextEncoder`] are models that somebody else trained; [`job`] runs them
//! over a data set in parts that survive being stopped. The crate knows no tensor framework and prints
//! nothing. It runs models itself; with the feature `ort` it can hand them to ONNX Runtime instead.
#![deny(missing_docs)]

mod image;
pub mod job;
pub mod layout;
mod onnx;
mod runtime;
mod text;
mod word_piece;

pub use image::ImageEncoder;
#[cfg(feature = "ort")]
pub use runtime::OnnxRuntime;
pub use runtime::Runtime;
pub use text::{Pooling, TextEncoder};
pub use word_piece::WordPiece;

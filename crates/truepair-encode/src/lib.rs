//! Embeddings of pictures and captions by encoders in ONNX files.
//!
//! [`ImageEncoder`] and [`TextEncoder`] are models that somebody else trained; [`job`] runs them
//! over a data set in parts that survive being stopped. The crate knows no tensor framework, uses
//! no other runtime and prints nothing.
#![deny(missing_docs)]

mod image;
pub mod job;
pub mod layout;
mod onnx;
mod text;
mod word_piece;

pub use image::ImageEncoder;
pub use text::{Pooling, TextEncoder};
pub use word_piece::WordPiece;

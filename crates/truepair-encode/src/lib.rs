//! Embeddings of pictures and captions by encoders in ONNX files.
//!
//! [`ImageEncoder`] and [`TextEncoder`] are models that somebody else trained; [`job`] runs them
//! over a data set in parts that survive being stopped. The crate knows no tensor framework and prints
//! nothing. What runs the models is built in; with the feature `ort` it can be ONNX Runtime instead.
#![deny(missing_docs)]

mod image;
pub mod job;
pub mod layout;
mod model;
mod neighbors;
mod setting;
mod text;
mod tokenizer;

pub use image::{Assumption, ImageEncoder, ImageOptions};
#[cfg(feature = "ort")]
pub use model::OnnxRuntime;
pub use model::Runtime;
pub use setting::Setting;
pub use text::{Pooling, TextEncoder, TextOptions};
pub use tokenizer::{Length, Tokenizer, Tokens};

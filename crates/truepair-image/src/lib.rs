//! From the bytes of a picture to the numbers that an encoder reads.
//!
//! Three steps, one module each: [`decode`] turns JPEG, PNG, WebP, GIF or BMP into upright 8-bit
//! RGB, [`resize`] resamples exactly as Pillow does, and [`Preprocessing`] cuts, scales and
//! normalizes. [`augment`] draws the random variants of training. [`PixelReader`] is all of it as
//! what a data set's [`Features`](truepair_core::dataset::Features) ask for.
//!
//! The crate knows no tensors and prints nothing; a picture that cannot be decoded is a
//! [`Problem`], and who asked decides whether to skip it.
#![deny(missing_docs)]

pub mod augment;
mod decode;
mod encode;
mod format;
mod hub;
mod orientation;
mod picture;
mod png_chunks;
mod preprocess;
mod reader;
mod resize;

pub use decode::{MAX_BYTES, MAX_PIXELS, Problem, decode, decode_with_remark};
pub use encode::jpeg;
pub use format::PictureFormat;
pub use hub::KnownPreprocessing;
pub use picture::Rgb;
pub use preprocess::{Fit, Preprocessing};
pub use reader::PixelReader;
pub use resize::{Filter, resize};

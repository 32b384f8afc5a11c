//! Readers of other people's bytes: the formats in which paired and labeled data, judgments, rankings
//! and checkpoints lie on disk.
//!
//! Everything ends in the types of `truepair-core`, or in plain arrays. A format is a file of its own
//! and one row in a table; what it does not understand it refuses, with the place in the file, what
//! was expected there and what to do. Nothing that a file names is ever run.
//!
//! | module | reads |
//! |---|---|
//! | [`dataset`] | pairs of images and captions: [`FORMATS`](dataset::FORMATS) |
//! | [`labeled`] | items with classes in several modalities: [`LABELED_FORMATS`](labeled::LABELED_FORMATS) |
//! | [`relevance`] | judgments, names and labels for evaluations |
//! | [`ranking`] | ranked lists of another program |
//! | [`checkpoint`] | tensors by name out of PyTorch and safetensors files |
//!
//! ```
//! use truepair_read::dataset::{ReadOptions, inspect, open, write_kept};
//!
//! # let home = tempfile::tempdir()?;
//! # let path = home.path().join("pairs.csv");
//! # std::fs::create_dir(home.path().join("cleaned"))?;
//! std::fs::write(&path, "image,caption\na.jpg,a red ball\nb.jpg,two cups\n")?;
//! # let header = truepair_core::npy::header_bytes("<f4", &[2, 1]);
//! # std::fs::write(path.with_extension("npy"), [&header[..], &[0; 8]].concat())?;
//!
//! let found = inspect(&path, &ReadOptions::default())?;
//! assert_eq!((found.format.as_str(), found.splits[0].pairs), ("table", 2));
//!
//! let data = open(&path, &ReadOptions::default())?;
//! assert_eq!(data.require_captions()?[1], "two cups");
//!
//! // A cleaned list is written in the format of its data.
//! let written = write_kept(&data, &[true, false], home.path().join("cleaned"))?;
//! assert_eq!(std::fs::read_to_string(&written[0])?, "image,caption\na.jpg,a red ball\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod archive;
pub mod checkpoint;
pub mod dataset;
mod inflate;
pub mod labeled;
mod lines;
mod loose_json;
mod npy_features;
pub mod ranking;
pub mod relevance;
mod shards;
mod spelling;
mod text_file;
mod trec_line;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

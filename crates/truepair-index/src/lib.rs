//! Vectors on disk that answer exactly, fast, and survive a crash.
//!
//! An index is a folder: `index.json`, which names everything that belongs to it, and segments, which never
//! change. It has two galleries, images and captions; either may be empty. Appending writes a segment, then
//! replaces `index.json`: that is the commit. One process writes at a time, any number read, and a reader
//! keeps the version that it opened.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use truepair_core::scores::Matrix;
//! use truepair_index::{Filter, Index, Item, Kind, Measure, Records, SearchOptions, Settings, Storage, Value};
//!
//! let folder = tempfile::tempdir()?;
//! let settings = Settings {
//!     dim: 2,
//!     measure: Measure::InnerProduct,
//!     storage: Storage::F16,
//!     kind: Kind::Exact,
//! };
//! let mut writer = Index::create(folder.path(), &settings, serde_json::json!({"encoder": "toy"}))?;
//! let item = |id: &str, width| Item {
//!     id: id.to_owned(),
//!     text: None,
//!     picture: Some(format!("{id}.jpg")),
//!     columns: BTreeMap::from([("width".to_owned(), Value::Int(width))]),
//! };
//! let images = Records {
//!     items: vec![item("cat", 640), item("dog", 200), item("cow", 900)],
//!     vectors: Matrix::new(vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0], 2),
//! };
//! assert_eq!(writer.append(Some(images), None)?, 2);
//!
//! let index = Index::open(folder.path())?;
//! let wide = Filter::parse("width > 512")?;
//! let options = SearchOptions { filter: Some(&wide), ..Default::default() };
//! let hits = index.images().search(&Matrix::new(vec![0.6, 0.8], 2), 2, &options)?;
//! let best = index.images().item(hits[0][0].row)?;
//! assert_eq!((best.id.as_str(), hits[0].len()), ("cow", 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("the numbers of an index are little-endian and are read where they lie");

mod bitmap;
mod catalog;
mod filter;
mod gallery;
mod graph;
mod index;
mod item;
mod recall;
mod search;
mod segment;
mod settings;
mod stored_file;
mod vector_check;
mod writer;

pub use bitmap::Bitmap;
pub use filter::{Condition, Filter};
pub use gallery::{Gallery, SearchOptions};
pub use index::Index;
pub use item::{Item, Records, Side, Value, ValueKind};
pub use recall::Recall;
pub use search::Hit;
pub use settings::{Kind, Measure, Settings, Storage};
pub use writer::{Deleted, Writer};

/// The example of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Vectors of image-text pairs on vector databases that run already, and as files that other tools open.
//!
//! A [`Record`] is an image or a pair with its caption, its columns, P(mismatched) and its vector. Engines know points
//! and distances; a Gaussian becomes a point with one more coordinate, see [`Geometry`], so its uncertainty
//! counts on every engine. [`VECTOR_STORES`] lists the engines, [`VECTOR_FILES`] the kinds of files; both take
//! records through [`upload()`], which goes on where it was stopped.
//!
//! ```no_run
//! use truepair_vectordb::{Address, Layout, Query, Record, Search, Upload, open_store, upload};
//!
//! let address = Address::parse("postgres://me@localhost/pictures?table=captions")?;
//! let mut store = open_store(&address, &[("PGPASSWORD".into(), "secret".into())])?;
//! let layout = Layout::embeddings(2);
//! let record = Record { id: "7".into(), vector: vec![0.6, 0.8], ..Record::default() };
//! upload(&mut *store, &layout, &mut [Ok(record)].into_iter(), &Upload::default(), &mut ())?;
//! let query = Query { vector: vec![1.0, 0.0], total_variance: None };
//! let hits = store.search(&[query], &Search { k: 20, ..Search::default() })?;
//! assert_eq!(hits[0][0].id, "7");
//! # Ok::<(), truepair_core::Error>(())
//! ```

mod address;
mod causes;
mod engine;
mod file;
mod filter;
mod http;
mod json_row;
mod layout;
mod progress;
mod record;
mod store;
mod tls;
mod upload;

pub use address::Address;
pub use engine::{StoreRow, VECTOR_STORES, is_variable, open_store};
pub use file::{ColumnKind, ColumnKinds, FileRow, VECTOR_FILES, open_file};
pub use filter::{Comparison, Filter};
pub use layout::{Geometry, Layout};
pub use record::{Query, Record, Value};
pub use store::{Hit, Prepared, Search, StoreStats, VectorStore, VectorWriter};
pub use upload::{Upload, Uploaded, upload};

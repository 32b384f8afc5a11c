//! Data in object stores and on web servers as local files.
//!
//! An address such as `s3://bucket/data/` becomes a path in a cache before any reader sees it, so readers stay
//! simple and mapped files remain mapped. [`Store`] fetches in parallel, goes on where it was cut off, fetches
//! anew what has changed, and keeps the cache below its limit.
//!
//! ```no_run
//! use truepair_store::{Store, StoreOptions};
//!
//! let mut store = Store::open(StoreOptions {
//!     cache: "cache".into(),
//!     limit: 20_000_000_000,
//!     variables: vec![("AWS_SKIP_SIGNATURE".into(), "true".into())],
//! })?;
//! let folder = store.fetch("s3://bucket/data/", &mut ())?.path;
//! assert!(folder.is_dir());
//! # Ok::<(), truepair_store::StoreError>(())
//! ```

mod bucket;
mod cache;
mod error;
mod fetch;
mod location;
mod object;
mod part;
mod source;
mod store;
mod traffic;
mod web;

pub use error::StoreError;
pub use store::{Fetched, Store, StoreOptions, is_variable};

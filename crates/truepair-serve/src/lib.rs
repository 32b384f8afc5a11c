//! An HTTP API and a search page over anything that answers queries for images and captions.
//!
//! Implement [`Service`] for what you have (an index, a trained run, a pair of encoders) and hand it to [`serve`].
//! This crate knows HTTP and nothing else: it gathers queries that arrive together into batches, checks and limits
//! what comes from outside, keeps thumbnails, counts, and puts a newer version in place without losing a request.
//!
//! ```no_run
//! # fn service() -> std::sync::Arc<dyn truepair_serve::Service> { unreachable!() }
//! use std::sync::Arc;
//! use std::time::Instant;
//! use truepair_serve::{ServerSettings, Source, bind, serve};
//!
//! let began = Instant::now();
//! let settings = ServerSettings::new(Arc::new(move || began.elapsed()));
//! let listener = bind("127.0.0.1:8000", &settings)?;
//! let source = Source { first: service(), reopen: None };
//! serve(listener, source, settings, &|| false)?;
//! # Ok::<(), truepair_core::Error>(())
//! ```
//!
//! # What is promised
//! - Bad input never gets a status of 500 or above, except 503 with `Retry-After` when too much is asked.
//! - Every error is an object `{"error": {"code", "message", "hint"}}`, with a code that does not change.
//! - Whoever asked while a new version came is answered, by the old one or the new one, and the answer says by which.
//! - Once the server is asked to end, requests in flight are answered within the time of grace.
//! - Without a token only loopback is served, to hosts and pages of this server alone.

mod assets;
mod body;
mod connection;
mod current;
mod guard;
mod lane;
mod metrics;
mod object;
mod rate;
mod refusal;
mod route;
mod server;
mod service;
mod settings;
mod state;
mod task;
mod thumbnails;

pub use current::{Opener, Source};
pub use refusal::{Reason, Refusal};
pub use server::{bind, serve};
pub use service::{
    Answer, Ask, CaptionInput, Cell, Column, ColumnKind, Description, EmbedInput, Hit, ImageInput,
    ItemView, PairInput, PairScore, Picture, Query, QueryKind, Service, Side,
};
pub use settings::{Clock, Event, Listener, Rate, ServerSettings};

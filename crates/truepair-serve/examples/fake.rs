//! Serves a made-up gallery, so that the search page and the API can be looked at:
//! `cargo run --release --example fake -- 127.0.0.1:8000 [TOKEN]`.

#![allow(clippy::print_stdout, reason = "an example says where it is")]
#[path = "../tests/gallery/mod.rs"]
mod gallery;

use std::sync::Arc;
use std::time::Instant;

use truepair_core::Result;
use truepair_serve::{Event, ServerSettings, Source, bind, serve};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let began = Instant::now();
    let mut settings = ServerSettings::new(Arc::new(move || began.elapsed()));
    settings.token = arguments.next();
    settings.listener = Arc::new(|event| {
        if let Event::Listening(address) = event {
            println!("http://{address}");
        }
    });
    let listener = bind(&address, &settings)?;
    let source = Source {
        first: Arc::new(gallery::Gallery::new("1")),
        reopen: None,
    };
    serve(listener, source, settings, &|| false)
}

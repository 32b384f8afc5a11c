//! Makes what lies at an address local, and says how long it took.
//!
//! `cargo run --release -p truepair-store --example fetch -- s3://bucket/data/ CACHE`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use truepair_store::{Store, StoreOptions, is_variable};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(cache)) = (arguments.next(), arguments.next()) else {
        return Err("name an address and a folder for the cache".into());
    };
    let variables = std::env::vars().filter(|(name, _)| is_variable(name));
    let mut store = Store::open(StoreOptions {
        cache: cache.into(),
        limit: 20_000_000_000,
        variables: variables.collect(),
    })?;
    let start = Instant::now();
    let fetched = store.fetch(&address, &mut ())?;
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, path) = (fetched.bytes as f64 / 1e6, fetched.path.display());
    println!("{path}: {bytes:.1} MB in {seconds:.2} s");
    Ok(())
}

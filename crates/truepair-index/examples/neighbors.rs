//! What does a graph of neighbors find, and how fast? Prints its build time, recall@10 and queries a second.
//!
//! `cargo run --release -p truepair-index --features ann --example neighbors -- FOLDER`; FOLDER is an index of
//! storage f32 as the example `speed` makes one, and gets a neighbor `FOLDER-hnsw`. The queries are written
//! beside it as `FOLDER-queries.f32`, so that other programs can be measured on the same vectors.
#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use truepair_core::rng::{Seed, below, normal};
use truepair_core::scores::Matrix;
use truepair_index::{Index, Kind, Records, SearchOptions, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("name the folder of an index")?;
    let beside = |ending: &str| PathBuf::from(format!("{folder}-{ending}"));
    let source = Index::open(&folder)?;
    let (gallery, dim) = (source.images(), source.settings().dim);
    let settings = Settings {
        kind: Kind::Hnsw {
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 64,
        },
        ..*source.settings()
    };
    let rows: Vec<usize> = gallery.rows().collect();
    if !beside("hnsw").exists() {
        let items = rows
            .iter()
            .map(|row| gallery.item(*row))
            .collect::<Result<_, _>>()?;
        let vectors = rows
            .iter()
            .map(|row| gallery.vector(*row))
            .collect::<Result<Vec<_>, _>>()?;
        let vectors = Matrix::new(vectors.concat(), dim);
        let begun = Instant::now();
        let mut writer = Index::create(beside("hnsw"), &settings, serde_json::json!({}))?;
        writer.append(Some(Records { items, vectors }), None)?;
        println!(
            "{} rows written, with a graph, in {:.1?}",
            rows.len(),
            begun.elapsed()
        );
    }
    let begun = Instant::now();
    let index = Index::open(beside("hnsw"))?;
    println!("opened in {:.1?}", begun.elapsed());
    let stream = &mut Seed(6).stream("queries", &[]);
    let mut queries = Vec::new();
    for _ in 0..2000 {
        let near = gallery.vector(rows[below(stream, rows.len() as u64) as usize])?;
        queries.extend(near.iter().map(|x| x + 0.02 * normal(stream) as f32));
    }
    let mut queries = Matrix::new(queries, dim);
    queries.normalize();
    std::fs::write(
        beside("queries.f32"),
        bytemuck::cast_slice::<f32, u8>(queries.values()),
    )?;
    let mut found = Vec::new();
    for exact in [true, false] {
        let options = SearchOptions {
            exact,
            ..Default::default()
        };
        let begun = Instant::now();
        let hits = index.images().search(&queries, 10, &options)?;
        let seconds = begun.elapsed().as_secs_f64();
        let what = if exact { "exact" } else { "graph" };
        println!("{what}: {:.0} queries/s", queries.len() as f64 / seconds);
        found.push(hits);
    }
    let good: usize = (found[0].iter().zip(&found[1]))
        .map(|(exact, near)| near.iter().filter(|hit| exact.contains(hit)).count())
        .sum();
    println!(
        "graph: recall@10 {:.4}",
        good as f64 / (10 * queries.len()) as f64
    );
    Ok(())
}

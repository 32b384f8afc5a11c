//! How fast records go to a store and are found there.
//!
//! `cargo run --release -p truepair-vectordb --example vectordb_speed -- ADDRESS [RECORDS] [NUMBERS]`, of a table that is not
//! there yet. Prints vectors a second, the time of `finish`, milliseconds of one search, and recall of the index
//! beside a search of everything, where the engine has one.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::time::Instant;

use truepair_core::error::{Error, Result};
use truepair_vectordb::{
    Address, Comparison, Filter, Layout, Query, Record, Search, Value, VectorStore, open_store,
};

const BATCH: usize = 1000;
const QUERIES: usize = 200;
/// Vectors lie around so many centers, as embeddings of real data do.
const CENTERS: usize = 200;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .ok_or_else(|| Error::argument("no address", "name one"))?;
    let mut number = |default| {
        arguments
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (n_records, n_numbers): (usize, usize) = (number(20_000), number(512));
    let variables = std::env::vars().filter(|(name, _)| truepair_vectordb::is_variable(name));
    let variables: Vec<_> = variables.collect();
    let mut store = open_store(&Address::parse(&address)?, &variables)?;
    let mut draws = Draws(1);
    let centers: Vec<Vec<f32>> = (0..CENTERS).map(|_| draws.vector(n_numbers)).collect();
    store.prepare(&Layout::gaussians(n_numbers))?;
    let mut seconds = 0.0;
    for start in (0..n_records).step_by(BATCH) {
        let ids = start..n_records.min(start + BATCH);
        let batch: Vec<Record> = ids.map(|at| record(at, &centers, &mut draws)).collect();
        let begun = Instant::now();
        store.upsert(&batch)?;
        seconds += begun.elapsed().as_secs_f64();
    }
    println!(
        "upsert: {:.0} vectors/s of {n_numbers} numbers",
        n_records as f64 / seconds
    );
    let begun = Instant::now();
    store.finish()?;
    println!("finish: {:.1} s", begun.elapsed().as_secs_f64());
    println!("{:?}", store.stats()?);
    let queries: Vec<Query> = (0..QUERIES)
        .map(|at| Query {
            vector: near(&centers[at % CENTERS], &mut draws),
            total_variance: Some(0.5),
        })
        .collect();
    searches(&mut *store, &queries)
}

fn searches(store: &mut dyn VectorStore, queries: &[Query]) -> Result<()> {
    let plain = Search {
        k: 10,
        ..Search::default()
    };
    let hits = timed(store, queries, &plain, "search")?;
    let filtered = Search {
        filter: Some(Filter::compare("width", Comparison::Less, Value::Int(500))),
        ..plain.clone()
    };
    timed(
        store,
        queries,
        &filtered,
        "search with a filter that half pass",
    )?;
    let exact = Search {
        is_exact: true,
        ..plain
    };
    if let Ok(right) = timed(store, &queries[..40], &exact, "search of everything") {
        let found: usize = (hits.iter().zip(&right))
            .map(|(found, right)| {
                let right: BTreeSet<&str> = right.iter().map(|id| id.as_str()).collect();
                found
                    .iter()
                    .filter(|id| right.contains(id.as_str()))
                    .count()
            })
            .sum();
        println!("recall@10: {:.4}", found as f64 / (10 * right.len()) as f64);
    }
    Ok(())
}

/// One query after the other; the ids that were found.
fn timed(
    store: &mut dyn VectorStore,
    queries: &[Query],
    search: &Search,
    name: &str,
) -> Result<Vec<Vec<String>>> {
    let mut ids = Vec::new();
    let mut times = Vec::new();
    for query in queries {
        let begun = Instant::now();
        let hits = store.search(std::slice::from_ref(query), search)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        ids.extend(
            hits.into_iter()
                .map(|hits| hits.into_iter().map(|hit| hit.id).collect()),
        );
    }
    times.sort_by(f64::total_cmp);
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{name}: median {median:.1} ms, p99 {late:.1} ms");
    Ok(ids)
}

fn record(at: usize, centers: &[Vec<f32>], draws: &mut Draws) -> Record {
    Record {
        id: format!("{at:09}.jpg"),
        caption: Some(format!(
            "a caption of ordinary length for the picture of number {at}"
        )),
        columns: [("width".to_owned(), Value::Int(at as i64 % 1000))].into(),
        p_mismatched: Some(0.125),
        vector: near(&centers[at % centers.len()], draws),
        total_variance: Some(draws.unit() as f32),
        ..Record::default()
    }
}

/// A vector of length 1 around `center`.
fn near(center: &[f32], draws: &mut Draws) -> Vec<f32> {
    let noise = draws.vector(center.len());
    let sum: Vec<f32> = center
        .iter()
        .zip(noise)
        .map(|(center, noise)| center + noise)
        .collect();
    let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt();
    sum.into_iter().map(|number| number / length).collect()
}

/// Random numbers that repeat.
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn vector(&mut self, n_numbers: usize) -> Vec<f32> {
        // Sums of twelve are near enough to normal.
        (0..n_numbers)
            .map(|_| ((0..12).map(|_| self.unit()).sum::<f64>() - 6.0) as f32)
            .collect()
    }
}

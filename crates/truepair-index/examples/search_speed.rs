//! How fast is an index? Prints what its documentation claims: one query against the bytes that it reads,
//! batches against plain matrix products, and that the 1-byte copy misses nothing.
//!
//! `cargo run --release -p truepair-index --example search_speed -- FOLDER [ROWS]`; the folder needs room for ROWS
//! vectors of 512 numbers in half precision and once more in 5 bytes a number; a million rows by default.
#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use truepair_core::rng::{Seed, below, normal};
use truepair_core::scores::Matrix;
use truepair_index::{
    Index, Item, Kind, Measure, Records, SearchOptions, Settings, Storage, Writer,
};
use truepair_kernel::product::multiply_transposed;

const DIM: usize = 512;
/// Rows appended at once.
const PART: usize = 50_000;
const CLUSTERS: usize = 1000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("name a folder for the indexes")?);
    let n: usize = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    println!(
        "{n} x {DIM}, clustered unit vectors, {} threads",
        rayon::current_num_threads()
    );
    let half = index(&folder.join("f16"), Storage::F16, n)?;
    one_query(&half, 2)?;
    batch(&half)?;
    let n_coded = n.min(100_000);
    let plain = index(&folder.join("f32"), Storage::F32, n_coded)?;
    let coded = index(&folder.join("int8"), Storage::Int8, n_coded)?;
    same_hits(&plain, &coded)
}

/// The vectors of rows or queries `first..first + n`, around the same centers.
fn clustered(name: &str, first: usize, n: usize) -> Matrix {
    let center = |at: u64| {
        let mut stream = Seed(1).stream("center", &[at]);
        (0..DIM)
            .map(|_| normal(&mut stream) as f32)
            .collect::<Vec<f32>>()
    };
    let centers: Vec<Vec<f32>> = (0..CLUSTERS as u64).into_par_iter().map(center).collect();
    let rows: Vec<Vec<f32>> = (first..first + n)
        .into_par_iter()
        .map(|row| {
            let mut stream = Seed(2).stream(name, &[row as u64]);
            let center = &centers[below(&mut stream, CLUSTERS as u64) as usize];
            center
                .iter()
                .map(|x| x + 0.8 * normal(&mut stream) as f32)
                .collect()
        })
        .collect();
    let mut matrix = Matrix::new(rows.concat(), DIM);
    matrix.normalize();
    matrix
}

/// The index of `n` rows in `folder`, made if it is not there.
fn index(folder: &Path, storage: Storage, n: usize) -> Outcome<Index> {
    let settings = Settings {
        dim: DIM,
        measure: Measure::InnerProduct,
        storage,
        kind: Kind::Exact,
    };
    let begun = Instant::now();
    let mut writer = match Writer::open(folder) {
        Ok(writer) => writer,
        Err(_) => Index::create(folder, &settings, serde_json::json!({}))?,
    };
    let there = writer.index().images().n_rows();
    for first in (there..n).step_by(PART) {
        let n = PART.min(n - first);
        let item = |row: usize| Item {
            id: format!("picture-{row}"),
            text: None,
            picture: Some(format!("pictures/{row}.jpg")),
            columns: Default::default(),
        };
        let records = Records {
            items: (first..first + n).map(item).collect(),
            vectors: clustered("rows", first, n),
        };
        writer.append(Some(records), None)?;
    }
    if there < n {
        writer.compact()?;
        println!(
            "{storage:?}: {} rows written in {:.1?}",
            n - there,
            begun.elapsed()
        );
    }
    drop(writer);
    let begun = Instant::now();
    let index = Index::open(folder)?;
    println!("{storage:?}: {n} rows opened in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    let found = index.images().find(&format!("picture-{}", n / 2));
    assert!(found.is_some());
    println!("{storage:?}: an id found in {:.1?}", begun.elapsed());
    Ok(index)
}

/// How long one of several calls takes: the fastest, and the mean time of all processors together, which
/// counts where other programs keep the processors busy. Both in seconds.
struct Taken {
    fastest: f64,
    processor: f64,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} ms (processor {:.2} ms)",
            self.fastest * 1e3,
            self.processor * 1e3
        )
    }
}

const CALLS: usize = 15;

fn taken(mut call: impl FnMut()) -> Taken {
    call();
    let before = processor_seconds();
    let time = |_| {
        let begun = Instant::now();
        call();
        begun.elapsed().as_secs_f64()
    };
    let fastest = (0..CALLS).map(time).fold(f64::INFINITY, f64::min);
    let processor = (processor_seconds() - before) / CALLS as f64;
    Taken { fastest, processor }
}

/// What this process has had of all processors; NaN where the system does not say.
fn processor_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    let of_thread = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(of_thread).sum::<f64>() / 1e9
}

/// One query against reading the same bytes once, with a vectorized sum on as many threads.
fn one_query(index: &Index, bytes_per_number: usize) -> Outcome<()> {
    let file = index.folder().join(format!(
        "segment-{:06}/images-rows.f16",
        newest_segment(index.folder())?
    ));
    // SAFETY: the example alone writes to its folder.
    let map = unsafe { memmap2::Mmap::map(&std::fs::File::open(file)?)? };
    let words: &[u64] = bytemuck::cast_slice(&map);
    let threads = rayon::current_num_threads();
    let sum = || -> u64 {
        let parts = words.par_chunks(words.len().div_ceil(4 * threads));
        parts
            .map(|part| part.iter().fold(0, |sum: u64, x| sum.wrapping_add(*x)))
            .sum()
    };
    let reading = taken(|| {
        black_box(sum());
    });
    let query = clustered("queries", 0, 1);
    let options = SearchOptions::default();
    let searching = taken(|| {
        black_box(
            index
                .images()
                .search(&query, 10, &options)
                .expect("a query of its width"),
        );
    });
    let gigabytes = (index.images().n_rows() * DIM * bytes_per_number) as f64 / 1e9;
    println!(
        "one query: {searching}; reading its {gigabytes:.2} GB once: {reading}, {:.1} GB/s; {:.2} times (processor \
         {:.2} times)",
        gigabytes / reading.fastest,
        searching.fastest / reading.fastest,
        searching.processor / reading.processor
    );
    Ok(())
}

fn newest_segment(folder: &Path) -> Outcome<u64> {
    let names = std::fs::read_dir(folder)?.flatten().filter_map(|entry| {
        entry
            .file_name()
            .to_str()?
            .strip_prefix("segment-")?
            .parse()
            .ok()
    });
    names.max().ok_or_else(|| "no segment".into())
}

/// Batches of 256 queries against products of large matrices.
fn batch(index: &Index) -> Outcome<()> {
    let (queries, options) = (clustered("queries", 0, 256), SearchOptions::default());
    let operations = |n: usize| 2.0 * (256 * n * DIM) as f64 / 1e9;
    let (begun, before) = (Instant::now(), processor_seconds());
    black_box(index.images().search(&queries, 10, &options)?);
    let of_index = operations(index.images().n_rows());
    let searching = of_index / begun.elapsed().as_secs_f64();
    let searching_processor = of_index / (processor_seconds() - before);
    let n = 8192;
    let (rows, mut out) = (clustered("rows", 0, n), vec![0.0; 256 * n]);
    let product = taken(|| multiply_transposed(queries.values(), rows.values(), DIM, &mut out));
    let (wall, processor) = (
        operations(n) / product.fastest,
        operations(n) / product.processor,
    );
    println!(
        "batches of 256: {searching:.0} Gflop/s; matrix products: {wall:.0} Gflop/s; a processor second: \
         {searching_processor:.0} and {processor:.0} Gflop, {:.0} %",
        100.0 * searching_processor / processor
    );
    Ok(())
}

/// Ten thousand queries, with and without the 1-byte copy.
fn same_hits(plain: &Index, coded: &Index) -> Outcome<()> {
    let (queries, options) = (clustered("queries", 0, 10_000), SearchOptions::default());
    let (mut same, mut times) = (0, [0.0; 2]);
    let now = processor_seconds;
    for first in (0..queries.len()).step_by(250) {
        let part = Matrix::new(
            queries.values()[first * DIM..(first + 250) * DIM].to_vec(),
            DIM,
        );
        let begun = now();
        let expected = plain.images().search(&part, 10, &options)?;
        times[0] += now() - begun;
        let begun = now();
        let found = coded.images().search(&part, 10, &options)?;
        times[1] += now() - begun;
        same += expected.iter().zip(&found).filter(|(a, b)| a == b).count();
    }
    println!(
        "int8: {same} of {} queries have the hits of f32 to the bit; processor {:.1} s, f32 {:.1} s",
        queries.len(),
        times[1],
        times[0]
    );
    let query = clustered("queries", 0, 1);
    let one = |index: &Index| {
        taken(|| {
            black_box(
                index
                    .images()
                    .search(&query, 10, &options)
                    .expect("a query of its width"),
            );
        })
    };
    println!(
        "int8: one query {}, f32 {}; {} bytes a row scanned, f32 {}",
        one(coded),
        one(plain),
        DIM + 12,
        4 * DIM
    );
    Ok(())
}

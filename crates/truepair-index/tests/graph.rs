//! Graphs of neighbors: near enough to exact, exact where few rows are asked for, and refused when damaged.
#![cfg(feature = "ann")]

use std::collections::BTreeMap;
use std::fs;

use truepair_core::rng::{Seed, below, normal};
use truepair_core::scores::Matrix;
use truepair_index::{
    Filter, Index, Item, Kind, Measure, Records, SearchOptions, Settings, Side, Storage, Value,
};

const DIM: usize = 24;

fn settings(measure: Measure, storage: Storage) -> Settings {
    Settings {
        dim: DIM,
        measure,
        storage,
        kind: Kind::Hnsw {
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 96,
        },
    }
}

fn records(first: usize, n: usize) -> Records {
    let mut stream = Seed(3).stream("graph", &[first as u64]);
    let mut vectors = Vec::new();
    for _ in 0..n {
        let cluster = below(&mut stream, 40);
        let mut center = Seed(4).stream("center", &[cluster]);
        let near = |_| (normal(&mut center) + 0.6 * normal(&mut stream)) as f32;
        vectors.extend((0..DIM).map(near));
    }
    let mut vectors = Matrix::new(vectors, DIM);
    vectors.normalize();
    let item = |n: usize| Item {
        id: format!("id{n}"),
        text: None,
        picture: None,
        columns: BTreeMap::from([("number".to_owned(), Value::Int(n as i64))]),
    };
    Records {
        items: (first..first + n).map(item).collect(),
        vectors,
    }
}

#[test]
fn most_neighbors_are_found_and_scores_are_exact() {
    for (measure, storage) in [
        (Measure::InnerProduct, Storage::F16),
        (Measure::SquaredDistance, Storage::F32),
        (Measure::InnerProduct, Storage::Int8),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(measure, storage);
        let mut writer = Index::create(folder.path(), &settings, serde_json::json!(null)).unwrap();
        // A part with a graph, one too small for one, and another with one.
        for (first, n) in [(0, 4000), (4000, 100), (4100, 3000)] {
            writer.append(Some(records(first, n)), None).unwrap();
        }
        let gone: Vec<String> = (0..7100).step_by(9).map(|n| format!("id{n}")).collect();
        writer.delete(Side::Images, &gone).unwrap();
        drop(writer);
        let index = Index::open(folder.path()).unwrap();
        index.verify().unwrap();
        let gallery = index.images();
        let found = gallery.recall(10, 200, Seed(1)).unwrap();
        assert!(found.recall > 0.9 && found.n_queries == 200, "{found:?}");
        let queries = records(90_000, 30).vectors;
        let most = Filter::parse("number >= 500").unwrap();
        let few = Filter::parse("number < 300").unwrap();
        for filter in [None, Some(&most), Some(&few)] {
            let [near, exact] = [false, true].map(|exact| {
                gallery
                    .search(&queries, 10, &SearchOptions { filter, exact })
                    .unwrap()
            });
            let mut same = 0;
            for (near, exact) in near.iter().zip(&exact) {
                assert_eq!(near.len(), 10);
                for hit in near {
                    let item = gallery.item(hit.row).unwrap();
                    assert!(!gone.contains(&item.id));
                    let passes = |filter| gallery.matching(filter).unwrap().contains(hit.row);
                    assert!(filter.is_none_or(passes));
                }
                same += near.iter().filter(|hit| exact.contains(hit)).count();
            }
            assert!(
                same >= 270,
                "{same} of 300 hits have row and score of an exact search"
            );
            if filter == Some(&few) {
                assert_eq!(near, exact);
            }
        }
    }
}

#[test]
fn many_threads_search_a_graph_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Measure::InnerProduct, Storage::F16);
    let mut writer = Index::create(folder.path(), &settings, serde_json::json!(null)).unwrap();
    writer.append(Some(records(0, 2500)), None).unwrap();
    let (gallery, rows) = (writer.index().images(), records(0, 640).vectors);
    let alone: Vec<_> = (0..rows.len())
        .map(|row| {
            let query = Matrix::new(rows.row(row).to_vec(), DIM);
            gallery
                .search(&query, 5, &SearchOptions::default())
                .unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let (rows, alone) = (&rows, &alone);
            scope.spawn(move || {
                for (row, alone) in alone.iter().enumerate().skip(thread * 10).take(10) {
                    let query = Matrix::new(rows.row(row).to_vec(), DIM);
                    let found = gallery
                        .search(&query, 5, &SearchOptions::default())
                        .unwrap();
                    assert_eq!(&found, alone);
                }
            });
        }
    });
}

#[test]
fn a_damaged_graph_is_never_walked() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Measure::InnerProduct, Storage::F32);
    let mut writer = Index::create(folder.path(), &settings, serde_json::json!(null)).unwrap();
    writer.append(Some(records(0, 2500)), None).unwrap();
    drop(writer);
    let file = folder.path().join("segment-000001/images-graph.usearch");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&file, bytes).unwrap();
    let error = Index::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("images-graph.usearch: its content was changed"),
        "{error}"
    );
}

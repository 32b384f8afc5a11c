//! Milvus, out of the Python package `milvus` 2.3.5.

mod conformance;
mod servers;

use conformance::{
    EVERYTHING, a_table_lives, embeddings_are_ranked, gaussians, order_is_direct, put, queries,
};
use truepair_vectordb::{Address, Layout, Search, VectorStore, open_store};

fn open_collection(address: &str, name: &str) -> Box<dyn VectorStore> {
    // A server that goes on between runs of the tests has the collections of the former run.
    let unique = format!("{name}_{}", std::process::id());
    let address = Address::parse(&format!("{address}&collection={unique}")).unwrap();
    open_store(&address, &[]).unwrap()
}

#[test]
fn a_table_lives_on_milvus() {
    let Some(address) = servers::milvus() else {
        return;
    };
    a_table_lives(&|| open_collection(&address, "life"), EVERYTHING);
    embeddings_are_ranked(&mut *open_collection(&address, "products"));
}

#[test]
fn the_order_is_that_of_the_formula() {
    let Some(address) = servers::milvus() else {
        return;
    };
    let (n_numbers, k) = (32, 10);
    let records = gaussians(3000, n_numbers, 5);
    let mut store = open_collection(&address, "formula");
    put(&mut *store, &Layout::gaussians(n_numbers), &records);
    let queries = queries(20, n_numbers, 6);
    let search = Search {
        k,
        ..Search::default()
    };
    // What is new is compared record by record there, so the order is exact.
    let hits = store.search(&queries, &search).unwrap();
    order_is_direct(&records, &queries, &hits, k);
}

#[test]
fn mistakes_are_told() {
    let Some(address) = servers::milvus() else {
        return;
    };
    let exact = Search {
        k: 1,
        is_exact: true,
        ..Search::default()
    };
    let mut store = open_collection(&address, "mistakes");
    store.prepare(&Layout::embeddings(2)).unwrap();
    let error = store.search(&[], &exact).unwrap_err().to_string();
    assert!(error.contains("by its index only"), "{error}");
    let bad = Address::parse(&format!("{address}&collection=a%20b")).unwrap();
    let error = open_store(&bad, &[])
        .unwrap()
        .stats()
        .unwrap_err()
        .to_string();
    assert!(error.contains("letters, digits"), "{error}");
    // Nobody manages anything at this port.
    let (server, _) = address.split_once('?').unwrap();
    let beside = Address::parse(&format!("{server}?management=1&collection=beside")).unwrap();
    let error = open_store(&beside, &[])
        .unwrap()
        .prepare(&Layout::embeddings(2));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("management=PORT"), "{error}");
}

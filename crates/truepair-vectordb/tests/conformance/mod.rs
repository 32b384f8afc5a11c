//! What every engine must do, whatever it is.
#![allow(dead_code, reason = "every test file takes what it needs")]

use std::collections::{BTreeMap, BTreeSet};

use truepair_vectordb::{
    Comparison, Filter, Hit, Layout, Prepared, Query, Record, Search, Upload, Value, VectorStore,
    upload,
};

/// Random numbers that repeat.
#[derive(Debug, Clone)]
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    pub(crate) fn vector(&mut self, n_numbers: usize) -> Vec<f32> {
        (0..n_numbers).map(|_| self.normal() as f32).collect()
    }
}

/// A name that ends quotes.
const ODD: &str = "odd \"name\" $1";

/// What an engine can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// Whether filters order texts.
    pub(crate) orders_texts: bool,
    /// A column's name with signs, as wild as the engine takes it.
    pub(crate) odd: &'static str,
}

/// An engine that leaves out nothing.
pub(crate) const EVERYTHING: Abilities = Abilities {
    orders_texts: true,
    odd: ODD,
};

/// Gaussians with columns of every kind, some of them missing, and texts that end quotes.
pub(crate) fn gaussians(n_records: usize, n_numbers: usize, seed: u64) -> Vec<Record> {
    named_gaussians(n_records, n_numbers, seed, ODD)
}

fn named_gaussians(n_records: usize, n_numbers: usize, seed: u64, odd: &str) -> Vec<Record> {
    let mut draws = Draws(seed);
    let sources = ["web", "a\"b\\", "it's; DROP TABLE x; --", "naïve\n$1"];
    (0..n_records)
        .map(|at| {
            let mut record = Record {
                id: format!("id {at}"),
                caption: (at % 7 > 0).then(|| format!("caption '{at}' \"\\\u{e9}")),
                picture: at.is_multiple_of(3).then(|| format!("{at}.jpg")),
                p_mismatched: (at % 5 > 0).then_some((at % 100) as f64 / 100.0),
                vector: draws.vector(n_numbers),
                total_variance: Some((draws.unit() * 8.0) as f32),
                ..Record::default()
            };
            let mut add = |name: &str, value| drop(record.columns.insert(name.to_owned(), value));
            add("width", Value::Int(at as i64 % 50));
            add(odd, Value::Text(sources[at % 4].to_owned()));
            if at.is_multiple_of(2) {
                add("ratio", Value::Float(at as f64 / 8.0 + 0.5));
            }
            if at % 4 != 1 {
                add("is_new", Value::Bool(at.is_multiple_of(3)));
            }
            record
        })
        .collect()
}

/// `-(|mu_v - mu_t|² + Σ var_v + Σ var_t)` in numbers of 64 bits.
pub(crate) fn direct(record: &Record, query: &Query) -> f64 {
    let square: f64 = (record.vector.iter().zip(&query.vector))
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    let total = |variance: Option<f32>| f64::from(variance.unwrap_or_default());
    -(square + total(record.total_variance) + total(query.total_variance))
}

pub(crate) fn queries(n_queries: usize, n_numbers: usize, seed: u64) -> Vec<Query> {
    let mut draws = Draws(seed);
    let queries = (0..n_queries).map(|_| Query {
        vector: draws.vector(n_numbers),
        total_variance: Some((draws.unit() * 8.0) as f32),
    });
    queries.collect()
}

/// Puts the records there.
pub(crate) fn put(store: &mut dyn VectorStore, layout: &Layout, records: &[Record]) {
    let mut given = records.iter().cloned().map(Ok);
    let options = Upload {
        n_batch: 100,
        ..Upload::default()
    };
    let uploaded = upload(store, layout, &mut given, &options, &mut ()).unwrap();
    assert_eq!(uploaded.n_sent, records.len() as u64);
}

/// The order of hits is the order of the direct formula, for all `k` of them.
pub(crate) fn order_is_direct(records: &[Record], queries: &[Query], hits: &[Vec<Hit>], k: usize) {
    assert_eq!(hits.len(), queries.len());
    for (query, hits) in queries.iter().zip(hits) {
        let mut expected: Vec<(f64, &str)> = (records.iter())
            .map(|record| (direct(record, query), record.id.as_str()))
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        assert_eq!(hits.len(), k.min(records.len()));
        for (hit, (score, id)) in hits.iter().zip(expected) {
            // Scores of random Gaussians are further apart than rounding moves them.
            assert_eq!(hit.id, id, "{} and {score}", hit.score);
            assert!(
                (hit.score - score).abs() < 1e-4 * (1.0 + score.abs()),
                "{} {score}",
                hit.score
            );
        }
    }
}

/// Other kinds, lists, and nothing at all.
fn special(odd: &str) -> Vec<Filter> {
    use Comparison::Equal;
    let text = |text: &str| Value::Text(text.to_owned());
    let mut filters = Vec::new();
    filters.push(Filter::compare("width", Equal, text("25")));
    filters.push(Filter::compare("is_new", Equal, Value::Int(1)));
    let list = |column: &str, values: Vec<Value>| Filter::In {
        column: column.to_owned(),
        values,
    };
    filters.push(list(
        "width",
        vec![
            Value::Int(3),
            Value::Float(4.0),
            text("5"),
            Value::Bool(true),
        ],
    ));
    filters.push(list(odd, vec![text("web"), text("a\"b\\")]));
    filters.push(list("id", vec![text("id 1"), text("id 2"), text("none")]));
    filters.push(list("width", vec![]));
    filters.push(Filter::And(vec![]));
    filters.push(Filter::Or(vec![]));
    filters
}

/// Every side of the filter language.
fn filters(abilities: Abilities) -> Vec<Filter> {
    use Comparison::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
    let text = |text: &str| Value::Text(text.to_owned());
    let odd = abilities.odd;
    let mut filters = Vec::new();
    for comparison in [Equal, NotEqual, Less, AtMost, Greater, AtLeast] {
        for (column, value) in [
            ("width", Value::Int(25)),
            ("width", Value::Float(24.5)),
            ("width", Value::Float(25.0)),
            ("ratio", Value::Float(10.5)),
            ("ratio", Value::Int(12)),
            ("is_new", Value::Bool(true)),
            ("is_new", Value::Bool(false)),
            ("p_mismatched", Value::Float(0.5)),
            ("missing", Value::Int(3)),
            ("width", Value::Int(i64::MIN)),
            ("width", Value::Float(1e300)),
        ] {
            filters.push(Filter::compare(column, comparison, value));
        }
        if abilities.orders_texts || matches!(comparison, Equal | NotEqual) {
            for (column, value) in [
                (odd, text("it's; DROP TABLE x; --")),
                (odd, text("naïve\n$1")),
                (odd, text("a\"b\\")),
                ("id", text("id 7")),
                ("caption", text("caption '8' \"\\\u{e9}")),
                ("picture", text("9.jpg")),
                ("missing", text("")),
            ] {
                filters.push(Filter::compare(column, comparison, value));
            }
        }
    }
    filters.extend(special(odd));
    let negated: Vec<Filter> = (filters.iter().cloned())
        .map(|filter| Filter::Not(Box::new(filter)))
        .collect();
    let joined: Vec<Filter> = (filters.windows(3).step_by(2))
        .map(|three| {
            let [a, b, c] = three else { panic!("three") };
            let either = Filter::Or(vec![b.clone(), Filter::Not(Box::new(c.clone()))]);
            Filter::And(vec![a.clone(), either])
        })
        .collect();
    filters.extend(negated);
    filters.extend(joined);
    filters
}

/// Every filter lets through what [`Filter::holds`] says.
fn filters_agree(
    store: &mut dyn VectorStore,
    records: &[Record],
    query: &Query,
    abilities: Abilities,
) {
    for filter in filters(abilities) {
        let search = Search {
            k: records.len(),
            filter: Some(filter.clone()),
            is_exact: false,
        };
        let hits = store.search(std::slice::from_ref(query), &search).unwrap();
        let found: BTreeSet<&str> = hits[0].iter().map(|hit| hit.id.as_str()).collect();
        let expected = records.iter().filter(|record| filter.holds(record));
        let expected: BTreeSet<&str> = expected.map(|record| record.id.as_str()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

/// The whole life of a table: made, filled, searched, changed, deleted from, refused.
pub(crate) fn a_table_lives(open: &dyn Fn() -> Box<dyn VectorStore>, abilities: Abilities) {
    let (n_numbers, layout) = (16, Layout::gaussians(16));
    let records = named_gaussians(300, n_numbers, 1, abilities.odd);
    let mut store = open();
    let error = store.stats().unwrap_err().to_string();
    assert!(error.contains("there is no such"), "{error}");
    put(&mut *store, &layout, &records);
    let stats = store.stats().unwrap();
    assert_eq!((stats.n_records, stats.layout), (300, layout), "{stats:?}");

    let queries = queries(5, n_numbers, 2);
    let search = Search {
        k: 20,
        ..Search::default()
    };
    let hits = store.search(&queries, &search).unwrap();
    order_is_direct(&records, &queries, &hits, 20);
    let all = Search {
        k: 300,
        ..Search::default()
    };
    // Another caller knows the layout from the store.
    let hits = open().search(&queries, &all).unwrap();
    order_is_direct(&records, &queries, &hits, 300);
    for hit in &hits[0] {
        let record = records.iter().find(|record| record.id == hit.id).unwrap();
        assert_eq!(
            (&hit.caption, &hit.picture),
            (&record.caption, &record.picture)
        );
        assert_eq!(hit.p_mismatched, record.p_mismatched);
        assert_eq!(numbers(&hit.columns), numbers(&record.columns));
    }
    filters_agree(&mut *store, &records, &queries[0], abilities);

    // The same again changes nothing, another record of the same id replaces.
    put(&mut *store, &layout, &records);
    assert_eq!(store.stats().unwrap().n_records, 300);
    let moved = Record {
        vector: queries[0].vector.clone(),
        total_variance: Some(0.0),
        caption: Some("here".into()),
        ..records[299].clone()
    };
    store.upsert(std::slice::from_ref(&moved)).unwrap();
    let hits = store.search(&queries[..1], &search).unwrap();
    assert_eq!(
        (hits[0][0].id.as_str(), hits[0][0].caption.as_deref()),
        ("id 299", Some("here"))
    );
    store
        .delete(&["id 299".into(), "id \"0".into(), "id 1".into()])
        .unwrap();
    let hits = store.search(&queries[..1], &all).unwrap();
    assert_eq!(hits[0].len(), 298);
    assert_eq!(store.stats().unwrap().n_records, 298);

    refused(open, &layout, &records);
}

/// Engines may give a whole number back as one.
fn numbers(columns: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let number = |value: &Value| match value {
        Value::Int(whole) => Value::Float(*whole as f64),
        other => other.clone(),
    };
    columns
        .iter()
        .map(|(name, value)| (name.clone(), number(value)))
        .collect()
}

fn refused(open: &dyn Fn() -> Box<dyn VectorStore>, layout: &Layout, records: &[Record]) {
    let mut store = open();
    assert_eq!(store.prepare(layout).unwrap(), Prepared::Found);
    let error = open()
        .prepare(&Layout::gaussians(17))
        .unwrap_err()
        .to_string();
    let both = error.contains("Gaussians of 16 numbers") && error.contains("Gaussians of 17");
    assert!(both && error.contains(store.place()), "{error}");
    assert!(open().prepare(&Layout::embeddings(16)).is_err());
    let short = Record {
        vector: vec![1.0],
        ..records[0].clone()
    };
    let error = store.upsert(&[short]).unwrap_err().to_string();
    assert!(
        error.contains("\"id 0\"") && error.contains("1 numbers, expected 16"),
        "{error}"
    );
    let query = Query {
        vector: vec![1.0],
        total_variance: Some(1.0),
    };
    let search = Search {
        k: 1,
        ..Search::default()
    };
    assert!(
        store
            .search(&[query], &search)
            .unwrap_err()
            .to_string()
            .contains("expected 16")
    );
    let twice = [records[0].clone(), records[0].clone()];
    assert!(
        store
            .upsert(&twice)
            .unwrap_err()
            .to_string()
            .contains("same id")
    );
}

/// Embeddings come back by their inner products.
pub(crate) fn embeddings_are_ranked(store: &mut dyn VectorStore) {
    let mut draws = Draws(3);
    let record = |at: usize, vector| Record {
        id: at.to_string(),
        vector,
        ..Record::default()
    };
    let records: Vec<Record> = (0..50).map(|at| record(at, draws.vector(8))).collect();
    put(store, &Layout::embeddings(8), &records);
    let query = Query {
        vector: draws.vector(8),
        total_variance: None,
    };
    let product = |record: &Record| -> f64 {
        let pairs = record.vector.iter().zip(&query.vector);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let search = Search {
        k: 10,
        ..Search::default()
    };
    let hits = store.search(std::slice::from_ref(&query), &search).unwrap();
    let mut expected: Vec<&Record> = records.iter().collect();
    expected.sort_by(|a, b| product(b).total_cmp(&product(a)));
    assert_eq!(hits[0].len(), 10);
    for (hit, record) in hits[0].iter().zip(expected) {
        assert_eq!(hit.id, record.id);
        assert!((hit.score - product(record)).abs() < 1e-4);
    }
}

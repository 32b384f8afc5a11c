//! A search against a sort of all scores: every storage and measure, with filters and deletions.

use std::collections::BTreeMap;

use truepair_core::rng::{Seed, Stream, below, normal};
use truepair_core::scores::Matrix;
use truepair_index::{
    Filter, Gallery, Hit, Index, Item, Kind, Measure, Records, SearchOptions, Settings, Side,
    Storage, Value, Writer,
};

const MEASURES: [Measure; 2] = [Measure::InnerProduct, Measure::SquaredDistance];
const STORAGES: [Storage; 3] = [Storage::F32, Storage::F16, Storage::Int8];

fn settings(dim: usize, measure: Measure, storage: Storage) -> Settings {
    Settings {
        dim,
        measure,
        storage,
        kind: Kind::Exact,
    }
}

fn item(number: usize) -> Item {
    let mut columns = BTreeMap::from([("number".to_owned(), Value::Int(number as i64))]);
    if !number.is_multiple_of(3) {
        let source = if number.is_multiple_of(2) {
            "web"
        } else {
            "book"
        };
        columns.insert("source".to_owned(), Value::Text(source.to_owned()));
    }
    Item {
        id: format!("item-{number}"),
        text: (!number.is_multiple_of(4)).then(|| format!("a caption of {number}")),
        picture: None,
        columns,
    }
}

/// Clusters, exact repeats and zeros: what makes ties and near ties.
fn vectors(stream: &mut Stream, n: usize, dim: usize) -> Matrix {
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for row in 0..n {
        let next = match below(stream, 5) {
            0 if row > 0 => rows[below(stream, row as u64) as usize].clone(),
            1 => vec![0.0; dim],
            2 if row > 0 => {
                let near = &rows[below(stream, row as u64) as usize];
                near.iter()
                    .map(|x| x + 1e-3 * normal(stream) as f32)
                    .collect()
            }
            _ => (0..dim).map(|_| normal(stream) as f32).collect(),
        };
        rows.push(next);
    }
    Matrix::new(rows.concat(), dim)
}

fn append(writer: &mut Writer, first: usize, vectors: Matrix) {
    let items = (first..first + vectors.len()).map(item).collect();
    writer
        .append(Some(Records { items, vectors }), None)
        .unwrap();
}

/// All rows that pass, sorted by scores that are computed one by one from the stored vectors.
fn by_definition(
    gallery: &Gallery,
    measure: Measure,
    query: &[f32],
    passes: &dyn Fn(&Item) -> bool,
) -> Vec<(usize, f64)> {
    let mut rows: Vec<(usize, f64)> = (gallery.rows())
        .filter(|row| passes(&gallery.item(*row).unwrap()))
        .map(|row| {
            let vector = gallery.vector(row).unwrap();
            let pairs = query
                .iter()
                .zip(&vector)
                .map(|(q, x)| (f64::from(*q), f64::from(*x)));
            let score = match measure {
                Measure::InnerProduct => pairs.map(|(q, x)| q * x).sum(),
                Measure::SquaredDistance => -pairs.map(|(q, x)| (q - x) * (q - x)).sum::<f64>(),
            };
            (row, score)
        })
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    rows
}

/// Hits are ordered, belong to their scores, and none that is left out has a clearly higher one.
fn assert_best(hits: &[Hit], expected: &[(usize, f64)], k: usize) {
    assert_eq!(hits.len(), k.min(expected.len()));
    let exact: BTreeMap<usize, f64> = expected.iter().copied().collect();
    for pair in hits.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        assert!(
            a.score > b.score || (a.score == b.score && a.row < b.row),
            "{a:?} {b:?}"
        );
    }
    for (hit, best) in hits.iter().zip(expected) {
        let tolerance = 1e-5 * (1.0 + best.1.abs());
        assert!((f64::from(hit.score) - exact[&hit.row]).abs() < tolerance);
        assert!(
            (f64::from(hit.score) - best.1).abs() < tolerance,
            "{hit:?} {best:?}"
        );
    }
}

#[test]
fn hits_are_those_of_a_sort_with_filters_and_deletions() {
    let mut stream = Seed(5).stream("vectors", &[]);
    for (measure, storage) in MEASURES.into_iter().flat_map(|m| STORAGES.map(|s| (m, s))) {
        let (dim, folder) = (19, tempfile::tempdir().unwrap());
        let mut writer = Index::create(
            folder.path(),
            &settings(dim, measure, storage),
            serde_json::json!(null),
        )
        .unwrap();
        for (first, n) in [(0, 300), (300, 1), (301, 700)] {
            append(&mut writer, first, vectors(&mut stream, n, dim));
        }
        let gone: Vec<String> = (0..1001).step_by(7).map(|n| format!("item-{n}")).collect();
        assert_eq!(writer.delete(Side::Images, &gone).unwrap().n, gone.len());
        let web = Filter::parse("source = 'web' and number >= 40 or missing(source)").unwrap();
        let few = Filter::parse("number in (5, 299, 300, 303, 304)").unwrap();
        let is_web = |item: &Item| match item.columns.get("source") {
            None => true,
            Some(source) => {
                let Some(Value::Int(number)) = item.columns.get("number") else {
                    return false;
                };
                *source == Value::Text("web".to_owned()) && *number >= 40
            }
        };
        let is_few = |item: &Item| {
            ["5", "299", "300", "303", "304"]
                .iter()
                .any(|n| item.id == format!("item-{n}"))
        };
        let index = Index::open(folder.path()).unwrap();
        let queries = vectors(&mut stream, 9, dim);
        type Passes<'a> = &'a dyn Fn(&Item) -> bool;
        let filters: [(Option<&Filter>, Passes<'_>); 3] = [
            (None, &|_| true),
            (Some(&web), &is_web),
            (Some(&few), &is_few),
        ];
        for ((filter, passes), k) in filters
            .into_iter()
            .flat_map(|f| [(f, 1), (f, 25), (f, 5000)])
        {
            let options = SearchOptions {
                filter,
                ..Default::default()
            };
            let gallery = index.images();
            let found = gallery.search(&queries, k, &options).unwrap();
            for (row, hits) in found.iter().enumerate() {
                let expected = by_definition(gallery, measure, queries.row(row), passes);
                assert_best(hits, &expected, k);
                let alone = Matrix::new(queries.row(row).to_vec(), dim);
                assert_eq!(
                    gallery.search(&alone, k, &options).unwrap(),
                    std::slice::from_ref(hits)
                );
            }
        }
    }
}

/// A row by its number and a source of noise of a scale.
type RowOf<'a> = &'a mut dyn FnMut(usize, &mut dyn FnMut(f32) -> f32) -> Vec<f32>;

/// Rows on which a careless bound fails.
fn adversarial(dim: usize) -> Vec<Matrix> {
    let mut stream = Seed(11).stream("adversarial", &[]);
    let mut noise = |scale: f32| scale * normal(&mut stream) as f32;
    let mut of = |n: usize, row: RowOf<'_>| {
        Matrix::new((0..n).flat_map(|at| row(at, &mut noise)).collect(), dim)
    };
    vec![
        of(500, &mut |_, _| vec![0.25; dim]),
        of(500, &mut |_, _| vec![0.0; dim]),
        // One number rules the scale and the others are what counts.
        of(500, &mut |_, noise| {
            let mut row: Vec<f32> = (0..dim).map(|_| noise(1e-3)).collect();
            row[0] = 1e4;
            row
        }),
        // Sizes over many powers of ten.
        of(500, &mut |at, noise| {
            (0..dim)
                .map(|_| noise(10f32.powi(at as i32 % 29 - 14)))
                .collect()
        }),
        of(500, &mut |at, noise| {
            (0..dim).map(|_| noise(1e-41 * at as f32)).collect()
        }),
        // Neighbors closer than a step of the codes.
        of(2000, &mut |_, noise| {
            (0..dim).map(|d| (d as f32).sin() + noise(1e-5)).collect()
        }),
        of(6000, &mut |at, _| vec![(at % 3) as f32; dim]),
    ]
}

#[test]
fn int8_gives_the_hits_of_f32_to_the_bit() {
    let dim = 33;
    for (measure, rows) in MEASURES
        .into_iter()
        .flat_map(|m| adversarial(dim).into_iter().map(move |r| (m, r)))
    {
        let [plain, coded] = [Storage::F32, Storage::Int8].map(|storage| {
            let folder = tempfile::tempdir().unwrap();
            let settings = settings(dim, measure, storage);
            let mut writer = Index::create(folder.path(), &settings, serde_json::json!(1)).unwrap();
            append(&mut writer, 0, rows.clone());
            let index = Index::open(folder.path()).unwrap();
            (index, folder)
        });
        let mut queries = rows.values()[..6 * dim].to_vec();
        queries.extend((0..dim).map(|d| (d as f32).cos()));
        queries.extend(vec![0.0; dim]);
        let queries = Matrix::new(queries, dim);
        for k in [1, 10, 300] {
            let search = |index: &Index| {
                index
                    .images()
                    .search(&queries, k, &SearchOptions::default())
            };
            assert_eq!(
                search(&coded.0).unwrap(),
                search(&plain.0).unwrap(),
                "{measure:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(3, Measure::InnerProduct, Storage::F16);
    let mut writer = Index::create(folder.path(), &settings, serde_json::json!(null)).unwrap();
    let search = |writer: &Writer, values: Vec<f32>, dim, k| {
        let queries = Matrix::new(values, dim);
        writer
            .index()
            .images()
            .search(&queries, k, &SearchOptions::default())
    };
    assert_eq!(
        search(&writer, vec![1.0; 6], 3, 5).unwrap(),
        [vec![], vec![]]
    );
    append(&mut writer, 0, Matrix::new(vec![1.0; 6], 3));
    assert_eq!(
        search(&writer, vec![1.0; 6], 3, 0).unwrap(),
        [vec![], vec![]]
    );
    assert_eq!(
        search(&writer, vec![1.0; 3], 3, usize::MAX).unwrap()[0].len(),
        2
    );
    let error = |values, dim| search(&writer, values, dim, 1).unwrap_err().to_string();
    assert!(error(vec![1.0; 4], 4).contains("queries of 4 numbers"));
    assert!(error(vec![1.0, f32::NAN, 0.0], 3).starts_with("query 0: number 1"));
    assert!(error(vec![1e20, 0.0, 0.0], 3).contains("long"));
}

#[test]
fn many_threads_search_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(8, Measure::InnerProduct, Storage::Int8);
    let mut writer = Index::create(folder.path(), &settings, serde_json::json!(null)).unwrap();
    let rows = vectors(&mut Seed(2).stream("threads", &[]), 3000, 8);
    append(&mut writer, 0, rows.clone());
    let (gallery, options) = (writer.index().images(), SearchOptions::default());
    let expected = gallery.search(&rows, 3, &options).unwrap();
    std::thread::scope(|scope| {
        for of_thread in 0..64 {
            let (rows, expected, options) = (&rows, &expected, &options);
            scope.spawn(move || {
                for at in (of_thread..1000).step_by(64) {
                    let query = Matrix::new(rows.row(at).to_vec(), 8);
                    let found = gallery.search(&query, 3, options).unwrap();
                    assert_eq!(found[0], expected[at]);
                }
            });
        }
    });
}

//! What an index finds is what an evaluation measures, and what it promises holds.

use truepair_core::dataset::{Dataset, Features, NamedFeatures};
use truepair_core::metric::{Protocol, evaluate};
use truepair_core::pair::Pair;
use truepair_core::relevance::Relevance;
use truepair_core::rng::{Seed, normal};
use truepair_core::scores::{Direction, InnerProduct, Matrix};
use truepair_index::{Index, Kind, SearchOptions, Settings, Storage};
use truepair_model::similarity::Role;

use super::about::{Compared, IndexAbout};
use super::build::{Additions, Columns};
use super::calibrate::calibrate;
use super::engine::Engine;
use crate::embedder::{Embedder, EmbedderSource};
use crate::progress::Bars;

const DIM: usize = 24;
const EACH: usize = 3;

/// Images `NAME-0`, `NAME-1`, ... with captions whose embeddings are noisy copies of theirs.
fn data(name: &str, n: usize, seed: u64) -> Dataset {
    let rng = &mut Seed(seed).stream("data", &[]);
    let images: Vec<f32> = (0..n * DIM).map(|_| normal(rng) as f32).collect();
    let captions = (0..n * EACH * DIM).map(|at| {
        let image = at / DIM / EACH;
        images[image * DIM + at % DIM] + 1.2 * normal(rng) as f32
    });
    let captions: Vec<f32> = captions.collect();
    let pair = |caption: u32| Pair {
        image: caption / EACH as u32,
        caption,
    };
    Dataset {
        name: name.to_owned(),
        format: "memory",
        split: "test".to_owned(),
        images: Features::from_rows(images, DIM),
        image_ids: (0..n).map(|at| format!("{name}-{at}")).collect(),
        image_files: Vec::new(),
        captions: Some((0..n * EACH).map(|at| format!("text {at}")).collect()),
        caption_features: Some(NamedFeatures {
            name: "own".to_owned(),
            features: Features::from_rows(captions, DIM),
        }),
        pairs: (0..(n * EACH) as u32).map(pair).collect(),
        labels: None,
        files: Vec::new(),
        account: Default::default(),
    }
}

fn engine(dataset: &Dataset, storage: Storage, folder: &std::path::Path) -> Engine {
    let embedder = Embedder::open(&EmbedderSource::default()).unwrap();
    let added = Additions::of(dataset, &embedder, Columns::default(), &mut Bars::new()).unwrap();
    assert_eq!(added.compared, Compared::InnerProduct);
    let about = IndexAbout::new("test".to_owned(), EmbedderSource::default(), added.compared);
    let settings = Settings {
        dim: DIM,
        measure: about.compared.measure(),
        storage,
        kind: Kind::Exact,
    };
    let mut writer = Index::create(folder, &settings, about.to_value().unwrap()).unwrap();
    writer.append(Some(added.images), added.captions).unwrap();
    drop(writer);
    Engine::new(Index::open(folder).unwrap(), about, embedder).unwrap()
}

#[test]
fn an_exact_index_has_the_recalls_of_an_evaluation() {
    let dataset = data("photo", 150, 1);
    let unit = |features: &Features| -> Matrix {
        let mut matrix = features.to_matrix().unwrap();
        matrix.normalize();
        matrix
    };
    let captions = &dataset.caption_features.as_ref().unwrap().features;
    let scorer = InnerProduct::new(unit(&dataset.images), unit(captions)).unwrap();
    let relevance = Relevance::from_pairs(150, 150 * EACH, &dataset.pairs);
    let report = evaluate(
        &scorer,
        &relevance,
        Protocol::new("photo", "test", &relevance),
        &mut (),
    )
    .unwrap();
    for storage in [Storage::F32, Storage::Int8] {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&dataset, storage, folder.path());
        let sides = engine
            .embedder
            .sides(&dataset, Role::Asking, &mut ())
            .unwrap();
        let asked = [
            (sides.captions.unwrap(), engine.index.images()),
            (sides.images, engine.index.captions()),
        ];
        let mut recalls = Vec::new();
        for (of_captions, (asking, gallery)) in [true, false].into_iter().zip(asked) {
            let hits = gallery
                .search(&asking.vectors, 10, &SearchOptions::default())
                .unwrap();
            let image_of = |row: usize| if of_captions { row } else { row / EACH };
            let own = |query: usize| if of_captions { query / EACH } else { query };
            for k in [1, 5, 10] {
                let found = hits.iter().enumerate().filter(|(query, hits)| {
                    hits.iter()
                        .take(k)
                        .any(|hit| image_of(hit.row) == own(*query))
                });
                recalls.push(found.count() as f64 / hits.len() as f64);
            }
        }
        let measured = [Direction::TextToImage, Direction::ImageToText].map(|direction| {
            [1, 5, 10].map(|k| {
                report
                    .figure(&format!("recall@{k}"), Some(direction))
                    .unwrap()
            })
        });
        assert_eq!(recalls, measured.concat(), "{storage:?}");
    }
}

#[test]
fn what_scores_mean_is_learned_from_pairs_inside_and_outside_the_index() {
    let dataset = data("photo", 400, 2);
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&dataset, Storage::F32, folder.path());
    let further = data("further", 400, 3);
    for calibrating in [&dataset, &further] {
        let learned = calibrate(&engine, calibrating, &mut Bars::new()).unwrap();
        for quality in learned.quality {
            let quality = quality.unwrap();
            assert!(quality.ece < 0.06, "{quality:?}");
            assert!((quality.covered.unwrap() - 0.9).abs() < 0.06, "{quality:?}");
            assert!(quality.nothing_auc > 0.6, "{quality:?}");
        }
    }
}

//! Metrics beyond recall against what reference implementations gave on tiny inputs.

mod golden_file;

use golden_file::{Golden, assert_close};
use truepair_core::metric::{
    Asked, AveragePrecision, Divisor, Measured, Metric, Precision, Protocol, Recall, Relevant,
    Source, measure,
};
use truepair_core::pair::Pair;
use truepair_core::ranking::{List, Placed, RankedLists, sorted_by_labels};
use truepair_core::relevance::{
    Codes, Ids, Judgments, LabelRelevance, MatchRule, Relevance, UnknownIds, Unlabeled,
};
use truepair_core::scores::{Direction, InnerProduct, Matrix, ScoreMatrix, Scorer};

const I2T: Direction = Direction::ImageToText;
const T2I: Direction = Direction::TextToImage;

/// Caption `n` belongs to image `n / each`.
fn runs(n_images: usize, n_captions: usize) -> Relevance {
    let each = n_captions / n_images;
    let pair = |caption| Pair {
        image: caption / each as u32,
        caption,
    };
    let pairs: Vec<Pair> = (0..n_captions as u32).map(pair).collect();
    Relevance::from_pairs(n_images, n_captions, &pairs)
}

fn measured(source: Source<'_>, relevant: Relevant<'_>, pairs: &Relevance, folds: u32) -> Measured {
    let protocol = Protocol {
        folds,
        ..Protocol::new("golden", "test", pairs)
    };
    measure(source, relevant, pairs, protocol, &mut ()).unwrap()
}

fn values(measured: &Measured, asked: &Asked, name: &str) -> Vec<f64> {
    let at = (measured.metrics.iter()).position(|metric| metric.name() == name);
    asked
        .rows
        .iter()
        .map(|row| row.values[at.unwrap()])
        .collect()
}

#[test]
fn golden_pmrp() {
    let golden = Golden::open("u12_pmrp.safetensors");
    let k = golden.tensors().tensor("in.codes").unwrap().shape()[1];
    let scores = ScoreMatrix(golden.matrix("in.S"));
    let pairs = runs(scores.n_images(), scores.n_captions());
    let images = Codes::sets(&golden.integers("in.codes"), k).unwrap();
    let captions = 0..scores.n_captions() as u32;
    let owners: Vec<Option<u32>> = (captions)
        .map(|caption| pairs.images_of(caption).first().copied())
        .collect();
    let captions = images.inherited(&owners);
    let labels = LabelRelevance::new(images, captions, MatchRule::Plausible).unwrap();
    let found = measured(
        Source::Scores(&scores),
        Relevant::Labels(&labels),
        &pairs,
        1,
    );
    for (name, direction) in [("i2t", I2T), ("t2i", T2I)] {
        let asked = found.asked(direction);
        let by_distance = ["pmrp@0", "pmrp@1", "pmrp@2"]
            .map(|metric| values(&found, asked, metric))
            .concat();
        let out = |field: &str| golden.floats(&format!("out.{name}_{field}"));
        assert_close(name, &by_distance, &out("rprecision"));
        let figure = |metric| 100.0 * found.figure(metric, Some(direction)).unwrap();
        assert_close(name, &[figure("pmrp")], &out("pmrp"));
        assert_close(name, &[figure("pmr@1")], &out("pmr1"));
    }
}

#[test]
fn golden_r_precision_across_two_sets() {
    let golden = Golden::open("u12_rprecision.safetensors");
    let codes = |name| Codes::classes(&golden.integers(name), None).unwrap();
    let labels = LabelRelevance::new(
        codes("in.label"),
        codes("in.gallery_label"),
        MatchRule::Same,
    );
    let scores = ScoreMatrix(golden.matrix("in.S_cross"));
    let worth = |placed: &Placed<'_>| {
        let r_precision = truepair_core::metric::RPrecision.of_query(placed);
        let firsts = [
            Recall::AT_1.of_query(placed),
            Precision::AT_1.of_query(placed),
            Recall::AT_5.of_query(placed),
            Precision::AT_5.of_query(placed),
        ];
        (r_precision, firsts)
    };
    let [found, _] = sorted_by_labels(&scores, &labels.unwrap(), &mut (), worth).unwrap();
    let n = golden.integers("in.label").len();
    assert_eq!(found.queries.len(), n, "every class is in the gallery");
    let r_precision: Vec<f64> = found.queries.iter().map(|(_, worth)| worth.0).collect();
    assert_close(
        "cross",
        &r_precision,
        &golden.floats("out.cross_rprecision"),
    );
    let names = ["recall1", "precision1", "recall5", "precision5"];
    for (at, name) in names.iter().enumerate() {
        let sum: f64 = found.queries.iter().map(|(_, worth)| worth.1[at]).sum();
        let expected = golden.floats(&format!("out.cross_{name}"));
        assert_close(name, &[sum / n as f64], &expected);
    }
}

/// A class of one item has no other to find: the reference divides 0 by 0, here it is left out.
#[test]
fn golden_r_precision_within_one_set() {
    let golden = Golden::open("u12_rprecision.safetensors");
    let codes = Codes::classes(&golden.integers("in.label"), None).unwrap();
    let labels = LabelRelevance::within_one_set(codes, MatchRule::Same).unwrap();
    let scores = ScoreMatrix(golden.matrix("in.S_self"));
    let worth = |placed: &Placed<'_>| truepair_core::metric::RPrecision.of_query(placed);
    let [found, _] = sorted_by_labels(&scores, &labels, &mut (), worth).unwrap();
    let expected = golden.floats("out.self_rprecision");
    let known: Vec<f32> = expected
        .iter()
        .copied()
        .filter(|value| !value.is_nan())
        .collect();
    let values: Vec<f64> = found.queries.iter().map(|(_, worth)| *worth).collect();
    assert_close("self", &values, &known);
    assert_eq!(found.n_excluded as usize, expected.len() - known.len());
}

/// Cosine of every query with every item of the gallery.
fn cosines(golden: &Golden, queries: &str, gallery: &str) -> InnerProduct {
    let normalized = |name| {
        let mut matrix = golden.matrix(name);
        matrix.normalize();
        matrix
    };
    InnerProduct::new(normalized(queries), normalized(gallery)).unwrap()
}

fn negative_distances(golden: &Golden, queries: &str, gallery: &str) -> ScoreMatrix {
    let (queries, gallery) = (golden.matrix(queries), golden.matrix(gallery));
    let mut values = Vec::new();
    for query in 0..queries.len() {
        for item in 0..gallery.len() {
            let pairs = queries.row(query).iter().zip(gallery.row(item));
            let squares = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            values.push(-squares.sum::<f64>().sqrt() as f32);
        }
    }
    ScoreMatrix(Matrix::new(values, gallery.len()))
}

/// Sum of average precision over the queries that have a relevant item, and the others' number.
fn summed(scorer: &dyn Scorer, labels: &LabelRelevance, k: u32) -> (f64, usize, usize) {
    let worth = |placed: &Placed<'_>| AveragePrecision::within(placed.strict(), k, Divisor::Found);
    let [found, _] = sorted_by_labels(scorer, labels, &mut (), worth).unwrap();
    let sum = found.queries.iter().map(|(_, worth)| worth).sum();
    (sum, found.queries.len(), found.n_excluded as usize)
}

/// With single labels the reference counts a query without a relevant item as 0.
#[test]
fn golden_average_precision_of_classes() {
    let golden = Golden::open("u12_map.safetensors");
    let codes = |name| Codes::classes(&golden.integers(name), None).unwrap();
    let labels = |queries, gallery| {
        LabelRelevance::new(codes(queries), codes(gallery), MatchRule::Same).unwrap()
    };
    let check = |scorer: &dyn Scorer, labels: &LabelRelevance, k, name: &str| {
        let (sum, n, n_excluded) = summed(scorer, labels, k);
        let found = sum / (n + n_excluded) as f64;
        assert_close(name, &[found], &golden.floats(name));
    };
    let mrl = labels("in.query_label", "in.gallery_label");
    let cosine = cosines(&golden, "in.query", "in.gallery");
    let depths: Vec<u32> = golden.numbers("k").iter().map(|&k| k as u32).collect();
    // 0 stands for the whole gallery.
    let within = |k: u32| if k == 0 { u32::MAX } else { k };
    for &k in &depths {
        check(&cosine, &mrl, within(k), &format!("out.mrl_map_k{k}"));
    }
    let euclid = negative_distances(&golden, "in.query", "in.gallery");
    check(&euclid, &mrl, u32::MAX, "out.mrl_map_euclid");
    // DSCMR takes one list of labels for both sides.
    let dscmr = labels("in.paired_label", "in.paired_label");
    let cosine = cosines(&golden, "in.query", "in.paired");
    for &k in &depths {
        check(&cosine, &dscmr, within(k), &format!("out.dscmr_map_k{k}"));
    }
    let euclid = negative_distances(&golden, "in.query", "in.paired");
    check(&euclid, &dscmr, u32::MAX, "out.dscmr_map_l2");
}

#[test]
fn golden_average_precision_of_sets_of_classes() {
    let golden = Golden::open("u12_map.safetensors");
    let codes = |name: &str| {
        let k = golden.tensors().tensor(name).unwrap().shape()[1];
        Codes::sets(&golden.integers(name), k).unwrap()
    };
    let (queries, gallery) = (codes("in.query_multilabel"), codes("in.gallery_multilabel"));
    let labels = LabelRelevance::new(queries, gallery, MatchRule::Share)
        .unwrap()
        .with_unlabeled(Unlabeled::Kept);
    let cosine = cosines(&golden, "in.query", "in.gallery");
    let (sum, n, _) = summed(&cosine, &labels, u32::MAX);
    let name = "out.mrl_map_multilabel";
    assert_close(name, &[sum / n as f64], &golden.floats(name));
}

/// Annotations and rankings of the `eccv_caption` package's own evaluator.
struct Eccv {
    file: serde_json::Value,
    images: Ids,
    captions: Ids,
}

impl Eccv {
    fn open() -> Self {
        let file: serde_json::Value =
            serde_json::from_slice(&Golden::open("u12_eccv_caption.json").bytes).unwrap();
        // The queries in the order of their folds come first, then the rest of the gallery.
        let fold_order = names(&file["in"]["coco_ids_fold_order"]);
        let owner = |caption: &String| names(&file["in"]["gt"]["coco"]["t2i"][caption])[0].clone();
        let images = fold_order.iter().map(owner).collect();
        let gallery = |first: Vec<String>, asked: &str, found: &str| {
            let lists = |direction: &str| file["in"]["retrieved"][direction].as_object().unwrap();
            let mut all = first;
            all.extend(lists(found).values().flat_map(names));
            all.extend(lists(asked).keys().cloned());
            let mut seen = std::collections::HashSet::new();
            all.retain(|name| seen.insert(name.clone()));
            Ids::new(all).unwrap()
        };
        Self {
            images: gallery(images, "i2t", "t2i"),
            captions: gallery(fold_order, "t2i", "i2t"),
            file,
        }
    }

    fn named(&self, map: &serde_json::Value) -> Judgments {
        let mut judgments = Judgments::new("golden");
        for (query, items) in map.as_object().unwrap() {
            judgments.add(query, names(items)).unwrap();
        }
        judgments
    }

    fn relevance(&self, annotation: &str) -> Relevance {
        let direct = |direction, name, queries: &Ids, gallery: &Ids| {
            let judged = self.named(&self.file["in"]["gt"][annotation][name]);
            judged
                .resolve(direction, queries, gallery, UnknownIds::Count)
                .unwrap()
        };
        Relevance::from_judgments(
            direct(I2T, "i2t", &self.images, &self.captions),
            direct(T2I, "t2i", &self.captions, &self.images),
        )
    }

    fn lists(&self) -> RankedLists {
        let lists = |name, queries: &Ids, gallery: &Ids| {
            let named = self.named(&self.file["in"]["retrieved"][name]);
            List::resolve(&named, queries, gallery).unwrap()
        };
        RankedLists::new(
            self.images.len(),
            self.captions.len(),
            lists("i2t", &self.images, &self.captions),
            lists("t2i", &self.captions, &self.images),
        )
        .unwrap()
    }

    fn check(&self, found: &Measured, metrics: &[(&str, &str)]) {
        for (name, direction) in [("i2t", I2T), ("t2i", T2I)] {
            for (metric, key) in metrics {
                let expected = self.file["out"]["metrics"][key][name].as_f64().unwrap();
                let figure = found.figure(metric, Some(direction)).unwrap();
                assert!((figure - expected).abs() < 1e-12, "{key} {name}: {figure}");
            }
        }
    }
}

fn names(list: &serde_json::Value) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    items
        .map(|item| {
            item.as_str()
                .map_or_else(|| item.to_string(), str::to_owned)
        })
        .collect()
}

#[test]
fn golden_eccv_caption() {
    let eccv = Eccv::open();
    let lists = eccv.lists();
    let pairs = eccv.relevance("coco");
    let of = |annotation| {
        let relevance = eccv.relevance(annotation);
        measured(
            Source::Lists(&lists),
            Relevant::Lists(&relevance),
            &pairs,
            1,
        )
    };
    let recalls =
        |prefix: &str| [1, 5, 10].map(|k| (format!("recall@{k}"), format!("{prefix}_r{k}")));
    for (annotation, prefix) in [("coco", "coco_5k"), ("cxc", "cxc"), ("eccv", "eccv")] {
        let recalls = recalls(prefix);
        let metrics: Vec<(&str, &str)> = recalls
            .iter()
            .map(|(metric, key)| (metric.as_str(), key.as_str()))
            .collect();
        eccv.check(&of(annotation), &metrics);
    }
    let found = of("eccv");
    eccv.check(
        &found,
        &[
            ("map@r", "eccv_map_at_r"),
            ("r-precision", "eccv_rprecision"),
        ],
    );
    for (name, direction, ids) in [("i2t", I2T, &eccv.images), ("t2i", T2I, &eccv.captions)] {
        let asked = found.asked(direction);
        let known = [
            ("r-precision", "r_precision"),
            ("map@r", "ap_at_r"),
            ("recall@1", "r1"),
        ];
        for (metric, field) in known {
            for (row, value) in asked.rows.iter().zip(values(&found, asked, metric)) {
                let of_query = &eccv.file["out"]["eccv_per_query"][name][ids.name(row.query)];
                assert_eq!(of_query["R"], row.n_relevant);
                assert!((of_query[field].as_f64().unwrap() - value).abs() < 1e-12);
            }
        }
    }
}

/// The five folds, from rankings of the whole gallery.
#[test]
fn golden_eccv_caption_folds() {
    let eccv = Eccv::open();
    let n_captions = names(&eccv.file["in"]["coco_ids_fold_order"]).len();
    let images: Vec<u32> = (0..n_captions as u32 / 5).collect();
    let captions: Vec<u32> = (0..n_captions as u32).collect();
    let lists = eccv.lists().part(&images, &captions);
    let pairs = eccv.relevance("coco").part(&images, &captions);
    let found = measured(Source::Lists(&lists), Relevant::Lists(&pairs), &pairs, 5);
    let metrics = [
        ("recall@1", "coco_1k_r1"),
        ("recall@5", "coco_1k_r5"),
        ("recall@10", "coco_1k_r10"),
    ];
    eccv.check(&found, &metrics);
}

//! What leaves a trained matcher: embeddings, Gaussians, scores of single pairs, items one by one.

mod support;
mod synthetic;

use std::sync::atomic::AtomicBool;

use truepair_core::dataset::{Dataset, Features};
use truepair_core::pair::Pair;
use truepair_core::rng::Seed;
use truepair_core::scores::Scorer;
use truepair_train::{EncodedSides, GivenCaptions, Recipe, Trained, train};

const N: usize = 40;

fn trained(strategy: &str) -> Trained {
    let (data, dev) = (synthetic::pairs(160, 0, 1), synthetic::pairs(60, 0, 2));
    let recipe = format!("[strategy]\n{strategy}\n[training]\nepochs = 2\nbatch = 40\n");
    let config = Recipe::from_toml(&recipe).unwrap().resolve(&data).unwrap();
    let stop = AtomicBool::new(false);
    let mut watch = ();
    let mut session = support::session(None, &stop, &mut watch);
    train(&data, Some(&dev), &config, Seed(3), &mut session).unwrap()
}

/// Every kind of matcher: one network, two, Gaussians, several vectors per item.
const STRATEGIES: [&str; 4] = [
    "kind = \"plain\"",
    "kind = \"ncr\"\nwarm_up = 1",
    "kind = \"pcme\"",
    "kind = \"pvse\"",
];

fn all_scores(trained: &Trained, data: &Dataset) -> Vec<f32> {
    let scorer: Box<dyn Scorer> = trained.scorer(data, &mut ()).unwrap();
    let all: Vec<u32> = (0..N as u32).collect();
    let mut scores = vec![0.0; N * N];
    scorer.tile(&all, &all, &mut scores).unwrap();
    scores
}

fn near(found: f32, expected: f32, what: &str) {
    let limit = 1e-5 * expected.abs().max(1.0);
    assert!(
        (found - expected).abs() <= limit,
        "{what}: {found}, not {expected}"
    );
}

/// Row `row` of features, as a data set of one.
fn one(features: &Features, row: u32) -> Features {
    Features::from_rows(features.gather(&[row]).unwrap(), features.dim())
}

#[test]
fn embeddings_are_handed_out_where_scores_are_their_inner_products() {
    let data = synthetic::pairs(N, 0, 5);
    for strategy in STRATEGIES {
        let trained = trained(strategy);
        let scores = all_scores(&trained, &data);
        let sides = trained.encode(&data, &mut ()).unwrap();
        let found = sides.images.embeddings().zip(sides.captions.embeddings());
        let is_point = matches!(trained.config.strategy.name(), "plain" | "ncr");
        assert_eq!(found.is_some(), is_point, "{strategy}");
        let Some((images, captions)) = found else {
            continue;
        };
        for (image, row) in scores.chunks(N).enumerate() {
            for (caption, &score) in row.iter().enumerate() {
                let pairs = images.row(image).iter().zip(captions.row(caption));
                near(pairs.map(|(a, b)| a * b).sum(), score, strategy);
            }
        }
    }
}

#[test]
fn gaussians_are_handed_out_where_there_are_some() {
    let data = synthetic::pairs(N, 0, 5);
    for strategy in STRATEGIES {
        let trained = trained(strategy);
        let sides = trained.encode(&data, &mut ()).unwrap();
        let is_gaussian = trained.config.strategy.name() == "pcme";
        for items in [&sides.images, &sides.captions] {
            assert_eq!(items.uncertainty().is_some(), is_gaussian, "{strategy}");
            assert_eq!(items.gaussians().is_some(), is_gaussian, "{strategy}");
            for peer in items.gaussians().into_iter().flatten() {
                assert_eq!((peer.means.len(), peer.deviations.len()), (N, N));
                assert!((0..N).all(|row| peer.deviations.row(row).iter().all(|x| *x > 0.0)));
            }
        }
    }
}

#[test]
fn items_encoded_one_by_one_score_as_in_a_split() {
    let data = synthetic::pairs(N, 0, 5);
    let captions = &data.caption_features.as_ref().unwrap().features;
    for strategy in STRATEGIES {
        let trained = trained(strategy);
        let scores = all_scores(&trained, &data);
        for (image, caption) in [(0, 0), (7, 31), (39, 2)] {
            let (picture, text) = (one(&data.images, image), one(captions, caption));
            let sides = EncodedSides {
                images: trained.encode_images(&picture, &mut ()).unwrap(),
                captions: trained
                    .encode_captions(GivenCaptions::Features(&text), &mut ())
                    .unwrap(),
            };
            let pair = Pair {
                image: 0,
                caption: 0,
            };
            let found = trained.score_pairs(&sides, &[pair]).unwrap();
            near(
                found[0],
                scores[image as usize * N + caption as usize],
                strategy,
            );
        }
    }
}

#[test]
fn any_list_of_pairs_is_scored_in_its_own_order() {
    let data = synthetic::pairs(N, 0, 5);
    let pair = |image, caption| Pair { image, caption };
    let pairs = [pair(3, 9), pair(0, 1), pair(3, 3), pair(39, 0), pair(0, 1)];
    for strategy in STRATEGIES {
        let trained = trained(strategy);
        let scores = all_scores(&trained, &data);
        let sides = trained.encode(&data, &mut ()).unwrap();
        let found = trained.score_pairs(&sides, &pairs).unwrap();
        for (pair, found) in pairs.iter().zip(found) {
            let at = pair.image as usize * N + pair.caption as usize;
            near(found, scores[at], strategy);
        }
    }
}

#[test]
fn captions_of_the_wrong_kind_are_refused_with_what_to_give() {
    let trained = trained("kind = \"plain\"");
    let texts = ["a red ball".to_owned()];
    let error = trained
        .encode_captions(GivenCaptions::Texts(&texts), &mut ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("caption features, not texts"), "{error}");
    let wide = Features::from_rows(vec![0.5; 10], 5);
    let error = trained
        .encode_images(&wide, &mut ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("image vectors have 5 numbers"), "{error}");
}

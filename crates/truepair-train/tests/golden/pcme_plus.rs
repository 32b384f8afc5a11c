//! The loss of PCME++.

use truepair_core::rng::Seed;
use truepair_model::encoding::{Encoding, Gaussian};
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Mode};
use truepair_model::matcher::regularizer::DivergenceForm;
use truepair_model::objective::{Over, SoftContrastive};
use truepair_model::parameters;
use truepair_model::similarity::{
    ClosedDistance, ClosedFormConfig, Similarity, SimilarityConfig, Space,
};

use crate::pcme::{check_by, learned};
use crate::support::{Golden, assert_close, device, vector};

fn similarity(golden: &Golden, distance: ClosedDistance) -> Similarity {
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let space = Space { dim: 1, regions: 1 };
    let config = SimilarityConfig::ClosedForm(ClosedFormConfig {
        distance,
        ..ClosedFormConfig::default()
    });
    parameters::import(config.build(space, &mut init).unwrap(), learned(golden)).unwrap()
}

/// Case, and whether its targets are soft.
const CASES: [(&str, bool); 5] = [
    ("plain", false),
    ("soft", true),
    ("vib", false),
    ("smooth", false),
    ("smooth_soft", true),
];

#[test]
fn golden_pcmepp_loss_and_its_gradients() {
    let golden = Golden::open("u09_pcmepp_loss.safetensors");
    let distances = [
        ("csd", ClosedDistance::Sampled),
        ("wdist", ClosedDistance::Wasserstein),
    ];
    for (prefix, distance) in distances {
        for (name, soft) in CASES {
            let case = format!("{prefix}_{name}");
            let stated = |key: &str| golden.stated(&format!("out.{case}.loss"), key);
            let (vib, pseudo) = (stated("vib_beta"), stated("smoothness_alpha"));
            let similarity = similarity(&golden, distance);
            // Their `std` is the logarithm of the variance.
            let [means, logs] = ["mean", "std"].map(|name| {
                ["img", "cap"].map(|side| golden.tensor::<2>(&format!("in.{side}_{name}")))
            });
            let [images, captions] = [0, 1].map(|at| Encoding {
                gaussian: Some(Gaussian::new(logs[at].clone() / 2.0)),
                ..Encoding::new(means[at].clone().unsqueeze_dim(1), None)
            });
            let scores = similarity.scores(&images, &captions, &mut Mode::Evaluate);
            let n = scores.dims()[0];
            let targets = if soft {
                golden.floats("in.matched_soft")
            } else {
                let given = (0..n * n).map(|at| f32::from(u8::from(at % (n + 1) == 0)));
                given.collect()
            };
            let objective = SoftContrastive {
                over: Over::Mean,
                pseudo,
            };
            let mut loss = objective.pair_loss_to(&scores, &targets).0.mean();
            for items in [&images, &captions] {
                loss = loss + DivergenceForm::Mean.of(items).mean() * vib;
            }
            let key = format!("out.{case}.loss");
            assert_close(
                &key,
                &vector(loss.clone()),
                &golden.floats(&key),
                1e-5,
                1e-6,
            );
            let tape = loss.backward();
            let tracked = [
                ("img_mean", &means[0]),
                ("cap_mean", &means[1]),
                ("img_std", &logs[0]),
                ("cap_std", &logs[1]),
            ];
            check_by(&golden, &case, &tape, &tracked, &similarity, 5e-5);
        }
    }
}

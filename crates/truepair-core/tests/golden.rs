//! Numbers that reference implementations gave on tiny inputs; see `fixtures/golden/README.md`.
//!
//! Sizes and cases are read from the files, so another draw of them can be tested by naming its
//! folder in the environment variable `TRUEPAIR_GOLDEN`.

mod golden_file;

use golden_file::{Golden, assert_close};
use truepair_core::metric::{Protocol, Report, evaluate};
use truepair_core::mixture::{
    BetaConfig, GaussianConfig, Mixture, beta_clean_posterior, clean_posterior, divide, normalize,
};
use truepair_core::pair::Pair;
use truepair_core::ranking::ranks;
use truepair_core::relevance::Relevance;
use truepair_core::scores::{Direction, MeanScorer, ScoreMatrix, Scorer};
use truepair_core::text::treebank;

#[test]
fn golden_ncr_mixture() {
    let golden = Golden::open("u02_ncr_gmm.safetensors");
    let tensors = golden.tensors();
    let names = tensors.names();
    let cases = names
        .iter()
        .filter_map(|name| name.strip_prefix("in.")?.strip_suffix(".loss"));
    let mut n_cases = 0;
    for case in cases.filter(|&case| case != "all_equal") {
        let out = |field: &str| format!("out.{case}.{field}");
        let losses = golden.floats(&format!("in.{case}.loss"));
        let config = GaussianConfig::unguarded();
        let values = normalize(&losses)
            .unwrap()
            .expect("the losses of this case differ");
        assert_close(
            &out("normalised"),
            &values,
            &golden.floats(&out("normalised")),
        );

        let found = clean_posterior(&losses, &config).unwrap();
        let posterior: Vec<f64> = found.posterior.iter().map(|&p| p.into()).collect();
        assert_close(&out("w"), &posterior, &golden.floats(&out("w")));
        assert_close(&out("w_f64"), &posterior, &golden.floats(&out("w_f64")));

        let mixture = found.mixture.expect("the losses of this case differ");
        assert_close(&out("means"), &mixture.means, &golden.floats(&out("means")));
        let variances = golden.floats(&out("covariances"));
        assert_close(&out("covariances"), &mixture.variances, &variances);
        assert_close(
            &out("weights"),
            &mixture.weights,
            &golden.floats(&out("weights")),
        );
        assert_eq!(
            [i64::from(mixture.n_iter)],
            *golden.integers(&out("n_iter")),
            "{case}"
        );
        assert_eq!(
            [i64::from(mixture.converged)],
            *golden.integers(&out("converged")),
            "{case}"
        );

        let division = divide(&found.posterior, 0.5).unwrap();
        let clean: Vec<i64> = division.clean.iter().map(|&clean| clean.into()).collect();
        assert_eq!(clean, golden.integers(&out("split")), "{case}");
        n_cases += 1;
    }
    assert!(n_cases > 0, "the file holds no case");
}

/// The release stops on equal losses; ours answers "clean", as the release would if it had
/// normalized them to 0.
#[test]
fn golden_ncr_mixture_of_equal_losses() {
    let golden = Golden::open("u02_ncr_gmm.safetensors");
    let losses = golden.floats("in.all_equal.loss");
    let found = clean_posterior(&losses, &GaussianConfig::unguarded()).unwrap();
    let expected = golden.floats("out.all_equal.w_if_zeros");
    let posterior: Vec<f64> = found.posterior.iter().map(|&p| p.into()).collect();
    assert_close("w_if_zeros", &posterior, &expected);
    let zeros = vec![0.0; losses.len()];
    let mixture = Mixture::fit(&zeros, &GaussianConfig::unguarded());
    let fitted: Vec<f64> = zeros.iter().map(|&x| mixture.posterior(x)).collect();
    assert_close("w_if_zeros, fitted", &fitted, &expected);
}

#[test]
fn golden_ncr_division_fallback() {
    let golden = Golden::open("u02_ncr_gmm.safetensors");
    let division = divide(&golden.floats("in.fallback.prob"), 0.5).unwrap();
    let clean: Vec<i64> = division.clean.iter().map(|&clean| clean.into()).collect();
    assert_eq!(clean, golden.integers("out.fallback.split"));
}

#[test]
fn golden_bicro_mixture() {
    let golden = Golden::open("u03_bicro_beta_mixture.safetensors");
    let tensors = golden.tensors();
    let names = tensors.names();
    let cases = (names.iter()).filter_map(|name| name.strip_prefix("in.")?.strip_suffix(".loss"));
    let mut n_cases = 0;
    for case in cases.filter(|&case| case != "all_equal") {
        let losses = golden.floats(&format!("in.{case}.loss"));
        let found = beta_clean_posterior(&losses, &BetaConfig::unguarded()).unwrap();
        let mixture = found.mixture.expect("the losses of this case differ");
        let posterior: Vec<f64> = found.posterior.iter().map(|&p| p.into()).collect();
        let fields = [
            ("alphas", &mixture.alphas[..]),
            ("betas", &mixture.betas[..]),
            ("weights", &mixture.weights[..]),
            ("w_clipped", &posterior[..]),
        ];
        for (field, values) in fields {
            let name = format!("out.{case}.{field}");
            assert_close(&name, values, &golden.floats(&name));
        }
        n_cases += 1;
    }
    assert!(n_cases > 0, "the file holds no case");
}

/// Equal runs of captions per image, as in every file of this folder.
fn relevance(scores: &dyn Scorer) -> Relevance {
    let each = scores.n_captions() / scores.n_images();
    let pair = |caption| Pair {
        image: caption / each as u32,
        caption,
    };
    let pairs: Vec<Pair> = (0..scores.n_captions() as u32).map(pair).collect();
    Relevance::from_pairs(scores.n_images(), scores.n_captions(), &pairs)
}

fn report(scores: &dyn Scorer, folds: u32) -> Report {
    let relevance = relevance(scores);
    let protocol = Protocol {
        folds,
        ..Protocol::new("golden", "test", &relevance)
    };
    evaluate(scores, &relevance, protocol, &mut ()).unwrap()
}

/// The layout of the reference: recalls in percent, then median and mean rank.
fn row(report: &Report, direction: Direction) -> Vec<f64> {
    let of = |name| report.figure(name, Some(direction)).unwrap();
    let recalls = ["recall@1", "recall@5", "recall@10"].map(|name| 100.0 * of(name));
    [&recalls[..], &[of("median-rank"), of("mean-rank")]].concat()
}

fn both(report: &Report) -> Vec<f64> {
    [Direction::ImageToText, Direction::TextToImage]
        .map(|direction| row(report, direction))
        .concat()
}

#[test]
fn golden_recall() {
    let golden = Golden::open("u12_recall.safetensors");
    let scores = ScoreMatrix(golden.matrix("in.S"));
    let found = report(&scores, 1);
    assert_close(
        "i2t",
        &row(&found, Direction::ImageToText),
        &golden.floats("out.i2t"),
    );
    assert_close(
        "t2i",
        &row(&found, Direction::TextToImage),
        &golden.floats("out.t2i"),
    );
    assert_close(
        "rsum",
        &[100.0 * found.figure("rsum", None).unwrap()],
        &golden.floats("out.rsum"),
    );

    let ranks = ranks(&scores, &relevance(&scores), &mut ()).unwrap();
    let zero_based = |ranks: &[u32]| -> Vec<i64> { ranks.iter().map(|&r| r as i64 - 1).collect() };
    assert_eq!(
        zero_based(&ranks.image_to_text),
        golden.integers("out.i2t_ranks")
    );
    assert_eq!(
        zero_based(&ranks.text_to_image),
        golden.integers("out.t2i_ranks")
    );
}

#[test]
fn golden_recall_of_one_caption_per_image() {
    let golden = Golden::open("u12_recall.safetensors");
    let found = report(&ScoreMatrix(golden.matrix("in.S_1cap")), 1);
    assert_close(
        "i2t",
        &row(&found, Direction::ImageToText),
        &golden.floats("out.i2t_1cap"),
    );
    assert_close(
        "t2i",
        &row(&found, Direction::TextToImage),
        &golden.floats("out.t2i_1cap"),
    );
}

#[test]
fn golden_recall_over_folds() {
    let golden = Golden::open("u12_recall.safetensors");
    let folds = golden.tensors().tensor("out.fold5").unwrap().shape()[0];
    let found = report(&ScoreMatrix(golden.matrix("in.S_fold5")), folds as u32);
    assert_close("folds", &both(&found), &golden.floats("out.fold5_mean"));
}

#[test]
fn golden_recall_of_two_networks() {
    let golden = Golden::open("u12_recall.safetensors");
    let [a, b] = ["in.S_netA", "in.S_netB"].map(|name| ScoreMatrix(golden.matrix(name)));
    let found = report(&MeanScorer(vec![Box::new(a), Box::new(b)]), 1);
    assert_close("ensemble", &both(&found), &golden.floats("out.ensemble"));
}

#[test]
fn golden_tokens() {
    let golden: serde_json::Value =
        serde_json::from_slice(&Golden::open("u13_tokens.json").bytes).unwrap();
    let mut wrong = Vec::new();
    for part in ["coco", "stress"] {
        for entry in golden[part].as_array().unwrap() {
            let line = entry["raw"].as_str().unwrap();
            let expected: Vec<&str> = entry["word_tokenize"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_str().unwrap())
                .collect();
            let found = treebank::tokenize(line);
            if found != expected {
                wrong.push(format!(
                    "{line}\n  found    {found:?}\n  expected {expected:?}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

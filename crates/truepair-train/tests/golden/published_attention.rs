//! Checkpoints of models that score pairs by attention: converted, loaded, and compared with the
//! reference's scores.

use truepair_model::backbone::{BackboneConfig, GruDirections, InputShape};
use truepair_model::kernel::{Pooling, RawNorm};
use truepair_model::layer::Mode;
use truepair_model::similarity::{Direction, ImramMode, ScanConfig, SimilarityConfig};
use truepair_train::Trained;
use truepair_train::strategy::StrategyConfig;

use crate::published::{File, add, captions, converted, images, n_words};
use crate::support::{Golden, assert_close, vector};

/// The reference's parts of a network under `prefix`, as the entries of a list.
fn listed(file: &mut File, golden: &Golden, prefix: &str) {
    for (at, part) in ["img_enc.", "txt_enc.", "sim_enc."].iter().enumerate() {
        add(file, golden, part, &format!("{prefix}{at}."));
    }
}

/// The scores of every peer.
#[track_caller]
fn check_scores(golden: &Golden, key: &str, trained: &Trained) {
    for peer in &trained.peers {
        let (images, captions) = (images(golden, None), captions(golden));
        let scores = vector(peer.scores(&images, &captions, &mut Mode::Evaluate));
        assert_close(key, &scores, &golden.floats(key), 1e-5, 1e-6);
    }
}

#[test]
fn golden_conversion_of_sgr_and_saf() {
    for (name, file_name) in [
        ("sgr", "u01_sgr_full.safetensors"),
        ("saf", "u01_saf_full.safetensors"),
    ] {
        let golden = Golden::open(file_name);
        let mut file = File::new();
        listed(&mut file, &golden, "model.");
        let trained = converted(name, &file, &[], n_words(&golden));
        check_scores(&golden, "out.eval.S", &trained);
    }
}

#[test]
fn golden_conversion_of_both_networks_of_ncr() {
    for file_name in ["u01_sgr_full.safetensors", "u01_saf_full.safetensors"] {
        let golden = Golden::open(file_name);
        let mut file = File::new();
        listed(&mut file, &golden, "model_A.");
        listed(&mut file, &golden, "model_B.");
        let trained = converted("ncr", &file, &[], n_words(&golden));
        assert_eq!(trained.n_peers(), 2);
        assert!(matches!(trained.config.strategy, StrategyConfig::Ncr(_)));
        check_scores(&golden, "out.eval.S", &trained);
    }
}

#[test]
fn golden_conversion_of_imram_in_every_mode() {
    for (mode, file_name) in [
        ("text_IMRAM", "u07_imram_text.safetensors"),
        ("image_IMRAM", "u07_imram_image.safetensors"),
        ("full_IMRAM", "u07_imram_full.safetensors"),
    ] {
        let golden = Golden::open(file_name);
        let mut file = File::new();
        // The source saves what `DataParallel` holds.
        add(&mut file, &golden, "", "model.module.");
        let smooth = golden.number("lambda_softmax").to_string();
        let steps = golden.count("iteration_step").to_string();
        for (case, kept_length) in [("norm", "False"), ("no_norm", "True")] {
            let options = [
                ("model_mode", mode),
                ("no_IMRAM_norm", kept_length),
                ("lambda_softmax", &smooth),
                ("iteration_step", &steps),
            ];
            let trained = converted("imram", &file, &options, n_words(&golden));
            check_scores(&golden, &format!("out.{case}.S"), &trained);
        }
    }
    let golden = Golden::open("u07_imram_full.safetensors");
    let mut file = File::new();
    add(&mut file, &golden, "", "model.module.");
    let trained = converted("imram", &file, &[], n_words(&golden));
    let SimilarityConfig::Imram(similarity) = &trained.config.matcher.similarity else {
        panic!("another similarity")
    };
    assert_eq!(similarity.mode, ImramMode::Full);
}

/// The encoders are those of IMRAM, whose layer of regions has another name; SCAN has no weights
/// beside them.
#[test]
fn golden_conversion_of_scan_with_the_options_of_both_directions() {
    let golden = Golden::open("u07_imram_text.safetensors");
    let mut file = File::new();
    add(&mut file, &golden, "img_enc.fc_local.", "model.0.fc.");
    add(&mut file, &golden, "txt_enc.", "model.1.");
    let published = [
        ("cross_attn", "i2t"),
        ("agg_func", "LogSumExp"),
        ("raw_feature_norm", "clipped_l2norm"),
        ("lambda_softmax", "4.0"),
        ("lambda_lse", "5.0"),
        ("no_imgnorm", "False"),
    ];
    let trained = converted("scan", &file, &published, n_words(&golden));
    let expected = ScanConfig {
        direction: Direction::I2t,
        raw_norm: RawNorm::ClippedL2,
        smooth: 4.0,
        pooling: Pooling::LogSumExp,
        lambda_lse: 5.0,
    };
    assert_eq!(similarity(&trained), &expected);
    let BackboneConfig::Gru(caption) = &trained.config.matcher.caption else {
        panic!("another backbone")
    };
    assert_eq!(caption.directions, GruDirections::Both);

    file.retain(|name, _| !name.ends_with("_reverse"));
    let trained = converted("scan", &file, &[("agg_func", "Mean")], n_words(&golden));
    let expected = ScanConfig {
        pooling: Pooling::Mean,
        ..ScanConfig::default()
    };
    assert_eq!(similarity(&trained), &expected);
    let scores = (trained.peers[0]).scores(
        &images(&golden, None),
        &captions(&golden),
        &mut Mode::Evaluate,
    );
    assert!(vector(scores).iter().all(|score| score.abs() <= 1.0));
}

fn similarity(trained: &Trained) -> &ScanConfig {
    match &trained.config.matcher.similarity {
        SimilarityConfig::Scan(config) => config,
        _ => panic!("another similarity"),
    }
}

/// SGR normalizes every slot of regions by itself, so their number is in the weights.
#[test]
fn golden_conversion_keeps_the_slots_of_regions() {
    let golden = Golden::open("u01_sgr_full.safetensors");
    let mut file = File::new();
    listed(&mut file, &golden, "model.");
    let trained = converted("sgr", &file, &[], n_words(&golden));
    let [_, regions, width] = golden.shape("in.images")[..] else {
        panic!("three axes")
    };
    assert_eq!(trained.inputs.0, InputShape::Features { width, regions });
}

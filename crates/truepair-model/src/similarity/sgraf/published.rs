//! Names of published checkpoints' weights and of ours.
//!
//! A checkpoint of Paranioar/SGRAF or XLearning-SCU/2021-NeurIPS-NCR holds the state of `img_enc`,
//! `txt_enc` and `sim_enc`; their counters `num_batches_tracked` have no counterpart. Shapes agree.

/// A published name and ours in a [`Matcher`](crate::matcher::Matcher) of `region_linear` and `gru`.
pub type Renamed = (String, String);

/// Every weight of a published SGR model with `steps` reasoning steps.
pub fn sgr(steps: usize) -> Vec<Renamed> {
    let mut names = shared();
    for step in 0..steps {
        for (theirs, ours) in [
            ("graph_query_w", "query"),
            ("graph_key_w", "key"),
            ("sim_graph_w", "reason"),
        ] {
            let theirs = format!("sim_enc.SGR_module.{step}.{theirs}");
            names.extend(layer(&theirs, &format!("similarity.steps.{step}.{ours}")));
        }
    }
    names
}

/// Every weight and running value of a published SAF model.
pub fn saf() -> Vec<Renamed> {
    let mut names = shared();
    names.extend(layer(
        "sim_enc.SAF_module.attn_sim_w",
        "similarity.attention",
    ));
    names.extend(norm("sim_enc.SAF_module.bn", "similarity.norm"));
    names
}

/// Both encoders, the nodes and the last layer.
fn shared() -> Vec<Renamed> {
    let mut names = layer("img_enc.fc", "image.fc").to_vec();
    names.push(("txt_enc.embed.weight".into(), "caption.embed".into()));
    for (direction, suffix) in [("forward", ""), ("backward", "_reverse")] {
        for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
            names.push((
                format!("txt_enc.cap_rnn.{part}_l0{suffix}"),
                format!("caption.{direction}.{part}"),
            ));
        }
    }
    for (theirs, ours) in [
        ("v_global_w.embedding_local.0", "nodes.visual.local"),
        ("v_global_w.embedding_global.0", "nodes.visual.global"),
        ("v_global_w.embedding_common.0", "nodes.visual.attention"),
        ("t_global_w.embedding_local.0", "nodes.textual.local"),
        ("t_global_w.embedding_global.0", "nodes.textual.global"),
        ("t_global_w.embedding_common.0", "nodes.textual.attention"),
        ("sim_tranloc_w", "nodes.local"),
        ("sim_tranglo_w", "nodes.global"),
        ("sim_eval_w", "score"),
    ] {
        names.extend(layer(
            &format!("sim_enc.{theirs}"),
            &format!("similarity.{ours}"),
        ));
    }
    for part in ["local", "global"] {
        names.extend(norm(
            &format!("sim_enc.v_global_w.embedding_{part}.1"),
            &format!("similarity.nodes.visual.{part}_norm"),
        ));
    }
    names
}

fn layer(theirs: &str, ours: &str) -> [Renamed; 2] {
    ["weight", "bias"].map(|part| (format!("{theirs}.{part}"), format!("{ours}.{part}")))
}

fn norm(theirs: &str, ours: &str) -> [Renamed; 4] {
    ["weight", "bias", "running_mean", "running_var"]
        .map(|part| (format!("{theirs}.{part}"), format!("{ours}.{part}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::BackboneConfig::{Gru, RegionLinear};
    use crate::backbone::{GruConfig, InputShape, RegionLinearConfig};
    use crate::kernel::Precision;
    use crate::matcher::MatcherConfig;
    use crate::parameters;
    use crate::similarity::SimilarityConfig;
    use crate::similarity::sgraf::{SafConfig, SgrConfig};
    use burn::tensor::Device;
    use std::collections::BTreeSet;
    use truepair_core::rng::Seed;

    #[test]
    fn every_parameter_has_one_published_name() {
        let dim = 4;
        for (similarity, names) in [
            (SimilarityConfig::Sgr(SgrConfig::default()), sgr(3)),
            (SimilarityConfig::Saf(SafConfig::default()), saf()),
        ] {
            let config = MatcherConfig::new(
                RegionLinear(RegionLinearConfig { dim }),
                Gru(GruConfig {
                    dim,
                    ..GruConfig::default()
                }),
                similarity,
            );
            let regions = InputShape::Features {
                width: 6,
                regions: 3,
            };
            let words = InputShape::Tokens(9);
            let matcher = config
                .build(regions, words, Seed(1), &Device::flex(), Precision::F32)
                .unwrap();
            let ours: BTreeSet<String> = names.iter().map(|(_, ours)| ours.clone()).collect();
            let theirs: BTreeSet<&String> = names.iter().map(|(theirs, _)| theirs).collect();
            assert_eq!(ours.len(), names.len());
            assert_eq!(theirs.len(), names.len());
            assert_eq!(ours, parameters::names(&matcher).into_iter().collect());
        }
    }
}

//! NCR: two networks with a head of SGRAF, whose scores are averaged.

use super::Model;
use super::sgraf::{PARTS, found, names, saf, sgr};
use crate::strategy::StrategyConfig;
use truepair_model::similarity::SimilarityConfig;

pub(super) const MODEL: Model = Model {
    name: "ncr",
    summary: "NCR, both networks, with SGR or SAF (Huang et al., NeurIPS 2021)",
    source: "XLearning-SCU/2021-NeurIPS-NCR@60256ba",
    networks: &["model_A", "model_B"],
    parts: PARTS,
    extra_words: 0,
    strategy: || StrategyConfig::Ncr(Default::default()),
    infer: |state, settings| {
        let similarity = match state.has("sim_enc.SAF_module.attn_sim_w.weight") {
            true => SimilarityConfig::Saf(saf(state)),
            false => SimilarityConfig::Sgr(sgr(state)),
        };
        found(state, settings, similarity)
    },
    names,
    unread: |_, _| false,
};

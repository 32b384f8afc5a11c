//! Both heads of SGRAF, which the source trains as models of their own.

use super::encoders;
use super::names::Names;
use super::settings::Settings;
use super::state::State;
use super::{Found, Model, REGIONS, alone};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruConfig, GruDirections, GruOutput};
use truepair_model::matcher::MatcherConfig;
use truepair_model::similarity::SimilarityConfig;
use truepair_model::similarity::sgraf::{SafConfig, SgrConfig, published};

const SOURCE: &str = "Paranioar/SGRAF@50d0c6f";

/// Entries of a network's list.
pub(super) const PARTS: &[&str] = &["img_enc", "txt_enc", "sim_enc"];

pub(super) const SGR: Model = Model {
    name: "sgr",
    summary: "SGR, the graph reasoning of SGRAF (Diao et al., AAAI 2021)",
    source: SOURCE,
    networks: &["model"],
    parts: PARTS,
    extra_words: 0,
    strategy: alone,
    infer: |state, settings| found(state, settings, SimilarityConfig::Sgr(sgr(state))),
    names,
    unread: |_, _| false,
};

pub(super) const SAF: Model = Model {
    name: "saf",
    summary: "SAF, the attention filtration of SGRAF (Diao et al., AAAI 2021)",
    infer: |state, settings| found(state, settings, SimilarityConfig::Saf(saf(state))),
    ..SGR
};

/// Names of the whole matcher.
pub fn names(config: &MatcherConfig) -> Names {
    let listed = match &config.similarity {
        SimilarityConfig::Sgr(sgr) => published::sgr(sgr.steps),
        SimilarityConfig::Saf(_) => published::saf(),
        _ => return Names::new(),
    };
    let pairs = listed.into_iter();
    pairs.map(|(theirs, ours)| (ours, theirs)).collect()
}

/// A matcher of the encoders that all heads share.
pub(super) fn found(
    state: &State,
    settings: &mut Settings<'_>,
    similarity: SimilarityConfig,
) -> Result<Found> {
    encoders::require_unit_length(settings)?;
    let slots = state.axis("sim_enc.v_global_w.embedding_local.1.weight", 0);
    let caption = GruConfig {
        directions: GruDirections::Both,
        dropout: GruConfig::default().dropout,
        ..encoders::caption(state, "cap_rnn", GruOutput::Words)
    };
    Ok(Found {
        matcher: MatcherConfig::new(
            BackboneConfig::RegionLinear(encoders::image(state, "fc")),
            BackboneConfig::Gru(caption),
            similarity,
        ),
        width: state.axis("img_enc.fc.weight", 1),
        regions: slots.unwrap_or(REGIONS),
    })
}

pub(super) fn sgr(state: &State) -> SgrConfig {
    let default = SgrConfig::default();
    let step = |at: usize| format!("sim_enc.SGR_module.{at}.graph_key_w.weight");
    let steps = (0..).take_while(|&at| state.has(&step(at))).count();
    SgrConfig {
        sim_dim: sim_dim(state).unwrap_or(default.sim_dim),
        steps: if steps == 0 { default.steps } else { steps },
        ..default
    }
}

pub(super) fn saf(state: &State) -> SafConfig {
    let default = SafConfig::default();
    SafConfig {
        sim_dim: sim_dim(state).unwrap_or(default.sim_dim),
        ..default
    }
}

fn sim_dim(state: &State) -> Option<usize> {
    state.width("sim_enc.sim_tranloc_w.weight", 0)
}

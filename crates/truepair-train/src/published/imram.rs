//! IMRAM: cross attention in steps, between which queries take up what they saw.

use super::encoders;
use super::names::{DENSE, Names, renamed};
use super::scan;
use super::settings::Settings;
use super::state::State;
use super::{Found, Model, REGIONS, alone};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruOutput};
use truepair_model::matcher::MatcherConfig;
use truepair_model::similarity::{ImramConfig, ImramMode, SimilarityConfig};

pub(super) const MODEL: Model = Model {
    name: "imram",
    summary: "IMRAM in the modes text, image and full (Chen et al., CVPR 2020)",
    source: "HuiChen24/IMRAM@acada5c",
    networks: &["model"],
    // The source's state is one dict of these and of the layers beside them.
    parts: &["img_enc", "txt_enc"],
    extra_words: 0,
    strategy: alone,
    infer,
    names,
    unread,
};

/// Names of the whole matcher.
pub fn names(config: &MatcherConfig) -> Names {
    let SimilarityConfig::Imram(similarity) = &config.similarity else {
        return Names::new();
    };
    let mut names = encoders::names(config, "fc_local", "rnn");
    for layer in layers(similarity.mode) {
        names.extend(renamed(&format!("similarity.{layer}"), layer, &DENSE));
    }
    names
}

/// The layers that a mode reads.
fn layers(mode: ImramMode) -> &'static [&'static str] {
    const LAYERS: [&str; 4] = ["linear_t2i", "gate_t2i", "linear_i2t", "gate_i2t"];
    match mode {
        ImramMode::Text => &LAYERS[..2],
        ImramMode::Image => &LAYERS[2..],
        ImramMode::Full => &LAYERS,
    }
}

/// The source saves the layers of both sides in every mode.
fn unread(config: &MatcherConfig, name: &str) -> bool {
    let SimilarityConfig::Imram(similarity) = &config.similarity else {
        return false;
    };
    let layer = name.split('.').next().unwrap_or(name);
    layers(ImramMode::Full).contains(&layer) && !layers(similarity.mode).contains(&layer)
}

fn infer(state: &State, settings: &mut Settings<'_>) -> Result<Found> {
    encoders::require_unit_length(settings)?;
    Ok(Found {
        matcher: MatcherConfig::new(
            BackboneConfig::RegionLinear(encoders::image(state, "fc_local")),
            BackboneConfig::Gru(encoders::caption(state, "rnn", GruOutput::Words)),
            SimilarityConfig::Imram(similarity(settings)?),
        ),
        width: state.axis("img_enc.fc_local.weight", 1),
        regions: REGIONS,
    })
}

fn similarity(settings: &mut Settings<'_>) -> Result<ImramConfig> {
    let mode = |word: &str| word.trim_end_matches("_IMRAM").to_owned();
    let kept_length = settings.switch("no_IMRAM_norm", "matcher.similarity.normalize_query")?;
    Ok(ImramConfig {
        // The source's own default is no mode at all; the full one reads every layer in the file.
        mode: settings.word("model_mode", "matcher.similarity.mode", "full_IMRAM", mode)?,
        steps: settings.count("iteration_step", "matcher.similarity.steps", 3)?,
        raw_norm: scan::raw_norm(settings)?,
        smooth: settings.number("lambda_softmax", "matcher.similarity.smooth", 9.0)?,
        normalize_query: !kept_length,
    })
}

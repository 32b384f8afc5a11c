//! The encoders that most of the models share: a projection of regions, and a GRU over words.

use super::names::{DENSE, Names, recurrent, renamed, within};
use super::settings::Settings;
use super::state::State;
use super::{Found, Model, alone};
use crate::error::Result;
use truepair_model::backbone::{
    BackboneConfig, GruConfig, GruDirections, GruOutput, RegionLinearConfig,
};
use truepair_model::matcher::MatcherConfig;

/// A model of one network that has no weights beside the two encoders.
pub(super) const fn model(
    name: &'static str,
    summary: &'static str,
    source: &'static str,
    infer: fn(&State, &mut Settings<'_>) -> Result<Found>,
) -> Model {
    Model {
        name,
        summary,
        source,
        networks: &["model"],
        parts: &["img_enc", "txt_enc"],
        extra_words: 0,
        strategy: alone,
        infer,
        names: |config| names(config, "fc", "rnn"),
        unread: |_, _| false,
    }
}

/// Names of a matcher without weights beside the two encoders; `fc` and `rnn` are the source's
/// layers.
pub fn names(config: &MatcherConfig, fc: &str, rnn: &str) -> Names {
    let BackboneConfig::Gru(caption) = &config.caption else {
        return Names::new();
    };
    let mut names = within("image", "img_enc", image_names(fc));
    let caption = caption_names(rnn, caption.directions);
    names.extend(within("caption", "txt_enc", caption));
    names
}

/// Names of `region_linear` under the source's layer `fc`.
pub fn image_names(fc: &str) -> Names {
    renamed("fc", fc, &DENSE)
}

/// Names of `gru` under the source's layer `rnn`.
pub fn caption_names(rnn: &str, directions: GruDirections) -> Names {
    let mut names = vec![("embed".to_owned(), "embed.weight".to_owned())];
    names.extend(recurrent("forward", rnn, ""));
    if directions == GruDirections::Both {
        names.extend(recurrent("backward", rnn, "_reverse"));
    }
    names
}

/// The encoders scale every vector to length 1, as the source does unless it is told otherwise.
pub(super) fn require_unit_length(settings: &mut Settings<'_>) -> Result<()> {
    settings.require("no_imgnorm", false, "images keep their length")?;
    settings.require("no_txtnorm", false, "captions keep their length")
}

/// The `region_linear` whose projection is the source's layer `fc`.
pub(super) fn image(state: &State, fc: &str) -> RegionLinearConfig {
    let default = RegionLinearConfig::default();
    let dim = state.width(&format!("img_enc.{fc}.weight"), 0);
    RegionLinearConfig {
        dim: dim.unwrap_or(default.dim),
    }
}

/// The `gru` whose layer is the source's `rnn`; it reads both ways when there are weights for it.
pub(super) fn caption(state: &State, rnn: &str, output: GruOutput) -> GruConfig {
    let default = GruConfig::default();
    let word_dim = state.width("txt_enc.embed.weight", 1);
    let dim = state.width(&format!("txt_enc.{rnn}.weight_hh_l0"), 1);
    let backward = format!("txt_enc.{rnn}.weight_hh_l0_reverse");
    GruConfig {
        word_dim: word_dim.unwrap_or(default.word_dim),
        dim: dim.unwrap_or(default.dim),
        dropout: 0.0,
        directions: match state.has(&backward) {
            true => GruDirections::Both,
            false => GruDirections::Forward,
        },
        output,
    }
}

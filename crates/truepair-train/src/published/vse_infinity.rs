//! VSE∞ with a bidirectional GRU: both sides pooled by learned weights of sorted values.

use super::encoders;
use super::names::{DENSE, NORM, Names, recurrent, renamed, within};
use super::settings::Settings;
use super::state::State;
use super::{Found, Model, REGIONS, alone};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruDirections, GruGpoConfig, RegionGpoConfig};
use truepair_model::matcher::MatcherConfig;
use truepair_model::similarity::SimilarityConfig;

pub(super) const MODEL: Model = Model {
    name: "vse_infinity",
    summary: "VSE∞ with region features and a bidirectional GRU (Chen et al., CVPR 2021)",
    source: "woodfrog/vse_infty@8600f89, branch bigru",
    networks: &["model"],
    parts: &["img_enc", "txt_enc"],
    // The source adds a mask token to the vocabulary that it reads.
    extra_words: 1,
    strategy: alone,
    infer,
    names,
    // The last normalization of the source's perceptron is built and never called.
    unread: |_, name| name.starts_with("img_enc.mlp.bns.1."),
};

/// Names of the whole matcher.
pub fn names(_config: &MatcherConfig) -> Names {
    let mut names = within("image", "img_enc", image_names());
    names.extend(within("caption", "txt_enc", caption_names()));
    names
}

/// Names of `region_gpo`.
pub fn image_names() -> Names {
    let mut names = renamed("fc", "fc", &DENSE);
    names.extend(renamed("first", "mlp.layers.0", &DENSE));
    names.extend(renamed("norm", "mlp.bns.0", &NORM));
    names.extend(renamed("second", "mlp.layers.1", &DENSE));
    names.extend(within("pool", "gpool", pool_names()));
    names
}

/// Names of `gru_gpo`.
pub fn caption_names() -> Names {
    let mut names = encoders::caption_names("rnn", GruDirections::Both);
    names.extend(within("pool", "gpool", pool_names()));
    names
}

/// Names of generalized pooling.
pub fn pool_names() -> Names {
    let mut names = recurrent("forward", "gru", "");
    names.extend(recurrent("backward", "gru", "_reverse"));
    names.push(("score".into(), "linear.weight".into()));
    names
}

fn infer(state: &State, settings: &mut Settings<'_>) -> Result<Found> {
    encoders::require_unit_length(settings)?;
    Ok(Found {
        matcher: MatcherConfig::new(
            BackboneConfig::RegionGpo(image(state)),
            BackboneConfig::GruGpo(caption(state)),
            SimilarityConfig::Cosine(Default::default()),
        ),
        width: state.axis("img_enc.fc.weight", 1),
        regions: REGIONS,
    })
}

fn image(state: &State) -> RegionGpoConfig {
    let default = RegionGpoConfig::default();
    let dim = state.width("img_enc.fc.weight", 0);
    RegionGpoConfig {
        dim: dim.unwrap_or(default.dim),
        hidden: state.width("img_enc.mlp.layers.0.weight", 0),
        ..default
    }
}

fn caption(state: &State) -> GruGpoConfig {
    let default = GruGpoConfig::default();
    let word_dim = state.width("txt_enc.embed.weight", 1);
    let dim = state.width("txt_enc.rnn.weight_hh_l0", 1);
    GruGpoConfig {
        word_dim: word_dim.unwrap_or(default.word_dim),
        dim: dim.unwrap_or(default.dim),
        ..default
    }
}

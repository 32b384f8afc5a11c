//! VSRN: regions that are related and read in order, the last state of a GRU over words, and the
//! decoder that writes captions from regions.

use truepair_read::checkpoint::Scalar;

use super::names::{DENSE, NORM, Names, recurrent, renamed, within};
use super::settings::Settings;
use super::state::State;
use super::vsepp::measure;
use super::{Found, Model, REGIONS, alone, encoders};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruDirections, GruOutput, RegionGraphConfig};
use truepair_model::matcher::MatcherConfig;
use truepair_model::matcher::describer::DescriberConfig;

pub(super) const MODEL: Model = Model {
    name: "vsrn",
    summary: "VSRN, with or without its caption decoder (Li et al., ICCV 2019)",
    source: "KunpengLi1994/VSRN@777ae74",
    networks: &["model"],
    parts: &["img_enc", "txt_enc", "caption_model"],
    extra_words: 0,
    strategy: alone,
    infer,
    names,
    unread: |_, _| false,
};

/// Names of the whole matcher.
pub fn names(config: &MatcherConfig) -> Names {
    let BackboneConfig::RegionGraph(image) = &config.image else {
        return Names::new();
    };
    let mut names = within("image", "img_enc", image_names(image));
    let caption = encoders::caption_names("rnn", GruDirections::Forward);
    names.extend(within("caption", "txt_enc", caption));
    if config.describer.is_some() {
        names.extend(within("describer", "caption_model", describer_names()));
    }
    names
}

/// Names of `region_graph`.
pub fn image_names(config: &RegionGraphConfig) -> Names {
    let mut names = renamed("fc", "fc", &DENSE);
    for layer in 0..config.layers {
        let (ours, theirs) = (format!("relations.{layer}"), relation(layer));
        for (part, official) in [
            ("theta", "theta"),
            ("phi", "phi"),
            ("value", "g"),
            ("out", "W.0"),
        ] {
            let (ours, theirs) = (format!("{ours}.{part}"), format!("{theirs}.{official}"));
            names.extend(renamed(&ours, &theirs, &DENSE));
        }
        let (ours, theirs) = (format!("{ours}.norm"), format!("{theirs}.W.1"));
        names.extend(renamed(&ours, &theirs, &NORM));
    }
    names.extend(recurrent("gru", "img_rnn", ""));
    if config.batch_norm_state {
        names.extend(renamed("norm", "bn", &NORM));
    }
    names
}

/// Names of the describer.
pub fn describer_names() -> Names {
    let mut names = renamed("project", "encoder.vid2hid", &DENSE);
    names.extend(recurrent("encoder", "encoder.rnn", ""));
    names.push(("embed".into(), "decoder.embedding.weight".into()));
    names.extend(renamed("attention", "decoder.attention.linear1", &DENSE));
    let score = "decoder.attention.linear2.weight";
    names.push(("attention_score".into(), score.into()));
    names.extend(recurrent("decoder", "decoder.rnn", ""));
    names.extend(renamed("out", "decoder.out", &DENSE));
    names
}

fn relation(layer: usize) -> String {
    format!("Rs_GCN_{}", layer + 1)
}

fn infer(state: &State, settings: &mut Settings<'_>) -> Result<Found> {
    settings.require("no_imgnorm", false, "images keep their length")?;
    Ok(Found {
        matcher: MatcherConfig {
            describer: describer(state, settings)?,
            ..MatcherConfig::new(
                BackboneConfig::RegionGraph(image(state, settings)),
                BackboneConfig::Gru(encoders::caption(state, "rnn", GruOutput::Last)),
                measure(settings)?,
            )
        },
        width: state.axis("img_enc.fc.weight", 1),
        regions: REGIONS,
    })
}

/// The source scales projections to length 1 for COCO and normalizes the last state for Flickr30K;
/// the latter shows in the weights, the former goes by the name of the data.
fn image(state: &State, settings: &Settings<'_>) -> RegionGraphConfig {
    let default = RegionGraphConfig::default();
    let layers = (0..)
        .take_while(|&layer| state.has(&format!("img_enc.{}.theta.weight", relation(layer))))
        .count();
    let batch_norm_state = state.has("img_enc.bn.weight");
    let normalize_projection = match settings.look_up("data_name") {
        Some(Scalar::Text(name)) => !name.starts_with("f30k"),
        _ => !batch_norm_state,
    };
    RegionGraphConfig {
        dim: (state.width("img_enc.fc.weight", 0)).unwrap_or(default.dim),
        layers: if layers == 0 { default.layers } else { layers },
        normalize_projection,
        batch_norm_state,
    }
}

/// The describer; the released code writes checkpoints without it, which score the same.
fn describer(state: &State, settings: &mut Settings<'_>) -> Result<Option<DescriberConfig>> {
    const PROJECTION: &str = "caption_model.encoder.vid2hid.weight";
    if !state.has(PROJECTION) {
        return Ok(None);
    }
    let default = DescriberConfig::default();
    let word_dim = state.width("caption_model.decoder.embedding.weight", 1);
    Ok(Some(DescriberConfig {
        word_dim: word_dim.unwrap_or(default.word_dim),
        hidden: (state.width(PROJECTION, 0)).unwrap_or(default.hidden),
        max_tokens: settings.count(
            "max_len",
            "matcher.describer.max_tokens",
            default.max_tokens,
        )?,
        ..default
    }))
}

//! SCAN: words that attend to regions or regions that attend to words.

use super::encoders;
use super::settings::Settings;
use super::state::State;
use super::{Found, Model, REGIONS};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruOutput};
use truepair_model::kernel::RawNorm;
use truepair_model::matcher::MatcherConfig;
use truepair_model::similarity::{ScanConfig, SimilarityConfig};

pub(super) const MODEL: Model = encoders::model(
    "scan",
    "SCAN, text to image or image to text (Lee et al., ECCV 2018)",
    "kuanghuei/SCAN@8063557",
    infer,
);

fn infer(state: &State, settings: &mut Settings<'_>) -> Result<Found> {
    encoders::require_unit_length(settings)?;
    Ok(Found {
        matcher: MatcherConfig::new(
            BackboneConfig::RegionLinear(encoders::image(state, "fc")),
            BackboneConfig::Gru(encoders::caption(state, "rnn", GruOutput::Words)),
            SimilarityConfig::Scan(similarity(settings)?),
        ),
        width: state.axis("img_enc.fc.weight", 1),
        regions: REGIONS,
    })
}

/// The source's words for the normalization of inner products are ours.
pub(super) fn raw_norm(settings: &mut Settings<'_>) -> Result<RawNorm> {
    settings.word(
        "raw_feature_norm",
        "matcher.similarity.raw_norm",
        "clipped_l2norm",
        str::to_owned,
    )
}

fn similarity(settings: &mut Settings<'_>) -> Result<ScanConfig> {
    let lower = |word: &str| word.to_ascii_lowercase();
    let pooling = |word: &str| match word {
        "LogSumExp" => "log-sum-exp".to_owned(),
        other => other.to_ascii_lowercase(),
    };
    Ok(ScanConfig {
        direction: settings.word("cross_attn", "matcher.similarity.direction", "t2i", lower)?,
        raw_norm: raw_norm(settings)?,
        smooth: settings.number("lambda_softmax", "matcher.similarity.smooth", 9.0)?,
        pooling: settings.word(
            "agg_func",
            "matcher.similarity.pooling",
            "LogSumExp",
            pooling,
        )?,
        lambda_lse: settings.number("lambda_lse", "matcher.similarity.lambda_lse", 6.0)?,
    })
}

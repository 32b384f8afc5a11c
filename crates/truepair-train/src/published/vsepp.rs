//! VSE++: one projected vector an image and the last state of a GRU.

use super::encoders;
use super::settings::Settings;
use super::state::State;
use super::{Found, Model};
use crate::error::Result;
use truepair_model::backbone::{BackboneConfig, GruOutput};
use truepair_model::matcher::MatcherConfig;
use truepair_model::similarity::SimilarityConfig;

pub(super) const MODEL: Model = encoders::model(
    "vsepp",
    "VSE++ on precomputed features (Faghri et al., BMVC 2018)",
    "fartashf/vsepp@dae4e1c",
    infer,
);

fn infer(state: &State, settings: &mut Settings<'_>) -> Result<Found> {
    settings.require("no_imgnorm", false, "images keep their length")?;
    Ok(Found {
        matcher: MatcherConfig::new(
            BackboneConfig::RegionLinear(encoders::image(state, "fc")),
            BackboneConfig::Gru(encoders::caption(state, "rnn", GruOutput::Last)),
            measure(settings)?,
        ),
        width: state.axis("img_enc.fc.weight", 1),
        regions: 1,
    })
}

/// The source's `measure`; our `order` takes absolute values by itself, as `use_abs` asks for.
pub(super) fn measure(settings: &mut Settings<'_>) -> Result<SimilarityConfig> {
    let measure = settings.word(
        "measure",
        "matcher.similarity.kind",
        "cosine",
        str::to_owned,
    )?;
    match measure {
        Measure::Cosine => {
            settings.require("use_abs", false, "cosines are not of absolute values")?;
            Ok(SimilarityConfig::Cosine(Default::default()))
        }
        Measure::Order => {
            settings.require("use_abs", true, "`order` is of absolute values only")?;
            Ok(SimilarityConfig::Order(Default::default()))
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Measure {
    Cosine,
    Order,
}

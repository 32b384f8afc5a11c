//! The backbones of a run that names none: those that read its data and give what its similarity
//! compares.

use truepair_core::Error;
use truepair_core::dataset::Dataset;

use crate::error::Result;
use truepair_model::backbone::{
    BackboneConfig, GruConfig, GruPcmeConfig, GruPieConfig, MlpConfig, PcmeConfig, PieConfig,
    RegionLinearConfig, ResnetConfig, ResnetPcmeConfig, Stem,
};
use truepair_model::similarity::{Compares, SimilarityConfig};

/// The image side's default.
pub(super) fn image_backbone(dataset: &Dataset, similarity: &SimilarityConfig) -> BackboneConfig {
    /// Squares of at most this many pixels keep their size in the first layer.
    const SMALL: usize = 64 * 64;
    let stem = if dataset.images.dim() <= SMALL {
        Stem::Small
    } else {
        Stem::Large
    };
    match similarity.compares() {
        Compares::Several => BackboneConfig::Pie(PieConfig::default()),
        Compares::Gaussians if dataset.images.are_pictures() => {
            BackboneConfig::ResnetPcme(ResnetPcmeConfig {
                depth: 10,
                width: 16,
                stem,
                dim: 256,
                ..ResnetPcmeConfig::default()
            })
        }
        Compares::Gaussians => BackboneConfig::Pcme(PcmeConfig::default()),
        Compares::Vectors | Compares::Places if dataset.images.are_pictures() => {
            BackboneConfig::Resnet(ResnetConfig {
                depth: 10,
                width: 16,
                stem,
                dim: 256,
                weights: None,
            })
        }
        Compares::Vectors | Compares::Places if dataset.images.regions() > 1 => {
            BackboneConfig::RegionLinear(RegionLinearConfig::default())
        }
        Compares::Vectors | Compares::Places => BackboneConfig::Mlp(MlpConfig::default()),
    }
}

/// The caption side's default joins the image side's space.
///
/// # Errors
/// If the data has nothing that a caption backbone could read.
pub(super) fn caption_backbone(
    dataset: &Dataset,
    image: &BackboneConfig,
    similarity: &SimilarityConfig,
) -> Result<BackboneConfig> {
    let compares = similarity.compares();
    let chosen = if dataset.caption_features.is_some() {
        match compares {
            Compares::Several => BackboneConfig::Pie(PieConfig::default()),
            Compares::Gaussians => BackboneConfig::Pcme(PcmeConfig::default()),
            Compares::Vectors | Compares::Places => BackboneConfig::Mlp(MlpConfig::default()),
        }
    } else if dataset.captions.is_some() {
        match compares {
            Compares::Several => BackboneConfig::GruPie(GruPieConfig::default()),
            Compares::Gaussians => BackboneConfig::GruPcme(GruPcmeConfig::default()),
            Compares::Vectors | Compares::Places => BackboneConfig::Gru(GruConfig::default()),
        }
    } else {
        return Err(Error::argument(
            format!(
                "`{}` has neither caption texts nor caption features",
                dataset.name
            ),
            "give at least one of them",
        )
        .into());
    };
    Ok(chosen.with_dim(image.dim()))
}

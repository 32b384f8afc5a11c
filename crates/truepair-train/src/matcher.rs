//! The matcher: both backbones and the similarity, which is what the optimizer steps.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use truepair_core::rng::Seed;

use crate::backbone::{Backbone, BackboneConfig, InputShape};
use crate::encoding::Input;
use crate::error::Result;
use crate::init::Init;
use crate::kernel::Precision;
use crate::mode::Mode;
use crate::similarity::{Similarity, SimilarityConfig, Space};

/// Which backbones and which similarity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatcherConfig {
    /// The images' encoder.
    pub image: BackboneConfig,
    /// The captions' encoder.
    pub caption: BackboneConfig,
    /// How encoded items are scored.
    pub similarity: SimilarityConfig,
}

/// Two backbones and a similarity.
#[derive(Module, Debug)]
pub struct Matcher {
    /// The images' encoder.
    pub image: Backbone,
    /// The captions' encoder.
    pub caption: Backbone,
    /// How encoded items are scored.
    pub similarity: Similarity,
}

impl MatcherConfig {
    /// Builds a matcher with weights drawn from `seed`'s stream `init`.
    ///
    /// # Errors
    /// If a backbone does not read its side's data or a setting is out of range.
    pub fn build(
        &self,
        image: InputShape,
        caption: InputShape,
        seed: Seed,
        device: &Device,
        precision: Precision,
    ) -> Result<Matcher> {
        let draw = |name| Init::new(seed.stream(name, &[]), device.clone(), precision);
        let space = Space {
            dim: self.image.dim(),
            regions: match image {
                InputShape::Features { regions, .. } => regions,
                InputShape::Tokens(_) => 1,
            },
        };
        Ok(Matcher {
            image: self.image.build(image, &mut draw("init/image"))?,
            caption: self.caption.build(caption, &mut draw("init/caption"))?,
            similarity: self.similarity.build(space, &mut draw("init/similarity"))?,
        })
    }
}

impl Matcher {
    /// Lets both backbones measure a sample of the training data; see [`Backbone::measure`].
    pub fn measure(self, images: &Input, captions: &Input) -> Self {
        Self {
            image: self.image.measure(images),
            caption: self.caption.measure(captions),
            similarity: self.similarity,
        }
    }

    /// Scores `[n_images, n_captions]` of a batch, larger = more similar.
    pub fn scores(&self, images: &Input, captions: &Input, mode: &mut Mode<'_>) -> Tensor<2> {
        let images = self.image.encode(images, mode);
        let captions = self.caption.encode(captions, mode);
        self.similarity.scores(&images, &captions, mode)
    }
}

//! Whether a run with Gaussian embeddings grows more uncertain the less it sees.

mod page;

use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::dataset::Dataset;
use truepair_core::metric::{OcclusionCurve, occlusion_curve};
use truepair_core::relevance::Relevance;
use truepair_core::rng::Seed;
use truepair_core::watch::Watch;
use truepair_model::similarity::ItemSide;
use truepair_train::{Erased, Trained};

use crate::output::{self, Output};
use crate::render::table;
use crate::staged_file::StagedFile;

/// Shares that are erased, in tenths.
const TENTHS: std::ops::RangeInclusive<u32> = 0..=10;

/// Both sides of a split with growing shares of their items erased.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Occlusion {
    data: String,
    split: String,
    strategy: &'static str,
    images: Measurement,
    captions: Measurement,
}

/// What came of one side.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Measurement {
    Curve {
        /// What was erased.
        erased: &'static str,
        #[serde(flatten)]
        curve: OcclusionCurve,
    },
    Refused {
        /// Why nothing could be erased.
        refused: String,
    },
}

impl Output for Occlusion {
    const SCHEMA: &'static str = "truepair/occlusion/1";
}

impl Occlusion {
    /// Erases growing shares of the split's images and captions and encodes what is left.
    ///
    /// # Errors
    /// If items are not Gaussians, or no part of either side can be erased.
    pub(crate) fn measure(
        trained: &Trained,
        dataset: &Dataset,
        seed: Seed,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let parts = [
            &trained.config.matcher.image,
            &trained.config.matcher.caption,
        ];
        if !parts.iter().all(|part| part.is_gaussian()) {
            bail!(
                "--occlusion measures how uncertain embeddings are, and those of `{}` and `{}` are \
                 vectors (give a run of `pcme`, `pcme++` or `hib`)",
                parts[0].name(),
                parts[1].name()
            )
        }
        let images: Vec<u32> = (0..dataset.n_images() as u32).collect();
        let pairs = Relevance::from_pairs(dataset.n_images(), dataset.n_captions(), &dataset.pairs);
        // Captions without an image are drawn on their own, numbered behind the images.
        let image_of = |caption: u32| {
            let image = pairs.images_of(caption).first().copied();
            image.unwrap_or(dataset.n_images() as u32 + caption)
        };
        let captions: Vec<u32> = (0..dataset.n_captions() as u32).map(image_of).collect();
        let split = ErasedSplit {
            trained,
            dataset,
            seed,
        };
        let images = split.measure(ItemSide::Image, &images, watch)?;
        let captions = split.measure(ItemSide::Caption, &captions, watch)?;
        if let (Measurement::Refused { refused: a }, Measurement::Refused { refused: b }) =
            (&images, &captions)
        {
            bail!("--occlusion: {a}; {b}")
        }
        Ok(Self {
            data: dataset.name.clone(),
            split: dataset.split.clone(),
            strategy: trained.config.strategy.name(),
            images,
            captions,
        })
    }

    /// The page at `file` and the numbers beside it, with the ending `.json`.
    ///
    /// # Errors
    /// If a file cannot be written, or `file` ends in `.json` itself.
    pub(crate) fn stage(&self, file: &Path) -> Result<[StagedFile; 2]> {
        let numbers = file.with_extension("json");
        if numbers == file {
            bail!(
                "--occlusion {}: names the page (give an ending such as .html; the numbers are \
                 written beside it as .json)",
                file.display()
            )
        }
        let page = page::render(self)?;
        Ok([
            StagedFile::write(file, |out| Ok(out.write_all(page.as_bytes())?))?,
            StagedFile::write(&numbers, |out| {
                Ok(out.write_all(output::text(self)?.as_bytes())?)
            })?,
        ])
    }

    /// Both sides with their names.
    fn sides(&self) -> [(&'static str, &Measurement); 2] {
        [("images", &self.images), ("captions", &self.captions)]
    }
}

/// A split whose items are erased, and what encodes the rest of them.
struct ErasedSplit<'a> {
    trained: &'a Trained,
    dataset: &'a Dataset,
    seed: Seed,
}

impl ErasedSplit<'_> {
    /// `units` says which items the bootstrap draws together.
    fn measure(&self, side: ItemSide, units: &[u32], watch: &mut dyn Watch) -> Result<Measurement> {
        let (trained, dataset, seed) = (self.trained, self.dataset, self.seed);
        let erased = match Erased::of(trained, dataset, side) {
            Ok(erased) => erased,
            Err(refused) => return Ok(Measurement::Refused { refused }),
        };
        let shares: Vec<f64> = TENTHS.map(|tenth| f64::from(tenth) / 10.0).collect();
        let uncertainties = (shares.iter())
            .map(|&share| trained.occluded(dataset, (side, erased), share, seed, watch))
            .collect::<truepair_train::Result<Vec<Vec<f32>>>>()?;
        Ok(Measurement::Curve {
            erased: match erased {
                Erased::Pixels => "pixels",
                Erased::Regions => "regions",
                Erased::Words => "words",
            },
            curve: occlusion_curve(&shares, &uncertainties, units, seed)?,
        })
    }
}

/// The table that `truepair eval` prints.
pub(crate) fn text(occlusion: &Occlusion) -> String {
    let mut rows = vec![vec!["erased".to_owned()]];
    rows.extend(TENTHS.map(|tenth| vec![format!("{} %", 10 * tenth)]));
    let mut notes = String::new();
    for (name, side) in occlusion.sides() {
        match side {
            Measurement::Refused { refused } => notes.push_str(&format!("note: {refused}\n")),
            Measurement::Curve { erased, curve } => {
                rows[0].push(format!("{name} ({erased})"));
                for (row, point) in rows[1..].iter_mut().zip(&curve.points) {
                    row.push(format!(
                        "{:.4} ({:.4} to {:.4})",
                        point.uncertainty, point.low, point.high
                    ));
                }
                let found = &curve.correlation;
                notes.push_str(&format!(
                    "Spearman, share of {erased} erased with uncertainty: {:+.3} ({:+.3} to {:+.3})\n",
                    found.rho, found.low, found.high
                ));
            }
        }
    }
    format!("\n{}{notes}", table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn specimen() -> Occlusion {
        let shares: Vec<f64> = TENTHS.map(|tenth| f64::from(tenth) / 10.0).collect();
        let rows: Vec<Vec<f32>> = (shares.iter())
            .map(|share| {
                (0..20)
                    .map(|n| (0.1 + 0.4 * share) as f32 + n as f32 / 1e3)
                    .collect()
            })
            .collect();
        let units: Vec<u32> = (0..20).collect();
        Occlusion {
            data: "specimen <b>".to_owned(),
            split: "test".to_owned(),
            strategy: "pcme",
            images: Measurement::Refused {
                refused: "images are one embedding each".to_owned(),
            },
            captions: Measurement::Curve {
                erased: "words",
                curve: occlusion_curve(&shares, &rows, &units, Seed(1)).unwrap(),
            },
        }
    }

    #[test]
    fn the_table_has_a_column_per_side_and_says_what_was_refused() {
        let text = text(&specimen());
        assert!(
            text.contains("captions (words)") && !text.contains("images ("),
            "{text}"
        );
        assert!(text.contains("100 %") && text.contains("0.5095"), "{text}");
        assert!(text.contains("note: images are one embedding"), "{text}");
        assert!(text.contains("erased with uncertainty: +0.9"), "{text}");
    }

    #[test]
    fn the_page_and_its_numbers_are_written_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seen.html");
        for staged in specimen().stage(&file).unwrap() {
            staged.publish().unwrap();
        }
        let page = std::fs::read_to_string(&file).unwrap();
        assert!(page.contains("<svg class=\"plot\"") && page.contains("specimen &#60;b&#62;"));
        let numbers = std::fs::read(file.with_extension("json")).unwrap();
        let numbers: serde_json::Value = serde_json::from_slice(&numbers).unwrap();
        assert_eq!(numbers["schema"], Occlusion::SCHEMA);
        assert_eq!(numbers["captions"]["points"].as_array().unwrap().len(), 11);
        assert_eq!(numbers["captions"]["erased"], "words");
        assert!(numbers["images"]["refused"].is_string());
        let refused = specimen()
            .stage(&folder.path().join("seen.json"))
            .unwrap_err();
        assert!(refused.to_string().contains("names the page"));
    }
}

//! What an encoder expects between a decoded picture and its first layer.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::picture::Rgb;
use crate::resize::{Filter, resize};

/// How a picture becomes a square of planes.
///
/// ```
/// use truepair_image::{Preprocessing, Rgb};
///
/// // One white pixel becomes two planes' worth of normalized ones.
/// let settings = Preprocessing { size: 2, mean: [0.5; 3], std: [0.5; 3], ..Preprocessing::default() };
/// let planes = settings.planes(&Rgb::new(1, 1, vec![255; 3]));
/// assert_eq!(planes, [1.0; 3 * 2 * 2]);
/// ```
///
/// # Shapes
/// Output: `[3, size, size]`, planes red, green, blue, of `(x / 255 − mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocessing {
    /// Side of the square in pixels.
    pub size: usize,
    /// Shorter side before the middle is cut out; `None` = `size`. Only with [`Fit::Crop`].
    pub resize: Option<usize>,
    /// What happens to pictures that are not square.
    pub fit: Fit,
    /// Kernel of the resampling.
    pub filter: Filter,
    /// Mean of each color, of values in [0, 1].
    pub mean: [f32; 3],
    /// Standard deviation of each color, of values in [0, 1].
    pub std: [f32; 3],
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            size: 224,
            resize: None,
            fit: Fit::Crop,
            filter: Filter::Bicubic,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }
}

/// What happens to pictures that are not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The shorter side is resized and the middle cut out.
    #[default]
    Crop,
    /// Both sides are resized; proportions change.
    Stretch,
    /// White is added to the shorter side, then both are resized.
    Pad,
}

/// The file in which model hubs put these settings.
const HUB_FILE: &str = "preprocessor_config.json";

impl Preprocessing {
    /// The settings in the `preprocessor_config.json` in `folder` or in the folder above it, as
    /// model hubs write it; `None` when there is none.
    ///
    /// # Errors
    /// If the file cannot be read or its sizes are no positive numbers.
    pub fn beside(folder: &Path) -> Result<Option<Self>> {
        let above = folder.parent();
        let candidates = [Some(folder), above].into_iter().flatten();
        let found = (candidates.map(|folder| folder.join(HUB_FILE))).find(|path| path.is_file());
        found.map(|path| Self::from_hub(&path)).transpose()
    }

    fn from_hub(path: &Path) -> Result<Self> {
        let bad = |problem: String| {
            let remedy = "correct the file, or give the settings as arguments";
            Error::data(path, Place::Whole, problem, remedy)
        };
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
        let hub: HubFile = serde_json::from_slice(&bytes)
            .map_err(|cause| bad(format!("not preprocessing settings: {cause}")))?;
        hub.settings().map_err(bad)
    }

    /// # Errors
    /// If a value cannot be used; the message names it.
    pub fn check(&self) -> Result<()> {
        let inner = self.resize.unwrap_or(self.size);
        let problem = if self.size == 0 || self.size > 4096 {
            format!("size = {} pixels", self.size)
        } else if inner < self.size {
            format!("resize = {inner} is smaller than size = {}", self.size)
        } else if self.std.iter().any(|std| !(*std > 0.0 && std.is_finite()))
            || self.mean.iter().any(|mean| !mean.is_finite())
        {
            format!("mean = {:?}, std = {:?}", self.mean, self.std)
        } else {
            return Ok(());
        };
        Err(Error::argument(
            format!("pictures cannot be prepared with {problem}"),
            "sizes are in 1..=4096 and deviations above 0",
        ))
    }

    /// The planes `[3, size, size]` of a picture.
    pub fn planes(&self, picture: &Rgb) -> Vec<f32> {
        let mut out = vec![0.0; 3 * self.size * self.size];
        self.fill(&self.square(picture), &mut out);
        out
    }

    /// The picture as a square of `size` pixels.
    pub fn square(&self, picture: &Rgb) -> Rgb {
        match self.fit {
            Fit::Stretch => resize(picture, self.size, self.size, self.filter),
            Fit::Pad => resize(
                &picture.padded_to_square(),
                self.size,
                self.size,
                self.filter,
            ),
            Fit::Crop => self.middle(picture),
        }
    }

    /// Side lengths are cut to whole pixels and the middle rounds to even, as torchvision does.
    fn middle(&self, picture: &Rgb) -> Rgb {
        let shorter = self.resize.unwrap_or(self.size);
        let (width, height) = (picture.width(), picture.height());
        let longer = |long: usize, short: usize| shorter * long / short;
        let (width, height) = match width <= height {
            true => (shorter, longer(height, width)),
            false => (longer(width, height), shorter),
        };
        let picture = resize(picture, width, height, self.filter);
        let start = |side: usize| ((side - self.size) as f64 / 2.0).round_ties_even() as usize;
        picture.crop(start(width), start(height), self.size, self.size)
    }

    /// Normalizes a square of `size` pixels into `out` `[3, size, size]`.
    ///
    /// # Panics
    /// If either has another size.
    pub(crate) fn fill(&self, square: &Rgb, out: &mut [f32]) {
        assert_eq!((square.width(), square.height()), (self.size, self.size));
        let area = self.size * self.size;
        for (color, plane) in out.chunks_exact_mut(area).enumerate() {
            let scale = 1.0 / (255.0 * self.std[color]);
            let shift = -self.mean[color] / self.std[color];
            let values = square.values()[color..].iter().step_by(3);
            for (out, &value) in plane.iter_mut().zip(values) {
                *out = f32::from(value) * scale + shift;
            }
        }
        assert_eq!(out.len(), 3 * area, "space for three planes");
    }
}

/// The settings as model hubs write them; everything else in the file is of no concern here.
#[derive(Deserialize)]
struct HubFile {
    size: Option<Value>,
    crop_size: Option<Value>,
    do_center_crop: Option<bool>,
    resample: Option<u8>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_normalize: Option<bool>,
}

impl HubFile {
    fn settings(&self) -> std::result::Result<Preprocessing, String> {
        let shorter = self.size.as_ref().map(side).transpose()?;
        let crop = self.crop_size.as_ref().map(side).transpose()?;
        let stretched = (self.size.as_ref()).is_some_and(|size| size.get("height").is_some());
        let cuts = self.do_center_crop.unwrap_or(crop.is_some());
        let default = Preprocessing::default();
        let (mean, std) = match self.do_normalize {
            Some(false) => ([0.0; 3], [1.0; 3]),
            _ => (
                self.image_mean.unwrap_or(default.mean),
                self.image_std.unwrap_or(default.std),
            ),
        };
        let size = match (cuts, crop, shorter) {
            (true, Some(crop), _) => crop,
            (_, _, Some(size)) => size,
            _ => default.size,
        };
        Ok(Preprocessing {
            size,
            resize: shorter.filter(|shorter| cuts && *shorter != size),
            fit: if stretched && !cuts {
                Fit::Stretch
            } else {
                Fit::Crop
            },
            filter: match self.resample {
                None | Some(3) => Filter::Bicubic,
                Some(2) => Filter::Bilinear,
                Some(other) => return Err(format!("resample = {other}, expected 2 or 3")),
            },
            mean,
            std,
        })
    }
}

/// A number, or an object with the shorter side or a square's height.
fn side(value: &Value) -> std::result::Result<usize, String> {
    let keys = ["shortest_edge", "height"];
    let number = (value.as_u64()).or_else(|| keys.iter().find_map(|key| value.get(key)?.as_u64()));
    let square = match (value.get("height"), value.get("width")) {
        (Some(height), Some(width)) => height == width,
        _ => true,
    };
    match number.map(|number| number as usize) {
        Some(number @ 1..=4096) if square => Ok(number),
        _ => Err(format!("a size of {value}, expected a square of pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Rgb {
        let values = (0..3 * width * height).map(|n| (n % 256) as u8).collect();
        Rgb::new(width, height, values)
    }

    #[test]
    fn planes_are_normalized_color_by_color() {
        let settings = Preprocessing {
            size: 2,
            mean: [0.0, 0.5, 1.0],
            std: [1.0, 0.5, 0.25],
            ..Preprocessing::default()
        };
        let white = Rgb::new(2, 2, vec![255; 12]);
        let planes = settings.planes(&white);
        for (found, expected) in planes.chunks_exact(4).zip([1.0, 1.0, 0.0]) {
            assert!(
                found.iter().all(|x| (x - expected).abs() < 1e-6),
                "{planes:?}"
            );
        }
    }

    #[test]
    fn every_fit_gives_the_square() {
        for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
            let settings = Preprocessing {
                size: 8,
                resize: (fit == Fit::Crop).then_some(10),
                fit,
                ..Preprocessing::default()
            };
            for (width, height) in [(31, 17), (17, 31), (8, 8), (1, 40)] {
                let square = settings.square(&picture(width, height));
                assert_eq!((square.width(), square.height()), (8, 8), "{fit:?}");
            }
        }
        let cut = Preprocessing {
            size: 4,
            ..Preprocessing::default()
        };
        let whole = picture(8, 4);
        assert_eq!(cut.square(&whole), whole.crop(2, 0, 4, 4));
    }

    #[test]
    fn the_settings_of_model_hubs_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Preprocessing::beside(folder.path()).unwrap(), None);
        let write = |text: &str| std::fs::write(folder.path().join(HUB_FILE), text).unwrap();
        write(
            r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
                "resample": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                "do_center_crop": true, "feature_extractor_type": "x"}"#,
        );
        let inner = folder.path().join("onnx");
        let read = Preprocessing::beside(&inner).unwrap().unwrap();
        let expected = Preprocessing {
            size: 224,
            resize: Some(256),
            fit: Fit::Crop,
            filter: Filter::Bilinear,
            mean: [0.5; 3],
            std: [0.5; 3],
        };
        assert_eq!(read, expected);
        write(r#"{"size": {"height": 384, "width": 384}, "do_normalize": false}"#);
        let read = Preprocessing::beside(folder.path()).unwrap().unwrap();
        assert_eq!(
            (read.size, read.fit, read.std),
            (384, Fit::Stretch, [1.0; 3])
        );
        write(r#"{"size": {"height": 384, "width": 200}}"#);
        let error = Preprocessing::beside(folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(HUB_FILE) && error.contains("square"),
            "{error}"
        );
    }

    #[test]
    fn impossible_settings_are_named() {
        let settings = Preprocessing {
            resize: Some(100),
            ..Preprocessing::default()
        };
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains("resize = 100"), "{error}");
        assert!(Preprocessing::default().check().is_ok());
    }
}

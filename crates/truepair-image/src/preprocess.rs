//! What an encoder expects between a decoded picture and its first layer.

use serde::{Deserialize, Serialize};
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

impl Preprocessing {
    /// That of networks trained on ImageNet.
    pub fn imagenet() -> Self {
        Self::default()
    }

    /// That of CLIP.
    pub fn clip() -> Self {
        Self {
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            ..Self::default()
        }
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

//! Random variants of a picture for training.
//!
//! Every picture of every step has a stream of its own, so that what one picture draws never
//! changes another, and a resumed run sees the same variants.

use rand::Rng;
use serde::{Deserialize, Serialize};
use truepair_core::rng::{below, unit};
use truepair_core::{Error, Result};

use crate::picture::Rgb;

/// Shares of the pictures that are changed, and how much.
///
/// ```
/// use truepair_image::Augmentation;
///
/// assert!(Augmentation::default().check().is_ok());
/// let nothing_left = Augmentation { crop: 0.0, ..Augmentation::default() };
/// assert!(nothing_left.check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Smallest share of the area that a random part keeps; 1 keeps the whole picture.
    pub crop: f64,
    /// Share of the pictures that are mirrored.
    pub flip: f64,
    /// Share of the pictures of which a rectangle is set to the mean color.
    pub erase: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            crop: 0.6,
            flip: 0.5,
            erase: 0.0,
        }
    }
}

impl Augmentation {
    /// # Errors
    /// If a share is not in [0, 1], or `crop` is 0.
    pub fn check(&self) -> Result<()> {
        let Self { crop, flip, erase } = *self;
        let share = |x: f64| (0.0..=1.0).contains(&x);
        if share(crop) && crop > 0.0 && share(flip) && share(erase) {
            return Ok(());
        }
        Err(Error::argument(
            format!("pictures cannot be varied with crop = {crop}, flip = {flip}, erase = {erase}"),
            "shares are in [0, 1], and a part keeps more than 0 of the area",
        ))
    }

    /// A random part of the picture, perhaps mirrored.
    pub(crate) fn part(&self, picture: &Rgb, rng: &mut impl Rng) -> Rgb {
        let part = match self.crop < 1.0 {
            true => random_crop(picture, self.crop, rng),
            false => picture.clone(),
        };
        match unit(rng) < self.flip {
            true => part.mirrored(),
            false => part,
        }
    }

    /// Erases a rectangle of normalized planes `[3, size, size]`, perhaps.
    pub(crate) fn hole(&self, planes: &mut [f32], size: usize, rng: &mut impl Rng) {
        if unit(rng) < self.erase {
            erase(planes, size, rng);
        }
    }
}

/// Sides of the random parts, width to height.
const RATIOS: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

/// A part with a uniform share of the area in `[smallest, 1]` and a log-uniform ratio of its sides
/// in `[3/4, 4/3]`, anywhere in the picture; the whole picture when ten draws did not fit.
///
/// # Source
/// Szegedy et al., CVPR 2015, section 6.
pub fn random_crop(picture: &Rgb, smallest: f64, rng: &mut impl Rng) -> Rgb {
    let area = (picture.width() * picture.height()) as f64;
    for _ in 0..10 {
        let share = smallest + (1.0 - smallest) * unit(rng);
        let [low, high] = RATIOS.map(f64::ln);
        let ratio = (low + (high - low) * unit(rng)).exp();
        let side = |ratio: f64| (area * share * ratio).sqrt().round().max(1.0) as usize;
        let (width, height) = (side(ratio), side(1.0 / ratio));
        if width <= picture.width() && height <= picture.height() {
            let left = below(rng, (picture.width() - width) as u64 + 1) as usize;
            let top = below(rng, (picture.height() - height) as u64 + 1) as usize;
            return picture.crop(left, top, width, height);
        }
    }
    picture.clone()
}

/// Sets a rectangle of normalized planes `[3, size, size]` to 0, the mean color: 2 to 33 % of the
/// area, sides in a ratio of 0.3 to 1/0.3.
///
/// # Source
/// Zhong et al., AAAI 2020 (arXiv 1708.04896), algorithm 1.
///
/// # Deviations
/// 1. The rectangle gets the mean color, not noise.
/// 2. A rectangle that does not fit after ten draws is left out.
pub fn erase(planes: &mut [f32], size: usize, rng: &mut impl Rng) {
    let area = (size * size) as f64;
    for _ in 0..10 {
        let share = 0.02 + 0.31 * unit(rng);
        let ratio = (0.3f64.ln() * (1.0 - 2.0 * unit(rng))).exp();
        let side = |ratio: f64| (area * share * ratio).sqrt().round().max(1.0) as usize;
        let (width, height) = (side(ratio), side(1.0 / ratio));
        if width < size && height < size {
            let left = below(rng, (size - width) as u64) as usize;
            let top = below(rng, (size - height) as u64) as usize;
            for plane in planes.chunks_exact_mut(size * size) {
                for row in plane.chunks_exact_mut(size).skip(top).take(height) {
                    row[left..left + width].fill(0.0);
                }
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truepair_core::rng::Seed;

    fn picture() -> Rgb {
        Rgb::new(30, 20, (0..1800).map(|n| (n % 255) as u8).collect())
    }

    #[test]
    fn parts_keep_the_asked_area_and_come_back_with_their_stream() {
        let draw = |index| random_crop(&picture(), 0.5, &mut Seed(1).stream("augment", &[index]));
        let areas: Vec<usize> = (0..200)
            .map(|n| draw(n).width() * draw(n).height())
            .collect();
        assert!(
            areas.iter().all(|&area| (270..=600).contains(&area)),
            "{areas:?}"
        );
        assert!(areas.iter().any(|&area| area < 350) && areas.iter().any(|&area| area > 450));
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn shares_are_kept() {
        let augmentation = Augmentation {
            crop: 1.0,
            flip: 0.25,
            erase: 0.5,
        };
        let (mut mirrored, mut erased) = (0, 0);
        for n in 0..1000 {
            let rng = &mut Seed(2).stream("augment", &[n]);
            mirrored += usize::from(augmentation.part(&picture(), rng) != picture());
            let mut planes = vec![1.0; 3 * 16 * 16];
            augmentation.hole(&mut planes, 16, rng);
            let gone = planes.iter().filter(|x| **x == 0.0).count();
            assert!(
                gone == 0 || gone.is_multiple_of(3) && gone <= 3 * 100,
                "{gone}"
            );
            erased += usize::from(gone > 0);
        }
        assert!((200..300).contains(&mirrored), "{mirrored}");
        assert!((440..560).contains(&erased), "{erased}");
    }

    #[test]
    fn impossible_shares_are_named() {
        let none = Augmentation {
            crop: 0.0,
            ..Augmentation::default()
        };
        assert!(none.check().unwrap_err().to_string().contains("crop = 0"));
        assert!(Augmentation::default().check().is_ok());
    }
}

//! Random variants of a picture for training.
//!
//! Every picture of every step has a stream of its own, so that what one picture draws never
//! changes another, and a resumed run sees the same variants.

use rand::Rng;
use truepair_core::dataset::Augmentation;
use truepair_core::rng::{below, unit};

use crate::picture::Rgb;

/// A random part of the picture, perhaps mirrored.
pub(crate) fn part(how: &Augmentation, picture: &Rgb, rng: &mut impl Rng) -> Rgb {
    let part = match how.crop < 1.0 {
        true => random_crop(picture, how.crop, rng),
        false => picture.clone(),
    };
    match unit(rng) < how.flip {
        true => part.mirrored(),
        false => part,
    }
}

/// Erases a rectangle of normalized planes `[3, size, size]`, perhaps.
pub(crate) fn hole(how: &Augmentation, planes: &mut [f32], size: usize, rng: &mut impl Rng) {
    if unit(rng) < how.erase {
        erase(planes, size, rng);
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
/// area, sides in a log-uniform ratio of 0.3 to 1/0.3.
///
/// # Source
/// Zhong et al., AAAI 2020 (arXiv 1708.04896), algorithm 1, as PCME has it: code read at
/// naver-ai/pcme@4947684, `RandomErasing` with `mode = "const"`.
///
/// # Deviations
/// 1. The paper's rectangle gets noise; here as there it gets the mean color.
/// 2. A rectangle that does not fit after ten draws is left out, as there.
pub fn erase(planes: &mut [f32], size: usize, rng: &mut impl Rng) {
    let area = (size * size) as f64;
    for _ in 0..10 {
        let share = 0.02 + (1.0 / 3.0 - 0.02) * unit(rng);
        let ratio = (0.3f64.ln() * (1.0 - 2.0 * unit(rng))).exp();
        let side = |ratio: f64| (area * share * ratio).sqrt().round().max(1.0) as usize;
        let (width, height) = (side(ratio), side(1.0 / ratio));
        if width < size && height < size {
            let left = below(rng, (size - width) as u64 + 1) as usize;
            let top = below(rng, (size - height) as u64 + 1) as usize;
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
            mirrored += usize::from(part(&augmentation, &picture(), rng) != picture());
            let mut planes = vec![1.0; 3 * 16 * 16];
            hole(&augmentation, &mut planes, 16, rng);
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
}

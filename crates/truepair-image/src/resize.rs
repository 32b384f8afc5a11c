//! Resampling, to the bit as Pillow does it.
//!
//! Encoders were trained on pictures that went through Pillow or torchvision. A resampler without
//! antialiasing, or one that rounds elsewhere, moves every feature a little, and nothing fails.

use serde::{Deserialize, Serialize};

use crate::picture::Rgb;

/// The kernel of a resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle, two pixels wide.
    Bilinear,
    /// Keys' cubic with a = -1/2, four pixels wide.
    #[default]
    Bicubic,
}

impl Filter {
    /// Half of the kernel's width in pixels.
    fn reach(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Filter::Bicubic => 0.0,
        }
    }
}

/// Fractional bits of a weight.
const BITS: u32 = 22;

/// Resamples to `width` x `height`: columns first, then rows, each pass rounded to 8 bits. When a
/// side shrinks the kernel is stretched by the same factor (antialiasing).
///
/// ```text
/// out(x) = Σᵢ wᵢ in(i),   wᵢ ∝ k((i + ½ − (x + ½) s) / max(s, 1)),   s = in / out
/// ```
/// with the weights of one output pixel summing to 1 and rounded to 22 fractional bits.
///
/// ```
/// use truepair_image::{Filter, Rgb, resize};
///
/// let gray = Rgb::new(4, 2, vec![90; 3 * 4 * 2]);
/// let small = resize(&gray, 2, 1, Filter::Bicubic);
/// assert_eq!(small.values(), [90; 3 * 2]);
/// ```
///
/// # Panics
/// If `width` or `height` is 0.
///
/// # Source
/// Pillow 12.3.0, `Image.resize`; checked against its pixels.
///
/// # Deviations
/// 1. Pillow 13 resamples rows first where the height shrinks much more than the width. Here columns
///    always come first, as they did when today's encoders were trained.
pub fn resize(picture: &Rgb, width: usize, height: usize, filter: Filter) -> Rgb {
    assert!(width > 0 && height > 0, "a side of 0 pixels");
    let wide = match width == picture.width() {
        true => picture.clone(),
        false => columns(picture, &Taps::new(picture.width(), width, filter)),
    };
    match height == wide.height() {
        true => wide,
        false => rows(&wide, &Taps::new(wide.height(), height, filter)),
    }
}

/// Which input pixels an output pixel is made of.
struct Taps {
    /// First input pixel and number of weights of each output pixel.
    spans: Vec<(usize, usize)>,
    /// Fixed-point weights of all output pixels, one after another.
    weights: Vec<i32>,
}

impl Taps {
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let reach = filter.reach() * stretch;
        let mut taps = Self {
            spans: Vec::with_capacity(to),
            weights: Vec::new(),
        };
        for out in 0..to {
            let center = (out as f64 + 0.5) * scale;
            // Casts of negative numbers saturate at 0.
            let first = (center - reach + 0.5) as usize;
            let end = ((center + reach + 0.5) as usize).min(from);
            let weight = |i: usize| filter.at((i as f64 - center + 0.5) / stretch);
            let total: f64 = (first..end).map(weight).sum();
            let fixed = (first..end).map(|i| {
                let weight = weight(i) / total;
                (weight * f64::from(1u32 << BITS)).round() as i32
            });
            taps.weights.extend(fixed);
            taps.spans.push((first, end - first));
        }
        taps
    }

    /// Span and weights of each output pixel.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let mut rest = self.weights.as_slice();
        self.spans.iter().map(move |&(first, n)| {
            let (own, others) = rest.split_at(n);
            rest = others;
            (first, own)
        })
    }
}

fn columns(picture: &Rgb, taps: &Taps) -> Rgb {
    let width = taps.spans.len();
    let mut out = Vec::with_capacity(3 * width * picture.height());
    for row in picture.values().chunks_exact(3 * picture.width()) {
        for (first, weights) in taps.iter() {
            let mut sums = [1 << (BITS - 1); 3];
            for (pixel, weight) in row[3 * first..].as_chunks::<3>().0.iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sums.map(rounded));
        }
    }
    Rgb::new(width, picture.height(), out)
}

fn rows(picture: &Rgb, taps: &Taps) -> Rgb {
    let stride = 3 * picture.width();
    let mut out = Vec::with_capacity(stride * taps.spans.len());
    let mut sums = vec![0i32; stride];
    for (first, weights) in taps.iter() {
        sums.fill(1 << (BITS - 1));
        let input = picture.values()[first * stride..].chunks_exact(stride);
        for (row, weight) in input.zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| rounded(sum)));
    }
    Rgb::new(picture.width(), taps.spans.len(), out)
}

fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(width: usize, height: usize, value: u8) -> Rgb {
        Rgb::new(width, height, vec![value; 3 * width * height])
    }

    #[test]
    fn flat_pictures_stay_flat_at_every_size() {
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for (width, height) in [(1, 1), (3, 50), (17, 5), (64, 64)] {
                let out = resize(&flat(16, 9, 201), width, height, filter);
                assert_eq!(out, flat(width, height, 201), "{filter:?} {width}x{height}");
            }
        }
    }

    #[test]
    fn halving_with_the_triangle_weighs_the_neighbors_1_3_3_1() {
        let values = [0u8, 0, 80, 160, 0, 0, 0, 0].map(|v| [v; 3]).concat();
        let out = resize(&Rgb::new(8, 1, values), 4, 1, Filter::Bilinear);
        // (0 + 3·80 + 3·160 + 0) / 8
        assert_eq!(out.values()[3..6], [90, 90, 90]);
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let values: Vec<u8> = (0..75).map(|n| (n * 37 % 251) as u8).collect();
        let picture = Rgb::new(5, 5, values);
        assert_eq!(resize(&picture, 5, 5, Filter::Bicubic), picture);
    }
}

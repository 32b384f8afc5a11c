//! Bytes of a file to upright 8-bit RGB.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::picture::Rgb;

/// Pixels that a picture may have; its header is asked before anything is allocated.
pub const MAX_PIXELS: u64 = 1 << 28;

/// Why bytes are no picture that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are of none of the known formats.
    #[error("no picture: it begins like neither JPEG, PNG, WebP, GIF nor BMP")]
    Unknown,
    /// The header announces more pixels than [`MAX_PIXELS`].
    #[error("{width} x {height} pixels are more than the limit of {MAX_PIXELS}")]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// It begins like a picture but cannot be decoded.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
}

/// Decodes the first frame of a JPEG, PNG, WebP, GIF or BMP, recognized by its first bytes.
///
/// The picture is turned as its EXIF orientation says. CMYK becomes RGB, 16 bits become 8, and
/// transparent pixels are laid on white.
///
/// # Errors
/// If the bytes are no such picture, are damaged, or announce more than [`MAX_PIXELS`] pixels.
///
/// # Deviations
/// 1. Pillow cuts 16-bit gray at 255; here it is scaled, as 16-bit color is in both.
pub fn decode(bytes: &[u8]) -> Result<Rgb, Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    let format = image::guess_format(bytes).map_err(|_| Problem::Unknown)?;
    if !matches!(
        format,
        ImageFormat::Jpeg
            | ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Bmp
    ) {
        return Err(Problem::Unknown);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // Decoders check their own buffers against this; the pixels are checked below.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Problem::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(Problem::Damaged(format!("{width} x {height} pixels")));
    }
    // Unreadable metadata does not make the pixels unreadable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(on_white(picture))
}

fn damaged(error: ImageError) -> Problem {
    Problem::Damaged(error.to_string())
}

/// `α c + (1 − α) 255`, rounded to the nearest.
fn on_white(picture: DynamicImage) -> Rgb {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if !picture.color().has_alpha() {
        return Rgb::new(width, height, picture.into_rgb8().into_raw());
    }
    let pixels = picture.into_rgba8().into_raw();
    let (pixels, _) = pixels.as_chunks::<4>();
    let values = pixels.iter().flat_map(|&[red, green, blue, alpha]| {
        let alpha = u32::from(alpha);
        let lay = |value: u8| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        [lay(red), lay(green), lay(blue)]
    });
    Rgb::new(width, height, values.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_says_why() {
        assert_eq!(decode(b""), Err(Problem::Empty));
        assert_eq!(decode(b"a caption in a .jpg\n"), Err(Problem::Unknown));
        assert!(matches!(
            decode(b"\x89PNG\r\n\x1a\nrest"),
            Err(Problem::Damaged(_))
        ));
    }

    /// The first bytes of a PNG of this size, without any pixel.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut chunk = b"IHDR".to_vec();
        chunk.extend(width.to_be_bytes());
        chunk.extend(height.to_be_bytes());
        chunk.extend([8, 2, 0, 0, 0]);
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        bytes.extend(13u32.to_be_bytes());
        bytes.extend(&chunk);
        bytes.extend(crc32(&chunk).to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(b"IDAT");
        bytes.extend(crc32(b"IDAT").to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            let start = crc ^ u32::from(*byte);
            (0..8).fold(start, |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    #[test]
    fn a_header_that_announces_too_much_is_refused_before_its_pixels_are_asked_for() {
        let bomb = Problem::TooLarge {
            width: 50_000,
            height: 50_000,
        };
        assert_eq!(decode(&png_header(50_000, 50_000)), Err(bomb));
        assert!(matches!(
            decode(&png_header(5, 5)),
            Err(Problem::Damaged(_))
        ));
    }
}

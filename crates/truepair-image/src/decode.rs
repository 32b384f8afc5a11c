//! Bytes of a file to upright 8-bit RGB.

use std::fmt::Display;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use image_webp::WebPDecoder;
use zune_bmp::{BmpDecoder, BmpDecoderErrors};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_png::PngDecoder;
use zune_png::error::PngDecodeErrors;

use crate::format::{self, PictureFormat};
use crate::orientation::Orientation;
use crate::picture::Rgb;
use crate::png_chunks;

/// Pixels that a picture may have; its header is asked before anything is allocated.
pub const MAX_PIXELS: u64 = 1 << 28;

/// Bytes that a decoder may make of a picture: more where a sample has two.
pub const MAX_BYTES: u64 = 1 << 30;

/// Why bytes are no picture that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// It is a picture of a format that is not decoded.
    #[error("a picture in {0}, which is not decoded (JPEG, PNG, WebP, GIF and BMP are)")]
    NotDecoded(&'static str),
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
    /// The header announces samples of more than [`MAX_BYTES`] bytes.
    #[error(
        "{width} x {height} pixels are decoded to {bytes} bytes, more than the limit of {MAX_BYTES}"
    )]
    TooManyBytes {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes of all samples.
        bytes: u64,
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
/// ```
/// use truepair_image::{Problem, decode};
///
/// let picture = decode(&std::fs::read("fixtures/pictures/rgb.jpg")?)?;
/// assert_eq!((picture.width(), picture.height()), (48, 32));
/// assert_eq!(decode(b"<html>"), Err(Problem::Unknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the bytes are no such picture, are damaged, or announce more than [`MAX_PIXELS`] pixels or
/// [`MAX_BYTES`] bytes.
///
/// # Deviations
/// 1. Pillow cuts 16-bit gray at 255; here its high byte is taken, as of 16-bit color in both.
pub fn decode(bytes: &[u8]) -> Result<Rgb, Problem> {
    decode_with_remark(bytes).map(|(picture, _)| picture)
}

/// As [`decode`], with what is wrong with bytes that can be decoded nevertheless.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_with_remark(bytes: &[u8]) -> Result<(Rgb, Option<&'static str>), Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    let unknown = || format::not_decoded(bytes).map_or(Problem::Unknown, Problem::NotDecoded);
    let format = PictureFormat::of(bytes).ok_or_else(unknown)?;
    // One damaged picture among millions must not end the work, whatever its decoder makes of it.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes)));
    decoded.unwrap_or_else(|_| Err(damaged("its decoder does not expect what is in it")))
}

fn decode_as(format: PictureFormat, bytes: &[u8]) -> Result<(Rgb, Option<&'static str>), Problem> {
    let mut remark = None;
    let decoded = match format {
        PictureFormat::Jpeg => {
            remark =
                ends_early(bytes).then_some("the file ends early, so its last rows may be missing");
            jpeg(bytes)?
        }
        PictureFormat::Png => match png(bytes, Checksums::Confirmed) {
            Err(PngFault::Checksum) => {
                remark = Some("a checksum is wrong, so pixels may be too");
                png(bytes, Checksums::Ignored)
            }
            other => other,
        }
        .map_err(PngFault::problem)?,
        PictureFormat::WebP => webp(bytes)?,
        PictureFormat::Gif => gif(bytes)?,
        PictureFormat::Bmp => bmp(bytes)?,
    };
    let picture = decoded.on_white()?;
    Ok((decoded.orientation.apply(picture), remark))
}

/// Samples as a decoder leaves them.
struct Decoded {
    width: usize,
    height: usize,
    /// `[height, width, channels]`: gray, gray and alpha, RGB, or RGB and alpha.
    samples: Vec<u8>,
    orientation: Orientation,
}

impl Decoded {
    /// `α c + (1 − α) 255`, rounded to the nearest.
    fn on_white(&self) -> Result<Rgb, Problem> {
        let area = self.width * self.height;
        let lay = |value: u8, alpha: u8| {
            let alpha = u32::from(alpha);
            ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        let samples = self.samples.as_slice();
        let values: Vec<u8> = match samples.len().checked_div(area) {
            Some(1) => samples.iter().flat_map(|gray| [*gray; 3]).collect(),
            Some(2) => (samples.as_chunks::<2>().0.iter())
                .flat_map(|&[gray, alpha]| [lay(gray, alpha); 3])
                .collect(),
            Some(3) => samples.to_vec(),
            Some(4) => (samples.as_chunks::<4>().0.iter())
                .flat_map(|&[r, g, b, alpha]| [lay(r, alpha), lay(g, alpha), lay(b, alpha)])
                .collect(),
            _ => Vec::new(),
        };
        match values.len() == 3 * area && area > 0 {
            true => Ok(Rgb::new(self.width, self.height, values)),
            false => Err(Problem::Damaged(format!(
                "{} samples for {} x {} pixels",
                samples.len(),
                self.width,
                self.height
            ))),
        }
    }
}

fn damaged(error: impl Display) -> Problem {
    Problem::Damaged(error.to_string())
}

/// # Errors
/// If there are more pixels than [`MAX_PIXELS`], or none.
fn check_size(width: usize, height: usize) -> Result<(), Problem> {
    match (width as u64).saturating_mul(height as u64) {
        0 => Err(Problem::Damaged(format!("{width} x {height} pixels"))),
        1..=MAX_PIXELS => Ok(()),
        _ => Err(Problem::TooLarge {
            width: width as u32,
            height: height as u32,
        }),
    }
}

/// Checks what a header announces before anything is allocated for it: `width_of_pixel` bytes for each pixel,
/// and no more pixels than `most_per_byte` for each byte of the file, which is what its coding can do at best.
///
/// # Errors
/// If it is too large, or more than the file can hold.
fn check_announced(
    (width, height): (usize, usize),
    width_of_pixel: u64,
    file: &[u8],
    most_per_byte: u64,
) -> Result<(), Problem> {
    check_size(width, height)?;
    // Both sides were checked, so their product is no more than `MAX_PIXELS`.
    let pixels = (width * height) as u64;
    let bytes = pixels.saturating_mul(width_of_pixel);
    if bytes > MAX_BYTES {
        return Err(Problem::TooManyBytes {
            width: width as u32,
            height: height as u32,
            bytes,
        });
    }
    let can_hold = (file.len() as u64).saturating_mul(most_per_byte);
    match pixels > SMALL && pixels > can_hold {
        true => Err(Problem::Damaged(format!(
            "{} bytes cannot hold {width} x {height} pixels",
            file.len()
        ))),
        false => Ok(()),
    }
}

/// Pixels for which nobody asks whether the file can hold them.
const SMALL: u64 = 1 << 24;

/// Sides are checked here, not by the decoders.
fn any_size() -> DecoderOptions {
    DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
}

/// Whether the mark of the end does not follow the last scan of a JPEG. In a scan neither mark stands for
/// anything else.
fn ends_early(bytes: &[u8]) -> bool {
    let last = |mark: [u8; 2]| bytes.windows(2).rposition(|pair| pair == mark);
    last([0xff, 0xd9]).is_none_or(|end| last([0xff, 0xda]).is_some_and(|scan| scan > end))
}

fn jpeg(bytes_of_file: &[u8]) -> Result<Decoded, Problem> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes_of_file), any_size());
    decoder.decode_headers().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| damaged("no header"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    // A block of 8 x 8 pixels takes a bit at least. The coefficients of all scans are held until the last one.
    let bytes_of_sample = if info.sof.is_progressive() { 2 } else { 1 };
    let bytes = u64::from(info.components) * bytes_of_sample;
    check_announced((width, height), bytes, bytes_of_file, 8 * 64)?;
    let color = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(any_size().jpeg_set_out_colorspace(color));
    let samples = decoder.decode().map_err(damaged)?;
    let orientation = decoder.exif().map(|exif| Orientation::of_exif(exif));
    Ok(Decoded {
        width,
        height,
        samples,
        orientation: orientation.unwrap_or_default(),
    })
}

/// Whether the checksums of a PNG's chunks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksums {
    Confirmed,
    Ignored,
}

/// Why a PNG cannot be decoded.
enum PngFault {
    Checksum,
    Other(Problem),
}

impl PngFault {
    fn problem(self) -> Problem {
        match self {
            PngFault::Checksum => damaged("a checksum is wrong"),
            PngFault::Other(problem) => problem,
        }
    }
}

impl From<PngDecodeErrors> for PngFault {
    fn from(error: PngDecodeErrors) -> Self {
        match error {
            PngDecodeErrors::BadCrc(..) => PngFault::Checksum,
            other => PngFault::Other(damaged(other)),
        }
    }
}

fn png(bytes: &[u8], checksums: Checksums) -> Result<Decoded, PngFault> {
    let options = any_size()
        .png_set_strip_to_8bit(true)
        .png_set_confirm_crc(checksums == Checksums::Confirmed);
    let bytes = &*png_chunks::of_pixels(bytes);
    let header = png_chunks::Header::of(bytes);
    if let Some(header) = header {
        let size = (header.width as usize, header.height as usize);
        // Deflate makes at most 1,032 bytes of one, and a byte holds at most 8 pixels.
        check_announced(size, header.bytes_of_pixel(), bytes, 8 * 1032).map_err(PngFault::Other)?;
    }
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers()?;
    let size = decoder.dimensions();
    let (width, height) = size.ok_or_else(|| PngFault::Other(damaged("no header")))?;
    check_size(width, height).map_err(PngFault::Other)?;
    let exif = decoder.info().and_then(|info| info.exif.clone());
    let samples = decoder.decode_raw()?;
    Ok(Decoded {
        width,
        height,
        samples,
        orientation: exif
            .map(|exif| Orientation::of_exif(&exif))
            .unwrap_or_default(),
    })
}

fn webp(bytes: &[u8]) -> Result<Decoded, Problem> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    decoder.set_memory_limit(MAX_BYTES as usize);
    let (width, height) = decoder.dimensions();
    check_size(width as usize, height as usize)?;
    let n = decoder
        .output_buffer_size()
        .ok_or_else(|| damaged("no size"))?;
    let mut samples = vec![0; n];
    decoder.read_image(&mut samples).map_err(damaged)?;
    // Unreadable metadata does not make the pixels unreadable.
    let exif = decoder.exif_metadata().ok().flatten();
    Ok(Decoded {
        width: width as usize,
        height: height as usize,
        samples,
        orientation: exif
            .map(|exif| Orientation::of_exif(&exif))
            .unwrap_or_default(),
    })
}

/// The first frame on a transparent screen.
fn gif(bytes: &[u8]) -> Result<Decoded, Problem> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // Frames are checked like pictures, before they are decoded.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(bytes).map_err(damaged)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    check_size(width, height)?;
    let frame = decoder.next_frame_info().map_err(damaged)?;
    let frame = frame.ok_or_else(|| damaged("there is no frame"))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (columns, rows) = (usize::from(frame.width), usize::from(frame.height));
    check_size(columns, rows)?;
    if left + columns > width || top + rows > height {
        return Err(damaged("the frame reaches beyond the screen"));
    }
    let mut pixels = vec![0; 4 * columns * rows];
    decoder.read_into_buffer(&mut pixels).map_err(damaged)?;
    let mut samples = vec![0; 4 * width * height];
    for (row, pixels) in pixels.chunks_exact(4 * columns).enumerate() {
        let start = 4 * ((top + row) * width + left);
        samples[start..start + pixels.len()].copy_from_slice(pixels);
    }
    Ok(Decoded {
        width,
        height,
        samples,
        orientation: Orientation::default(),
    })
}

/// The fourth byte of a pixel is padding in most files, so it is not read as transparency.
fn bmp(bytes: &[u8]) -> Result<Decoded, Problem> {
    // What the library mistakes: it takes the height for the width of these, and rows slip.
    let depth = match bytes.get(14) {
        // The header of OS/2.
        Some(12) => bytes.get(24..26),
        _ => bytes.get(28..30),
    };
    match depth {
        Some([1, 0]) => return Err(Problem::NotDecoded("BMP of two colors")),
        Some([16, 0]) => return Err(Problem::NotDecoded("BMP of 16 bits a pixel")),
        _ if bytes.get(30..34) == Some(&[2, 0, 0, 0]) => {
            return Err(Problem::NotDecoded("BMP of runs of 4 bits"));
        }
        _ => {}
    }
    // Its errors have no text of their own.
    let damaged_bmp = |error: BmpDecoderErrors| damaged(format!("{error:?}"));
    let mut decoder = BmpDecoder::new_with_options(ZCursor::new(bytes), any_size());
    decoder.decode_headers().map_err(damaged_bmp)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| damaged("no header"))?;
    check_size(width, height)?;
    let mut samples = decoder.decode().map_err(damaged_bmp)?;
    if samples.len() == 4 * width * height {
        let opaque = samples.as_chunks_mut::<4>().0.iter_mut();
        opaque.for_each(|pixel| pixel[3] = u8::MAX);
    }
    Ok(Decoded {
        width,
        height,
        samples,
        orientation: Orientation::default(),
    })
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

    #[test]
    fn pictures_that_are_not_decoded_are_named_and_wrong_checksums_are_told() {
        let kind = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert!(kind(b"\0\0\0\x20ftypavif....").contains("AVIF"));
        assert!(kind(b"\0\0\0\x20ftypheic....").contains("HEIC"));
        assert!(kind(b"II*\0\x08\0\0\0").contains("TIFF"));
        assert!(kind(b"<?xml version='1.0'?>\n<svg/>").contains("SVG"));
        for (depth, words) in [(1, "two colors"), (16, "16 bits a pixel")] {
            let mut bytes = std::fs::read("fixtures/pictures/rgb.bmp").unwrap();
            bytes[28] = depth;
            assert!(kind(&bytes).contains(words), "{}", kind(&bytes));
        }
        let mut bytes = std::fs::read("fixtures/pictures/rgb.png").unwrap();
        let (whole, remark) = decode_with_remark(&bytes).unwrap();
        assert_eq!(remark, None);
        // The checksum of the pixels stands before the 12 bytes of the last chunk.
        let at = bytes.len() - 13;
        bytes[at] ^= 0xff;
        let (picture, remark) = decode_with_remark(&bytes).unwrap();
        assert_eq!(picture, whole);
        assert!(remark.unwrap().contains("checksum"));
        let bytes = std::fs::read("fixtures/pictures/rgb.jpg").unwrap();
        assert_eq!(decode_with_remark(&bytes).unwrap().1, None);
        let cut = decode_with_remark(&bytes[..bytes.len() - 2]);
        assert!(cut.is_err() || cut.unwrap().1.unwrap().contains("early"));
    }

    /// The first bytes of a PNG of this size in 8-bit RGB, without any pixel.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        png_header_of([8, 2], width, height)
    }

    fn png_header_of([depth, color]: [u8; 2], width: u32, height: u32) -> Vec<u8> {
        let mut chunk = b"IHDR".to_vec();
        chunk.extend(width.to_be_bytes());
        chunk.extend(height.to_be_bytes());
        chunk.extend([depth, color, 0, 0, 0]);
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        bytes.extend(13u32.to_be_bytes());
        bytes.extend(&chunk);
        bytes.extend(crc32(&chunk).to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        for (n, name) in [b"IDAT", b"IEND"].into_iter().enumerate() {
            if n > 0 {
                bytes.extend([0, 0, 0, 0]);
            }
            bytes.extend(name);
            bytes.extend(crc32(name).to_be_bytes());
        }
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
        // As an attack on revision 188a689 had it: few enough pixels, of 8 bytes each.
        let deep = decode(&png_header_of([16, 6], 16_000, 16_000));
        let bytes = 8 * 16_000 * 16_000;
        assert!(
            matches!(deep, Err(Problem::TooManyBytes { bytes: n, .. }) if n == bytes),
            "{deep:?}"
        );
        // As many bytes as are allowed, and no file that could hold them.
        let empty = decode(&png_header(16_000, 16_000)).unwrap_err().to_string();
        assert!(
            empty.contains("cannot hold 16000 x 16000 pixels"),
            "{empty}"
        );
    }

    #[test]
    fn chunks_of_text_are_not_unpacked() {
        let plain = std::fs::read("fixtures/pictures/rgb.png").unwrap();
        let after_header = 8 + 25;
        // Their checksums are wrong, so a decoder that met them would say so.
        let text = b"\0\0\0\x08zTXta\0\0\x78\x9c\0\0\0.......";
        let (start, rest) = plain.split_at(after_header);
        let with_text = [start, &text[..20], rest].concat();
        let (picture, remark) = decode_with_remark(&with_text).unwrap();
        assert_eq!((picture, remark), decode_with_remark(&plain).unwrap());
    }
}

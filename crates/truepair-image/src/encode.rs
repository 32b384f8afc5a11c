//! Pictures back to bytes, for thumbnails.

use truepair_core::{Error, Result};

use crate::picture::Rgb;

/// A JPEG of a picture, no side longer than 65,535 pixels; `quality` is 1 to 100.
///
/// ```
/// use truepair_image::{Rgb, decode, jpeg};
///
/// let bytes = jpeg(&Rgb::new(2, 2, vec![200; 12]), 90)?;
/// let again = decode(&bytes)?;
/// assert_eq!((again.width(), again.height()), (2, 2));
/// assert!(again.values().iter().all(|value| value.abs_diff(200) < 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a side is longer.
pub fn jpeg(picture: &Rgb, quality: u8) -> Result<Vec<u8>> {
    let side = |length: usize| {
        u16::try_from(length).map_err(|_| {
            Error::argument(
                format!(
                    "a picture with a side of {length} pixels, expected at most {}",
                    u16::MAX
                ),
                "make it smaller",
            )
        })
    };
    let (width, height) = (side(picture.width())?, side(picture.height())?);
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
    encoder
        .encode(
            picture.values(),
            width,
            height,
            jpeg_encoder::ColorType::Rgb,
        )
        .map_err(|cause| {
            Error::argument(
                format!("cannot encode a picture: {cause}"),
                "decode it again",
            )
        })?;
    Ok(bytes)
}

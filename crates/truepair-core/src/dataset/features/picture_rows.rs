//! Pictures as rows, and the reader that decodes them when a row is needed.

use std::path::Path;
use std::sync::Arc;

use super::Augmentation;
use crate::dataset::picture::Picture;
use crate::error::{Error, Place, Result};
use crate::rng::Stream;

/// Turns the bytes of a picture into numbers.
///
/// ```
/// use truepair_core::dataset::{Augmentation, PictureReader};
/// use truepair_core::rng::Stream;
///
/// /// Reads a picture's first byte as its brightness.
/// #[derive(Debug)]
/// struct FirstByte;
///
/// impl PictureReader for FirstByte {
///     fn shape(&self) -> [usize; 2] {
///         [1, 1]
///     }
///     fn read(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
///         out[0] = f32::from(*bytes.first().ok_or("an empty file")?) / 255.0;
///         Ok(())
///     }
///     fn read_varied(
///         &self,
///         bytes: &[u8],
///         _: &Augmentation,
///         _: &mut Stream,
///         out: &mut [f32],
///     ) -> Result<(), String> {
///         self.read(bytes, out)
///     }
/// }
///
/// let mut out = [0.0];
/// FirstByte.read(&[255], &mut out)?;
/// assert_eq!(out, [1.0]);
/// # Ok::<(), String>(())
/// ```
pub trait PictureReader: std::fmt::Debug + Send + Sync {
    /// Regions per picture, and numbers per region.
    fn shape(&self) -> [usize; 2];
    /// Decodes `bytes` into `out` `[regions * d]`.
    ///
    /// # Errors
    /// The reason why the bytes are not a picture.
    fn read(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String>;
    /// As [`read`](Self::read), varied at random.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    fn read_varied(
        &self,
        bytes: &[u8],
        how: &Augmentation,
        rng: &mut Stream,
        out: &mut [f32],
    ) -> Result<(), String>;
}

/// Pictures, and the reader that decodes them.
#[derive(Debug, Clone)]
pub(super) struct PictureRows {
    pub(super) pictures: Arc<[Picture]>,
    pub(super) reader: Option<Arc<dyn PictureReader>>,
}

/// A picture that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPicture {
    /// Row of the image.
    pub row: u32,
    /// Where its bytes lie.
    pub place: String,
    /// What is wrong with them.
    pub problem: String,
}

impl PictureRows {
    /// Decodes stored row `row` into `out`.
    pub(super) fn decode(
        &self,
        row: usize,
        varied: Option<(&Augmentation, &mut Stream)>,
        out: &mut [f32],
    ) -> Result<()> {
        let picture = &self.pictures[row];
        let Some(reader) = &self.reader else {
            return Err(undecoded(picture.file()));
        };
        let decoded = picture.read().and_then(|bytes| match varied {
            Some((how, rng)) => reader.read_varied(&bytes, how, rng, out),
            None => reader.read(&bytes, out),
        });
        decoded.map_err(|problem| {
            Error::data(
                picture.to_string(),
                Place::Whole,
                problem,
                "replace the picture, or remove its pairs",
            )
        })
    }
}

fn undecoded(path: &Path) -> Error {
    Error::data(
        path,
        Place::Whole,
        "the images are pictures, not features",
        "make features of them with `truepair embed`, or train on pixels with `--pixels SIDE`",
    )
}

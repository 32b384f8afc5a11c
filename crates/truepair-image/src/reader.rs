//! Pictures as the rows of a data set's features.

use truepair_core::dataset::{Augmentation, PictureReader};
use truepair_core::rng::Stream;

use crate::augment::{hole, part};
use crate::decode::decode;
use crate::preprocess::Preprocessing;

/// Decodes a picture into planes `[3, size * size]`: a row of three regions, one a color.
///
/// ```
/// use truepair_core::dataset::PictureReader;
/// use truepair_image::{PixelReader, Preprocessing};
///
/// let preprocessing = Preprocessing { size: 8, ..Preprocessing::default() };
/// let reader = PixelReader { preprocessing };
/// assert_eq!(reader.shape(), [3, 64]);
/// let mut row = vec![0.0; 3 * 64];
/// reader.read(&std::fs::read("fixtures/pictures/rgb.png").unwrap(), &mut row)?;
/// assert!(row.iter().all(|x| x.is_finite()));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PixelReader {
    /// From the decoded picture to the planes.
    pub preprocessing: Preprocessing,
}

impl PictureReader for PixelReader {
    fn shape(&self) -> [usize; 2] {
        [3, self.preprocessing.size * self.preprocessing.size]
    }

    fn read(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
        let picture = decode(bytes).map_err(|problem| problem.to_string())?;
        let square = self.preprocessing.square(&picture);
        self.preprocessing.fill(&square, out);
        Ok(())
    }

    fn read_varied(
        &self,
        bytes: &[u8],
        how: &Augmentation,
        rng: &mut Stream,
        out: &mut [f32],
    ) -> Result<(), String> {
        let picture = decode(bytes).map_err(|problem| problem.to_string())?;
        let square = self.preprocessing.square(&part(how, &picture, rng));
        self.preprocessing.fill(&square, out);
        hole(how, out, self.preprocessing.size, rng);
        Ok(())
    }
}

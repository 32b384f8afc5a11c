//! The unit of everything: an image and a caption that were given as belonging together.

use serde::{Deserialize, Serialize};

/// One given correspondence: indices of an image and a caption inside their [`Dataset`].
///
/// [`Dataset`]: crate::dataset::Dataset
///
/// ```
/// use truepair_core::pair::Pair;
///
/// // Two captions of image 0: one pair each.
/// let pairs = [Pair { image: 0, caption: 0 }, Pair { image: 0, caption: 1 }];
/// assert!(pairs[0] < pairs[1], "pairs sort by image, then by caption");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// Row of the image.
    pub image: u32,
    /// Row of the caption.
    pub caption: u32,
}

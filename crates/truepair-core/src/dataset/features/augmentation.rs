//! How training varies pictures.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Shares of the pictures that are changed while training, and how much. Features are never varied.
///
/// ```
/// use truepair_core::dataset::Augmentation;
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
    /// Share of the pictures of which a rectangle of 2 to 33 % of the area is set to the mean color.
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
}

#[cfg(test)]
mod tests {
    use super::*;

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

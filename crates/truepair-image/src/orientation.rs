//! How a picture must be turned to stand upright.

use crate::picture::Rgb;

/// EXIF's orientation, 1 to 8; 1 is upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orientation(u16);

impl Default for Orientation {
    fn default() -> Self {
        Self(1)
    }
}

/// The tag of the orientation in the first directory.
const TAG: u16 = 0x0112;

impl Orientation {
    /// The orientation in EXIF data, with or without the `Exif` mark before it; upright when it says
    /// nothing that can be understood.
    pub(crate) fn of_exif(exif: &[u8]) -> Self {
        let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        let found = match exif.get(..4) {
            Some(b"II*\0") => Self::find(exif, u16::from_le_bytes, u32::from_le_bytes),
            Some(b"MM\0*") => Self::find(exif, u16::from_be_bytes, u32::from_be_bytes),
            _ => None,
        };
        found
            .filter(|found| (1..=8).contains(found))
            .map_or_else(Self::default, Self)
    }

    fn find(exif: &[u8], short: fn([u8; 2]) -> u16, long: fn([u8; 4]) -> u32) -> Option<u16> {
        let short_at = |at: usize| Some(short(exif.get(at..at.checked_add(2)?)?.try_into().ok()?));
        let directory = long(exif.get(4..8)?.try_into().ok()?) as usize;
        let n_entries = usize::from(short_at(directory)?);
        let entry = |n: usize| directory.checked_add(2 + 12 * n);
        let mut entries = (0..n_entries).filter_map(entry);
        let found = entries.find(|at| short_at(*at) == Some(TAG))?;
        short_at(found.checked_add(8)?)
    }

    /// The picture upright.
    pub(crate) fn apply(self, picture: Rgb) -> Rgb {
        let (width, height) = (picture.width(), picture.height());
        let turned = self.0 >= 5;
        let (columns, rows) = if turned {
            (height, width)
        } else {
            (width, height)
        };
        if self.0 == 1 {
            return picture;
        }
        let pixels = picture.values().as_chunks::<3>().0;
        let mut values = Vec::with_capacity(3 * columns * rows);
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            let (from_x, from_y) = match self.0 {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                _ => (width - 1 - y, x),
            };
            values.extend(pixels[from_y * width + from_x]);
        }
        Rgb::new(columns, rows, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_moves_the_corners_to_their_places() {
        // Pixels 0 1 / 2 3 / 4 5.
        let picture = Rgb::new(2, 3, (0..6).flat_map(|n| [n; 3]).collect());
        for (orientation, expected) in [
            (1, [0, 1, 2, 3, 4, 5]),
            (2, [1, 0, 3, 2, 5, 4]),
            (3, [5, 4, 3, 2, 1, 0]),
            (4, [4, 5, 2, 3, 0, 1]),
            (5, [0, 2, 4, 1, 3, 5]),
            (6, [4, 2, 0, 5, 3, 1]),
            (7, [5, 3, 1, 4, 2, 0]),
            (8, [1, 3, 5, 0, 2, 4]),
        ] {
            let found = Orientation(orientation).apply(picture.clone());
            let pixels: Vec<u8> = found.values().iter().step_by(3).copied().collect();
            assert_eq!(pixels, expected, "{orientation}");
            assert_eq!(found.width(), if orientation > 4 { 3 } else { 2 });
        }
    }

    #[test]
    fn damaged_metadata_is_upright() {
        let good = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0";
        assert_eq!(Orientation::of_exif(good), Orientation(6));
        for end in 0..good.len() - 3 {
            assert_eq!(Orientation::of_exif(&good[..end]), Orientation(1), "{end}");
        }
        let wild = b"II*\0\xff\xff\xff\xff\x01\0";
        assert_eq!(Orientation::of_exif(wild), Orientation(1));
    }
}

//! A decoded picture.

/// An upright 8-bit RGB picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Rgb {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

impl Rgb {
    /// A picture of `values` `[height, width, 3]`.
    ///
    /// # Panics
    /// If a side is 0 or there are not `3 * width * height` values.
    pub fn new(width: usize, height: usize, values: Vec<u8>) -> Self {
        assert!(
            width > 0 && height > 0 && values.len() == 3 * width * height,
            "{} values are no picture of {width} x {height}",
            values.len()
        );
        Self {
            width,
            height,
            values,
        }
    }

    /// Columns of pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Red, green and blue of every pixel, row by row: `[height, width, 3]`.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The part of `width` x `height` pixels whose first pixel is (`left`, `top`).
    ///
    /// # Panics
    /// If it is empty or reaches beyond the picture.
    pub fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Rgb {
        assert!(
            left + width <= self.width && top + height <= self.height,
            "a part of {width} x {height} at ({left}, {top}) of {} x {}",
            self.width,
            self.height
        );
        let rows = self.values.chunks_exact(3 * self.width).skip(top);
        let values = rows
            .take(height)
            .flat_map(|row| &row[3 * left..3 * (left + width)]);
        Rgb::new(width, height, values.copied().collect())
    }

    /// The picture in the middle of a white square whose side is the longer one.
    pub fn padded_to_square(&self) -> Rgb {
        let side = self.width.max(self.height);
        if self.width == self.height {
            return self.clone();
        }
        let (left, top) = ((side - self.width) / 2, (side - self.height) / 2);
        let mut values = vec![u8::MAX; 3 * side * side];
        for (row, pixels) in self.values.chunks_exact(3 * self.width).enumerate() {
            let start = 3 * ((top + row) * side + left);
            values[start..start + pixels.len()].copy_from_slice(pixels);
        }
        Rgb::new(side, side, values)
    }

    /// The mirror image, left and right exchanged.
    pub fn mirrored(&self) -> Rgb {
        let rows = self.values.chunks_exact(3 * self.width);
        let values = rows.flat_map(|row| row.as_chunks::<3>().0.iter().rev().flatten().copied());
        Rgb::new(self.width, self.height, values.collect())
    }
}

impl std::fmt::Debug for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rgb({} x {})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels that name their column and row.
    fn numbered(width: usize, height: usize) -> Rgb {
        let pixel = |n: usize| [(n % width) as u8, (n / width) as u8, 9];
        Rgb::new(width, height, (0..width * height).flat_map(pixel).collect())
    }

    #[test]
    fn parts_mirrors_and_squares_keep_pixels_in_their_places() {
        let picture = numbered(4, 3);
        let part = picture.crop(1, 1, 2, 2);
        assert_eq!(part.values(), [1, 1, 9, 2, 1, 9, 1, 2, 9, 2, 2, 9]);
        assert_eq!(picture.mirrored().values()[..3], [3, 0, 9]);
        assert_eq!(picture.mirrored().mirrored(), picture);
        let square = picture.padded_to_square();
        assert_eq!((square.width(), square.height()), (4, 4));
        assert_eq!(square.values()[..3], [0, 0, 9]);
        assert_eq!(square.values()[45..], [255, 255, 255]);
        let high = numbered(1, 3).padded_to_square();
        assert_eq!(high.values()[..6], [255, 255, 255, 0, 0, 9]);
    }

    #[test]
    #[should_panic(expected = "a part of 4 x 1 at (1, 0) of 4 x 3")]
    fn a_part_lies_inside() {
        numbered(4, 3).crop(1, 0, 4, 1);
    }
}

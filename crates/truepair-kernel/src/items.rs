//! Items of unequal numbers of rows, one item after another.

use std::ops::Range;

/// The rows of every item among all rows, from the items' numbers of rows.
pub fn row_ranges(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut end = 0;
    (lengths.iter())
        .map(|length| {
            let start = end;
            end += length;
            start..end
        })
        .collect()
}

/// The buffers of every item: consecutive parts of `buffer` with the sizes that `size` gives.
///
/// # Panics
/// If the buffer is too short.
pub(crate) fn split<T>(mut buffer: &mut [T], sizes: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    sizes
        .map(|size| {
            let (part, rest) = std::mem::take(&mut buffer).split_at_mut(size);
            buffer = rest;
            part
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_follow_one_another() {
        assert_eq!(row_ranges(&[2, 0, 1]), [0..2, 2..2, 2..3]);
        let mut rows = [1, 2, 3];
        assert_eq!(
            split(&mut rows, [2, 0, 1].into_iter()),
            [&[1, 2][..], &[], &[3]]
        );
    }
}

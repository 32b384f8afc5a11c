//! Sums over segments of a row: the words of a caption among the words of many captions.
//!
//! Segments are short, so a loop over one would be mostly its scalar rest. Everything else runs
//! over whole rows; only [`sums`] and [`spread`] know where segments begin, and they take whole
//! vectors whatever the segment's length.

/// Values taken at a time.
const LANES: usize = 16;

/// Length of a row of `columns` values with room for one more vector.
pub(crate) fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES) + LANES
}

/// `KEPT[n]` has all bits set in its first `n` lanes, none in the others.
static KEPT: [[u32; LANES]; LANES + 1] = {
    let mut masks = [[0; LANES]; LANES + 1];
    let mut n = 0;
    while n <= LANES {
        let mut lane = 0;
        while lane < n {
            masks[n][lane] = u32::MAX;
            lane += 1;
        }
        n += 1;
    }
    masks
};

/// The sum of every segment (first column, length) of a [`padded`] row. Inline it into
/// [`wide`](super::vector::wide).
#[inline(always)]
pub(crate) fn sums(row: &[f32], segments: impl Iterator<Item = (usize, usize)>, out: &mut [f32]) {
    for (out, (start, n)) in out.iter_mut().zip(segments) {
        let mut lanes = [0.0; LANES];
        let mut at = 0;
        while at < n {
            let mask = &KEPT[(n - at).min(LANES)];
            let values: &[f32; LANES] = row[start + at..][..LANES].try_into().expect("a vector");
            for lane in 0..LANES {
                lanes[lane] += f32::from_bits(values[lane].to_bits() & mask[lane]);
            }
            at += LANES;
        }
        *out = total(&lanes);
    }
}

#[inline(always)]
fn total(lanes: &[f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Writes each segment's value to all of its columns of a [`padded`] row. Segments follow one
/// another; what follows the last one is overwritten too.
#[inline(always)]
pub(crate) fn spread(
    values: &[f32],
    segments: impl Iterator<Item = (usize, usize)>,
    row: &mut [f32],
) {
    for (value, (start, n)) in values.iter().zip(segments) {
        let mut at = 0;
        while at < n {
            row[start + at..][..LANES].fill(*value);
            at += LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::wide;

    #[test]
    fn segments_of_every_length_are_told_apart() {
        let lengths = [0, 1, 14, 16, 17, 36, 0, 3];
        let mut segments = vec![];
        let mut columns = 0;
        for n in lengths {
            segments.push((columns, n));
            columns += n;
        }
        let row: Vec<f32> = (0..padded(columns)).map(|i| i as f32).collect();
        let mut found = [0.0; 8];
        let mut back = vec![0.0; row.len()];
        wide(
            #[inline(always)]
            || {
                sums(&row, segments.iter().copied(), &mut found);
                spread(&found, segments.iter().copied(), &mut back);
            },
        );
        for (sum, (start, n)) in found.iter().zip(segments) {
            assert_eq!(*sum, row[start..start + n].iter().sum::<f32>());
            assert!(back[start..start + n].iter().all(|x| x == sum));
        }
    }
}

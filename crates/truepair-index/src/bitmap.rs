//! A set of rows, one bit each.

/// A set of the rows `0..len`.
///
/// ```
/// use truepair_index::Bitmap;
///
/// let mut rows = Bitmap::new(70);
/// rows.insert(3);
/// rows.insert(69);
/// assert_eq!(rows.iter().collect::<Vec<_>>(), [3, 69]);
/// assert_eq!(rows.count_in(0..69), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// The empty set.
    pub fn new(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    /// The rows of which `holds` is true.
    pub(crate) fn of(len: usize, mut holds: impl FnMut(usize) -> bool) -> Self {
        let words = (0..len.div_ceil(64)).map(|word| {
            let rows = word * 64..len.min(word * 64 + 64);
            rows.fold(0, |bits, row| bits | u64::from(holds(row)) << (row % 64))
        });
        Self {
            words: words.collect(),
            len,
        }
    }

    /// A set from its bits, 64 rows a word.
    pub(crate) fn from_words(words: &[u64], len: usize) -> Self {
        let mut rows = Self {
            words: words.to_vec(),
            len,
        };
        rows.words.resize(len.div_ceil(64), 0);
        rows.clear_rest();
        rows
    }

    /// The bits, 64 rows a word.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Rows that could be in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it is not below `len`.
    pub fn insert(&mut self, row: usize) {
        assert!(row < self.len, "row {row} of {}", self.len);
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Whether the set has this row.
    pub fn contains(&self, row: usize) -> bool {
        row < self.len && self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Rows in the set.
    pub fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Rows in the set and in `range`.
    pub fn count_in(&self, range: std::ops::Range<usize>) -> usize {
        let end = range.end.min(self.len);
        let (mut row, mut n) = (range.start, 0);
        while row < end {
            let last = end.min(row / 64 * 64 + 64);
            let bits = self.words[row / 64] >> (row % 64);
            let wanted = last - row;
            let mask = if wanted == 64 {
                u64::MAX
            } else {
                (1 << wanted) - 1
            };
            n += (bits & mask).count_ones() as usize;
            row = last;
        }
        n
    }

    /// The rows in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            std::iter::successors(Some(word), |bits| Some(bits & bits.wrapping_sub(1)))
                .take_while(|bits| *bits != 0)
                .map(move |bits| at * 64 + bits.trailing_zeros() as usize)
        })
    }

    /// Keeps the rows that `other` has too.
    pub(crate) fn intersect(&mut self, other: &Bitmap) {
        let pairs = self.words.iter_mut().zip(&other.words);
        pairs.for_each(|(word, other)| *word &= other);
    }

    /// Adds the rows of `other`.
    pub(crate) fn unite(&mut self, other: &Bitmap) {
        let pairs = self.words.iter_mut().zip(&other.words);
        pairs.for_each(|(word, other)| *word |= other);
    }

    /// The rows that are not in the set.
    pub(crate) fn complement(mut self) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.clear_rest();
        self
    }

    /// Appends the rows of `other`, which come after those of this set.
    pub(crate) fn extend(&mut self, other: &Bitmap) {
        let (start, shift) = (self.len / 64, self.len % 64);
        self.len += other.len;
        self.words.resize(self.len.div_ceil(64), 0);
        for (at, &word) in other.words.iter().enumerate() {
            self.words[start + at] |= word << shift;
            if shift > 0 && word >> (64 - shift) != 0 {
                self.words[start + at + 1] |= word >> (64 - shift);
            }
        }
    }

    fn clear_rest(&mut self) {
        if !self.len.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_follow_their_definitions() {
        for (first, second) in [(0, 5), (63, 65), (64, 64), (130, 1), (7, 200)] {
            let a = Bitmap::of(first, |row| row % 3 == 0);
            let b = Bitmap::of(second, |row| row % 5 < 2);
            let mut both = a.clone();
            both.extend(&b);
            let expected = |row: usize| match row.checked_sub(first) {
                None => row.is_multiple_of(3),
                Some(row) => row % 5 < 2,
            };
            let rows: Vec<usize> = (0..first + second).filter(|row| expected(*row)).collect();
            assert_eq!(both.iter().collect::<Vec<_>>(), rows);
            assert_eq!((both.count(), both.len()), (rows.len(), first + second));
            let others = both.clone().complement();
            assert_eq!(others.count() + rows.len(), first + second);
            for range in [0..first, first / 2..first + second / 2, 0..first + second] {
                let n = rows.iter().filter(|row| range.contains(row)).count();
                assert_eq!(both.count_in(range), n);
            }
            let mut none = both.clone();
            none.intersect(&others);
            assert!(none.is_empty());
            let mut all = both.clone();
            all.unite(&others);
            assert_eq!(all.count(), first + second);
        }
    }
}

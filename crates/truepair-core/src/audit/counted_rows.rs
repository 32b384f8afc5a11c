//! Lists of numbers by key, in one allocation.

/// For every key below a bound, the sorted distinct values that belong to it.
#[derive(Debug, Clone)]
pub(super) struct CountedRows {
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl CountedRows {
    /// Collects `(key, value)` entries; every key must be below `n_keys`.
    pub(super) fn new(n_keys: usize, entries: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut entries: Vec<(u32, u32)> = entries.collect();
        entries.sort_unstable();
        entries.dedup();
        let mut starts = vec![0; n_keys + 1];
        for &(key, _) in &entries {
            starts[key as usize + 1] += 1;
        }
        for key in 0..n_keys {
            starts[key + 1] += starts[key];
        }
        Self {
            starts,
            values: entries.into_iter().map(|(_, value)| value).collect(),
        }
    }

    /// The values of `key`, ascending.
    pub(super) fn row(&self, key: u32) -> &[u32] {
        let key = key as usize;
        &self.values[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_distinct_and_may_be_empty() {
        let rows = CountedRows::new(3, [(2, 7), (0, 5), (2, 1), (2, 7)].into_iter());
        assert_eq!(
            (rows.row(0), rows.row(1), rows.row(2)),
            (&[5][..], &[][..], &[1, 7][..])
        );
    }
}

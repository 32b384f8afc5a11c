//! Lists of indices: many of them end to end, and the distinct items of one.

/// The distinct items, ascending.
pub(crate) fn distinct(items: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut items: Vec<u32> = items.into_iter().collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// The place of an item in an ascending list that holds it.
///
/// # Panics
/// If the list does not hold it.
pub(crate) fn place(list: &[u32], item: u32) -> u32 {
    let place = list.binary_search(&item);
    place.expect("the list was made from these items") as u32
}

/// Lists of indices end to end; list `n` is `items[starts[n]..starts[n + 1]]`, sorted, distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// Collects `(list, item)` entries into `n` lists.
    ///
    /// # Panics
    /// If an entry names a list that does not exist.
    pub(crate) fn new(n: usize, entries: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut entries: Vec<(u32, u32)> = entries.collect();
        entries.sort_unstable();
        entries.dedup();
        let mut starts = vec![0u32; n + 1];
        for &(list, _) in &entries {
            assert!((list as usize) < n, "pair names item {list} of {n}");
            starts[list as usize + 1] += 1;
        }
        for list in 0..n {
            starts[list + 1] += starts[list];
        }
        Self {
            starts,
            items: entries.into_iter().map(|(_, item)| item).collect(),
        }
    }

    /// # Panics
    /// If a list names an item that does not exist.
    pub(crate) fn check_items(&self, n_items: usize) {
        let last = self.items.iter().max();
        assert!(
            last.is_none_or(|&last| (last as usize) < n_items),
            "pair names item {} of {n_items}",
            last.copied().unwrap_or(0)
        );
    }

    /// The lists `kept`, with only the items in `items`, renumbered.
    pub(crate) fn part(&self, kept: &[u32], items: &[u32]) -> Lists {
        let largest = items.iter().chain(&self.items).max().copied().unwrap_or(0);
        let mut new_item = vec![u32::MAX; largest as usize + 1];
        for (new, &old) in items.iter().enumerate() {
            new_item[old as usize] = new as u32;
        }
        let entries = kept.iter().enumerate().flat_map(|(new, &old)| {
            let items = self.get(old).iter().map(|&item| new_item[item as usize]);
            let items = items.filter(|&item| item != u32::MAX);
            items.map(move |item| (new as u32, item))
        });
        Lists::new(kept.len(), entries)
    }

    /// Number of lists.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of items in all lists together.
    pub(crate) fn n_items(&self) -> usize {
        self.items.len()
    }

    /// The items of one list, ascending.
    pub(crate) fn get(&self, list: u32) -> &[u32] {
        let list = list as usize;
        &self.items[self.starts[list] as usize..self.starts[list + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_distinct_and_may_be_empty() {
        let lists = Lists::new(3, [(2, 7), (0, 5), (2, 1), (2, 7)].into_iter());
        assert_eq!((lists.len(), lists.n_items()), (3, 3));
        assert_eq!(
            (lists.get(0), lists.get(1), lists.get(2)),
            (&[5][..], &[][..], &[1, 7][..])
        );
    }
}

//! Items of unequal length, ordered so that every step works on a dense block of rows.

use std::ops::Range;

/// Which end of an item a direction starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// First token first.
    Forward,
    /// Last valid token first.
    Backward,
}

impl Order {
    /// The token that `step` reads; the same rule gives the step that reads a token.
    pub(super) fn token(self, length: usize, step: usize) -> usize {
        match self {
            Self::Forward => step,
            Self::Backward => length - 1 - step,
        }
    }
}

/// Items dealt to groups that run independently of each other.
#[derive(Debug)]
pub(super) struct Packing {
    pub(super) n_tokens: usize,
    pub(super) groups: Vec<Group>,
    /// Group and rank of every item.
    places: Vec<(usize, usize)>,
}

/// Items from long to short, so that those still running at a step are the first ones. The rows
/// of a step follow those of the step before.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) items: Vec<Item>,
    /// First row of every step, then the number of rows.
    starts: Vec<usize>,
}

/// One item of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Position in the batch.
    pub(super) index: usize,
    /// Valid tokens.
    pub(super) length: usize,
}

impl Packing {
    /// Deals items of `n_tokens` tokens each, of which the first `lengths` are valid, to groups.
    /// Every group gets long and short ones, and their numbers differ by at most one.
    ///
    /// # Panics
    /// If a length exceeds the number of tokens.
    pub(super) fn new(lengths: &[usize], n_tokens: usize, n_groups: usize) -> Self {
        assert!(lengths.iter().all(|&length| length <= n_tokens));
        let mut items: Vec<Item> = (lengths.iter().enumerate())
            .map(|(index, &length)| Item { index, length })
            .collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.length));
        let n_groups = n_groups.clamp(1, items.len().max(1));
        let groups: Vec<Group> = (0..n_groups)
            .map(|at| Group::new(items.iter().skip(at).step_by(n_groups).copied().collect()))
            .collect();
        let mut places = vec![(0, 0); lengths.len()];
        for (at, group) in groups.iter().enumerate() {
            for (rank, item) in group.items.iter().enumerate() {
                places[item.index] = (at, rank);
            }
        }
        Self {
            n_tokens,
            groups,
            places,
        }
    }

    pub(super) fn n_items(&self) -> usize {
        self.places.len()
    }

    /// The group of an item of the batch, and its rank there.
    pub(super) fn place(&self, index: usize) -> (usize, usize) {
        self.places[index]
    }
}

impl Group {
    fn new(items: Vec<Item>) -> Self {
        let n_steps = items.first().map_or(0, |item| item.length);
        let mut starts = vec![0];
        let mut n_running = items.len();
        for step in 0..n_steps {
            n_running = items[..n_running].partition_point(|item| item.length > step);
            starts.push(starts[step] + n_running);
        }
        Self { items, starts }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.starts[self.n_steps()]
    }

    pub(super) fn n_steps(&self) -> usize {
        self.starts.len() - 1
    }

    /// The rows of a step; those of the longest items come first.
    pub(super) fn rows(&self, step: usize) -> Range<usize> {
        self.starts[step]..self.starts[step + 1]
    }

    /// Items still running at a step; 0 after the last one.
    pub(super) fn n_running(&self, step: usize) -> usize {
        if step < self.n_steps() {
            self.rows(step).len()
        } else {
            0
        }
    }

    /// Every row with its item and its step, in the order of the rows.
    pub(super) fn cells(&self) -> impl Iterator<Item = (Item, usize)> {
        (0..self.n_steps()).flat_map(|step| {
            let running = &self.items[..self.n_running(step)];
            running.iter().map(move |item| (*item, step))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_valid_token_has_one_row_in_each_order() {
        let lengths = [2, 0, 5, 1, 5, 3, 4];
        for n_groups in [1, 2, 3, 100] {
            let packing = Packing::new(&lengths, 5, n_groups);
            for order in [Order::Forward, Order::Backward] {
                let mut seen: Vec<(usize, usize)> = (packing.groups.iter())
                    .flat_map(Group::cells)
                    .map(|(item, step)| (item.index, order.token(item.length, step)))
                    .collect();
                seen.sort_unstable();
                let expected: Vec<(usize, usize)> = (lengths.iter().enumerate())
                    .flat_map(|(index, &length)| (0..length).map(move |token| (index, token)))
                    .collect();
                assert_eq!(seen, expected);
            }
            for (index, &length) in lengths.iter().enumerate() {
                let (group, rank) = packing.place(index);
                let group = &packing.groups[group];
                assert_eq!(group.items[rank].index, index);
                assert!((0..length).all(|step| rank < group.n_running(step)));
                assert!(rank >= group.n_running(length));
            }
        }
    }
}

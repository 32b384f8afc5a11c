//! Some pairs at work together, their nodes beside each other.

use std::borrow::Cow;
use std::ops::Range;

use super::edges::stride;
use crate::pairs::Pairs;

/// Nodes of a tile: enough for products to run at full speed, few enough for what a product reads
/// and writes to stay in a core's cache.
const TILE_ROWS: usize = 512;

/// A pair of a tile, in places that count from the tile's first node and edge.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) nodes: Range<usize>,
    pub(super) edges: Range<usize>,
}

/// Pairs, not necessarily adjacent.
#[derive(Debug, Default)]
pub(super) struct Tile {
    /// Their numbers, ascending.
    pairs: Vec<usize>,
    members: Vec<Member>,
    /// Their rows in `[n · total, s]`; those of neighbors are one range.
    runs: Vec<Range<usize>>,
}

impl Tile {
    /// The `chosen` pairs, ascending, in tiles of at most [`TILE_ROWS`] nodes; a pair with more is a
    /// tile of its own.
    pub(super) fn cut(pairs: &Pairs, chosen: &[usize]) -> Vec<Self> {
        let mut tiles: Vec<Self> = Vec::new();
        for &pair in chosen {
            let rows = pairs.rows(pair);
            match tiles.last_mut() {
                Some(tile) if tile.nodes() + rows.len() <= TILE_ROWS => tile.push(pair, rows),
                _ => {
                    let mut tile = Self::default();
                    tile.push(pair, rows);
                    tiles.push(tile);
                }
            }
        }
        tiles
    }

    fn push(&mut self, pair: usize, rows: Range<usize>) {
        let (node, edge) = (self.nodes(), self.edges());
        let m = rows.len();
        self.pairs.push(pair);
        self.members.push(Member {
            nodes: node..node + m,
            edges: edge..edge + m * stride(m),
        });
        match self.runs.last_mut() {
            Some(run) if run.end == rows.start => run.end = rows.end,
            _ => self.runs.push(rows),
        }
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.members.last().map_or(0, |last| last.nodes.end)
    }

    /// How many numbers hold the edges.
    pub(super) fn edges(&self) -> usize {
        self.members.last().map_or(0, |last| last.edges.end)
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The tile's rows of `all`, `[n · total, s]`; where they lie together, nothing is copied.
    pub(super) fn rows<'a>(&self, all: &'a [f32], s: usize) -> Cow<'a, [f32]> {
        let mut runs = self.runs.iter().map(|run| &all[run.start * s..run.end * s]);
        match &self.runs[..] {
            [_] => Cow::Borrowed(runs.next().expect("one run")),
            _ => Cow::Owned(runs.collect::<Vec<_>>().concat()),
        }
    }

    /// Lets `fill` write the tile's rows of `part`, which begins with row `first` of `[n · total, s]`;
    /// where they lie together, in place.
    pub(super) fn write_rows(
        &self,
        part: &mut [f32],
        first: usize,
        s: usize,
        fill: impl FnOnce(&mut [f32]),
    ) {
        let place = |run: &Range<usize>| (run.start - first) * s..(run.end - first) * s;
        if let [run] = &self.runs[..] {
            return fill(&mut part[place(run)]);
        }
        let mut gathered = vec![0.0; self.nodes() * s];
        fill(&mut gathered);
        let mut rest = &gathered[..];
        for run in &self.runs {
            let (rows, after) = rest.split_at(run.len() * s);
            part[place(run)].copy_from_slice(rows);
            rest = after;
        }
    }

    /// The pairs' rows of `all`, which has one row per pair.
    pub(super) fn pair_rows(&self, all: &[f32], s: usize) -> Vec<f32> {
        let rows = self.pairs.iter().flat_map(|pair| &all[pair * s..][..s]);
        rows.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_pairs_are_gathered_and_put_back() {
        let pairs = Pairs::new(2, &[2, 1, 3], 6);
        let tiles = Tile::cut(&pairs, &[1, 2, 4]);
        assert_eq!(tiles.len(), 1);
        let tile = &tiles[0];
        assert_eq!((tile.len(), tile.nodes()), (3, 5));
        assert_eq!(tile.runs, [2..6, 8..9]);
        let all: Vec<f32> = (0..24).map(|x| x as f32).collect();
        let expected: Vec<f32> = [4..12, 16..18]
            .into_iter()
            .flatten()
            .map(|x| x as f32)
            .collect();
        assert_eq!(tile.rows(&all, 2), expected);
        assert_eq!(tile.pair_rows(&all, 1), [1.0, 2.0, 4.0]);
        let mut part = vec![0.0; 20];
        tile.write_rows(&mut part, 2, 2, |rows| rows.copy_from_slice(&expected));
        assert_eq!((&part[..8], &part[12..14]), (&all[4..12], &all[16..18]));
        assert!(part[8..12].iter().chain(&part[14..]).all(|x| *x == 0.0));
    }

    #[test]
    fn tiles_hold_as_much_as_they_may_and_neighbors_are_not_copied() {
        let pairs = Pairs::new(3, &[200, 600, 112], 912);
        let tiles = Tile::cut(&pairs, &(0..9).collect::<Vec<_>>());
        let nodes: Vec<usize> = tiles.iter().map(Tile::nodes).collect();
        assert_eq!(nodes, [200, 600, 312, 600, 312, 600, 112]);
        let all = vec![0.0; 3 * 912];
        for tile in &tiles {
            assert!(matches!(tile.rows(&all, 1), Cow::Borrowed(_)));
        }
    }
}

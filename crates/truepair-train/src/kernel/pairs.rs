//! Nodes of every pair of an image and a caption, laid out one pair after another.

use std::ops::Range;

/// Parts that work on all pairs is cut into, whatever the number of threads: sums over pairs are
/// added up part by part, so they are the same to the bit on one core and on many.
const CHUNKS: usize = 32;

/// Where each pair's nodes lie in `[n, total, s]`: of every image, the nodes of its pair with the
/// first caption, then of that with the second, and so on. Pairs are counted in that order.
#[derive(Debug)]
pub(crate) struct Pairs {
    images: usize,
    /// Of every image, caption `j` has the nodes `nodes[j]..nodes[j + 1]`.
    nodes: Vec<usize>,
    /// The same for the places of the edges between them.
    edges: Vec<usize>,
}

impl Pairs {
    /// Pairs of `images` images with captions of `lengths` nodes; `m` nodes take `edges_of(m)` places.
    ///
    /// # Panics
    /// If a length is 0 or the lengths do not add up to `total`.
    pub(crate) fn new(
        images: usize,
        lengths: &[usize],
        total: usize,
        edges_of: fn(usize) -> usize,
    ) -> Self {
        assert!(lengths.iter().all(|m| *m > 0), "every pair has a node");
        let (mut nodes, mut edges) = (vec![0], vec![0]);
        for (caption, m) in lengths.iter().enumerate() {
            nodes.push(nodes[caption] + m);
            edges.push(edges[caption] + edges_of(*m));
        }
        assert_eq!(nodes[lengths.len()], total, "nodes of all captions");
        Self {
            images,
            nodes,
            edges,
        }
    }

    /// Number of captions.
    pub(crate) fn captions(&self) -> usize {
        self.nodes.len() - 1
    }

    /// All pairs, in parts of about as many pairs each.
    pub(crate) fn chunks(&self) -> Vec<Span<'_>> {
        let pairs = self.images * self.captions();
        let chunks = CHUNKS.min(pairs);
        (0..chunks)
            .map(|i| self.span(i * pairs / chunks..(i + 1) * pairs / chunks))
            .collect()
    }

    fn span(&self, pairs: Range<usize>) -> Span<'_> {
        Span { all: self, pairs }
    }

    fn place(&self, places: &[usize], pair: usize) -> usize {
        let captions = self.captions();
        pair / captions * places[captions] + places[pair % captions]
    }
}

/// Consecutive pairs.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    all: &'a Pairs,
    pairs: Range<usize>,
}

/// Cuts a buffer that holds `width` numbers a node, `[n · total, width]`, into the chunks' parts.
pub(crate) fn split_nodes<'b>(
    chunks: &[Span<'_>],
    buffer: &'b mut [f32],
    width: usize,
) -> Vec<&'b mut [f32]> {
    let mut rest = buffer;
    let parts = chunks.iter().map(|chunk| {
        let nodes = chunk.nodes().len() * width;
        let (part, after) = std::mem::take(&mut rest).split_at_mut(nodes);
        rest = after;
        part
    });
    parts.collect()
}

/// A pair of a span, or several, in places that count from the span's first node and edge.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) nodes: Range<usize>,
    pub(crate) edges: Range<usize>,
}

impl<'a> Span<'a> {
    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Its pairs, counted from the first image's with the first caption.
    pub(crate) fn pairs(&self) -> Range<usize> {
        self.pairs.clone()
    }

    /// Its rows in `[n · total, s]`.
    pub(crate) fn nodes(&self) -> Range<usize> {
        let place = |pair| self.all.place(&self.all.nodes, pair);
        place(self.pairs.start)..place(self.pairs.end)
    }

    /// Number of edges of its pairs.
    pub(crate) fn edges(&self) -> usize {
        let place = |pair| self.all.place(&self.all.edges, pair);
        place(self.pairs.end) - place(self.pairs.start)
    }

    /// Its pairs, one by one.
    pub(crate) fn members(&self) -> impl Iterator<Item = Places> + Clone {
        let captions = self.all.captions();
        let first = self.pairs.start % captions;
        let (mut node, mut edge) = (0, 0);
        (first..first + self.len()).map(move |pair| {
            let caption = pair % captions;
            let m = self.all.nodes[caption + 1] - self.all.nodes[caption];
            let edges = self.all.edges[caption + 1] - self.all.edges[caption];
            let (nodes, edges) = (node..node + m, edge..edge + edges);
            (node, edge) = (nodes.end, edges.end);
            Places { nodes, edges }
        })
    }

    /// Its pairs in tiles of at most `rows` nodes; a pair with more is a tile of its own.
    pub(crate) fn tiles(&self, rows: usize) -> Vec<(Span<'a>, Places)> {
        let mut tiles: Vec<(Span<'a>, Places)> = Vec::new();
        for (member, pair) in self.members().zip(self.pairs.clone()) {
            match tiles.last_mut() {
                Some((tile, places)) if member.nodes.end - places.nodes.start <= rows => {
                    tile.pairs.end = pair + 1;
                    places.nodes.end = member.nodes.end;
                    places.edges.end = member.edges.end;
                }
                _ => tiles.push((self.all.span(pair..pair + 1), member)),
            }
        }
        tiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_tiles_cover_every_node_once_and_in_order() {
        let lengths = [3, 1, 7, 2];
        let pairs = Pairs::new(20, &lengths, 13, |m| m * m);
        let chunks = pairs.chunks();
        assert_eq!(chunks.len(), CHUNKS);
        let (mut node, mut pair) = (0, 0);
        for chunk in &chunks {
            assert_eq!(chunk.nodes().start, node);
            let (mut nodes, mut edges) = (0, 0);
            for (tile, places) in chunk.tiles(5) {
                assert_eq!((places.nodes.start, places.edges.start), (nodes, edges));
                (nodes, edges) = (places.nodes.end, places.edges.end);
                assert!(places.nodes.len() <= 5 || tile.len() == 1);
                for member in tile.members() {
                    let m = lengths[pair % 4];
                    assert_eq!((member.nodes.len(), member.edges.len()), (m, m * m));
                    (node, pair) = (node + m, pair + 1);
                }
            }
            assert_eq!((chunk.nodes().end, chunk.edges()), (node, edges));
        }
        assert_eq!((node, pair), (20 * 13, 80));
    }

    #[test]
    fn fewer_pairs_than_chunks_are_a_chunk_each() {
        assert_eq!(Pairs::new(1, &[4], 4, |m| m).chunks().len(), 1);
        assert!(Pairs::new(0, &[4], 4, |m| m).chunks().is_empty());
        assert!(Pairs::new(3, &[], 0, |m| m).chunks().is_empty());
    }
}

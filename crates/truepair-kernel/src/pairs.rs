//! Nodes of every pair of an image and a caption, laid out one pair after another.

use std::ops::Range;

/// How many parts work on all pairs is cut into, whatever the number of threads: sums over pairs are
/// added up part by part, so they are bit for bit the same on one core and on many.
pub(crate) const CHUNKS: usize = 32;

/// Where each pair's nodes lie in `[n, total, s]`: of every image, the nodes of its pair with the
/// first caption, then of that with the second, and so on. Pairs are counted in that order.
#[derive(Debug)]
pub(crate) struct Pairs {
    images: usize,
    /// Of every image, caption `j` has the nodes `starts[j]..starts[j + 1]`.
    starts: Vec<usize>,
}

impl Pairs {
    /// Pairs of `images` images with captions of `lengths` nodes.
    ///
    /// # Panics
    /// If a length is 0 or the lengths do not add up to `total`.
    pub(crate) fn new(images: usize, lengths: &[usize], total: usize) -> Self {
        assert!(lengths.iter().all(|m| *m > 0), "every pair has a node");
        let mut starts = vec![0];
        for (caption, m) in lengths.iter().enumerate() {
            starts.push(starts[caption] + m);
        }
        assert_eq!(starts[lengths.len()], total, "nodes of all captions");
        Self { images, starts }
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.images * self.captions()
    }

    /// The rows of a pair in `[n · total, s]`.
    pub(crate) fn rows(&self, pair: usize) -> Range<usize> {
        self.start(pair)..self.start(pair + 1)
    }

    /// All pairs, in parts of about as many pairs each.
    pub(crate) fn chunks(&self) -> Vec<Span<'_>> {
        let parts = even(self.len(), CHUNKS).into_iter();
        parts.map(|pairs| Span { all: self, pairs }).collect()
    }

    fn captions(&self) -> usize {
        self.starts.len() - 1
    }

    fn start(&self, pair: usize) -> usize {
        let captions = self.captions();
        pair / captions * self.starts[captions] + self.starts[pair % captions]
    }
}

/// `n` things in that many parts of about the same size, or in `n` parts if there are fewer things.
pub(crate) fn even(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.min(n);
    (0..parts)
        .map(|i| i * n / parts..(i + 1) * n / parts)
        .collect()
}

/// The parts of a buffer up to each of `ends`, which count from its start and do not descend.
pub(crate) fn split(buffer: &mut [f32], ends: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    let (mut rest, mut start) = (buffer, 0);
    let parts = ends.map(|end| {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(end - start);
        (rest, start) = (after, end);
        part
    });
    parts.collect()
}

/// Consecutive pairs.
#[derive(Debug)]
pub(crate) struct Span<'a> {
    all: &'a Pairs,
    pairs: Range<usize>,
}

impl Span<'_> {
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
        self.all.start(self.pairs.start)..self.all.start(self.pairs.end)
    }

    /// Of every pair, its rows, counted from the span's first one.
    pub(crate) fn members(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        let captions = self.all.captions();
        let first = self.pairs.start % captions;
        let mut node = 0;
        (first..first + self.len()).map(move |pair| {
            let caption = pair % captions;
            let start = node;
            node += self.all.starts[caption + 1] - self.all.starts[caption];
            start..node
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_node_once_and_in_order() {
        let lengths = [3, 1, 7, 2];
        let pairs = Pairs::new(20, &lengths, 13);
        let chunks = pairs.chunks();
        assert_eq!((chunks.len(), pairs.len()), (CHUNKS, 80));
        let (mut node, mut pair) = (0, 0);
        for chunk in &chunks {
            let first = chunk.nodes().start;
            assert_eq!(first, node);
            for member in chunk.members() {
                assert_eq!(pairs.rows(pair), first + member.start..first + member.end);
                assert_eq!(member.len(), lengths[pair % 4]);
                (node, pair) = (node + member.len(), pair + 1);
            }
            assert_eq!(chunk.nodes().end, node);
        }
        assert_eq!((node, pair), (20 * 13, 80));
    }

    #[test]
    fn fewer_pairs_than_chunks_are_a_chunk_each() {
        assert_eq!(Pairs::new(1, &[4], 4).chunks().len(), 1);
        assert!(Pairs::new(0, &[4], 4).chunks().is_empty());
        assert!(Pairs::new(3, &[], 0).chunks().is_empty());
    }

    #[test]
    fn a_buffer_is_cut_where_it_is_told() {
        let mut buffer = [0.0, 1.0, 2.0, 3.0];
        let parts = split(&mut buffer, [1, 1, 4].into_iter());
        assert_eq!(parts, [&[0.0][..], &[], &[1.0, 2.0, 3.0]]);
    }
}

//! Where a query's relevant items rank: all that a metric gets to know.

/// The relevant items of one query at one level of relevance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level<'a> {
    /// 1-based ranks of the relevant items that were ranked, ascending.
    pub ranks: &'a [u32],
    /// Relevant items, ranked or not; at least 1 at the strictest level.
    pub n_relevant: u32,
    /// Relevant items that no ranking can hold, since they are not in the gallery.
    pub n_absent: u32,
}

/// One query as a metric sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Levels of relevance from strict to lax, at least one.
    pub levels: &'a [Level<'a>],
    /// Items that were ranked; fewer than the gallery holds where a list was cut off.
    pub depth: u32,
    /// Items in the gallery.
    pub n_gallery: u32,
}

impl Level<'_> {
    /// How many relevant items have rank `k` or better.
    pub fn within(&self, k: u32) -> u32 {
        self.ranks.partition_point(|&rank| rank <= k) as u32
    }

    /// Whether all relevant items that can be found were ranked.
    pub fn is_complete(&self) -> bool {
        self.ranks.len() as u32 + self.n_absent == self.n_relevant
    }
}

impl Placed<'_> {
    /// The strictest level, which every metric but PMRP measures.
    pub fn strict(&self) -> Level<'_> {
        self.levels[0]
    }

    /// Rank of the best relevant item; one more than the gallery holds if none was found.
    pub fn first_rank(&self) -> u32 {
        let first = self.strict().ranks.first().copied();
        first.unwrap_or(self.n_gallery + 1)
    }

    /// The rank down to which a ranking must go to hold all relevant items.
    pub fn last_needed(&self) -> u32 {
        let level = self.strict();
        match level.ranks.last() {
            Some(&last) if level.is_complete() => last,
            _ if level.n_absent == level.n_relevant => 0,
            _ => self.n_gallery,
        }
    }
}

/// Both directions' queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placements {
    /// Image queries.
    pub image_to_text: PlacedQueries,
    /// Caption queries.
    pub text_to_image: PlacedQueries,
}

/// The queries of one direction that have a relevant item, in order; one level of relevance, the
/// whole gallery ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedQueries {
    queries: Vec<u32>,
    /// Query `n` has `ranks[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    ranks: Vec<u32>,
    absent: Vec<u32>,
    n_gallery: u32,
    n_excluded: u32,
}

impl PlacedQueries {
    pub(super) fn new(n_gallery: u32) -> Self {
        Self {
            queries: Vec::new(),
            starts: vec![0],
            ranks: Vec::new(),
            absent: Vec::new(),
            n_gallery,
            n_excluded: 0,
        }
    }

    /// Adds a query, or counts it as excluded when nothing is relevant to it.
    pub(super) fn push(&mut self, query: u32, ranks: &[u32], n_absent: u32) {
        if ranks.is_empty() && n_absent == 0 {
            self.n_excluded += 1;
            return;
        }
        self.queries.push(query);
        self.ranks.extend_from_slice(ranks);
        self.starts.push(self.ranks.len() as u32);
        self.absent.push(n_absent);
    }

    /// Number of queries with a relevant item.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether no query has a relevant item.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Queries left out because nothing is relevant to them.
    pub fn n_excluded(&self) -> u32 {
        self.n_excluded
    }

    /// Calls `look` with every query and the places of its relevant items.
    pub fn each(&self, mut look: impl FnMut(u32, &Placed<'_>)) {
        for (at, &query) in self.queries.iter().enumerate() {
            let ranks = &self.ranks[self.starts[at] as usize..self.starts[at + 1] as usize];
            let level = Level {
                ranks,
                n_relevant: ranks.len() as u32 + self.absent[at],
                n_absent: self.absent[at],
            };
            look(
                query,
                &Placed {
                    levels: &[level],
                    depth: self.n_gallery,
                    n_gallery: self.n_gallery,
                },
            );
        }
    }
}

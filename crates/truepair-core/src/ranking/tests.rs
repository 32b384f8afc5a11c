//! Ranks against their definition.

use super::*;
use crate::pair::Pair;
use crate::relevance::LabelRelevance;
use crate::rng::{Seed, normal, unit};
use crate::scores::{InnerProduct, Matrix, ScoreMatrix};

fn relevance(n_images: usize, n_captions: usize, given: &[(u32, u32)]) -> Relevance {
    let pairs: Vec<Pair> = given
        .iter()
        .map(|&(image, caption)| Pair { image, caption })
        .collect();
    Relevance::from_pairs(n_images, n_captions, &pairs)
}

fn five_each(n_images: u32) -> Relevance {
    let pairs: Vec<_> = (0..n_images * 5)
        .map(|caption| (caption / 5, caption))
        .collect();
    relevance(n_images as usize, n_images as usize * 5, &pairs)
}

fn random(n: usize, dim: usize, seed: u64) -> Matrix {
    let mut rng = Seed(seed).stream("test", &[]);
    Matrix::new((0..n * dim).map(|_| normal(&mut rng) as f32).collect(), dim)
}

/// From the definition: 1 + non-relevant items that score at least the best relevant score.
fn oracle(
    n: usize,
    gallery: usize,
    score: impl Fn(usize, usize) -> f32,
    relevant: impl Fn(usize, usize) -> bool,
) -> Vec<u32> {
    let mut ranks = Vec::new();
    for query in 0..n {
        let own = (0..gallery).filter(|&item| relevant(query, item));
        let Some(best) = own.map(|item| score(query, item)).reduce(f32::max) else {
            continue;
        };
        let before =
            (0..gallery).filter(|&item| !relevant(query, item) && score(query, item) >= best);
        ranks.push(1 + before.count() as u32);
    }
    ranks
}

fn check(scores: &Matrix, relevance: &Relevance) {
    let found = ranks(&ScoreMatrix(scores.clone()), relevance, &mut ()).unwrap();
    let is = |image: usize, caption: usize| {
        relevance.contains(Pair {
            image: image as u32,
            caption: caption as u32,
        })
    };
    let (n, m) = (scores.len(), scores.dim());
    assert_eq!(
        found.image_to_text,
        oracle(n, m, |i, c| scores.row(i)[c], is)
    );
    assert_eq!(
        found.text_to_image,
        oracle(m, n, |c, i| scores.row(i)[c], |c, i| is(i, c))
    );
}

#[test]
fn ranks_follow_the_definition_on_scattered_pairs_and_coarse_scores() {
    let mut rng = Seed(3).stream("test", &[]);
    for (n, m) in [(1, 1), (7, 31), (530, 90), (40, 2100), (1025, 2049)] {
        let given: Vec<(u32, u32)> = (0..m as u32 + 5)
            .map(|_| {
                (
                    (unit(&mut rng) * n as f64) as u32,
                    (unit(&mut rng) * m as f64) as u32,
                )
            })
            .collect();
        let scores = (0..n * m)
            .map(|_| (unit(&mut rng) * 20.0).floor() as f32)
            .collect();
        check(&Matrix::new(scores, m), &relevance(n, m, &given));
    }
}

#[test]
fn constant_scores_rank_last() {
    let scores = ScoreMatrix(Matrix::new(vec![0.5; 4 * 20], 20));
    let ranks = ranks(&scores, &five_each(4), &mut ()).unwrap();
    assert_eq!(ranks.image_to_text, [16; 4]);
    assert_eq!(ranks.text_to_image, [4; 20]);
}

/// A row of scores .5, .5, .1 whose first item is relevant, and the definition on coarse scores.
#[test]
fn ties_in_favor_stand_behind_the_relevant_item() {
    let row = ScoreMatrix(Matrix::new(vec![0.5, 0.5, 0.1], 3));
    let first = relevance(1, 3, &[(0, 0)]);
    assert_eq!(ranks(&row, &first, &mut ()).unwrap().image_to_text, [2]);
    assert_eq!(
        ranks_in_favor(&row, &first, &mut ()).unwrap().image_to_text,
        [1]
    );
    let scores = coarse(40, 200, 12.0);
    let found = ranks_in_favor(&ScoreMatrix(scores.clone()), &five_each(40), &mut ()).unwrap();
    for (image, &rank) in found.image_to_text.iter().enumerate() {
        let row = scores.row(image);
        let best = row[5 * image..5 * image + 5]
            .iter()
            .copied()
            .fold(0.0, f32::max);
        let before = row.iter().filter(|&&score| score > best).count();
        assert_eq!(rank as usize, before + 1);
    }
}

#[test]
fn the_transposed_matrix_swaps_the_directions() {
    let scores = random(30, 150, 5);
    let forward = ranks(&ScoreMatrix(scores.clone()), &five_each(30), &mut ()).unwrap();
    let transposed = (0..150 * 30)
        .map(|at| scores.row(at % 30)[at / 30])
        .collect();
    let turned: Vec<_> = (0..150).map(|caption| (caption, caption / 5)).collect();
    let turned = relevance(150, 30, &turned);
    let backward = ranks(&ScoreMatrix(Matrix::new(transposed, 30)), &turned, &mut ()).unwrap();
    assert_eq!(forward.image_to_text, backward.text_to_image);
    assert_eq!(forward.text_to_image, backward.image_to_text);
}

#[test]
fn queries_without_a_relevant_item_are_counted_and_left_out() {
    let relevance = relevance(3, 3, &[(0, 0), (2, 0)]);
    let ranks = ranks(&ScoreMatrix(random(3, 3, 1)), &relevance, &mut ()).unwrap();
    assert_eq!(
        (ranks.image_to_text.len(), ranks.images_without_caption),
        (2, 1)
    );
    assert_eq!(
        (ranks.text_to_image.len(), ranks.captions_without_image),
        (1, 2)
    );
}

/// Copies of an embedding in other tiles, rows and columns must tie to the bit.
#[test]
fn equal_embeddings_tie_wherever_they_stand() {
    let (n, dim) = (1100, 67);
    let mut images = random(n, dim, 7);
    let captions = random(n, dim, 8).values()[..dim].repeat(5 * n);
    let copied = images.row(0).to_vec();
    images = Matrix::new(copied.repeat(n), dim);
    let scorer = InnerProduct::new(images, Matrix::new(captions, dim)).unwrap();
    let ranks = ranks(&scorer, &five_each(n as u32), &mut ()).unwrap();
    assert!(
        ranks
            .image_to_text
            .iter()
            .all(|&rank| rank == 5 * n as u32 - 4)
    );
    assert!(ranks.text_to_image.iter().all(|&rank| rank == n as u32));
}

#[test]
fn embeddings_that_are_not_finite_are_named_by_their_scores() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut images = random(30, 40, 3).values().to_vec();
        images[17 * 40 + 39] = bad;
        let scorer = InnerProduct::new(Matrix::new(images, 40), random(150, 40, 4)).unwrap();
        let error = ranks(&scorer, &five_each(30), &mut ()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("the score of image 17 and"), "{error}");
    }
}

#[test]
fn a_score_that_is_not_finite_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = vec![0.0; 20];
        values[13] = bad;
        let error = ranks(
            &ScoreMatrix(Matrix::new(values, 10)),
            &five_each(2),
            &mut (),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("image 1 and caption 3"), "{error}");
    }
}

#[test]
fn other_sizes_and_missing_pairs_are_refused() {
    let scores = ScoreMatrix(random(3, 15, 2));
    assert!(ranks(&scores, &five_each(4), &mut ()).is_err());
    assert!(ranks(&scores, &relevance(3, 15, &[]), &mut ()).is_err());
}

#[test]
fn progress_ends_at_the_total() {
    struct Last(u64, u64);
    impl Watch for Last {
        fn advance(&mut self, _: &str, done: u64, total: u64) {
            (self.0, self.1) = (done, total);
        }
    }
    let mut last = Last(0, 0);
    ranks(
        &ScoreMatrix(random(1200, 6000, 2)),
        &five_each(1200),
        &mut last,
    )
    .unwrap();
    assert_eq!((last.0, last.1), (6, 6));
}

/// From the definition: non-relevant items that score at least as high come before a relevant one,
/// and relevant ones are numbered by falling score.
fn place_oracle(row: &[f32], relevant: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut own: Vec<usize> = (0..row.len()).filter(|&item| relevant(item)).collect();
    own.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let others = |score: f32| {
        let others = (0..row.len()).filter(|&item| !relevant(item) && row[item] >= score);
        others.count() as u32
    };
    let ranks = (1..).zip(&own).map(|(n, &item)| n + others(row[item]));
    ranks.collect()
}

fn column(scores: &Matrix, caption: usize) -> Vec<f32> {
    (0..scores.len())
        .map(|image| scores.row(image)[caption])
        .collect()
}

fn all_ranks(queries: &PlacedQueries) -> Vec<(u32, Vec<u32>)> {
    let mut found = Vec::new();
    queries.each(|query, placed| found.push((query, placed.strict().ranks.to_vec())));
    found
}

fn coarse(n: usize, m: usize, steps: f64) -> Matrix {
    let mut rng = Seed(13).stream("test", &[]);
    let scores = (0..n * m).map(|_| (unit(&mut rng) * steps).floor() as f32);
    Matrix::new(scores.collect(), m)
}

#[test]
fn every_relevant_item_is_placed_by_the_definition_in_directions_of_their_own() {
    let mut rng = Seed(17).stream("test", &[]);
    for (n, m) in [(1, 1), (6, 40), (530, 90), (1025, 2100)] {
        let mut draw = |count: usize| -> Vec<Pair> {
            let one = |_| Pair {
                image: (unit(&mut rng) * n as f64) as u32,
                caption: (unit(&mut rng) * m as f64) as u32,
            };
            (0..count).map(one).collect()
        };
        let relevance = Relevance::directed(n, m, &draw(3 * m), &draw(2 * m));
        let scores = coarse(n, m, 30.0);
        let found = placements(&ScoreMatrix(scores.clone()), &relevance, &mut ()).unwrap();
        let expected = |direction, row: &dyn Fn(u32) -> Vec<f32>| -> Vec<(u32, Vec<u32>)> {
            let queries = 0..relevance.n_queries(direction) as u32;
            let judged = queries.filter(|&query| !relevance.relevant(direction, query).is_empty());
            let ranks = judged.map(|query| {
                let own = relevance.relevant(direction, query);
                let ranks = place_oracle(&row(query), |item| own.contains(&(item as u32)));
                (query, ranks)
            });
            ranks.collect()
        };
        let i2t = expected(Direction::ImageToText, &|at| {
            scores.row(at as usize).to_vec()
        });
        let t2i = expected(Direction::TextToImage, &|at| column(&scores, at as usize));
        assert_eq!(all_ranks(&found.image_to_text), i2t);
        assert_eq!(all_ranks(&found.text_to_image), t2i);
    }
}

/// Sorting and counting are two ways to the same ranks.
#[test]
fn labels_rank_as_the_lists_that_they_stand_for() {
    use crate::relevance::{Codes, MatchRule};
    let (n, m) = (300, 700);
    let classes = |count: usize, step: usize| -> Vec<i64> {
        (0..count).map(|at| (at * step % 11) as i64).collect()
    };
    let (images, captions) = (classes(n, 3), classes(m, 7));
    let mut pairs = Vec::new();
    for (image, class) in (0u32..).zip(&images) {
        let of_class = (0u32..).zip(&captions).filter(|(_, of)| *of == class);
        pairs.extend(of_class.map(|(caption, _)| (image, caption)));
    }
    let codes = [&images, &captions].map(|labels| Codes::classes(labels, None).unwrap());
    let [of_images, of_captions] = codes;
    let labels = LabelRelevance::new(of_images, of_captions, MatchRule::Same).unwrap();
    let scorer = ScoreMatrix(coarse(n, m, 90.0));
    let lists = placements(&scorer, &relevance(n, m, &pairs), &mut ()).unwrap();
    let worth = |placed: &Placed<'_>| placed.strict().ranks.to_vec();
    let sorted = sorted_by_labels(&scorer, &labels, &mut (), worth).unwrap();
    assert_eq!(sorted[0].queries, all_ranks(&lists.image_to_text));
    assert_eq!(sorted[1].queries, all_ranks(&lists.text_to_image));

    // The whole ranking as lists of another program.
    let list = |direction, n_queries: usize, n_items| -> Vec<List> {
        let queries: Vec<u32> = (0..n_queries as u32).collect();
        let relevant = |query, item| labels.level(direction, query, item).is_some();
        let asking = Queries {
            direction,
            items: &queries,
        };
        let top = top_items(&scorer, asking, n_items, &mut (), relevant).unwrap();
        let items = top
            .into_iter()
            .map(|top| top.iter().map(|found| found.item).collect());
        let lists = queries.into_iter().zip(items);
        lists.map(|(query, items)| List { query, items }).collect()
    };
    let listed = RankedLists::new(
        n,
        m,
        list(Direction::ImageToText, n, m),
        list(Direction::TextToImage, m, n),
    )
    .unwrap();
    let by_labels = listed.placements_by_labels(&labels, worth).unwrap();
    assert_eq!(by_labels, sorted);
    let by_lists = listed.placements(&relevance(n, m, &pairs), worth).unwrap();
    assert_eq!(by_lists, sorted);
}

#[test]
fn the_first_items_are_the_highest_scores() {
    let scores = random(60, 90, 3);
    let items = [7, 59, 0];
    let scorer = ScoreMatrix(scores.clone());
    for (direction, n_gallery) in [(Direction::ImageToText, 90), (Direction::TextToImage, 60)] {
        let queries = Queries {
            direction,
            items: &items,
        };
        let top = top_items(&scorer, queries, 4, &mut (), |_, _| false).unwrap();
        for (top, &query) in top.iter().zip(&items) {
            let row = match direction {
                Direction::ImageToText => scores.row(query as usize).to_vec(),
                Direction::TextToImage => column(&scores, query as usize),
            };
            let mut order: Vec<u32> = (0..n_gallery).collect();
            order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
            let items: Vec<u32> = top.iter().map(|found| found.item).collect();
            assert_eq!(items, order[..4]);
            assert!(
                top.iter()
                    .all(|found| found.score == row[found.item as usize])
            );
        }
    }
    let one = Queries {
        direction: Direction::TextToImage,
        items: &[1],
    };
    let all = top_items(&scorer, one, 500, &mut (), |_, _| false);
    assert_eq!(all.unwrap()[0].len(), 60);
}

#[test]
fn of_equal_scores_relevant_items_come_last() {
    let scorer = ScoreMatrix(Matrix::new(vec![0.5; 6], 6));
    let relevant = |_, item| item == 1;
    let one = Queries {
        direction: Direction::ImageToText,
        items: &[0],
    };
    let top = top_items(&scorer, one, 6, &mut (), relevant).unwrap();
    let items: Vec<u32> = top[0].iter().map(|found| found.item).collect();
    assert_eq!(items, [0, 2, 3, 4, 5, 1]);
}

#[test]
fn a_score_that_cannot_be_sorted_is_named() {
    let mut values = vec![0.0; 20];
    values[13] = f32::NAN;
    let scorer = ScoreMatrix(Matrix::new(values, 10));
    for direction in [Direction::ImageToText, Direction::TextToImage] {
        let items: Vec<u32> = match direction {
            Direction::ImageToText => vec![0, 1],
            Direction::TextToImage => (0..10).collect(),
        };
        let queries = Queries {
            direction,
            items: &items,
        };
        let error = top_items(&scorer, queries, 3, &mut (), |_, _| false).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("image 1 and caption 3 is NaN"), "{error}");
    }
}

fn lists(image_to_text: &[(u32, &[u32])]) -> Result<RankedLists> {
    let list = |&(query, items): &(u32, &[u32])| List {
        query,
        items: items.to_vec(),
    };
    let captions = (0..6).map(|query| List {
        query,
        items: vec![0, 1, 2],
    });
    RankedLists::new(
        3,
        6,
        image_to_text.iter().map(list).collect(),
        captions.collect(),
    )
}

#[test]
fn lists_are_taken_in_their_order_and_where_they_end_is_known() {
    let relevance = Relevance::directed(3, 6, &[pair(0, 1), pair(0, 4), pair(2, 5)], &[])
        .with_absent(vec![1, 0, 0], vec![0; 6]);
    let given = lists(&[(0, &[3, 1, 2]), (2, &[5])]).unwrap();
    let worth = |placed: &Placed<'_>| {
        let level = placed.strict();
        (
            level.ranks.to_vec(),
            level.n_relevant,
            placed.depth,
            placed.last_needed(),
        )
    };
    let [images, captions] = given.placements(&relevance, worth).unwrap();
    assert_eq!(
        images.queries,
        [(0, (vec![2], 3, 3, 6)), (2, (vec![1], 1, 1, 1))]
    );
    assert_eq!((images.n_excluded, captions.n_excluded), (1, 6));
}

fn pair(image: u32, caption: u32) -> Pair {
    Pair { image, caption }
}

#[test]
fn lists_that_cannot_be_ranked_are_refused() {
    let refused = |given: &[(u32, &[u32])]| lists(given).unwrap_err().to_string();
    assert!(refused(&[(0, &[1, 2, 1])]).contains("query 0 lists item 1 twice"));
    assert!(refused(&[(0, &[1]), (0, &[2])]).contains("query 0 has two lists"));
    assert!(refused(&[(1, &[6])]).contains("query 1 lists item 6 of 6"));
    assert!(refused(&[(3, &[1])]).contains("list for query 3, but only 3 queries"));
    let given = lists(&[(0, &[1])]).unwrap();
    let relevance = relevance(3, 6, &[(0, 1), (1, 3), (2, 4)]);
    let error = given
        .placements(&relevance, |_| ())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("2 image queries with a relevant item have no list, first image 1"),
        "{error}"
    );
}

#[test]
fn a_part_of_lists_keeps_their_order() {
    let given = lists(&[(0, &[3, 1, 2, 5]), (2, &[5, 0])]).unwrap();
    let part = given.part(&[2, 0], &[5, 3]);
    assert_eq!(part.list(Direction::ImageToText, 0), Some(&[0][..]));
    assert_eq!(part.list(Direction::ImageToText, 1), Some(&[1, 0][..]));
    assert_eq!(part.list(Direction::TextToImage, 1), Some(&[1, 0][..]));
}

#[test]
fn lists_by_name_are_looked_up_or_refused() {
    use crate::relevance::{Ids, Judgments};
    let named = |items: &[&str]| {
        let mut named = Judgments::new("run.txt");
        named.add("b", items).unwrap();
        named
    };
    let ids = |names: &[&str]| Ids::new(names.iter().map(|name| (*name).to_owned()).collect());
    let (queries, gallery) = (ids(&["a", "b"]).unwrap(), ids(&["x", "y"]).unwrap());
    let found = List::resolve(&named(&["y", "x"]), &queries, &gallery).unwrap();
    assert_eq!(
        found,
        [List {
            query: 1,
            items: vec![1, 0]
        }]
    );
    let error = List::resolve(&named(&["y", "z", "w"]), &queries, &gallery).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("run.txt: 2 ids are not in the data, first item 'z' of query 'b'"),
        "{error}"
    );
}

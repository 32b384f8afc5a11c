//! Search images by words: embed a data set once, then rank all of it for a new caption.
//!
//! ```sh
//! cargo run --release -p truepair-core --example 05_index_and_search
//! ```
//!
//! The search is exact: every image is scored, a tile at a time, so that memory does not grow with
//! the gallery. Images and captions come from two spaces; the closed form joins them.

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use truepair_core::Result;
use truepair_core::dataset::Features;
use truepair_core::linear::{LinearConfig, LinearMatcher, Pooling, SideVectors};
use truepair_core::pair::Pair;
use truepair_core::ranking::{Queries, top_items};
use truepair_core::rng::{Seed, normal};
use truepair_core::scores::{Direction, InnerProduct};
use truepair_core::text::{LatentSemantics, LatentSemanticsConfig};

const COLORS: [&str; 6] = ["red", "green", "blue", "white", "black", "yellow"];
const THINGS: [&str; 8] = [
    "boat", "horse", "tree", "house", "bird", "car", "flower", "bridge",
];

fn main() -> Result<()> {
    // Put your own images and captions here.
    let (images, captions) = toy_pictures(8);
    let pairs: Vec<Pair> = (0..captions.len() as u32)
        .map(|n| Pair {
            image: n,
            caption: n,
        })
        .collect();

    // Captions become vectors by the words they share; no encoder is needed.
    let text = LatentSemantics::fit(&captions, &LatentSemanticsConfig::default(), Seed(0))?;
    let vectors = text.features(&captions);
    let sides = [
        SideVectors::new(&images, Pooling::Mean)?,
        SideVectors::new(&vectors, Pooling::Mean)?,
    ];
    let config = LinearConfig {
        width: vec![12],
        ..LinearConfig::default()
    };
    let matcher = LinearMatcher::fit(sides, &pairs, None, &config, Seed(0), &mut ())?;
    println!("fitted: {}", matcher.chosen);

    // The index: one embedding per image, computed once.
    let rows: Vec<u32> = (0..images.len() as u32).collect();
    let index = matcher.image.embed(&sides[0], &rows)?;

    // A query that is no caption of the data.
    for query in ["a green boat", "a white bird by the sea"] {
        let vector = text.features(&[query]);
        let side = SideVectors::new(&vector, Pooling::Mean)?;
        let embedding = matcher.caption.embed(&side, &[0])?;
        let scorer = InnerProduct::new(index.clone(), embedding)?;
        let (direction, items) = (Direction::TextToImage, &[0]);
        let queries = Queries { direction, items };
        // Equal scores are ordered by index; nothing here is known to be relevant.
        let found = top_items(&scorer, queries, 3, &mut (), |_, _| false)?;
        println!("{query}:");
        for one in &found[0] {
            let seen = &captions[one.item as usize];
            println!("  image {} ({seen}), {:.2}", one.item, one.score);
            let words: Vec<&str> = seen.split(' ').collect();
            assert!(query.contains(words[1]) && query.contains(words[2]));
        }
    }
    Ok(())
}

/// `n` pictures of every thing in every color: noisy detectors of colors and things as features, and
/// captions such as "a red boat".
fn toy_pictures(n: usize) -> (Features, Vec<String>) {
    let stream = &mut Seed(1).stream("toy", &[]);
    let (mut values, mut captions) = (Vec::new(), Vec::new());
    for (color, color_name) in COLORS.iter().enumerate() {
        for (thing, thing_name) in THINGS.iter().enumerate() {
            for _ in 0..n {
                let lit = |place: usize| place == color || place == COLORS.len() + thing;
                let detectors = COLORS.len() + THINGS.len();
                values.extend((0..detectors).map(|place| {
                    let signal = f64::from(u8::from(lit(place)));
                    (signal + 0.2 * normal(stream)) as f32
                }));
                captions.push(format!("a {color_name} {thing_name}"));
            }
        }
    }
    let dim = COLORS.len() + THINGS.len();
    (Features::from_rows(values, dim), captions)
}

/// `cargo test` runs the example.
#[test]
fn it_runs() -> Result<()> {
    main()
}

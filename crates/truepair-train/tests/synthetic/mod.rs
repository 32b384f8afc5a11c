//! Two views of a hidden vector: pairs that a matcher can learn, with known mismatches.

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, normal, shuffle};

const HIDDEN: usize = 12;
const IMAGE: usize = 32;
const CAPTION: usize = 24;

/// `n` pairs, the first `mismatched` of which have lost their captions to one another.
pub(crate) fn pairs(n: usize, mismatched: usize, seed: u64) -> Dataset {
    let mut rng = Seed(seed).stream("synthetic", &[]);
    let mut world = Seed(99).stream("world", &[]);
    let mut map = |d: usize| -> Vec<f64> { (0..HIDDEN * d).map(|_| normal(&mut world)).collect() };
    let (to_image, to_caption) = (map(IMAGE), map(CAPTION));
    let (mut images, mut captions) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let hidden: Vec<f64> = (0..HIDDEN).map(|_| normal(&mut rng)).collect();
        for (map, d, out) in [
            (&to_image, IMAGE, &mut images),
            (&to_caption, CAPTION, &mut captions),
        ] {
            for j in 0..d {
                let signal: f64 = (0..HIDDEN).map(|h| hidden[h] * map[h * d + j]).sum();
                out.push((signal + 2.0 * normal(&mut rng)) as f32);
            }
        }
    }
    let mut order: Vec<u32> = (0..mismatched as u32).collect();
    shuffle(&mut rng, &mut order);
    order.rotate_left(1.min(mismatched));
    let pairs = (0..n as u32).map(|i| Pair {
        image: *order.get(i as usize).unwrap_or(&i),
        caption: i,
    });
    Dataset {
        name: "synthetic".into(),
        format: "embeddings",
        split: "train".into(),
        images: Features::from_rows(images, IMAGE),
        image_ids: (0..n).map(|i| i.to_string()).collect(),
        image_files: Vec::new(),
        captions: None,
        caption_features: Some(NamedFeatures {
            name: "hidden".into(),
            features: Features::from_rows(captions, CAPTION),
        }),
        pairs: pairs.collect(),
        labels: None,
        files: Vec::new(),
        account: Account::default(),
    }
}

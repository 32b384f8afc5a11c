//! Does the evaluation agree with the `eccv_caption` package on all of MS-COCO's test images?
//!
//! Rankings are made of the ids alone by a hash, so nothing but the package's annotation files is
//! needed; what its own evaluator says about these rankings is written below.
//!
//! ```sh
//! cargo run --release -p truepair-read --example eccv_oracle -- ECCV_DATA [SITS_TEST_CSV]
//! ```

// An example talks to its reader.
#![allow(clippy::print_stdout)]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use truepair_core::metric::{Measured, Protocol, Relevant, Source, measure};
use truepair_core::pair::Pair;
use truepair_core::ranking::{List, RankedLists};
use truepair_core::relevance::{Ids, Judgments, Relevance, UnknownIds};
use truepair_core::scores::Direction;
use truepair_core::{Error, Result};
use truepair_read::relevance::{read_cxc, read_ids, read_map};

/// Items kept of every ranking.
const DEPTH: usize = 500;

/// Relevance, folds, metric, and the package's values with images and with captions asking.
const EXPECTED: &[(&str, u32, &str, f64, f64)] = &[
    ("original", 5, "recall@1", 0.9718, 0.59704),
    ("original", 5, "recall@5", 0.9868, 0.90836),
    ("original", 5, "recall@10", 0.9968, 0.9974),
    ("original", 1, "recall@1", 0.9668, 0.517),
    ("original", 1, "recall@5", 0.973, 0.5968),
    ("original", 1, "recall@10", 0.9784, 0.6952),
    ("cxc", 1, "recall@1", 0.9644, 0.518020182605),
    ("cxc", 1, "recall@5", 0.9728, 0.601153291687),
    ("cxc", 1, "recall@10", 0.9782, 0.702106359122),
    ("eccv", 1, "map@r", 0.182718135765, 0.137512345661),
    ("eccv", 1, "r-precision", 0.215769785636, 0.209015356481),
    ("eccv", 1, "recall@1", 0.965900079302, 0.594594594595),
];

/// How often everything is measured for the clock.
const RUNS: u32 = 10;

/// The values above are printed to twelve digits.
const TOLERANCE: f64 = 1e-12;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or_else(|| {
        Error::argument(
            "no folder",
            "name the folder of the eccv_caption package's data",
        )
    })?;
    let data = Data::read(&folder)?;
    let lists = data.lists();
    println!(
        "first image finds {:?}",
        data.names(&lists, Direction::ImageToText)
    );
    println!(
        "first caption finds {:?}",
        data.names(&lists, Direction::TextToImage)
    );

    let clock = Clock::start();
    let mut annotations = HashMap::new();
    for name in ["original", "cxc", "eccv"] {
        annotations.insert(name, data.relevance(name)?);
    }
    clock.stop("annotations read", 1);
    let clock = Clock::start();
    let mut measured = HashMap::new();
    for _ in 0..RUNS {
        for (name, folds) in [("original", 5), ("original", 1), ("cxc", 1), ("eccv", 1)] {
            let figures = data.measure(&lists, name, &annotations[name], folds)?;
            measured.insert((name, folds), figures);
        }
    }
    clock.stop("measured", RUNS);

    let mut n_wrong = 0;
    for &(annotation, folds, metric, i2t, t2i) in EXPECTED {
        for (direction, expected) in [(Direction::ImageToText, i2t), (Direction::TextToImage, t2i)]
        {
            let found = measured[&(annotation, folds)].figure(metric, Some(direction));
            let found = found.unwrap_or(f64::NAN);
            let equal = (found - expected).abs() <= TOLERANCE;
            n_wrong += usize::from(!equal);
            let verdict = if equal { "equal" } else { "DIFFERS" };
            println!(
                "{annotation:<9} folds {folds}  {metric:<12} {direction:?}  {found:.12}  {verdict}"
            );
        }
    }

    if let Some(ratings) = arguments.next() {
        n_wrong += usize::from(!data.agrees_with_ratings(&ratings)?);
    }
    match n_wrong {
        0 => Ok(()),
        _ => Err(Error::argument(
            format!("{n_wrong} numbers differ"),
            "compare the data files with those of eccv_caption 0.1.0",
        )),
    }
}

/// Wall and processor time.
struct Clock {
    wall: Instant,
    processor: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            processor: processor_seconds(),
        }
    }

    fn stop(&self, what: &str, runs: u32) {
        let runs = f64::from(runs);
        println!(
            "{what} in {:.3} s, {:.3} s of processor time",
            self.wall.elapsed().as_secs_f64() / runs,
            (processor_seconds() - self.processor) / runs
        );
    }
}

/// Of all threads so far, user and system, as Linux tells in hundredths of a second; NaN elsewhere.
fn processor_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold spaces.
    let after_name = status.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2);
    let ticks: Option<Vec<f64>> = ticks.map(|number| number.parse().ok()).collect();
    match ticks.as_deref() {
        Some(&[user, system]) => (user + system) / 100.0,
        _ => f64::NAN,
    }
}

struct Data {
    folder: PathBuf,
    images: Ids,
    captions: Ids,
    original: Relevance,
}

impl Data {
    fn read(folder: &Path) -> Result<Self> {
        let captions = read_ids(&folder.join("coco_test_ids.npy"), 25_000)?;
        // Images stand in the order of their captions.
        let owners = read_map(&folder.join("original_caption_to_image.json"))?;
        let owner: HashMap<&str, &str> = (owners.queries())
            .filter_map(|(caption, mut images)| Some((caption, images.next()?)))
            .collect();
        let mut images: Vec<String> = (captions.names().iter())
            .map(|caption| owner[caption.as_str()].to_owned())
            .collect();
        images.dedup();
        let images = Ids::new(images)?;
        let original = relevance(folder, "original", &images, &captions)?;
        Ok(Self {
            folder: folder.into(),
            images,
            captions,
            original,
        })
    }

    fn relevance(&self, annotation: &str) -> Result<Relevance> {
        relevance(&self.folder, annotation, &self.images, &self.captions)
    }

    fn measure(
        &self,
        lists: &RankedLists,
        annotation: &str,
        relevance: &Relevance,
        folds: u32,
    ) -> Result<Measured> {
        let protocol = Protocol {
            folds,
            relevance: annotation.to_owned(),
            ..Protocol::new("coco", "test", &self.original)
        };
        measure(
            Source::Lists(lists),
            Relevant::Lists(relevance),
            &self.original,
            protocol,
            &mut (),
        )
    }

    /// The rankings: original pairs first, then pairs of either file of ECCV Caption mixed with the
    /// hundredth part of all others.
    fn lists(&self) -> RankedLists {
        let eccv = self.relevance("eccv").expect("whoever calls has the files");
        let mut plausible = HashSet::new();
        for image in 0..self.images.len() as u32 {
            let of_image = eccv.captions_of(image).iter();
            plausible.extend(of_image.map(|&caption| Pair { image, caption }));
        }
        for caption in 0..self.captions.len() as u32 {
            let of_caption = eccv.images_of(caption).iter();
            plausible.extend(of_caption.map(|&image| Pair { image, caption }));
        }
        let number = |name: &String| name.parse::<u64>().expect("COCO's ids are numbers");
        let images: Vec<u64> = self.images.names().iter().map(number).collect();
        let captions: Vec<u64> = self.captions.names().iter().map(number).collect();
        let score = |image: u32, caption: u32| {
            let u = hash(images[image as usize], captions[caption as usize]);
            let pair = Pair { image, caption };
            match (self.original.contains(pair), plausible.contains(&pair)) {
                (true, _) => 0.995 + 0.01 * u,
                (false, true) => 0.99 + 0.01 * u,
                (false, false) => u,
            }
        };
        let (n, m) = (images.len() as u32, captions.len() as u32);
        let of_images = (0..n).into_par_iter().map(|image| List {
            query: image,
            items: first(m, |caption| score(image, caption)),
        });
        let of_captions = (0..m).into_par_iter().map(|caption| List {
            query: caption,
            items: first(n, |image| score(image, caption)),
        });
        RankedLists::new(
            n as usize,
            m as usize,
            of_images.collect(),
            of_captions.collect(),
        )
        .expect("every item stands once in a sorted list")
    }

    /// The first items of the first query, by name.
    fn names(&self, lists: &RankedLists, direction: Direction) -> Vec<&str> {
        let gallery = match direction {
            Direction::ImageToText => &self.captions,
            Direction::TextToImage => &self.images,
        };
        let items = lists.list(direction, 0).unwrap_or_default().iter().take(6);
        items.map(|&item| gallery.name(item)).collect()
    }

    /// Whether the ratings of Crisscrossed Captions give the package's own lists.
    fn agrees_with_ratings(&self, ratings: &Path) -> Result<bool> {
        let rated = read_cxc(ratings)?;
        let rated = resolved(&rated, &rated.mirrored(), &self.images, &self.captions)?;
        let listed = self.relevance("cxc")?;
        let queries = 0..rated.n_captions() as u32;
        let asked = queries.filter(|&caption| !rated.images_of(caption).is_empty());
        println!(
            "ratings: {} pairs, {} caption queries",
            rated.n_pairs(),
            asked.count()
        );
        Ok(rated == listed)
    }
}

fn relevance(folder: &Path, annotation: &str, images: &Ids, captions: &Ids) -> Result<Relevance> {
    let map = |name: &str| read_map(&folder.join(format!("{annotation}_{name}.json")));
    let (of_images, of_captions) = (map("image_to_caption")?, map("caption_to_image")?);
    resolved(&of_images, &of_captions, images, captions)
}

/// Two captions of ECCV Caption are outside the test split; they count and are never found.
fn resolved(
    of_images: &Judgments,
    of_captions: &Judgments,
    images: &Ids,
    captions: &Ids,
) -> Result<Relevance> {
    let count = UnknownIds::Count;
    Ok(Relevance::from_judgments(
        of_images.resolve(Direction::ImageToText, images, captions, count)?,
        of_captions.resolve(Direction::TextToImage, captions, images, count)?,
    ))
}

/// The first items by falling score, in `f64`: differences are smaller than `f32` can hold.
fn first(n: u32, score: impl Fn(u32) -> f64) -> Vec<u32> {
    let mut scored: Vec<(f64, u32)> = (0..n).map(|item| (score(item), item)).collect();
    let falling = |a: &(f64, u32), b: &(f64, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    scored.select_nth_unstable_by(DEPTH, falling);
    scored.truncate(DEPTH);
    scored.sort_unstable_by(falling);
    scored.into_iter().map(|(_, item)| item).collect()
}

/// A number in [0, 1) from two ids (the finalizer of SplitMix64).
fn hash(image: u64, caption: u64) -> f64 {
    let x = (image.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(caption.wrapping_mul(0xBF58_476D_1CE4_E5B9));
    let z = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

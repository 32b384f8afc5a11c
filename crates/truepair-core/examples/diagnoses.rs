//! How often the diagnoses find what was planted, and how often they speak where nothing is wrong.
//!
//! `cargo run --release -p truepair-core --example diagnoses -- 200 100` draws 200 sets with nothing to find
//! and 100 of every accident; the tables are those of `docs/results.md`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints a table"
)]

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures};
use truepair_core::diagnosis::{Diagnosis, Subject, diagnose};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, Stream, below, normal, sample, shuffle, unit};

type Rows = Vec<Vec<f32>>;

/// Images and captions that belong together, row by row.
struct World {
    images: Rows,
    /// `each` captions an image, together.
    captions: Rows,
    each: usize,
}

/// How images resemble each other, and whether captions share their space.
#[derive(Clone, Copy)]
enum Shape {
    Plain,
    /// Ten classes, one after another.
    Classes,
    /// Frames: every image is much like the one before it.
    Film,
    /// Captions say nothing.
    Unreadable,
    /// A third of the captions is one text.
    Boilerplate,
    /// Every image stands in two rows one after the other.
    Twice,
}

#[derive(Clone, Copy)]
struct Kind {
    shape: Shape,
    images: usize,
    each: usize,
    dim: usize,
    noise: f64,
    /// Captions in a space of their own.
    apart: bool,
}

fn gaussian(stream: &mut Stream, dim: usize) -> Vec<f32> {
    (0..dim).map(|_| normal(stream) as f32).collect()
}

fn plus(a: &[f32], b: &[f32], scale: f64) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + scale as f32 * b).collect()
}

impl World {
    fn new(kind: Kind, seed: Seed) -> Self {
        let stream = &mut seed.stream("world", &[]);
        let classes: Rows = (0..10).map(|_| gaussian(stream, kind.dim)).collect();
        let mut meanings: Rows = Vec::new();
        for image in 0..kind.images {
            let own = gaussian(stream, kind.dim);
            meanings.push(match (kind.shape, meanings.last()) {
                (Shape::Classes, _) => plus(&classes[image * 10 / kind.images], &own, 0.6),
                (Shape::Film, Some(last)) => {
                    plus(last, &own, 0.3).iter().map(|x| x * 0.958).collect()
                }
                (Shape::Twice, Some(last)) if image % 2 == 1 => last.clone(),
                _ => own,
            });
        }
        let mut blur = |x: &[f32]| plus(x, &gaussian(stream, kind.dim), kind.noise);
        let mut images: Rows = meanings.iter().map(|x| blur(x)).collect();
        let mut captions: Rows = (meanings.iter())
            .flat_map(|x| (0..kind.each).map(|_| blur(x)).collect::<Rows>())
            .collect();
        match kind.shape {
            Shape::Unreadable => captions
                .iter_mut()
                .for_each(|x| *x = gaussian(stream, kind.dim)),
            Shape::Boilerplate => {
                let text = captions[0].clone();
                captions
                    .iter_mut()
                    .step_by(3)
                    .for_each(|x| x.clone_from(&text));
            }
            Shape::Twice => (1..images.len())
                .step_by(2)
                .for_each(|n| images[n] = images[n - 1].clone()),
            _ => {}
        }
        if kind.apart {
            let map: Rows = (0..kind.dim).map(|_| gaussian(stream, kind.dim)).collect();
            captions.iter_mut().for_each(|x| *x = turned(x, &map));
        }
        Self {
            images,
            captions,
            each: kind.each,
        }
    }

    fn dataset(self) -> Dataset {
        let (n, dim) = (self.images.len(), self.images[0].len());
        let pair = |caption: usize| Pair {
            image: (caption / self.each) as u32,
            caption: caption as u32,
        };
        Dataset {
            name: "drawn".into(),
            format: "memory",
            split: "all".into(),
            images: Features::from_rows(self.images.concat(), dim),
            image_ids: (0..n).map(|n| n.to_string()).collect(),
            image_files: Vec::new(),
            captions: None,
            pairs: (0..self.captions.len()).map(pair).collect(),
            caption_features: Some(NamedFeatures {
                name: "drawn".into(),
                features: Features::from_rows(self.captions.concat(), dim),
            }),
            labels: None,
            files: Vec::new(),
            account: Account::default(),
        }
    }
}

fn turned(x: &[f32], map: &Rows) -> Vec<f32> {
    let along = |row: &Vec<f32>| row.iter().zip(x).map(|(a, b)| a * b).sum();
    map.iter().map(along).collect()
}

/// Exchanges the captions, or the images, of a share of the rows.
fn exchange(rows: &mut Rows, share: f64, stream: &mut Stream) {
    let chosen = sample(stream, rows.len(), (share * rows.len() as f64) as usize);
    let mut moved = chosen.clone();
    shuffle(stream, &mut moved);
    let taken: Rows = moved
        .iter()
        .map(|&row| rows[row as usize].clone())
        .collect();
    for (&row, taken) in chosen.iter().zip(taken) {
        rows[row as usize] = taken;
    }
}

/// What happened to the rows, and what the finding must say.
struct Accident {
    name: &'static str,
    says: &'static str,
    happen: fn(&mut World),
}

const ACCIDENTS: &[Accident] = &[
    Accident {
        name: "all slipped by one",
        says: "shift:-1`",
        happen: |world| world.captions.rotate_right(1),
    },
    Accident {
        name: "all slipped by one, the other way",
        says: "shift:1`",
        happen: |world| world.captions.rotate_left(1),
    },
    Accident {
        name: "all slipped by 37",
        says: "shift:-37",
        happen: |world| world.captions.rotate_right(37),
    },
    Accident {
        name: "a tenth slipped",
        says: "shift:-1:",
        happen: |world| {
            let (first, n) = (world.captions.len() * 2 / 5, world.captions.len() / 10);
            world.captions[first..first + n].rotate_right(1);
        },
    },
    Accident {
        name: "the second half slipped",
        says: "shift:-1:",
        happen: |world| {
            let first = world.captions.len() / 2;
            let doubled = world.captions[first - 1].clone();
            world.captions.insert(first, doubled);
            world.captions.pop();
        },
    },
    Accident {
        name: "images sorted as text",
        says: "text-order`",
        happen: |world| sort_as_text(&mut world.images, 0),
    },
    Accident {
        name: "images sorted as text, from 1",
        says: "text-order:1`",
        happen: |world| sort_as_text(&mut world.images, 1),
    },
    Accident {
        name: "captions sorted as text",
        says: "text-order:captions`",
        happen: |world| sort_as_text(&mut world.captions, 0),
    },
    Accident {
        name: "reversed",
        says: "reversed`",
        happen: |world| world.images.reverse(),
    },
    Accident {
        name: "in an order of no rule",
        says: "another order",
        happen: |world| shuffle(&mut Seed(9).stream("shuffle", &[]), &mut world.images),
    },
];

/// Accidents to images with several captions each.
const OF_SEVERAL: &[Accident] = &[
    Accident {
        name: "captions in blocks, five an image",
        says: "blocks:5`",
        happen: |world| {
            let n = world.images.len();
            let caption = |at: usize| world.captions[at % n * world.each + at / n].clone();
            world.captions = (0..world.captions.len()).map(caption).collect();
        },
    },
    Accident {
        name: "slipped by one caption, five an image",
        says: "shift:-1`",
        happen: |world| world.captions.rotate_right(1),
    },
    Accident {
        name: "slipped by one image, five captions each",
        says: "shift:-5`",
        happen: |world| world.captions.rotate_right(5),
    },
];

fn sort_as_text(rows: &mut Rows, first: usize) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|number| (number + first).to_string());
    *rows = order.iter().map(|&number| rows[number].clone()).collect();
}

fn slips(dataset: &Dataset, seed: Seed) -> Vec<Diagnosis> {
    let subject = Subject::new(dataset, seed).expect("rows in memory are read");
    let found = diagnose(&subject).expect("rows in memory are read");
    found.into_iter().filter(|one| one.slip.is_some()).collect()
}

fn kinds() -> Vec<(&'static str, Kind)> {
    let plain = Kind {
        shape: Shape::Plain,
        images: 300,
        each: 1,
        dim: 32,
        noise: 0.6,
        apart: false,
    };
    let several = Kind {
        images: 120,
        each: 5,
        ..plain
    };
    let of = |shape| Kind { shape, ..plain };
    vec![
        ("one caption an image", plain),
        ("five captions an image", several),
        ("sorted by class", of(Shape::Classes)),
        ("frames of a film", of(Shape::Film)),
        (
            "frames, five captions each",
            Kind {
                shape: Shape::Film,
                ..several
            },
        ),
        ("captions say nothing", of(Shape::Unreadable)),
        ("a third of the captions alike", of(Shape::Boilerplate)),
        ("every image twice", of(Shape::Twice)),
        (
            "two spaces",
            Kind {
                apart: true,
                ..plain
            },
        ),
        (
            "two spaces, frames of a film",
            Kind {
                apart: true,
                ..of(Shape::Film)
            },
        ),
        (
            "two spaces, sorted by class",
            Kind {
                apart: true,
                ..of(Shape::Classes)
            },
        ),
    ]
}

fn false_alarms(draws: usize) {
    println!("| nothing to find | sets | alarms |\n|---|---|---|");
    let kinds = kinds();
    let mut total = (0, 0);
    for (at, (name, kind)) in kinds.iter().enumerate() {
        let (mut sets, mut alarms) = (0, 0);
        for draw in (at..draws).step_by(kinds.len()) {
            let seed = Seed(draw as u64);
            let stream = &mut seed.stream("exchange", &[]);
            let images = 60 + below(stream, 2 * kind.images as u64) as usize;
            let mut world = World::new(Kind { images, ..*kind }, seed);
            let share = [0.0, 0.2, 0.4, 0.6][below(stream, 4) as usize];
            if unit(stream) < 0.5 {
                exchange(&mut world.captions, share, stream);
            } else {
                exchange(&mut world.images, share, stream);
            }
            let found = slips(&world.dataset(), seed);
            sets += 1;
            alarms += usize::from(!found.is_empty());
            found.iter().for_each(|one| {
                eprintln!(
                    "{name}, {images} images, share {share}, draw {draw}: {}",
                    one.found
                )
            });
        }
        println!("| {name} | {sets} | {alarms} |");
        total = (total.0 + sets, total.1 + alarms);
    }
    println!("| all | {} | {} |\n", total.0, total.1);
}

fn detections(draws: usize) {
    println!("| planted | pairs | space | named | said otherwise |\n|---|---|---|---|---|");
    let kind = Kind {
        shape: Shape::Plain,
        images: 200,
        each: 1,
        dim: 32,
        noise: 0.6,
        apart: false,
    };
    let several = Kind {
        images: 40,
        each: 5,
        ..kind
    };
    for (accidents, kind) in [
        (ACCIDENTS, kind),
        (OF_SEVERAL, several),
        (
            &ACCIDENTS[..9],
            Kind {
                apart: true,
                images: 1000,
                ..kind
            },
        ),
        (
            OF_SEVERAL,
            Kind {
                apart: true,
                images: 200,
                ..several
            },
        ),
    ] {
        for accident in accidents {
            let (mut named, mut otherwise) = (0, 0);
            for draw in 0..draws {
                let seed = Seed(1000 + draw as u64);
                let mut world = World::new(kind, seed);
                (accident.happen)(&mut world);
                let found = slips(&world.dataset(), seed);
                let says = |one: &Diagnosis| one.sentence().contains(accident.says);
                named += usize::from(found.iter().any(says));
                otherwise += usize::from(found.iter().any(|one| !says(one)));
                if std::env::var("SHOW").is_ok() && draw < 2 {
                    found
                        .iter()
                        .for_each(|one| eprintln!("{}: {}", accident.name, one.sentence()));
                }
            }
            let space = if kind.apart { "two" } else { "one" };
            let pairs = kind.images * kind.each;
            let share = |n: usize| format!("{:.0} %", 100.0 * n as f64 / draws as f64);
            println!(
                "| {} | {pairs} | {space} | {} | {} |",
                accident.name,
                share(named),
                share(otherwise)
            );
        }
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number of draws"));
    let (clean, planted) = (numbers.next().unwrap_or(200), numbers.next().unwrap_or(100));
    false_alarms(clean);
    detections(planted);
}

//! What Gaussian matchers make of items of which a part is erased.

mod support;

use std::sync::atomic::AtomicBool;

use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, below, normal};
use truepair_model::similarity::ItemSide;
use truepair_train::{Erased, Recipe, Trained, train};

const KINDS: usize = 12;
const WIDTH: usize = 16;

/// What two things look like and are called; of each item one, the other or both are there.
fn things(n: usize, shown: [bool; 2]) -> Dataset {
    let mut rng = Seed(1).stream("things", &[]);
    let mut world = Seed(99).stream("world", &[]);
    let kinds: Vec<Vec<f32>> = (0..KINDS)
        .map(|_| (0..WIDTH).map(|_| normal(&mut world) as f32).collect())
        .collect();
    let (mut regions, mut captions) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut words = Vec::new();
        for shown in shown {
            let kind = below(&mut rng, KINDS as u64) as usize;
            let part: Vec<f32> = (kinds[kind].iter())
                .map(|x| x + 0.1 * normal(&mut rng) as f32)
                .collect();
            match shown {
                true => regions.extend(part),
                false => regions.extend([0.0; WIDTH]),
            }
            words.extend(shown.then(|| format!("thing{kind}")));
        }
        captions.push(words.join(" "));
    }
    Dataset {
        name: "things".into(),
        format: "precomputed",
        split: "train".into(),
        images: Features::from_regions(regions, 2, WIDTH),
        image_ids: (0..n).map(|i| i.to_string()).collect(),
        image_files: Vec::new(),
        captions: Some(captions),
        caption_features: None,
        pairs: (0..n as u32)
            .map(|i| Pair {
                image: i,
                caption: i,
            })
            .collect(),
        labels: None,
        files: Vec::new(),
        account: Account::default(),
    }
}

fn trained(data: &Dataset, strategy: &str) -> Trained {
    let recipe = Recipe::from_toml(&format!(
        "[strategy]\nkind = \"{strategy}\"\n[training]\nepochs = 3\nbatch = 40\nkeep = \"last\"\n"
    ))
    .unwrap();
    let config = recipe.resolve(data).unwrap();
    let stop = AtomicBool::new(false);
    let mut watch = ();
    let mut session = support::session(None, &stop, &mut watch);
    train(data, None, &config, Seed(3), &mut session).unwrap()
}

/// The uncertainty of a side's items as they are.
fn plain(run: &Trained, data: &Dataset, side: ItemSide) -> Vec<f32> {
    let found = run.uncertainty(data, &mut ()).unwrap().unwrap();
    match side {
        ItemSide::Image => found.images,
        ItemSide::Caption => found.captions,
    }
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5, "{what}: {a} {b}");
    }
}

#[test]
fn an_item_with_a_part_erased_is_the_item_without_it() {
    let both = things(160, [true, true]);
    let run = trained(&both, "pcme");
    let sides = [
        (ItemSide::Image, Erased::Regions),
        (ItemSide::Caption, Erased::Words),
    ];
    for (side, erased) in sides {
        assert_eq!(Erased::of(&run, &both, side), Ok(erased));
        let at = |share: f64| {
            let what = (side, erased);
            run.occluded(&both, what, share, Seed(1), &mut ()).unwrap()
        };
        assert_close(&at(0.0), &plain(&run, &both, side), "nothing erased");
        let nothing = plain(&run, &things(160, [false, false]), side);
        assert_close(&at(1.0), &nothing, "everything erased");

        let first = plain(&run, &things(160, [true, false]), side);
        let second = plain(&run, &things(160, [false, true]), side);
        let mut kept = [0; 2];
        for (item, found) in at(0.5).into_iter().enumerate() {
            let close = [first[item], second[item]].map(|one| (found - one).abs() < 1e-5);
            assert!(close[0] || close[1], "{side:?} {item}: {found}");
            kept[0] += usize::from(close[0]);
            kept[1] += usize::from(close[1]);
        }
        assert!(kept.iter().all(|n| *n > 40), "{side:?}: {kept:?}");
    }
}

#[test]
fn single_vectors_have_no_parts_to_erase() {
    let mut data = things(80, [true, true]);
    let run = trained(&data, "pcme++");
    data.images = Features::from_rows(vec![0.5; 80 * WIDTH], WIDTH);
    let refused = Erased::of(&run, &data, ItemSide::Image).unwrap_err();
    assert!(
        refused.contains("images are one embedding each"),
        "{refused}"
    );
    assert_eq!(
        Erased::of(&run, &data, ItemSide::Caption),
        Ok(Erased::Words)
    );

    data.caption_features = Some(NamedFeatures {
        name: "one".into(),
        features: Features::from_rows(vec![0.5; 80 * 8], 8),
    });
    let run = trained(&data, "pcme++");
    let refused = Erased::of(&run, &data, ItemSide::Caption).unwrap_err();
    assert!(
        refused.contains("captions are one embedding each"),
        "{refused}"
    );
}

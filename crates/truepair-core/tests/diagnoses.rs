//! What the diagnoses promise, on data whose truth is known.

use truepair_core::audit::{
    AuditOptions, Evidence, Fold, Judgment, Links, conclude, conclude_from_beliefs, judge_fold,
};
use truepair_core::dataset::{Account, Dataset, Features, NamedFeatures, Picture, RowOrder};
use truepair_core::diagnosis::{Diagnosis, Subject, diagnose, refusal};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, Stream, normal, shuffle};
use truepair_core::scores::InnerProduct;

const DIM: usize = 24;

type Rows = Vec<Vec<f32>>;

fn drawn(n: usize, stream: &mut Stream) -> Rows {
    let row = |_| (0..DIM).map(|_| normal(stream) as f32).collect();
    (0..n).map(row).collect()
}

/// Images, and captions near them, `each` an image.
fn near(n: usize, each: usize, seed: u64) -> (Rows, Rows) {
    let stream = &mut Seed(seed).stream("near", &[]);
    let images = drawn(n, stream);
    let mut blurred = |x: &Vec<f32>| -> Vec<f32> {
        let noise: Vec<f32> = x.iter().map(|x| x + 0.7 * normal(stream) as f32).collect();
        noise
    };
    let captions = images
        .iter()
        .flat_map(|x| (0..each).map(|_| blurred(x)).collect::<Rows>());
    let captions = captions.collect();
    (images, captions)
}

fn data(images: &Rows, captions: &Rows) -> Dataset {
    let each = captions.len() / images.len();
    let pair = |caption: usize| Pair {
        image: (caption / each) as u32,
        caption: caption as u32,
    };
    Dataset {
        name: "drawn".into(),
        format: "memory",
        split: "train".into(),
        images: Features::from_rows(images.concat(), images[0].len()),
        image_ids: (0..images.len()).map(|n| format!("i{n:04}")).collect(),
        image_files: Vec::new(),
        captions: None,
        caption_features: Some(NamedFeatures {
            name: "drawn".into(),
            features: Features::from_rows(captions.concat(), captions[0].len()),
        }),
        pairs: (0..captions.len()).map(pair).collect(),
        labels: None,
        files: Vec::new(),
        account: Account::default(),
    }
}

fn found(data: &Dataset) -> Vec<Diagnosis> {
    diagnose(&Subject::new(data, Seed(0)).unwrap()).unwrap()
}

/// The orders that are named, as `--pairs` takes them.
fn orders(data: &Dataset) -> Vec<String> {
    let slips = found(data).into_iter().filter_map(|one| one.slip);
    let name = |order: Option<RowOrder>| order.map_or("none".into(), |order| order.to_string());
    slips.map(|slip| name(slip.order)).collect()
}

#[test]
fn rows_out_of_step_are_named_by_the_order_that_reads_them() {
    let (images, captions) = near(200, 1, 1);
    assert!(orders(&data(&images, &captions)).is_empty());
    let rotated = |by: i64| {
        let mut captions = captions.clone();
        captions.rotate_right(by.rem_euclid(200) as usize);
        data(&images, &captions)
    };
    assert_eq!(orders(&rotated(1)), ["shift:-1"]);
    assert_eq!(orders(&rotated(-3)), ["shift:3"]);
    assert_eq!(orders(&rotated(40))[0].split(':').nth(1), Some("-40"));
    let reversed: Rows = images.iter().rev().cloned().collect();
    assert_eq!(orders(&data(&reversed, &captions)), ["reversed"]);
    let mut order: Vec<usize> = (0..200).collect();
    order.sort_by_key(usize::to_string);
    let sorted: Rows = order.iter().map(|&n| images[n].clone()).collect();
    assert_eq!(orders(&data(&sorted, &captions)), ["text-order"]);
    let sorted: Rows = order.iter().map(|&n| captions[n].clone()).collect();
    assert_eq!(orders(&data(&images, &sorted)), ["text-order:captions"]);
    let mut shuffled = images.clone();
    shuffle(&mut Seed(5).stream("shuffle", &[]), &mut shuffled);
    let of_no_rule = found(&data(&shuffled, &captions));
    assert!(
        of_no_rule[0].found.contains("in another order"),
        "{of_no_rule:?}"
    );
    assert!(refusal(&of_no_rule).is_some());
}

#[test]
fn a_part_that_slipped_is_told_with_its_rows() {
    let (images, captions) = near(300, 1, 2);
    let mut part = captions.clone();
    part[100..140].rotate_right(1);
    let told = found(&data(&images, &part));
    let slip = told[0].slip.as_ref().unwrap();
    let Some(RowOrder::Shift { by: -1, rows }) = &slip.order else {
        panic!("{told:?}")
    };
    assert!(
        rows.len() == 1 && rows[0].start().abs_diff(101) <= 2,
        "{rows:?}"
    );
    assert!(rows[0].end().abs_diff(139) <= 2, "{rows:?}");
    assert!(
        told[0]
            .found
            .starts_with("row i's caption fits row i-1's image in rows 10")
    );
    assert!(!slip.is_most && refusal(&told).is_none() && slip.p < 1e-6);

    let mut tail = captions.clone();
    tail.insert(150, captions[149].clone());
    tail.pop();
    let told = orders(&data(&images, &tail));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("shift:-1:15") && told[0].ends_with("-299"),
        "{told:?}"
    );

    // Read as told, nothing stands out any more.
    let tail = data(&images, &tail);
    let order: RowOrder = told[0].parse().unwrap();
    let repaired = order.repaired(&tail.pairs, &tail.image_ids).unwrap();
    let pairs = repaired.pairs;
    assert!(orders(&Dataset { pairs, ..tail }).is_empty());
}

#[test]
fn several_captions_an_image_slip_by_captions_by_images_or_in_blocks() {
    let (images, captions) = near(60, 5, 3);
    assert!(orders(&data(&images, &captions)).is_empty());
    for (by, name) in [(1, "shift:-1"), (5, "shift:-5")] {
        let mut slipped = captions.clone();
        slipped.rotate_right(by);
        assert_eq!(orders(&data(&images, &slipped)), [name]);
    }
    let blocks: Rows = (0..300)
        .map(|n| captions[n % 60 * 5 + n / 60].clone())
        .collect();
    assert_eq!(orders(&data(&images, &blocks)), ["blocks:5"]);
}

#[test]
fn spaces_apart_are_joined_for_every_order() {
    let (images, captions) = near(600, 1, 4);
    let map = drawn(16, &mut Seed(8).stream("map", &[]));
    let along = |x: &Vec<f32>| -> Vec<f32> {
        map.iter()
            .map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
            .collect()
    };
    let apart: Rows = captions.iter().map(along).collect();
    assert!(orders(&data(&images, &apart)).is_empty());
    let mut slipped = apart.clone();
    slipped.rotate_right(1);
    let told = found(&data(&images, &slipped));
    assert!(
        refusal(&told)
            .unwrap()
            .contains("`--pairs shift:-1` reads it so"),
        "{told:?}"
    );
    let reversed: Rows = images.iter().rev().cloned().collect();
    assert_eq!(orders(&data(&reversed, &apart)), ["reversed"]);
    let mut part = apart.clone();
    part[200..320].rotate_left(1);
    let told = orders(&data(&images, &part));
    assert!(
        told.len() == 1 && told[0].starts_with("shift:1:"),
        "{told:?}"
    );
}

#[test]
fn texts_without_embeddings_slip_too() {
    let words = [
        "dog", "boat", "house", "tree", "car", "horse", "ball", "child", "river", "train",
    ];
    let stream = &mut Seed(3).stream("words", &[]);
    let vectors = drawn(words.len(), stream);
    let mut images: Rows = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for n in 0..400 {
        let (a, b, c) = (n % 10, n / 10 % 10, (n * 7 + n / 50) % 10);
        let sum = |at: usize| {
            vectors[a][at] + vectors[b][at] + vectors[c][at] + 0.3 * normal(stream) as f32
        };
        images.push((0..DIM).map(sum).collect());
        texts.push(format!(
            "a {} and a {} by the {}",
            words[a], words[b], words[c]
        ));
    }
    let mut stirred: Vec<usize> = (0..400).collect();
    shuffle(stream, &mut stirred);
    let images: Rows = stirred.iter().map(|&n| images[n].clone()).collect();
    let mut texts: Vec<String> = stirred.iter().map(|&n| texts[n].clone()).collect();
    let captions = drawn(400, stream);
    let with = |texts: Vec<String>| Dataset {
        captions: Some(texts),
        caption_features: None,
        ..data(&images, &captions)
    };
    assert!(orders(&with(texts.clone())).is_empty());
    texts.rotate_right(1);
    assert_eq!(orders(&with(texts)), ["shift:-1"]);
}

#[test]
fn copies_boilerplate_and_blank_rows_are_counted_and_named() {
    let (images, captions) = near(100, 1, 5);
    let kinds = |data: &Dataset| -> Vec<(String, u64)> {
        found(data)
            .into_iter()
            .map(|one| (one.kind, one.count))
            .collect()
    };
    assert!(kinds(&data(&images, &captions)).is_empty());

    let mut boilerplate = captions.clone();
    (0..40).for_each(|n| boilerplate[n].clone_from(&captions[0]));
    let texts = (0..100).map(|n| {
        if n < 40 {
            "Image may contain: outdoor".into()
        } else {
            format!("text {n}")
        }
    });
    let told = Dataset {
        captions: Some(texts.collect()),
        ..data(&images, &boilerplate)
    };
    assert_eq!(kinds(&told), [("frequent-text".into(), 40)]);
    let sentence = found(&told)[0].sentence();
    assert!(
        sentence.contains("40 times, 40.0 % of 100 captions: 'Image may contain"),
        "{sentence}"
    );

    let four = |rows: &Rows| -> Rows {
        rows[..25]
            .iter()
            .flat_map(|row| vec![row.clone(); 4])
            .collect()
    };
    let four = data(&four(&images), &four(&captions));
    let named = [("repeated-pairs".into(), 75), ("equal-rows".into(), 75)];
    assert_eq!(kinds(&four), named);
    assert!(found(&four)[0].found.contains("every pair stands 4 times"));
    assert!(
        found(&four)[1]
            .found
            .contains("every image stands 4 times in a row")
    );

    let (mut blank_images, mut blank_captions) = (images.clone(), captions.clone());
    blank_images[7] = vec![0.0; DIM];
    blank_captions[3] = vec![0.0; DIM];
    blank_captions[9] = vec![0.25; DIM];
    let told = found(&data(&blank_images, &blank_captions));
    assert_eq!(
        told[0].found,
        "the vectors of 1 image is zeros only (i0007)"
    );
    assert!(
        told[1]
            .found
            .contains("zeros only (1) or one number throughout (1) (3, 9)"),
        "{told:?}"
    );

    let alike = Dataset {
        captions: Some((0..100).map(|n| format!("text {n}")).collect()),
        ..data(&images, &boilerplate)
    };
    assert_eq!(kinds(&alike), [("equal-rows".into(), 39)]);
}

#[test]
fn items_of_two_splits_are_counted_and_named() {
    let (images, captions) = near(300, 1, 6);
    let split = |name: &str, rows: std::ops::Range<usize>| Dataset {
        split: name.into(),
        image_ids: rows.clone().map(|n| n.to_string()).collect(),
        captions: Some(rows.clone().map(|n| format!("text {n}")).collect()),
        ..data(&images[rows.clone()].to_vec(), &captions[rows].to_vec())
    };
    let (train, test) = (split("train", 0..200), split("test", 180..260));
    let train = Subject::new(&train, Seed(0)).unwrap();
    let told = |test: &Dataset| -> Vec<Diagnosis> {
        let subject = Subject::new(test, Seed(0)).unwrap().beside(vec![&train]);
        let found = diagnose(&subject).unwrap();
        found
            .into_iter()
            .filter(|one| one.kind == "shared-items")
            .collect()
    };
    let found = told(&test);
    assert_eq!((found.len(), found[0].count), (1, 20));
    let says = "20 of 80 images of test stand in train too, to the bit (180, 181, 182, 183, 184, …), 20 of \
                them with the same caption";
    assert_eq!(found[0].found, says);
    assert!(told(&split("test", 200..300)).is_empty());

    // Embedded anew: hardly different.
    let mut near = split("test", 180..260);
    let moved: Vec<f32> = (near.images.to_matrix().unwrap().values().iter().enumerate())
        .map(|(at, x)| x + 0.01 * ((at % 7) as f32 - 3.0))
        .collect();
    near.images = Features::from_rows(moved, DIM);
    let found = told(&near);
    assert_eq!(found[0].count, 20, "{found:?}");
    assert!(
        found[0].found.contains("look like one of 200 of train"),
        "{found:?}"
    );
    assert!(
        found[1]
            .found
            .starts_with("20 of 80 captions of test stand in train too, word for word")
    );
}

#[test]
fn pictures_of_equal_bytes_stand_in_both_splits() {
    let home = tempfile::tempdir().unwrap();
    let split = |name: &str, bytes: &[&str]| {
        let write = |(n, bytes): (usize, &&str)| {
            let path = home.path().join(format!("{name}{n}"));
            std::fs::write(&path, bytes).unwrap();
            Picture::File(path)
        };
        let pictures: Vec<Picture> = bytes.iter().enumerate().map(write).collect();
        let rows = vec![vec![0.0]; bytes.len()];
        Dataset {
            split: name.into(),
            images: Features::from_pictures(pictures),
            captions: Some(bytes.iter().map(|bytes| (*bytes).to_owned()).collect()),
            caption_features: None,
            ..data(&rows, &rows)
        }
    };
    let (train, test) = (
        split("train", &["a", "bb", "cc"]),
        split("dev", &["cc", "dd", "eee", "a"]),
    );
    let train = Subject::new(&train, Seed(0)).unwrap();
    let subject = Subject::new(&test, Seed(0)).unwrap().beside(vec![&train]);
    let found = diagnose(&subject).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .found
            .starts_with("2 of 4 images of dev stand in train too"),
        "{found:?}"
    );
}

#[test]
fn pairs_with_a_blank_vector_are_unknown_and_never_mismatched() {
    let (mut images, captions) = near(300, 1, 7);
    (0..300)
        .step_by(25)
        .for_each(|n| images[n] = vec![0.0; DIM]);
    let mut mixed = captions.clone();
    mixed[200..290].rotate_right(17);
    let data = data(&images, &mixed);
    let links = Links::of(&data).unwrap();
    let mut sides = [
        &data.images,
        &data.caption_features.as_ref().unwrap().features,
    ]
    .map(|side| side.to_matrix().unwrap());
    sides.iter_mut().for_each(|side| side.normalize());
    let [images, captions] = sides;
    let judged: Vec<u32> = (0..300).collect();
    let options = AuditOptions {
        near_misses: false,
        ..AuditOptions::default()
    };
    let fold = Fold {
        scorer: &InnerProduct::new(images, captions).unwrap(),
        pairs: &data.pairs,
        judged: &judged,
        links: &links,
        cells: None,
        plan: None,
    };
    let statistics = [judge_fold(&fold, &options, Seed(0), &mut ()).unwrap()];
    let evidence = Evidence::of(&statistics);
    let by_rank = conclude(&data.pairs, &links, &evidence, &options, Seed(0)).unwrap();
    let clean = vec![0.3; 300];
    let believed =
        conclude_from_beliefs(&data.pairs, &links, &statistics, &clean, &options, Seed(0)).unwrap();
    for findings in [by_rank, believed] {
        for verdict in findings.verdicts.iter().step_by(25) {
            assert_eq!(verdict.judgment, Judgment::Unknown, "{}", verdict.reason);
            assert!(verdict.reason.contains("zeros"), "{}", verdict.reason);
        }
        let mismatched = findings
            .verdicts
            .iter()
            .filter(|v| v.judgment == Judgment::Mismatched);
        assert!(mismatched.count() > 50);
    }
}

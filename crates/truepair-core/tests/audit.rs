//! The audit's promises on data whose truth is known.

mod world;

use rand::Rng;
use truepair_core::audit::{
    AuditOptions, Evidence, Fold, FoldStatistics, Judgment, Links, Outcome, PairStatistics, Truth,
    UncertaintyKind, auc, average_repeats, conclude, conclude_from_beliefs, group_captions,
    judge_fold,
};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, Stream, normal, sample};
use truepair_core::scores::{InnerProduct, Matrix, ScoreMatrix};

use world::{DIM, World, audit, judge, links, options, world};

#[test]
fn planted_noise_is_found_with_calibrated_probabilities() {
    for (rate, least_auc) in [(0.2, 0.96), (0.4, 0.96), (0.6, 0.96)] {
        let world = world(400, 1.6, rate, 3);
        let findings = audit(&world);
        let posteriors: Vec<f64> = findings.verdicts.iter().map(|v| v.posterior).collect();
        let truth = Truth::measure(&posteriors, &world.mismatched);
        let found = findings.noise_rate;
        assert_eq!(findings.outcome, Outcome::MismatchedPairs);
        assert!(
            (found.estimate - truth.realized).abs() < 0.04,
            "{found:?} {}",
            truth.realized
        );
        assert!(found.low - 0.01 <= truth.realized && truth.realized <= found.high + 0.01);
        assert!(truth.auc > least_auc, "{rate}: AUC {}", truth.auc);
        assert!(truth.ece < 0.04, "{rate}: ECE {}", truth.ece);
        assert!((findings.fit.mean_posterior - found.estimate).abs() < 1e-3);
    }
}

#[test]
fn beliefs_stand_in_for_posteriors_and_are_said_to_be_seen() {
    let world = world(100, 1.6, 0.4, 3);
    let links = links(&world);
    let statistics = judge(&world, &links, &options());
    let clean: Vec<f64> = (world.mismatched.iter())
        .map(|&wrong| if wrong { 0.25 } else { 1.0 })
        .collect();
    let of = |clean: &[f64]| {
        let folds = std::slice::from_ref(&statistics);
        conclude_from_beliefs(&world.pairs, &links, folds, clean, &options(), Seed(1))
    };
    let found = of(&clean).unwrap();
    assert_eq!(found.outcome, Outcome::Beliefs);
    assert!(!found.outcome.is_found());
    for (verdict, &wrong) in found.verdicts.iter().zip(&world.mismatched) {
        assert_eq!(verdict.posterior, if wrong { 0.75 } else { 0.0 });
        assert_eq!(verdict.judgment == Judgment::Mismatched, wrong);
        let matched = ["looks matched", "ambiguous"];
        let said = matched.iter().any(|word| verdict.reason.starts_with(word));
        assert_eq!(said, !wrong, "{}", verdict.reason);
    }
    let share = world.mismatched.iter().filter(|&&wrong| wrong).count() as f64 / 500.0;
    let rate = found.noise_rate;
    assert!((rate.estimate - 0.75 * share).abs() < 1e-9);
    assert_eq!((rate.low, rate.high), (0.0, 1.0));
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("not calibrated"))
    );
    let short = of(&clean[1..]).unwrap_err().to_string();
    assert!(short.contains("499 beliefs for 500 pairs"), "{short}");
    let wrong = of(&vec![f64::NAN; 500]).unwrap_err().to_string();
    assert!(wrong.contains("pair 0"), "{wrong}");
}

#[test]
fn clean_data_gives_no_evidence() {
    let findings = audit(&world(300, 1.2, 0.0, 4));
    assert_eq!(
        findings.outcome,
        Outcome::NoEvidence,
        "{:?}",
        findings.noise_rate
    );
    assert!(findings.noise_rate.estimate < 0.02);
    assert_eq!(findings.verdicts.len(), 1500);
}

#[test]
fn p_values_of_mismatched_pairs_are_uniform() {
    let world = world(300, 1.2, 0.99, 5);
    let findings = judge(&world, &links(&world), &options());
    for direction in [
        |row: &PairStatistics| row.p_i2t,
        |row: &PairStatistics| row.p_t2i,
    ] {
        let rows = findings
            .pairs
            .iter()
            .zip(&world.mismatched)
            .filter(|(_, bad)| **bad);
        let mut p: Vec<f64> = rows.map(|(row, _)| direction(row)).collect();
        p.sort_unstable_by(f64::total_cmp);
        let n = p.len() as f64;
        let gap = p
            .iter()
            .zip(1..)
            .map(|(p, i)| (p - f64::from(i) / n).abs())
            .fold(0.0, f64::max);
        // Kolmogorov and Smirnov at one in a thousand, doubled for the dependence within images.
        assert!(gap < 2.0 * 1.95 / n.sqrt(), "{gap}");
    }
}

#[test]
fn scores_that_know_nothing_are_refused() {
    let mut blind = world(200, 1.0, 0.0, 6);
    let stream = &mut Seed(9).stream("blind", &[]);
    let random = |n: usize, stream: &mut Stream| {
        Matrix::new((0..n * DIM).map(|_| normal(stream) as f32).collect(), DIM)
    };
    blind.scorer = InnerProduct::new(random(200, stream), random(1000, stream)).unwrap();
    let findings = audit(&blind);
    assert!(findings.verdicts.is_empty());
    let Outcome::Refused { reason } = findings.outcome else {
        panic!("verdicts from noise: {:?}", findings.noise_rate)
    };
    assert!(reason.contains("better than chance"), "{reason}");
}

/// Scores on a coarse grid, so that there are ties, with duplicate captions and images.
#[test]
fn ranks_agree_with_a_loop_over_all_comparisons() {
    let (n_images, n_captions) = (20, 60);
    let stream = &mut Seed(12).stream("tiny", &[]);
    let values = (0..n_images * n_captions)
        .map(|_| (stream.next_u32() % 12) as f32)
        .collect();
    let scorer = ScoreMatrix(Matrix::new(values, n_captions));
    let pairs: Vec<Pair> = (0..n_captions as u32)
        .map(|caption| Pair {
            image: caption / 3,
            caption,
        })
        .collect();
    let captions: Vec<String> = (0..n_captions)
        .map(|n| format!("caption {}", n % 45))
        .collect();
    let caption_group = group_captions(&captions);
    let mut image_group: Vec<u32> = (0..n_images as u32).collect();
    image_group[7] = 2;
    let links = Links::new(&pairs, caption_group.clone(), image_group.clone()).unwrap();
    let judged: Vec<u32> = (0..n_captions as u32).collect();
    let fold = Fold {
        scorer: &scorer,
        pairs: &pairs,
        judged: &judged,
        links: &links,
        cells: None,
        plan: None,
    };
    let found = judge_fold(&fold, &options(), Seed(1), &mut ()).unwrap();

    let linked = |image: u32, caption: u32| {
        pairs.iter().any(|pair| {
            image_group[pair.image as usize] == image_group[image as usize]
                && caption_group[pair.caption as usize] == caption_group[caption as usize]
        })
    };
    let score = |image: u32, caption: u32| scorer.0.row(image as usize)[caption as usize];
    for (row, pair) in found.pairs.iter().zip(&pairs) {
        let given = score(pair.image, pair.caption);
        let others: Vec<u32> = (0..n_captions as u32)
            .filter(|&caption| !linked(pair.image, caption))
            .collect();
        let above = others
            .iter()
            .filter(|&&c| score(pair.image, c) >= given)
            .count();
        assert_eq!(
            (row.rank_i2t, row.n_captions),
            (1 + above as u32, others.len() as u32)
        );
        assert_eq!(row.p_i2t, (1 + above) as f64 / (1 + others.len()) as f64);
        let best = others
            .iter()
            .map(|&c| score(pair.image, c))
            .fold(f32::MIN, f32::max);
        assert_eq!(
            row.better_caption.map(|c| score(pair.image, c)),
            (best > given).then_some(best)
        );

        let others: Vec<u32> = (0..n_images as u32)
            .filter(|&image| !linked(image, pair.caption))
            .collect();
        let above = others
            .iter()
            .filter(|&&i| score(i, pair.caption) >= given)
            .count();
        assert_eq!(
            (row.rank_t2i, row.n_images),
            (1 + above as u32, others.len() as u32)
        );
        let best = others
            .iter()
            .map(|&i| score(i, pair.caption))
            .fold(f32::MIN, f32::max);
        assert_eq!(
            row.better_image.map(|i| score(i, pair.caption)),
            (best > given).then_some(best)
        );
    }
    for (null, n) in found.null.iter().zip(0..) {
        let (image, caption) = (pairs[n / 4].image, null.partner);
        if caption == u32::MAX {
            continue;
        }
        assert!(!linked(image, caption));
        let given = score(image, caption);
        let surprisal = |scores: Vec<f32>| {
            let weight = |score: f32| (found.sharpness * f64::from(score - given)).exp();
            (1.0 + scores.into_iter().map(weight).sum::<f64>()).ln()
        };
        let same_caption = |c: u32| caption_group[c as usize] == caption_group[caption as usize];
        let others = (0..n_captions as u32).filter(|&c| !linked(image, c) && !same_caption(c));
        let i2t = surprisal(others.map(|c| score(image, c)).collect());
        let same_image = |i: u32| image_group[i as usize] == image_group[image as usize];
        let others = (0..n_images as u32).filter(|&i| !linked(i, caption) && !same_image(i));
        let t2i = surprisal(others.map(|i| score(i, caption)).collect());
        assert!((null.surprisal - (i2t + t2i) / 2.0).abs() < 1e-4);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let world = world(120, 1.5, 0.3, 7);
    let on = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap();
        let small_null = AuditOptions {
            null_size: 100,
            ..options()
        };
        pool.install(|| (judge(&world, &links(&world), &small_null), audit(&world)))
    };
    let ((one, first), (three, second)) = (on(1), on(3));
    assert_eq!(one, three);
    assert_eq!(first.verdicts, second.verdicts);
    assert_eq!(first.noise_rate, second.noise_rate);
}

#[test]
fn repeats_average_when_folds_differ() {
    let world = world(120, 1.5, 0.3, 8);
    let links = links(&world);
    let n = world.pairs.len() as u32;
    let folds = [|image: u32| image % 2, |image: u32| image / 2 % 2];
    let cells: Vec<u32> = world
        .pairs
        .iter()
        .map(|pair| folds[0](pair.image) * 2 + folds[1](pair.image))
        .collect();
    let repeats: Vec<Vec<FoldStatistics>> = folds
        .iter()
        .map(|fold_of| {
            let judge = |fold| {
                let judged: Vec<u32> = (0..n)
                    .filter(|&n| fold_of(world.pairs[n as usize].image) == fold)
                    .collect();
                let (scorer, pairs) = (&world.scorer, &world.pairs);
                let cells = Some(&cells[..]);
                let fold = Fold {
                    scorer,
                    pairs,
                    judged: &judged,
                    links: &links,
                    cells,
                    plan: None,
                };
                judge_fold(&fold, &options(), Seed(1), &mut ()).unwrap()
            };
            vec![judge(0), judge(1)]
        })
        .collect();
    let averaged = average_repeats(&repeats).unwrap();
    let surprisal = |repeat: &[FoldStatistics], pair: u32| {
        repeat
            .iter()
            .flat_map(|fold| &fold.pairs)
            .find(|row| row.pair == pair)
            .unwrap()
            .surprisal
    };
    for pair in [0, 17, 599] {
        let expected = (surprisal(&repeats[0], pair) + surprisal(&repeats[1], pair)) / 2.0;
        assert!((surprisal(&averaged, pair) - expected).abs() < 1e-12);
    }
    assert!(
        conclude(
            &world.pairs,
            &links,
            &Evidence::of(&averaged),
            &options(),
            Seed(1)
        )
        .is_ok()
    );
    assert!(average_repeats(&[repeats[0].clone(), vec![repeats[1][0].clone()]]).is_err());
}

#[test]
fn unusable_input_is_an_error_that_says_what_to_do() {
    let message = |world: &World, links: &Links| {
        let judged: Vec<u32> = (0..world.pairs.len() as u32).collect();
        let (scorer, pairs) = (&world.scorer, &world.pairs);
        let fold = Fold {
            scorer,
            pairs,
            judged: &judged,
            links,
            cells: None,
            plan: None,
        };
        judge_fold(&fold, &options(), Seed(1), &mut ())
            .unwrap_err()
            .to_string()
    };
    let good = world(40, 1.0, 0.0, 9);

    let mut single = world(40, 1.0, 0.0, 9);
    single.pairs.truncate(1);
    assert!(message(&single, &links(&single)).contains("1 pairs to judge"));

    let equal = group_captions(&["a dog"; 200]);
    let equal = Links::new(&good.pairs, equal, (0..40).collect()).unwrap();
    assert!(message(&good, &equal).contains("1 distinct captions"));

    let mut broken = world(40, 1.0, 0.0, 9);
    let mut values = good.scorer.captions().values().to_vec();
    values[150 * DIM] = f32::NAN;
    broken.scorer =
        InnerProduct::new(good.scorer.images().clone(), Matrix::new(values, DIM)).unwrap();
    let text = message(&broken, &links(&broken));
    assert!(
        text.contains("caption 150 is not a finite number"),
        "{text}"
    );

    let statistics = judge(&good, &links(&good), &options());
    let twice = [statistics.clone(), statistics];
    let error = conclude(
        &good.pairs,
        &links(&good),
        &Evidence::of(&twice),
        &options(),
        Seed(1),
    )
    .unwrap_err();
    assert!(error.to_string().contains("two folds"));
}

/// Clusters of four images and captions that mean nearly the same, single ones, and captions that
/// were exchanged among all of them. One pair per image.
fn clusters(n: usize, seed: u64) -> (World, Vec<bool>) {
    let stream = &mut Seed(seed).stream("clusters", &[]);
    let n_alike = n / 5 / 4 * 4;
    let mut meanings: Vec<Vec<f64>> = Vec::new();
    for at in 0..n {
        let mut fresh = || (0..DIM).map(|_| normal(stream)).collect();
        let meaning = match at < n_alike && at % 4 > 0 {
            true => meanings[at - 1].clone(),
            false => fresh(),
        };
        meanings.push(meaning);
    }
    let mut seen = |strength: f64| {
        let noise = |x: &f64, stream: &mut Stream| (x + strength * normal(stream)) as f32;
        let values = meanings.iter().flatten().map(|x| noise(x, stream));
        let mut rows = Matrix::new(values.collect(), DIM);
        rows.normalize();
        rows
    };
    let (images, captions) = (seen(0.5), seen(0.5));
    let mut image_of: Vec<u32> = (0..n as u32).collect();
    let chosen = sample(stream, n, n * 3 / 10);
    for (&caption, &image) in chosen.iter().zip(chosen.iter().cycle().skip(1)) {
        image_of[caption as usize] = image;
    }
    let pairs: Vec<Pair> = (image_of.iter().zip(0..))
        .map(|(&image, caption)| Pair { image, caption })
        .collect();
    let world = World {
        scorer: InnerProduct::new(images, captions).unwrap(),
        mismatched: pairs
            .iter()
            .map(|pair| pair.image != pair.caption)
            .collect(),
        pairs,
    };
    (world, (0..n).map(|at| at < n_alike).collect())
}

#[test]
fn ambiguous_pairs_are_told_from_mismatched_and_from_clear_ones() {
    let (world, alike) = clusters(1000, 5);
    let findings = audit(&world);
    let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<f64> {
        let chosen = findings
            .verdicts
            .iter()
            .enumerate()
            .filter(|(n, _)| wanted(*n));
        chosen
            .map(|(_, verdict)| verdict.uncertainty.unwrap())
            .collect()
    };
    // The uncertainty is the items': exchanging two ambiguous captions leaves them ambiguous.
    let ambiguous = of(&|n| alike[n] && !world.mismatched[n]);
    let above = |others: Vec<f64>| {
        let scores: Vec<f64> = ambiguous.iter().chain(&others).copied().collect();
        let positive: Vec<bool> = (0..scores.len()).map(|n| n < ambiguous.len()).collect();
        auc(&scores, &positive)
    };
    let single = |n: u32| !alike[world.pairs[n as usize].image as usize] && !alike[n as usize];
    let mismatched = above(of(&|n| world.mismatched[n] && single(n as u32)));
    let clear = above(of(&|n| !alike[n] && !world.mismatched[n]));
    assert!(
        mismatched > 0.97,
        "AUC {mismatched} against mismatched pairs"
    );
    assert!(clear > 0.93, "AUC {clear} against clear pairs");
    assert!(findings.ambiguity.level.is_some());

    let share = |wanted: &dyn Fn(usize) -> bool, judgment: Judgment| {
        let chosen: Vec<usize> = (0..1000).filter(|&n| wanted(n)).collect();
        let called = chosen
            .iter()
            .filter(|&&n| findings.verdicts[n].judgment == judgment);
        called.count() as f64 / chosen.len() as f64
    };
    let found = [
        share(&|n| alike[n] && !world.mismatched[n], Judgment::Ambiguous),
        share(&|n| world.mismatched[n], Judgment::Mismatched),
        share(&|n| !alike[n] && !world.mismatched[n], Judgment::Matched),
    ];
    let enough = found
        .iter()
        .zip([0.9, 0.7, 0.85])
        .all(|(share, least)| *share > least);
    assert!(enough, "{found:?}");
}

#[test]
fn variances_are_averaged_over_the_repeats_that_have_them() {
    let (world, _) = clusters(200, 5);
    let links = links(&world);
    let plain = judge(&world, &links, &options());
    let with = |share: f64| {
        let mut statistics = plain.clone();
        let of_pair = |row: &PairStatistics| share + f64::from(row.pair) / 1000.0;
        let variances: Vec<f64> = statistics.pairs.iter().map(of_pair).collect();
        statistics.set_variance(&variances);
        vec![statistics]
    };
    let repeats = [with(0.1), with(0.3), vec![plain.clone()]];
    let averaged = average_repeats(&repeats).unwrap();
    for row in &averaged[0].pairs {
        let expected = 0.2 + f64::from(row.pair) / 1000.0;
        assert!((row.variance.unwrap() - expected).abs() < 1e-12);
    }
    for (row, own) in averaged[0].pairs.iter().zip(&plain.pairs) {
        assert!((row.entropy - own.entropy).abs() < 1e-12);
    }
    let found = conclude(
        &world.pairs,
        &links,
        &Evidence::of(&averaged),
        &options(),
        Seed(1),
    )
    .unwrap();
    assert_eq!(found.ambiguity.uncertainty, UncertaintyKind::Variance);
    assert_eq!(found.verdicts[7].uncertainty, averaged[0].pairs[7].variance);
}

#[test]
fn captions_that_no_matcher_can_have_read_are_unknown() {
    let world = world(200, 1.6, 0.3, 5);
    let links = links(&world);
    let statistics = judge(&world, &links, &options());
    let unread: Vec<bool> = (0..1000).map(|caption| caption % 10 == 0).collect();
    let evidence = Evidence {
        unread_captions: &unread,
        ..Evidence::of(std::slice::from_ref(&statistics))
    };
    let findings = conclude(&world.pairs, &links, &evidence, &options(), Seed(1)).unwrap();
    let rate = findings.noise_rate;
    for verdict in &findings.verdicts {
        if unread[verdict.caption as usize] {
            assert_eq!(verdict.judgment, Judgment::Unknown);
            assert_eq!(verdict.posterior, rate.estimate);
        }
    }
    assert!((findings.reading.readable - 0.9).abs() < 0.02);
    // A tenth of the pairs may be matched or mismatched.
    let all = audit(&world).noise_rate;
    assert!(
        rate.high - rate.low > all.high - all.low + 0.03,
        "{rate:?} {all:?}"
    );
}

//! What probabilities, answer sets and denials are worth on real data: a linear matcher is fitted to `train`, and the
//! images of `test` are cut in two, 20 times: one half calibrates, the other is measured.
//!
//! `cargo run --release -p truepair-read --example answers -- DATA [COVERAGE]`

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use truepair_core::Result;
use truepair_core::answer::{AnswerModel, AnswerQuality, KnownAnswers};
use truepair_core::dataset::{Dataset, Features};
use truepair_core::linear::{LinearConfig, LinearMatcher, Pooling, SideVectors};
use truepair_core::rng::{Seed, sample};
use truepair_core::scores::Scorer;
use truepair_core::text::{LatentSemantics, LatentSemanticsConfig};
use truepair_read::dataset::{ReadOptions, open};

const CUTS: u64 = 20;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "data".to_owned());
    let coverage = std::env::args()
        .nth(2)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.9);
    let read = |split: &str| {
        open(
            &path,
            &ReadOptions {
                split: split.to_owned(),
                ..ReadOptions::default()
            },
        )
    };
    let (train, test) = (read("train")?, read("test")?);
    let [of_train, of_test] = captions(&train, &test)?;
    let train_sides = [train.images.clone(), of_train];
    let test_sides = [test.images.clone(), of_test];
    let config = LinearConfig::default();
    let matcher = LinearMatcher::fit(
        vectors(&train_sides)?,
        &train.pairs,
        None,
        &config,
        Seed(0),
        &mut (),
    )?;
    let images: Vec<u32> = (0..test.n_images() as u32).collect();
    let captions: Vec<u32> = (0..test.n_captions() as u32).collect();
    let scorer = matcher.scorer(vectors(&test_sides)?, &images, &captions)?;
    let mut scores = vec![0.0; images.len() * captions.len()];
    scorer.tile(&images, &captions, &mut scores)?;
    let mut owner = vec![0; captions.len()];
    let mut own = vec![Vec::new(); images.len()];
    for pair in &test.pairs {
        owner[pair.caption as usize] = pair.image as usize;
        own[pair.image as usize].push(pair.caption as usize);
    }
    let n = captions.len();
    let asked_by_text: Vec<Asked> = (0..n)
        .map(|caption| {
            let column = (0..images.len()).map(|image| scores[image * n + caption]);
            Asked::new(owner[caption], column.collect(), &[owner[caption]])
        })
        .collect();
    let asked_by_image: Vec<Asked> = (0..images.len())
        .map(|image| Asked::new(image, scores[image * n..][..n].to_vec(), &own[image]))
        .collect();
    println!(
        "{path}: {} images, {n} captions, {}",
        images.len(),
        matcher.chosen
    );
    for (direction, asked) in [
        ("text to image", &asked_by_text),
        ("image to text", &asked_by_image),
    ] {
        report(direction, asked, images.len(), coverage)?;
    }
    Ok(())
}

/// A query of an image, or for it.
struct Asked {
    image: usize,
    known: KnownAnswers,
    scores: Vec<f32>,
    /// The best score of a right answer.
    best: f32,
}

impl Asked {
    fn new(image: usize, scores: Vec<f32>, right: &[usize]) -> Self {
        let best = right.iter().map(|&place| scores[place]);
        Self {
            image,
            known: KnownAnswers::new(&scores, right),
            best: best.fold(f32::NEG_INFINITY, f32::max),
            scores,
        }
    }
}

/// The obvious rule: a threshold on the score itself that as many calibrating queries pass. Share of the measured queries
/// whose set holds a right answer, and mean size of a set.
fn by_score(calibrating: &[&Asked], measured: &[&Asked], coverage: f64) -> [f64; 2] {
    let mut best: Vec<f32> = calibrating.iter().map(|asked| asked.best).collect();
    best.sort_unstable_by(f32::total_cmp);
    let place = ((1.0 - coverage) * (best.len() + 1) as f64).floor() as usize;
    let threshold = best[place.max(1) - 1];
    let share = |count: usize| count as f64 / measured.len() as f64;
    let covered = measured.iter().filter(|asked| asked.best >= threshold);
    let sizes = measured.iter().map(|asked| {
        asked
            .scores
            .iter()
            .filter(|score| **score >= threshold)
            .count()
    });
    [share(covered.count()), share(sizes.sum())]
}

fn vectors(sides: &[Features; 2]) -> Result<[SideVectors<'_>; 2]> {
    Ok([
        SideVectors::new(&sides[0], Pooling::Mean)?,
        SideVectors::new(&sides[1], Pooling::Mean)?,
    ])
}

/// Vectors of the captions of both splits.
fn captions(train: &Dataset, test: &Dataset) -> Result<[Features; 2]> {
    if let (Some(train), Some(test)) = (&train.caption_features, &test.caption_features) {
        return Ok([train.features.clone(), test.features.clone()]);
    }
    let text = LatentSemantics::fit(
        train.require_captions()?,
        &LatentSemanticsConfig::default(),
        Seed(0),
    )?;
    Ok([
        text.features(train.require_captions()?),
        text.features(test.require_captions()?),
    ])
}

fn report(direction: &str, asked: &[Asked], n_images: usize, coverage: f64) -> Result<()> {
    let (mut all, mut plain): (Vec<AnswerQuality>, Vec<[f64; 2]>) = (Vec::new(), Vec::new());
    for cut in 0..CUTS {
        let half = sample(&mut Seed(cut).stream("cut", &[]), n_images, n_images / 2);
        let mut is_calibrating = vec![false; n_images];
        half.iter()
            .for_each(|&image| is_calibrating[image as usize] = true);
        let of = |wanted: bool| -> Vec<&Asked> {
            let of_half = asked
                .iter()
                .filter(|asked| is_calibrating[asked.image] == wanted);
            of_half.collect()
        };
        let known = |half: &[&Asked]| -> Vec<KnownAnswers> {
            half.iter().map(|asked| asked.known.clone()).collect()
        };
        let (calibrating, measured) = (of(true), of(false));
        plain.push(by_score(&calibrating, &measured, coverage));
        all.push(AnswerModel::fit(&known(&calibrating))?.quality(&known(&measured), coverage));
    }
    let line = |name: &str, value: &dyn Fn(&AnswerQuality) -> f64| {
        let values: Vec<f64> = all.iter().map(value).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance =
            values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
        println!(
            "  {direction}, {name}: {mean:.4} (standard deviation over cuts {:.4})",
            variance.sqrt()
        );
    };
    let mean = |side: usize| plain.iter().map(|one| one[side]).sum::<f64>() / plain.len() as f64;
    println!(
        "  {direction}, a threshold on the score alone: covers {:.4} with {:.2} hits in a set",
        mean(0),
        mean(1)
    );
    line("expected calibration error", &|quality| quality.ece);
    line(&format!("covered of {coverage}"), &|quality| {
        quality.covered.unwrap_or(f64::NAN)
    });
    line("hits in a set", &|quality| {
        quality.set_size.unwrap_or(f64::NAN)
    });
    line("AUC of no answer, model", &|quality| quality.nothing_auc);
    line("AUC of no answer, best score", &|quality| {
        quality.top_score_auc
    });
    Ok(())
}

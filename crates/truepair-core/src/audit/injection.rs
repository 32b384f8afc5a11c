//! Mismatches and poor captions put into the data to see whether an audit finds them.

use std::str::FromStr;

use super::nearby::nearest;
use super::{InjectionKind, Links};
use crate::dataset::{Dataset, Features, NamedFeatures};
use crate::error::{Error, Result};
use crate::rng::{Seed, Stream, below, normal, sample, shuffle};

/// A near miss takes one of this many images nearest to its own.
const NEAREST: usize = 10;

/// A share of the pairs to change in one way.
///
/// ```
/// use truepair_core::audit::{Injection, InjectionKind};
///
/// let injection: Injection = "near:0.1".parse()?;
/// assert_eq!((injection.kind, injection.share), (InjectionKind::Near, 0.1));
/// assert!("near:1.5".parse::<Injection>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Injection {
    /// In which way.
    pub kind: InjectionKind,
    /// Share of the pairs, (0, 1).
    pub share: f64,
}

/// `random:0.2`, `near:0.1`, `illegible:0.1`; a share alone is random.
impl FromStr for Injection {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, share) = text.split_once(':').unwrap_or(("random", text));
        let kind = (InjectionKind::ALL.into_iter())
            .find(|other| other.name() == kind)
            .ok_or_else(|| {
                let names = InjectionKind::ALL.map(InjectionKind::name).join(", ");
                format!("there is no kind `{kind}`; choose from {names}, as in near:0.1")
            })?;
        let share: f64 = share
            .parse()
            .map_err(|_| format!("`{share}` is not a number"))?;
        if !(share > 0.0 && share < 1.0) {
            return Err(format!(
                "a share of {share}, expected a fraction between 0 and 1"
            ));
        }
        Ok(Self { kind, share })
    }
}

/// The data with these shares of its pairs changed, no pair twice, and what was done to each pair:
/// `None` for a pair that was not chosen or could not be changed.
///
/// # Errors
/// If the shares leave no pair unchanged, near misses are requested but images are pictures, or features
/// cannot be read.
pub fn inject(
    dataset: &Dataset,
    injections: &[Injection],
    seed: Seed,
) -> Result<(Dataset, Vec<Option<InjectionKind>>)> {
    let n = dataset.pairs.len();
    let total: f64 = injections.iter().map(|injection| injection.share).sum();
    if total >= 1.0 {
        return Err(Error::argument(
            format!("shares of {total} in all would leave no pair unchanged"),
            "inject less",
        ));
    }
    let stream = &mut seed.stream("inject", &[]);
    let mut order: Vec<u32> = (0..n as u32).collect();
    shuffle(stream, &mut order);
    let mut injected = vec![None; n];
    let mut changed = dataset.clone();
    let mut start = 0;
    for injection in injections {
        let end = (start + (injection.share * n as f64).round() as usize).min(n);
        let chosen = &order[start..end];
        let done = match injection.kind {
            InjectionKind::Random => move_at_random(&mut changed, dataset, chosen, stream)?,
            InjectionKind::Near => move_near(&mut changed, dataset, chosen, stream)?,
            InjectionKind::Illegible => garble(&mut changed, chosen, stream)?,
        };
        done.iter()
            .for_each(|&pair| injected[pair as usize] = Some(injection.kind));
        start = end;
    }
    Ok((changed, injected))
}

/// Gives the chosen pairs the images of others, and returns those for which one was found that their
/// captions do not belong to.
fn move_at_random(
    changed: &mut Dataset,
    dataset: &Dataset,
    chosen: &[u32],
    stream: &mut Stream,
) -> Result<Vec<u32>> {
    let links = Links::of(dataset)?;
    let mut done = Vec::with_capacity(chosen.len());
    for &pair in chosen {
        let caption = dataset.pairs[pair as usize].caption;
        // By chance the image may belong to the caption; a few attempts suffice in data worth auditing.
        for _ in 0..64 {
            let other = below(stream, dataset.pairs.len() as u64) as usize;
            let image = dataset.pairs[other].image;
            if !links.joins(image, caption) {
                changed.pairs[pair as usize].image = image;
                done.push(pair);
                break;
            }
        }
    }
    Ok(done)
}

/// Gives the chosen pairs images that look like their own, and returns the pairs for which there was one.
fn move_near(
    changed: &mut Dataset,
    dataset: &Dataset,
    chosen: &[u32],
    stream: &mut Stream,
) -> Result<Vec<u32>> {
    if dataset.images.are_pictures() {
        return Err(Error::argument(
            "near misses are injected by the features of images, but these images are pictures",
            "embed them first (`truepair embed`), or inject random:SHARE",
        ));
    }
    let links = Links::of(dataset)?;
    let mut vectors = dataset.images.pooled()?;
    vectors.normalize();
    let rows = chosen
        .iter()
        .map(|&pair| dataset.pairs[pair as usize].image as usize);
    let queries: Vec<f32> = rows.flat_map(|image| vectors.row(image)).copied().collect();
    let queries = crate::scores::Matrix::new(queries, vectors.dim());
    let found = nearest(&queries, &vectors, NEAREST, |query, image| {
        !links.joins(image as u32, dataset.pairs[chosen[query] as usize].caption)
    });
    let mut done = Vec::with_capacity(chosen.len());
    for (&pair, found) in chosen.iter().zip(found) {
        if !found.is_empty() {
            let host = found[below(stream, found.len() as u64) as usize].0;
            changed.pairs[pair as usize].image = host;
            done.push(pair);
        }
    }
    Ok(done)
}

/// Replaces the texts of the chosen captions with words of others, and their embeddings with random
/// ones of the same length. Returns the pairs that this changed: a caption of several pairs is left
/// alone, because all of them would change.
fn garble(changed: &mut Dataset, chosen: &[u32], stream: &mut Stream) -> Result<Vec<u32>> {
    let mut n_pairs = vec![0u32; changed.n_captions()];
    (changed.pairs.iter()).for_each(|pair| n_pairs[pair.caption as usize] += 1);
    let caption = |pair: u32| changed.pairs[pair as usize].caption as usize;
    let done: Vec<u32> = (chosen.iter().copied())
        .filter(|&pair| n_pairs[caption(pair)] == 1)
        .collect();
    let captions: Vec<usize> = done.iter().map(|&pair| caption(pair)).collect();
    if let Some(texts) = &mut changed.captions {
        let all: Vec<String> = texts.clone();
        for &caption in &captions {
            let n_words = all[caption].split_whitespace().count().max(1);
            let words = (0..n_words).map(|_| {
                let text = &all[below(stream, all.len() as u64) as usize];
                let words: Vec<&str> = text.split_whitespace().collect();
                let at = sample(stream, words.len().max(1), 1)[0] as usize;
                words.get(at).copied().unwrap_or("").to_owned()
            });
            texts[caption] = words.collect::<Vec<String>>().join(" ");
        }
    }
    let Some(named) = &changed.caption_features else {
        return Ok(done);
    };
    let features = &named.features;
    let mut values = vec![0.0; features.len() * features.row_len()];
    for (row, out) in values.chunks_exact_mut(features.row_len()).enumerate() {
        features.copy_row(row, out)?;
    }
    for caption in captions {
        let row = &mut values[caption * features.row_len()..][..features.row_len()];
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x = normal(stream) as f32);
        let drawn = row
            .iter()
            .map(|x| x * x)
            .sum::<f32>()
            .sqrt()
            .max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|x| *x *= length / drawn);
    }
    changed.caption_features = Some(NamedFeatures {
        name: named.name.clone(),
        features: Features::from_regions(values, features.regions(), features.dim()),
    });
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Account;
    use crate::pair::Pair;

    #[test]
    fn injections_are_read_as_written() {
        let read = |text: &str| text.parse::<Injection>();
        assert_eq!(
            read("0.2"),
            Ok(Injection {
                kind: InjectionKind::Random,
                share: 0.2
            })
        );
        assert_eq!(
            read("near:0.1"),
            Ok(Injection {
                kind: InjectionKind::Near,
                share: 0.1
            })
        );
        assert!(read("near").unwrap_err().contains("not a number"));
        assert!(
            read("far:0.1")
                .unwrap_err()
                .contains("random, near, illegible")
        );
        assert!(read("random:1.5").is_err());
    }

    /// Twelve images of one number each, two captions per image, the last two pairs sharing a caption.
    fn dataset() -> Dataset {
        let mut pairs: Vec<Pair> = (0..24)
            .map(|n| Pair {
                image: n / 2,
                caption: n,
            })
            .collect();
        pairs[23].caption = 22;
        Dataset {
            name: "small".to_owned(),
            format: "test",
            split: "train".to_owned(),
            images: Features::from_rows((0..24).map(|n| (n * n) as f32 + 1.0).collect(), 2),
            image_ids: (0..12).map(|n| n.to_string()).collect(),
            image_files: Vec::new(),
            captions: Some((0..24).map(|n| format!("caption number{n}")).collect()),
            caption_features: None,
            pairs,
            labels: None,
            files: Vec::new(),
            account: Account::default(),
        }
    }

    #[test]
    fn what_is_said_to_be_changed_is_changed_and_nothing_else() {
        let given = dataset();
        let all = InjectionKind::ALL.map(|kind| Injection { kind, share: 0.3 });
        for seed in 0..20 {
            let (changed, injected) = inject(&given, &all, Seed(seed)).unwrap();
            let texts = [&given, &changed].map(|data| data.require_captions().unwrap());
            for (n, kind) in injected.iter().enumerate() {
                let (before, after) = (given.pairs[n], changed.pairs[n]);
                let is_moved = before.image != after.image;
                assert_eq!(is_moved, kind.is_some_and(InjectionKind::is_mismatch));
                let caption = before.caption as usize;
                let is_garbled = texts[0][caption] != texts[1][caption];
                assert!(
                    !is_garbled || *kind == Some(InjectionKind::Illegible),
                    "{n}: {kind:?}"
                );
            }
            // Two pairs share this caption.
            assert_eq!(texts[0][22], texts[1][22]);
        }
        let whole = [Injection {
            kind: InjectionKind::Near,
            share: 0.99,
        }; 2];
        assert!(inject(&given, &whole, Seed(0)).is_err());
    }
}

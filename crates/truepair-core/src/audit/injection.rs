//! Mismatches and poor captions put into data to see whether an audit finds them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Links;
use super::nearby::nearest;
use crate::dataset::{Dataset, Features, NamedFeatures};
use crate::error::{Error, Result};
use crate::rng::{Seed, Stream, below, normal, sample, shuffle};

/// A near miss takes one of so many images nearest to its own.
const NEAREST: usize = 10;

/// What is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InjectionKind {
    /// Captions exchanged at random: mismatched pairs.
    Random,
    /// Captions moved to an image that looks like their own: near misses, also mismatched.
    Near,
    /// Captions replaced by what no matcher can read, words or numbers by chance. Whether such a pair
    /// is mismatched cannot be told, so none should be called so.
    Illegible,
}

impl InjectionKind {
    /// All of them.
    pub const ALL: [InjectionKind; 3] = [
        InjectionKind::Random,
        InjectionKind::Near,
        InjectionKind::Illegible,
    ];

    /// As a user writes it.
    pub const fn name(self) -> &'static str {
        match self {
            InjectionKind::Random => "random",
            InjectionKind::Near => "near",
            InjectionKind::Illegible => "illegible",
        }
    }

    /// Whether pairs of this kind are mismatched.
    pub const fn is_mismatch(self) -> bool {
        !matches!(self, InjectionKind::Illegible)
    }
}

/// A share of the pairs to change in one way.
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
                format!("there is no kind `{kind}`; there are {names}, as in near:0.1")
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

/// The data with these shares of its pairs changed, no pair twice, and what became of each pair.
///
/// # Errors
/// If the shares leave no pair as it is, near misses are asked for and images are pictures, or features
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
            format!("shares of {total} in all would leave no pair as it is"),
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
        match injection.kind {
            InjectionKind::Random => exchange(&mut changed, dataset, chosen, stream)?,
            InjectionKind::Near => move_near(&mut changed, dataset, chosen, stream)?,
            InjectionKind::Illegible => garble(&mut changed, chosen, stream)?,
        }
        chosen
            .iter()
            .for_each(|&pair| injected[pair as usize] = Some(injection.kind));
        start = end;
    }
    Ok((changed, injected))
}

/// Gives every chosen pair the image of another one.
fn exchange(
    changed: &mut Dataset,
    dataset: &Dataset,
    chosen: &[u32],
    stream: &mut Stream,
) -> Result<()> {
    let links = Links::of(dataset)?;
    for &pair in chosen {
        let caption = dataset.pairs[pair as usize].caption;
        // By chance the image may belong to the caption; a few attempts suffice in data worth auditing.
        for _ in 0..64 {
            let other = below(stream, dataset.pairs.len() as u64) as usize;
            let image = dataset.pairs[other].image;
            if !links.joins(image, caption) {
                changed.pairs[pair as usize].image = image;
                break;
            }
        }
    }
    Ok(())
}

fn move_near(
    changed: &mut Dataset,
    dataset: &Dataset,
    chosen: &[u32],
    stream: &mut Stream,
) -> Result<()> {
    if dataset.images.are_pictures() {
        return Err(Error::argument(
            "near misses are injected by images' features, and the images are pictures",
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
    for (&pair, found) in chosen.iter().zip(found) {
        if !found.is_empty() {
            let host = found[below(stream, found.len() as u64) as usize].0;
            changed.pairs[pair as usize].image = host;
        }
    }
    Ok(())
}

/// Replaces the chosen captions' texts by words of others, and their embeddings by random ones as long.
fn garble(changed: &mut Dataset, chosen: &[u32], stream: &mut Stream) -> Result<()> {
    let captions: Vec<usize> = chosen
        .iter()
        .map(|&pair| changed.pairs[pair as usize].caption as usize)
        .collect();
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
        return Ok(());
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

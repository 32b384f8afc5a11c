//! Items that stand in two splits: what is measured on them was seen in training.
//!
//! Equal items are found by hashes in linear time. Look-alikes are found by inner products of a bounded
//! sample, whose size is said.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;

use super::{Diagnose, Diagnosis, Subject, counted, grouped, named};
use crate::audit::normalize;
use crate::dataset::{Features, Picture};
use crate::error::Result;
use crate::linear::{Pooling, SideVectors};
use crate::rng::{Seed, sample};
use crate::scores::{Matrix, multiply_transposed};

/// Cosine of two images' features, less the mean of all, from which they look alike.
const ALIKE: f32 = 0.98;

/// Images of the split that are compared with others by their cosine, and multiplications for it.
const COMPARED: usize = 1_000;
const PRODUCTS: usize = 1 << 34;

/// Pictures of a split whose bytes are compared.
const PICTURES: usize = 20_000;

/// Captions in common that speak for themselves, where no image is the same: that many and that share.
const TEXTS: usize = 20;
const TEXT_SHARE: f64 = 0.2;

/// Items of the split that stand in another one too.
pub(super) struct SharedItems;

impl Diagnose for SharedItems {
    fn name(&self) -> &'static str {
        "shared-items"
    }

    fn summary(&self) -> &'static str {
        "Images of one split that stand in another: features equal to the bit or pictures of equal bytes, \
         features that look alike; captions that stand there word for word."
    }

    fn threshold(&self) -> &'static str {
        "one equal image; a cosine of at least 0.98 between features less their mean, for 1,000 images at \
         most; 20 % of the captions and at least 20"
    }

    fn look(&self, subject: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let mut found = Vec::new();
        for other in &subject.beside {
            found.extend(self.between(subject, other)?);
        }
        Ok(found)
    }
}

impl SharedItems {
    fn between(&self, subject: &Subject<'_>, other: &Subject<'_>) -> Result<Vec<Diagnosis>> {
        let equal = Equal::images(subject, other)?;
        let texts = shared_texts(subject, other);
        let alike = alike(subject, other, &equal.of_image)?;
        let found = [
            equal.diagnosis(self.name(), subject, other),
            alike.and_then(|alike| alike.diagnosis(self.name(), subject, other)),
            texts_alone(self.name(), [subject, other], &equal.of_image, &texts),
        ];
        Ok(found.into_iter().flatten().collect())
    }
}

fn help(other: &Subject<'_>) -> String {
    format!(
        "leave them out of one of the two: what is measured on items that stand in {} is not held out",
        other.dataset.split
    )
}

/// Images of a split that are equal to one of another.
struct Equal {
    /// Per image the equal one of the other split.
    of_image: HashMap<u32, u32>,
    /// Pictures that were looked at, where not all were.
    limited_to: Option<usize>,
}

impl Equal {
    fn images(subject: &Subject<'_>, other: &Subject<'_>) -> Result<Self> {
        let [own, others] = [subject, other].map(|split| &split.dataset.images);
        if own.are_pictures() && others.are_pictures() {
            return Ok(Self::pictures(own, others));
        }
        let same_kind = own.row_len() == others.row_len() && !own.are_pictures();
        if !same_kind || others.are_pictures() {
            return Ok(Self::none());
        }
        let known = first_of(other.images.hashes());
        let of_image = (subject.images.hashes().iter().zip(0..))
            .filter(|(_, image)| subject.image_tells(*image))
            .filter_map(|(hash, image)| Some((image, *known.get(hash)?)))
            .collect();
        Ok(Self {
            of_image,
            limited_to: None,
        })
    }

    fn none() -> Self {
        Self {
            of_image: HashMap::new(),
            limited_to: None,
        }
    }

    /// Pictures are read only where the other split has one of as many bytes.
    fn pictures(own: &Features, others: &Features) -> Self {
        let [of_own, of_others] = [own, others].map(|side| {
            let pictures = (0..side.len().min(PICTURES)).filter_map(|row| side.picture(row));
            pictures.collect::<Vec<&Picture>>()
        });
        let [own_sizes, other_sizes] = [&of_own, &of_others].map(|side| -> HashSet<Option<u64>> {
            side.iter().map(|picture| picture.n_bytes()).collect()
        });
        let known: Vec<Option<u64>> = of_others
            .par_iter()
            .map(|picture| bytes_hash(picture, &own_sizes))
            .collect();
        let mut first: HashMap<u64, u32> = HashMap::new();
        for (hash, image) in known.into_iter().zip(0..) {
            hash.map(|hash| first.entry(hash).or_insert(image));
        }
        let hashes: Vec<Option<u64>> = of_own
            .par_iter()
            .map(|picture| bytes_hash(picture, &other_sizes))
            .collect();
        let of_image = (hashes.into_iter().zip(0..))
            .filter_map(|(hash, image)| Some((image, *first.get(&hash?)?)))
            .collect();
        Self {
            of_image,
            limited_to: (own.len().max(others.len()) > PICTURES).then_some(PICTURES),
        }
    }

    fn diagnosis(
        &self,
        name: &'static str,
        subject: &Subject<'_>,
        other: &Subject<'_>,
    ) -> Option<Diagnosis> {
        if self.of_image.is_empty() {
            return None;
        }
        let mut images: Vec<u32> = self.of_image.keys().copied().collect();
        images.sort_unstable();
        let ids = &subject.dataset.image_ids;
        let (names, more) = named(images.iter().map(|&image| ids[image as usize].clone()));
        let with_caption = self.with_caption(subject, other);
        let beside = match with_caption {
            0 => String::new(),
            n => format!(", {} of them with the same caption", grouped(n)),
        };
        let looked = self.limited_to.map_or_else(String::new, |n| {
            format!(" (looked at the first {} pictures of each)", grouped(n))
        });
        let found = format!(
            "{} of {} images of {} {} in {} too, to the bit ({}{more}){beside}{looked}",
            grouped(images.len()),
            grouped(ids.len()),
            subject.dataset.split,
            if images.len() == 1 { "stands" } else { "stand" },
            other.dataset.split,
            names.join(", ")
        );
        Some(Diagnosis {
            names,
            ..Diagnosis::new(name, images.len(), found, help(other))
        })
    }

    /// Images of the split that stand in the other with a caption of the same text, or vector.
    fn with_caption(&self, subject: &Subject<'_>, other: &Subject<'_>) -> usize {
        let keys = [subject, other].map(caption_keys);
        let known: HashSet<(u32, u64)> = (other.dataset.pairs.iter())
            .filter_map(|pair| Some((pair.image, *keys[1].get(pair.caption as usize)?)))
            .collect();
        let is_known = |image: u32, caption: u32| {
            let key = keys[0].get(caption as usize)?;
            Some(known.contains(&(*self.of_image.get(&image)?, *key)))
        };
        let images: HashSet<u32> = (subject.dataset.pairs.iter())
            .filter(|pair| is_known(pair.image, pair.caption) == Some(true))
            .map(|pair| pair.image)
            .collect();
        images.len()
    }
}

/// Per caption a hash of its normalized text, or of its vector where there is no text.
fn caption_keys(subject: &Subject<'_>) -> Vec<u64> {
    match &subject.dataset.captions {
        Some(texts) => texts.iter().map(|text| hash_of(&normalize(text))).collect(),
        None => subject.captions.hashes().to_vec(),
    }
}

fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hash = DefaultHasher::new();
    value.hash(&mut hash);
    hash.finish()
}

fn first_of(hashes: &[u64]) -> HashMap<u64, u32> {
    let mut first = HashMap::with_capacity(hashes.len());
    for (&hash, place) in hashes.iter().zip(0..) {
        first.entry(hash).or_insert(place);
    }
    first
}

/// `None` where no picture on the other side can be equal, or this one cannot be read.
fn bytes_hash(picture: &Picture, sizes: &HashSet<Option<u64>>) -> Option<u64> {
    let size = picture.n_bytes();
    if size.is_some() && !sizes.contains(&size) && !sizes.contains(&None) {
        return None;
    }
    Some(hash_of(&picture.read().ok()?))
}

/// Captions of the split that stand in the other one word for word.
fn shared_texts(subject: &Subject<'_>, other: &Subject<'_>) -> Vec<u32> {
    let [Some(own), Some(others)] = [subject, other].map(|split| split.dataset.captions.as_ref())
    else {
        return Vec::new();
    };
    let known: HashSet<u64> = (others.iter().map(|text| hash_of(&normalize(text)))).collect();
    let is_known = |text: &String| known.contains(&hash_of(&normalize(text)));
    let numbered = own.iter().zip(0..);
    numbered
        .filter(|(text, _)| is_known(text))
        .map(|(_, n)| n)
        .collect()
}

/// Many captions in common where hardly an image is: the images were embedded anew.
fn texts_alone(
    name: &'static str,
    [subject, other]: [&Subject<'_>; 2],
    equal: &HashMap<u32, u32>,
    texts: &[u32],
) -> Option<Diagnosis> {
    let n_captions = subject.dataset.n_captions();
    let few = texts.len() < TEXTS || (texts.len() as f64) < TEXT_SHARE * n_captions as f64;
    if few || !equal.is_empty() {
        return None;
    }
    let (names, more) = named(texts.iter());
    let found = format!(
        "{} of {} captions of {} stand in {} too, word for word (captions {}{more})",
        grouped(texts.len()),
        grouped(n_captions),
        subject.dataset.split,
        other.dataset.split,
        names.join(", ")
    );
    let help = "if their images are the same too, leave them out of one of the two splits";
    Some(Diagnosis {
        names,
        ..Diagnosis::new(name, texts.len(), found, help)
    })
}

/// Images of a split that look like one of another, not counting equal ones.
struct Alike {
    images: Vec<u32>,
    /// How many were compared, with how many.
    compared: [usize; 2],
}

impl Alike {
    fn diagnosis(
        &self,
        name: &'static str,
        subject: &Subject<'_>,
        other: &Subject<'_>,
    ) -> Option<Diagnosis> {
        if self.images.is_empty() {
            return None;
        }
        let ids = &subject.dataset.image_ids;
        let (names, more) = named(self.images.iter().map(|&image| ids[image as usize].clone()));
        let found = format!(
            "{} of {} of {} look like one of {} of {} ({}{more}): their features' cosine, less the mean, \
             is {ALIKE} or more",
            grouped(self.images.len()),
            counted(self.compared[0], "image"),
            subject.dataset.split,
            grouped(self.compared[1]),
            other.dataset.split,
            names.join(", ")
        );
        Some(Diagnosis {
            names,
            ..Diagnosis::new(name, self.images.len(), found, help(other))
        })
    }
}

/// Compares a sample of the split's images with as many of the other's as there is time for.
fn alike(
    subject: &Subject<'_>,
    other: &Subject<'_>,
    equal: &HashMap<u32, u32>,
) -> Result<Option<Alike>> {
    let [own, others] = [subject, other].map(|split| &split.dataset.images);
    let comparable = !own.are_pictures() && own.row_len() == others.row_len();
    if !comparable || own.is_empty() || others.is_empty() {
        return Ok(None);
    }
    let sides = [own, others].map(|side| SideVectors::new(side, Pooling::Mean));
    let [Ok(own), Ok(others)] = sides else {
        return Ok(None);
    };
    let n_own = own.len().min(COMPARED);
    let n_others = others.len().min(PRODUCTS / (n_own * own.dim()));
    let mut own_rows = drawn(own.len(), n_own, subject.seed.child("alike", 0));
    own_rows.retain(|&image| subject.image_tells(image) && !equal.contains_key(&image));
    let mut other_rows = drawn(others.len(), n_others, subject.seed.child("alike", 1));
    other_rows.retain(|&image| other.image_tells(image));
    if own_rows.is_empty() || other_rows.is_empty() {
        return Ok(None);
    }
    let (queries, gallery) = centered(own.gather(&own_rows)?, others.gather(&other_rows)?);
    let best = best_cosines(&queries, &gallery);
    let alike = own_rows.iter().zip(best).filter(|(_, best)| *best >= ALIKE);
    Ok(Some(Alike {
        images: alike.map(|(image, _)| *image).collect(),
        compared: [own_rows.len(), other_rows.len()],
    }))
}

fn drawn(n: usize, k: usize, seed: Seed) -> Vec<u32> {
    let mut rows = sample(&mut seed.stream("rows", &[]), n, k);
    rows.sort_unstable();
    rows
}

/// Both sides less the mean of the gallery, scaled to length 1 again.
fn centered(queries: Matrix, gallery: Matrix) -> (Matrix, Matrix) {
    let (dim, n) = (gallery.dim(), gallery.len() as f64);
    let mut mean = vec![0.0f64; dim];
    for row in gallery.values().chunks_exact(dim) {
        (mean.iter_mut().zip(row)).for_each(|(sum, x)| *sum += f64::from(*x) / n);
    }
    let less_mean = |side: Matrix| {
        let mut values = side.into_values();
        for row in values.chunks_exact_mut(dim) {
            (row.iter_mut().zip(&mean)).for_each(|(x, mean)| *x -= *mean as f32);
        }
        let mut side = Matrix::new(values, dim);
        side.normalize();
        side
    };
    (less_mean(queries), less_mean(gallery))
}

/// Per query its largest cosine with the gallery.
fn best_cosines(queries: &Matrix, gallery: &Matrix) -> Vec<f32> {
    const ROWS: usize = 64;
    let dim = queries.dim();
    let mut best = Vec::with_capacity(queries.len());
    let mut tile = vec![0.0; ROWS * gallery.len()];
    for rows in queries.values().chunks(ROWS * dim) {
        let tile = &mut tile[..rows.len() / dim * gallery.len()];
        multiply_transposed(rows, gallery.values(), dim, tile);
        let largest = |row: &[f32]| row.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        best.extend(tile.chunks_exact(gallery.len()).map(largest));
    }
    best
}

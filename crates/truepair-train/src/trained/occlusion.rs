//! Items of which a share is erased, encoded again: what a Gaussian matcher makes of seeing less.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use truepair_core::dataset::{Dataset, Features};
use truepair_core::rng::{Seed, Stream, shuffle, unit};
use truepair_core::watch::Watch;

use super::Trained;
use crate::error::Result;
use truepair_model::backbone::Backbone;
use truepair_model::encode::plain;
use truepair_model::encoding::Input;
use truepair_model::layer::Mode;
use truepair_model::matcher::Matcher;
use truepair_model::numbers::floats;
use truepair_model::reader::{Reader, check_widths};
use truepair_model::similarity::ItemSide;

/// What is erased of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// A square of a picture, set to the mean color.
    Pixels,
    /// Regions, which are then missing.
    Regions,
    /// Words, which are left out; the marks of the start and the end stay.
    Words,
}

impl Erased {
    /// What is erased of the items of a side.
    ///
    /// # Errors
    /// Why nothing can be, in one sentence.
    pub fn of(trained: &Trained, dataset: &Dataset, side: ItemSide) -> Result<Self, String> {
        let features = match side {
            ItemSide::Image => &dataset.images,
            ItemSide::Caption
                if trained
                    .texts
                    .as_ref()
                    .is_some_and(|t| t.vocabulary().is_some()) =>
            {
                return Ok(Erased::Words);
            }
            ItemSide::Caption => match &dataset.caption_features {
                Some(named) => &named.features,
                None => {
                    return Err("the matcher reads caption embeddings, and there are none".into());
                }
            },
        };
        of_features(features, side)
    }
}

fn of_features(features: &Features, side: ItemSide) -> Result<Erased, String> {
    if features.are_pictures() {
        return Ok(Erased::Pixels);
    }
    if features.regions() > 1 {
        return Ok(Erased::Regions);
    }
    let (items, parts) = match side {
        ItemSide::Image => ("images", "regions or pixels"),
        ItemSide::Caption => ("captions", "words"),
    };
    Err(format!(
        "{items} are one embedding each, of which no part can be erased (use data with {parts})"
    ))
}

impl Trained {
    /// How uncertain every item of a side is with `share` of it erased, [0, 1), mean over peers; as
    /// [`uncertainty`](Self::uncertainty) where the share is 0.
    ///
    /// What is erased of an item is drawn once: a larger share erases what a smaller one does, and
    /// more. The number of regions or words is rounded, and so is the side of the square.
    ///
    /// # Errors
    /// If the data set lacks what the backbone reads, or a feature has another width.
    ///
    /// # Panics
    /// If the share is not in [0, 1], items are no Gaussians, or `erased` is not what
    /// [`Erased::of`] gives.
    pub fn occluded(
        &self,
        dataset: &Dataset,
        (side, erased): (ItemSide, Erased),
        share: f64,
        seed: Seed,
        watch: &mut dyn Watch,
    ) -> Result<Vec<f32>> {
        assert!((0.0..=1.0).contains(&share), "a share of {share}");
        check_widths(dataset, self.inputs, self.texts.as_ref())?;
        let max_tokens = self.config.training.max_tokens;
        let reader = Reader::new(dataset, self.texts.as_ref(), max_tokens, &self.device)?;
        let n = match side {
            ItemSide::Image => reader.images.len(),
            ItemSide::Caption => reader.captions.len(),
        };
        let rows: Vec<u32> = (0..n as u32).collect();
        let peers: Vec<Matcher> = self.peers.iter().map(Module::valid).collect();
        let mut found = Vec::with_capacity(n);
        for rows in rows.chunks(reader.images.shard()) {
            let input = match side {
                ItemSide::Image => reader.images.read(rows)?,
                ItemSide::Caption => reader.captions.read(rows)?,
            };
            let eraser = Eraser { share, seed, rows };
            let input = eraser.erase(plain(input), erased);
            found.extend(mean_uncertainty(&peers, side, &input));
            watch.advance("encode with parts erased", found.len() as u64, n as u64);
        }
        Ok(found)
    }
}

/// Uncertainty of a batch's items, mean over peers.
fn mean_uncertainty(peers: &[Matcher], side: ItemSide, input: &Input) -> Vec<f32> {
    let backbone = |peer: &Matcher| -> Backbone {
        match side {
            ItemSide::Image => peer.image.clone(),
            ItemSide::Caption => peer.caption.clone(),
        }
    };
    let share = 1.0 / peers.len() as f32;
    let mut sum: Vec<f32> = Vec::new();
    for peer in peers {
        let encoded = backbone(peer).encode(input, &mut Mode::Evaluate);
        let uncertainty = encoded.uncertainty().expect("items of a Gaussian backbone");
        let own = floats(uncertainty);
        sum.resize(own.len(), 0.0);
        (sum.iter_mut().zip(own)).for_each(|(sum, own)| *sum += share * own);
    }
    sum
}

/// Erases a share of the items of these rows.
struct Eraser<'a> {
    share: f64,
    seed: Seed,
    rows: &'a [u32],
}

impl Eraser<'_> {
    fn erase(&self, input: Input, erased: Erased) -> Input {
        match (input, erased) {
            (Input::Features { values, .. }, Erased::Pixels) => self.squares(values),
            (Input::Features { values, mask }, Erased::Regions) => self.regions(values, mask),
            (Input::Tokens { ids, mask }, Erased::Words) => self.words(&ids, mask),
            (_, erased) => panic!("{erased:?} of items that have none"),
        }
    }

    /// The stream that says what is erased of an item.
    fn stream(&self, at: usize) -> Stream {
        self.seed.stream("occlusion", &[u64::from(self.rows[at])])
    }

    /// Which of an item's `n` parts stay.
    fn kept(&self, at: usize, n: usize) -> Vec<bool> {
        let mut order: Vec<usize> = (0..n).collect();
        shuffle(&mut self.stream(at), &mut order);
        let mut kept = vec![true; n];
        let n_erased = (self.share * n as f64).round() as usize;
        order[..n_erased]
            .iter()
            .for_each(|&part| kept[part] = false);
        kept
    }

    /// Planes `[n, planes, side²]` with a square at a place that its growth does not leave.
    fn squares(&self, values: Tensor<3>) -> Input {
        let ([n, planes, area], device) = (values.dims(), values.device());
        let side = area.isqrt();
        let square = (self.share.sqrt() * side as f64).round() as usize;
        let mut pixels = floats(values);
        for (at, item) in pixels.chunks_exact_mut(planes * area).enumerate() {
            let rng = &mut self.stream(at);
            let mut first = || (unit(rng) * (side - square) as f64).round() as usize;
            let (top, left) = (first(), first());
            for plane in item.chunks_exact_mut(area) {
                let lines = plane.chunks_exact_mut(side).skip(top).take(square);
                lines.for_each(|line| line[left..left + square].fill(0.0));
            }
        }
        Input::Features {
            values: Tensor::from_data(TensorData::new(pixels, [n, planes, area]), &device),
            mask: None,
        }
    }

    fn regions(&self, values: Tensor<3>, mask: Option<Tensor<2>>) -> Input {
        let ([n, r, _], device) = (values.dims(), values.device());
        let mut present = mask.map_or_else(|| vec![1.0; n * r], floats);
        for (at, present) in present.chunks_exact_mut(r).enumerate() {
            let places: Vec<usize> = (0..r).filter(|&place| present[place] > 0.0).collect();
            let kept = self.kept(at, places.len());
            for (place, kept) in places.into_iter().zip(kept) {
                present[place] = f32::from(kept);
            }
        }
        let mask = matrix(present, [n, r], &device);
        Input::Features {
            values: values * mask.clone().unsqueeze_dim(2),
            mask: Some(mask),
        }
    }

    fn words(&self, ids: &Tensor<2, Int>, mask: Tensor<2>) -> Input {
        let ([n, t], device) = (mask.dims(), mask.device());
        let ids: Vec<i64> = ids.to_data().iter::<i64>().collect();
        let valid = floats(mask);
        let left: Vec<Vec<i64>> = (0..n)
            .map(|at| {
                let length = valid[at * t..][..t].iter().filter(|x| **x > 0.0).count();
                let tokens = &ids[at * t..][..length];
                let n_words = length.saturating_sub(2);
                let kept = self.kept(at, n_words);
                let stays = |place: usize| !(1..=n_words).contains(&place) || kept[place - 1];
                let left = tokens.iter().enumerate().filter(|(place, _)| stays(*place));
                left.map(|(_, &id)| id).collect()
            })
            .collect();
        let longest = left.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut ids = vec![0i64; n * longest];
        let mut mask = vec![0f32; n * longest];
        for (at, tokens) in left.iter().enumerate() {
            ids[at * longest..][..tokens.len()].copy_from_slice(tokens);
            mask[at * longest..][..tokens.len()].fill(1.0);
        }
        Input::Tokens {
            ids: Tensor::from_data(TensorData::new(ids, [n, longest]), &device),
            mask: matrix(mask, [n, longest], &device),
        }
    }
}

fn matrix(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eraser(share: f64) -> Eraser<'static> {
        Eraser {
            share,
            seed: Seed(7),
            rows: &[4, 9],
        }
    }

    fn values(input: &Input) -> (Vec<f32>, Option<Vec<f32>>) {
        match input {
            Input::Features { values, mask } => (floats(values.clone()), mask.clone().map(floats)),
            Input::Tokens { .. } => panic!("features"),
        }
    }

    #[test]
    fn erased_regions_are_missing_and_larger_shares_erase_more_of_them() {
        // The second item has three regions in four places.
        let given = || Input::Features {
            values: Tensor::ones([2, 4, 3], &Device::flex()),
            mask: Some(matrix(
                vec![1., 1., 1., 1., 1., 0., 1., 1.],
                [2, 4],
                &Device::flex(),
            )),
        };
        let mut before: Option<Vec<f32>> = None;
        for (share, left) in [
            (0.0, [4., 3.]),
            (0.3, [3., 2.]),
            (0.5, [2., 1.]),
            (1.0, [0., 0.]),
        ] {
            let (found, mask) = values(&eraser(share).erase(given(), Erased::Regions));
            let mask = mask.unwrap();
            let counts: Vec<f32> = mask.chunks(4).map(|row| row.iter().sum()).collect();
            assert_eq!(counts, left, "{share}");
            for (row, present) in found.chunks(3).zip(&mask) {
                assert!(row.iter().all(|x| x == present));
            }
            let nested = before
                .iter()
                .flatten()
                .zip(&mask)
                .all(|(old, new)| new <= old);
            assert!(nested, "{share}: {mask:?} after {before:?}");
            before = Some(mask);
        }
    }

    #[test]
    fn a_square_of_the_share_is_erased_from_all_planes() {
        let given = || Input::Features {
            values: Tensor::ones([2, 3, 100], &Device::flex()),
            mask: None,
        };
        let mut before = vec![1.0; 600];
        for (share, erased) in [(0.0, 0), (0.16, 16), (0.49, 49), (0.9, 81), (1.0, 100)] {
            let (found, mask) = values(&eraser(share).erase(given(), Erased::Pixels));
            assert!(mask.is_none());
            for plane in found.chunks(100) {
                assert_eq!(
                    plane.iter().filter(|x| **x == 0.0).count(),
                    erased,
                    "{share}"
                );
            }
            assert_eq!(found[..100], found[200..300], "planes of an item");
            assert!(found.iter().zip(&before).all(|(new, old)| new <= old));
            before = found;
        }
        let (found, _) = values(&eraser(0.16).erase(given(), Erased::Pixels));
        assert_ne!(
            found[..100],
            found[300..400],
            "items have squares of their own"
        );
    }

    #[test]
    fn words_leave_in_their_order_and_the_marks_stay() {
        let ids: Vec<i64> = vec![1, 5, 6, 7, 8, 2, 1, 9, 2, 0, 0, 0];
        let mask: Vec<f32> = ids.iter().map(|&id| f32::from(id != 0)).collect();
        let device = Device::flex();
        let left = |share: f64| -> Vec<Vec<i64>> {
            let input = Input::Tokens {
                ids: Tensor::from_data(TensorData::new(ids.clone(), [2, 6]), &device),
                mask: matrix(mask.clone(), [2, 6], &device),
            };
            let Input::Tokens { ids, mask } = eraser(share).erase(input, Erased::Words) else {
                panic!("tokens")
            };
            let t = mask.dims()[1];
            let (ids, mask): (Vec<i64>, _) = (ids.to_data().iter().collect(), floats(mask));
            let rows = ids.chunks(t).zip(mask.chunks(t));
            rows.map(|(ids, mask)| {
                let valid = ids.iter().zip(mask).filter(|(_, valid)| **valid > 0.0);
                valid.map(|(&id, _)| id).collect()
            })
            .collect()
        };
        assert_eq!(left(0.0), [vec![1, 5, 6, 7, 8, 2], vec![1, 9, 2]]);
        let half = left(0.5);
        assert_eq!((half[0].len(), half[1].len()), (4, 2));
        assert!(half[0].is_sorted_by_key(|&id| if id == 2 { 99 } else { id }));
        assert!(
            left(0.25)[0]
                .iter()
                .filter(|id| !half[0].contains(id))
                .count()
                == 1
        );
        assert_eq!(left(1.0), [vec![1, 2], vec![1, 2]]);
    }
}

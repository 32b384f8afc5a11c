//! The fitted maps, and how they score.

use rayon::prelude::*;

use super::canonical::{Directions, Rotated, scales};
use super::choice::{HeldOut, PARTS, choose, models, parts};
use super::moments::{Moments, Shift, Weighted};
use super::{Chosen, LinearConfig, SideVectors};
use crate::error::Result;
use crate::pair::Pair;
use crate::rng::Seed;
use crate::scores::{InnerProduct, Matrix};
use crate::watch::Watch;
use truepair_kernel::product::{Threads, View};

/// Rows that are projected at a time.
const SHARD: usize = 4096;

/// The map of one modality: vectors of length 1 in, vectors of length 1 out.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Mean of the training vectors `[d]`.
    pub shift: Vec<f32>,
    /// `[d, width]`, row-major.
    pub map: Vec<f32>,
    /// The variance that the canonical correlations leave open along every direction, `[width]`; see
    /// [`LinearMatcher`].
    pub variance: Vec<f32>,
    /// Root mean square length of the training pairs' vectors under `map`.
    pub length: f32,
}

/// Ridge-regularized canonical correlation as a matcher.
///
/// ```text
/// (Cxx + λx I)^-½ Cxy (Cyy + λy I)^-½ = U diag(ρ) Vᵀ,   λ = ridge · tr C / d
/// e(x) = diag(ρ^p) Uᵀ (Cxx + λx I)^-½ (x − x̄),   the same for y with V
/// S(x, y) = cos(e(x), e(y))
/// ```
/// over the `width` most correlated directions. `x` and `y` are pooled over regions and scaled to
/// length 1 first. Pairs may carry weights, in the means and in every covariance.
///
/// Under the probabilistic reading of canonical correlation an item's place in the joint space is
/// Gaussian: with `u = Uᵀ (Cxx + λx I)^-½ (x − x̄)` its mean is `√ρ u` and its variance `1 − ρ`. An
/// item is uncertain where `e(x)` is short compared with that: the map says little about it.
///
/// ```
/// use truepair_core::dataset::Features;
/// use truepair_core::linear::{LinearConfig, LinearMatcher, Pooling, SideVectors};
/// use truepair_core::pair::Pair;
/// use truepair_core::rng::{Seed, normal};
/// use truepair_core::scores::Scorer;
///
/// // Captions are images turned by a quarter: two spaces, one structure.
/// let stream = &mut Seed(1).stream("toy", &[]);
/// let images: Vec<f32> = (0..300 * 4).map(|_| normal(stream) as f32).collect();
/// let turned = images.chunks(2).flat_map(|xy| [-xy[1], xy[0]]).collect();
/// let (images, captions) = (Features::from_rows(images, 4), Features::from_rows(turned, 4));
/// let sides = [SideVectors::new(&images, Pooling::Mean)?, SideVectors::new(&captions, Pooling::Mean)?];
/// let pairs: Vec<Pair> = (0..200).map(|n| Pair { image: n, caption: n }).collect();
///
/// let config = LinearConfig { ridge: vec![0.1], width: vec![4], power: vec![1.0] };
/// let matcher = LinearMatcher::fit(sides, &pairs, None, &config, Seed(0), &mut ())?;
/// // Pairs that it never saw.
/// let rows: Vec<u32> = (200..300).collect();
/// let scorer = matcher.scorer(sides, &rows, &rows)?;
/// let mut row = vec![0.0; 100];
/// scorer.tile(&[7], &(0..100).collect::<Vec<u32>>(), &mut row)?;
/// assert!(row.iter().enumerate().all(|(caption, score)| caption == 7 || *score < row[7]));
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Source
/// Hotelling, 1936; ridges: Vinod, 1976; powers of the correlations as scales for retrieval: Gong et
/// al., IJCV 2014, section 3.2; as a latent Gaussian: Bach and Jordan, 2005.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearMatcher {
    /// The map of images.
    pub image: Projection,
    /// The map of captions.
    pub caption: Projection,
    /// The settings that were taken.
    pub chosen: Chosen,
}

impl LinearMatcher {
    /// Fits to `pairs`, each weighted, with settings chosen by held-out ranks: the images are cut into
    /// parts, and every part is ranked by maps that are fitted to the others.
    ///
    /// Memory use is that of the covariances and does not grow with the number of pairs.
    ///
    /// # Errors
    /// If a setting is out of range, a row cannot be read or no pair has a weight above 0.
    ///
    /// # Panics
    /// If there is not one weight per pair.
    pub fn fit(
        [images, captions]: [SideVectors<'_>; 2],
        pairs: &[Pair],
        weights: Option<&[f32]>,
        config: &LinearConfig,
        seed: Seed,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        config.check()?;
        assert!(weights.is_none_or(|weights| weights.len() == pairs.len()));
        let data = Weighted {
            images,
            captions,
            pairs,
            weights,
        };
        let shift = data.shift()?;
        let n_parts = if config.is_open() { PARTS } else { 1 };
        let parts = parts(pairs, images.len(), n_parts, seed);
        let moments = data.moments(&shift, &parts, n_parts, watch)?;
        let chosen = if config.is_open() {
            let held_out = HeldOut::of_parts(&data, &parts, n_parts, seed)?;
            let among: Vec<usize> = (0..n_parts).collect();
            let models = models(&moments, &shift, &held_out, &among, 0)?;
            choose(&models, 1, config)?[0]
        } else {
            config.grid()[0]
        };
        let all = Moments::sum(moments.iter(), &shift);
        Self::solve(&all, &shift, chosen)
    }

    /// The maps of these moments under chosen settings.
    ///
    /// # Errors
    /// If there is no pair, or a number is not finite.
    pub(super) fn solve(moments: &Moments, shift: &Shift, chosen: Chosen) -> Result<Self> {
        let rotated = Rotated::new(moments, shift)?;
        let directions = rotated.directions(chosen.ridge, chosen.width)?;
        Ok(Self::of(&directions, chosen))
    }

    fn of(directions: &Directions, chosen: Chosen) -> Self {
        let scales = scales(&directions.correlations, chosen);
        let projection = |mean: &[f64], map: &[f64], spread: &[f64]| {
            let k = directions.correlations.len();
            let rows = map.chunks_exact(k.max(1));
            let scaled = rows.flat_map(|row| row.iter().zip(&scales).map(|(x, scale)| x * scale));
            // √ρ u has variance 1 − ρ; ρ^p u that many times ρ^(2p − 1).
            let variance = (scales.iter().zip(&directions.correlations))
                .map(|(scale, rho)| scale * scale / rho.max(1e-12) * (1.0 - rho));
            let squares = scales
                .iter()
                .zip(spread)
                .map(|(scale, spread)| scale * scale * spread);
            Projection {
                length: squares.sum::<f64>().sqrt() as f32,
                shift: mean.iter().map(|x| *x as f32).collect(),
                map: scaled.map(|x| x as f32).collect(),
                variance: variance.map(|x| x as f32).collect(),
            }
        };
        Self {
            image: projection(&directions.mean_x, &directions.x, &directions.spread_x),
            caption: projection(&directions.mean_y, &directions.y, &directions.spread_y),
            chosen: Chosen {
                width: scales.len(),
                ..chosen
            },
        }
    }

    /// Scores these images against these captions, by their places in the lists.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn scorer(
        &self,
        [images, captions]: [SideVectors<'_>; 2],
        image_rows: &[u32],
        caption_rows: &[u32],
    ) -> Result<InnerProduct> {
        InnerProduct::new(
            self.image.embed(&images, image_rows)?,
            self.caption.embed(&captions, caption_rows)?,
        )
    }
}

impl Projection {
    /// Number of directions.
    pub fn width(&self) -> usize {
        self.variance.len()
    }

    /// The embeddings of `rows`, `[rows, width]`, each of length 1; zeros where the vector equals the mean.
    ///
    /// # Errors
    /// If a row cannot be read.
    ///
    /// # Panics
    /// If the vectors do not have the width that the map was fitted to.
    pub fn embed(&self, side: &SideVectors<'_>, rows: &[u32]) -> Result<Matrix> {
        let width = self.width();
        let mut out = vec![0.0; rows.len() * width];
        for (rows, out) in rows.chunks(SHARD).zip(out.chunks_mut(SHARD * width)) {
            let mut vectors = side.gather(rows)?.into_values();
            self.project(&mut vectors, out);
        }
        let mut embeddings = Matrix::new(out, width);
        embeddings.normalize();
        Ok(embeddings)
    }

    /// Maps `vectors` `[n, d]`, which are overwritten, to `out` `[n, width]`.
    fn project(&self, vectors: &mut [f32], out: &mut [f32]) {
        let (d, width) = (self.shift.len(), self.width());
        let rows = vectors.par_chunks_exact_mut(d).with_min_len(64);
        rows.for_each(|row| (row.iter_mut().zip(&self.shift)).for_each(|(x, shift)| *x -= shift));
        View::rows(vectors, d)
            .times(View::rows(&self.map, width))
            .on(Threads::All)
            .write(out, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Features;
    use crate::linear::Pooling;
    use crate::rng::{Stream, normal};
    use crate::scores::Scorer;

    fn config(ridge: f64, width: usize, power: f64) -> LinearConfig {
        LinearConfig {
            ridge: vec![ridge],
            width: vec![width],
            power: vec![power],
        }
    }

    fn one_to_one(n: u32) -> Vec<Pair> {
        let pair = |n| Pair {
            image: n,
            caption: n,
        };
        (0..n).map(pair).collect()
    }

    #[test]
    fn scores_are_those_of_numpy() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/linear.json");
        let golden: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let numbers = |key: &str| -> Vec<f64> {
            let rows = golden[key].as_array().unwrap().iter();
            let flat = rows.flat_map(|row| row.as_array().cloned().unwrap_or(vec![row.clone()]));
            flat.map(|x| x.as_f64().unwrap()).collect()
        };
        let single = |key: &str| {
            numbers(key)
                .into_iter()
                .map(|x| x as f32)
                .collect::<Vec<f32>>()
        };
        let images = Features::from_rows(single("images"), 6);
        let captions = Features::from_rows(single("captions"), 5);
        let sides = [&images, &captions].map(|side| SideVectors::new(side, Pooling::Mean).unwrap());
        let (pairs, weights) = (one_to_one(40), single("weights"));
        let matcher = LinearMatcher::fit(
            sides,
            &pairs,
            Some(&weights),
            &config(0.3, 3, 0.5),
            Seed(0),
            &mut (),
        )
        .unwrap();
        let rows: Vec<u32> = (0..8).collect();
        let scorer = matcher.scorer(sides, &rows, &rows).unwrap();
        let mut scores = vec![0.0; 64];
        scorer.tile(&rows, &rows, &mut scores).unwrap();
        for (found, expected) in scores.iter().zip(numbers("scores")) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5,
                "{found} {expected}"
            );
        }
        for (variance, rho) in matcher.image.variance.iter().zip(numbers("correlations")) {
            // Power 1/2 leaves √ρ u, whose variance is 1 − ρ.
            assert!((f64::from(*variance) - (1.0 - rho)).abs() < 1e-6);
        }
    }

    /// Images and captions as noisy views of common causes, in spaces of their own.
    struct World {
        images: Features,
        captions: Features,
        n: usize,
    }

    impl World {
        fn new(n: usize, seed: u64) -> Self {
            const CAUSES: usize = 8;
            let mut views = Seed(9).stream("views", &[]);
            let mut view =
                |d: usize| -> Vec<f64> { (0..CAUSES * d).map(|_| normal(&mut views)).collect() };
            let (of_image, of_caption) = (view(40), view(24));
            let mut rng = Seed(seed).stream("items", &[]);
            let (mut images, mut captions) = (Vec::new(), Vec::new());
            for _ in 0..n {
                let causes: Vec<f64> = (0..CAUSES).map(|_| normal(&mut rng)).collect();
                let seen = |view: &[f64], d: usize, rng: &mut Stream| -> Vec<f32> {
                    (0..d)
                        .map(|k| {
                            let signal: f64 =
                                (0..CAUSES).map(|c| causes[c] * view[c * d + k]).sum();
                            (signal + 1.5 * normal(rng)) as f32
                        })
                        .collect()
                };
                images.extend(seen(&of_image, 40, &mut rng));
                captions.extend(seen(&of_caption, 24, &mut rng));
            }
            Self {
                images: Features::from_rows(images, 40),
                captions: Features::from_rows(captions, 24),
                n,
            }
        }

        fn sides(&self) -> [SideVectors<'_>; 2] {
            let side = |features| SideVectors::new(features, Pooling::Mean).unwrap();
            [side(&self.images), side(&self.captions)]
        }

        /// Share of images whose own caption scores highest.
        fn recall(&self, matcher: &LinearMatcher) -> f64 {
            let rows: Vec<u32> = (0..self.n as u32).collect();
            let scorer = matcher.scorer(self.sides(), &rows, &rows).unwrap();
            let mut scores = vec![0.0; self.n * self.n];
            scorer.tile(&rows, &rows, &mut scores).unwrap();
            let first = (scores.chunks_exact(self.n).enumerate())
                .filter(|(image, row)| row.iter().all(|score| *score <= row[*image]));
            first.count() as f64 / self.n as f64
        }
    }

    fn fit(
        world: &World,
        pairs: &[Pair],
        weights: Option<&[f32]>,
        config: &LinearConfig,
    ) -> LinearMatcher {
        LinearMatcher::fit(world.sides(), pairs, weights, config, Seed(1), &mut ()).unwrap()
    }

    #[test]
    fn held_out_pairs_are_matched_and_weights_keep_out_what_is_wrong() {
        let (train, test) = (World::new(600, 1), World::new(200, 2));
        let mut pairs = one_to_one(600);
        let clean = test.recall(&fit(&train, &pairs, None, &LinearConfig::default()));
        assert!(clean > 0.8, "{clean}");
        // Most captions move on by one image.
        let moved = |n: u32| n % 10 < 8;
        for pair in &mut pairs {
            if moved(pair.caption) {
                pair.image = (pair.caption + 1) % 600;
            }
        }
        let weights: Vec<f32> = (0..600).map(|n| f32::from(u8::from(!moved(n)))).collect();
        let all = test.recall(&fit(&train, &pairs, None, &LinearConfig::default()));
        let kept = test.recall(&fit(
            &train,
            &pairs,
            Some(&weights),
            &LinearConfig::default(),
        ));
        assert!(
            kept > all + 0.1 && kept > clean - 0.2,
            "{clean} {all} {kept}"
        );
    }

    #[test]
    fn chosen_settings_do_better_than_the_ends_of_the_grid() {
        let (train, test) = (World::new(120, 3), World::new(200, 4));
        let pairs = one_to_one(120);
        let matcher = fit(&train, &pairs, None, &LinearConfig::default());
        let chosen = test.recall(&matcher);
        for ridge in [0.0, 100.0] {
            let fixed = test.recall(&fit(&train, &pairs, None, &config(ridge, 256, 1.0)));
            assert!(
                chosen >= fixed - 0.02,
                "{}: {chosen}, ridge {ridge}: {fixed}",
                matcher.chosen
            );
        }
        assert!(matcher.chosen.width <= 24 && matcher.image.width() == matcher.chosen.width);
    }

    #[test]
    fn embeddings_have_length_one_and_the_stated_length_before() {
        let world = World::new(300, 5);
        let matcher = fit(&world, &one_to_one(300), None, &config(0.3, 6, 1.0));
        let rows: Vec<u32> = (0..300).collect();
        let [images, _] = world.sides();
        for row in matcher
            .image
            .embed(&images, &rows)
            .unwrap()
            .values()
            .chunks_exact(6)
        {
            let length: f32 = row.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5);
        }
        let mut vectors = images.gather(&rows).unwrap().into_values();
        let mut out = vec![0.0; 300 * 6];
        matcher.image.project(&mut vectors, &mut out);
        let mean = out.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 300.0;
        assert!((mean.sqrt() / f64::from(matcher.image.length) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn nothing_to_fit_to_is_an_error() {
        let world = World::new(50, 6);
        let fit = |pairs: &[Pair], weights: Option<&[f32]>| {
            let config = LinearConfig::default();
            LinearMatcher::fit(world.sides(), pairs, weights, &config, Seed(1), &mut ())
        };
        assert!(fit(&[], None).is_err());
        let message = fit(&one_to_one(50), Some(&[0.0; 50]))
            .unwrap_err()
            .to_string();
        assert!(message.contains("weight 0"), "{message}");
        let broken = LinearConfig {
            ridge: vec![-1.0],
            ..LinearConfig::default()
        };
        assert!(broken.check().unwrap_err().to_string().contains("ridge"));
    }
}

//! Planted label noise and its record.
//!
//! [`corrupt_labels`] returns the labels that training may see and, apart from them, the
//! [`LabelManifest`] that only scoring may see. Modalities are corrupted independently unless the noise
//! is shared: with independent noise, the other labels of an item give a wrong one away; with shared
//! noise they do not, so these are two different problems.

mod asymmetric;
mod file;
mod halves;
mod manifest;
mod spec;
mod symmetric;

pub use asymmetric::Asymmetric;
pub use halves::Halves;
pub use manifest::LabelManifest;
pub use spec::LabelNoiseSpec;
pub use symmetric::Symmetric;

use super::share::share;
use crate::error::Result;
use crate::labeled::LabeledSet;
use crate::rng::{Seed, Stream, sample, shuffle};

/// Every label noise model, by name.
pub const LABEL_NOISES: &[&dyn LabelNoiseModel] = &[&Symmetric, &Asymmetric, &Halves];

/// A way to give a chosen item another label.
///
/// ```
/// use truepair_core::noise::{Asymmetric, LabelNoiseModel};
/// use truepair_core::rng::Seed;
///
/// // Labels confused with one other class, whatever the draw.
/// let stream = &mut Seed(1).stream("label-noise", &[]);
/// let order = [3, 1, 4, 0, 2];
/// let other = Asymmetric.relabel(2, &order, stream);
/// assert!(other != 2 && other < 5);
/// assert_eq!(Asymmetric.relabel(2, &order, stream), other);
/// ```
pub trait LabelNoiseModel: Sync {
    /// Name in `NAME:RATE` and in the manifest.
    fn name(&self) -> &'static str;
    /// One sentence for the table of noise models.
    fn summary(&self) -> &'static str;
    /// The label of a chosen item whose true one is `label`. `order` holds every class once, in an
    /// order that was drawn for the set: the same for all items and modalities.
    fn relabel(&self, label: u32, order: &[u32], rng: &mut Stream) -> u32;
}

/// The set with planted label noise, and the truth about it.
///
/// `⌊rate · n⌋` items are chosen at random and relabeled, separately in every modality or, if the noise
/// is shared, once for all. Draws come from the streams `label-noise`, one per modality, and from
/// `label-classes`.
///
/// # Errors
/// If the set is empty, the model or its rate does not exist, or the noise file cannot be read or
/// does not fit the data.
pub fn corrupt_labels(
    set: &LabeledSet,
    spec: &LabelNoiseSpec,
    first_label: i64,
    seed: Seed,
) -> Result<(LabeledSet, LabelManifest)> {
    let truth: Vec<Vec<u32>> = (set.modalities.iter())
        .map(|modality| modality.labels.clone())
        .collect();
    let labels = match spec {
        LabelNoiseSpec::None => truth.clone(),
        LabelNoiseSpec::Rate {
            model,
            rate,
            shared,
        } => {
            let model = spec::WORDS.checked(model, *rate)?;
            let mut order: Vec<u32> = (0..set.n_classes as u32).collect();
            shuffle(&mut seed.stream("label-classes", &[]), &mut order);
            let rate = *rate;
            let plant = Plant { model, rate, order };
            match shared {
                true => plant.shared(&truth, seed),
                false => plant.independent(&truth, seed),
            }
        }
        LabelNoiseSpec::File(path) => file::labels(set, path, first_label)?,
    };
    let noisy = set.with_labels(labels);
    let manifest = LabelManifest::new(set, &noisy, spec, seed);
    Ok((noisy, manifest))
}

/// A noise model at one rate.
struct Plant {
    model: &'static dyn LabelNoiseModel,
    rate: f64,
    /// Every class, in the order that the set drew.
    order: Vec<u32>,
}

impl Plant {
    fn independent(&self, truth: &[Vec<u32>], seed: Seed) -> Vec<Vec<u32>> {
        let each = truth.iter().enumerate();
        each.map(|(modality, truth)| {
            let mut rng = seed.stream("label-noise", &[modality as u64]);
            let mut labels = truth.clone();
            for item in sample(&mut rng, truth.len(), share(self.rate, truth.len())) {
                let label = &mut labels[item as usize];
                *label = self.model.relabel(*label, &self.order, &mut rng);
            }
            labels
        })
        .collect()
    }

    /// All modalities of a chosen item move to the label that its first modality draws.
    fn shared(&self, truth: &[Vec<u32>], seed: Seed) -> Vec<Vec<u32>> {
        let moved = self.independent(&truth[..1], seed).remove(0);
        let follow = |labels: &Vec<u32>| {
            let each = labels.iter().zip(truth[0].iter().zip(&moved));
            each.map(|(&label, (old, &new))| if *old == new { label } else { new })
                .collect()
        };
        truth.iter().map(follow).collect()
    }
}

/// The rows of [`LABEL_NOISES`] for `docs/noise.md`.
pub(super) fn table() -> String {
    let row = |model: &&dyn LabelNoiseModel| {
        format!("| `{}:RATE` | {} |\n", model.name(), model.summary())
    };
    LABEL_NOISES.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Features;
    use crate::labeled::Modality;

    /// `n` items in `m` modalities with the classes in turn.
    pub(super) fn set(n: usize, m: usize, n_classes: usize) -> LabeledSet {
        let modality = |at: usize| Modality {
            name: format!("m{at}"),
            features: Features::from_rows(vec![0.0; n], 1),
            labels: (0..n).map(|item| (item % n_classes) as u32).collect(),
        };
        LabeledSet {
            split: "train".into(),
            n_classes,
            modalities: (0..m).map(modality).collect(),
        }
    }

    fn planted(text: &str, seed: u64) -> (LabeledSet, LabelManifest) {
        let set = set(4000, 2, 5);
        corrupt_labels(&set, &text.parse().unwrap(), 0, Seed(seed)).unwrap()
    }

    #[test]
    fn rate_zero_is_the_identity_and_the_seed_decides() {
        for model in LABEL_NOISES {
            let name = model.name();
            let (same, manifest) = planted(&format!("{name}:0"), 1);
            assert_eq!(manifest.realized, [0.0, 0.0]);
            assert_eq!(
                same.modalities[0].labels,
                set(4000, 2, 5).modalities[0].labels
            );
            let noisy = |seed| planted(&format!("{name}:0.4"), seed).1;
            assert_eq!(noisy(1), noisy(1));
            assert_ne!(noisy(1).sha256, noisy(2).sha256);
        }
    }

    #[test]
    fn no_label_leaves_the_classes_and_rates_are_those_of_the_model() {
        let (noisy, manifest) = planted("symmetric:0.5", 3);
        let labels = &noisy.modalities[0].labels;
        assert!(labels.iter().all(|&label| label < 5));
        // The true class is drawn, too: 0.5 · (1 − 1/5).
        for realized in &manifest.realized {
            assert!((realized - 0.4).abs() < 0.02, "{realized}");
        }
        let (noisy, manifest) = planted("asymmetric:0.5", 3);
        assert_eq!(manifest.realized, [0.5, 0.5]);
        for (&old, &new) in (manifest.truth[0].iter()).zip(&noisy.modalities[0].labels) {
            assert!(new == old || new == (old + 1) % 5);
        }
    }

    #[test]
    fn half_of_the_classes_move_onto_one_of_the_others_each_in_every_modality() {
        let (noisy, manifest) = planted("halves:0.5", 3);
        // Two of five classes move, and the fifth has no partner: 0.5 · 2/5.
        for realized in &manifest.realized {
            assert!((realized - 0.2).abs() < 0.02, "{realized}");
        }
        let mut moves = std::collections::BTreeSet::new();
        for (modality, truth) in noisy.modalities.iter().zip(&manifest.truth) {
            let each = truth.iter().zip(&modality.labels);
            moves.extend(each.filter(|(old, new)| old != new));
        }
        let (from, to): (Vec<u32>, Vec<u32>) = moves.iter().copied().unzip();
        assert_eq!(moves.len(), 2, "{moves:?}");
        assert!(to[0] != to[1] && to.iter().all(|class| !from.contains(class)));
        let (same, _) = planted("halves:0.5:shared", 3);
        assert!(same.labels_are_shared());
    }

    #[test]
    fn modalities_are_corrupted_by_themselves_unless_the_noise_is_shared() {
        let (noisy, manifest) = planted("symmetric:0.5", 3);
        assert!(!noisy.labels_are_shared());
        let both = (manifest.wrong[0].iter().zip(&manifest.wrong[1]))
            .filter(|(a, b)| **a && **b)
            .count() as f64;
        assert!((both / 4000.0 - 0.16).abs() < 0.02, "{both}");
        let (noisy, manifest) = planted("symmetric:0.5:shared", 3);
        assert!(noisy.labels_are_shared());
        assert!((manifest.realized[1] - 0.4).abs() < 0.02);
    }
}

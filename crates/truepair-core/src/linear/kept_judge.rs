//! What an audit keeps to judge pairs that come later: its matchers, and pairs of reference that each of them never
//! saw.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{Chosen, LinearLearner, LinearMatcher, Pooling, Projection, SideVectors};
use crate::audit::{
    AuditOptions, Cut, Findings, Fold, FoldStatistics, Later, Links, NewFindings, assign_folds,
    judge_fold, judge_new,
};
use crate::dataset::{Dataset, Features};
use crate::durable;
use crate::error::{Error, Place, Result};
use crate::pair::Pair;
use crate::rng::{Seed, sample};
use crate::scores::{InnerProduct, Matrix, score_pairs};
use crate::source_file;
use crate::text::LatentSemantics;
use crate::watch::Watch;

/// Pairs of reference at most.
const REFERENCE: usize = 3_000;

/// Version of the file, in its metadata under the key.
const VERSION: u32 = 1;
const KEY: &str = "truepair.judge";

/// Matchers of a cross-fitted audit, or none where embeddings are compared as they are, with pairs of reference.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptJudge {
    head: Head,
    /// Vectors of the reference's images and captions, `[n, d]` each; pair `n` is image `n` with caption `n`.
    pub(super) reference: [Matrix; 2],
    matchers: Vec<LinearMatcher>,
    text: Option<LatentSemantics>,
}

/// Pairs that come later: their images and captions, as the data had them.
#[derive(Debug, Clone, Copy)]
pub struct NewItems<'a> {
    /// Images, as features.
    pub images: &'a Features,
    /// Captions, as vectors; see [`KeptJudge::caption_vectors`].
    pub captions: &'a Features,
    /// Whether each caption holds no word that the audit's captions held; empty where every caption can be read.
    pub unread_captions: &'a [bool],
    /// The pairs, by rows of these.
    pub pairs: &'a [Pair],
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    pooling: Pooling,
    /// Fold of every pair of reference; all 0 without matchers.
    fold: Vec<u32>,
    /// Copies of an image, and of a caption, have one number; `[n]` each.
    groups: [Vec<u32>; 2],
    chosen: Vec<Chosen>,
    seed: Seed,
}

impl KeptJudge {
    /// Fits one matcher a fold to the pairs of the others that `findings` hold matched, and keeps pairs of each fold.
    ///
    /// # Errors
    /// If there are too few pairs, or a row cannot be read.
    pub fn fit(
        learner: &LinearLearner<'_>,
        dataset: &Dataset,
        (findings, n_folds): (&Findings, usize),
        seed: Seed,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let links = Links::of(dataset)?;
        let fold_of_pair = assign_folds(&dataset.pairs, &links, n_folds, seed.child("kept", 0));
        let weight = |posterior: f64| {
            if posterior < 0.5 {
                (1.0 - posterior) as f32
            } else {
                0.0
            }
        };
        let weights: Vec<f32> = findings
            .verdicts
            .iter()
            .map(|verdict| weight(verdict.posterior))
            .collect();
        let cut = Cut {
            fold_of_pair: &fold_of_pair,
            n_folds,
            weights: (weights.len() == dataset.pairs.len()).then_some(&weights),
            seed,
            stage: "keep".to_owned(),
        };
        let matchers = learner.fitted(&cut, watch)?;
        let chosen = matchers.iter().map(|matcher| matcher.chosen).collect();
        let mut kept = Self::of(learner.sides()?, dataset, &links, &fold_of_pair, seed)?;
        kept.head.pooling = learner.pooling();
        kept.head.chosen = chosen;
        kept.matchers = matchers;
        kept.text = learner.text().cloned();
        Ok(kept)
    }

    /// Keeps pairs of embeddings that are compared as they are.
    ///
    /// # Errors
    /// If there are no caption embeddings, or a row cannot be read.
    pub fn frozen(dataset: &Dataset, seed: Seed) -> Result<Self> {
        let Some(named) = &dataset.caption_features else {
            return Err(Error::argument(
                "captions without embeddings cannot be compared as they are",
                "give the captions' embeddings",
            ));
        };
        let sides = [
            SideVectors::new(&dataset.images, Pooling::Mean)?,
            SideVectors::new(&named.features, Pooling::Mean)?,
        ];
        let fold = vec![0; dataset.pairs.len()];
        Self::of(sides, dataset, &Links::of(dataset)?, &fold, seed)
    }

    fn of(
        sides: [SideVectors<'_>; 2],
        dataset: &Dataset,
        links: &Links,
        fold_of_pair: &[u32],
        seed: Seed,
    ) -> Result<Self> {
        let mut chosen = sample(
            &mut seed.stream("reference", &[]),
            dataset.pairs.len(),
            REFERENCE,
        );
        chosen.sort_unstable();
        let pairs: Vec<Pair> = chosen
            .iter()
            .map(|&at| dataset.pairs[at as usize])
            .collect();
        let images: Vec<u32> = pairs.iter().map(|pair| pair.image).collect();
        let captions: Vec<u32> = pairs.iter().map(|pair| pair.caption).collect();
        let groups = [
            (links.image_group(), &images),
            (links.caption_group(), &captions),
        ];
        Ok(Self {
            reference: [sides[0].gather(&images)?, sides[1].gather(&captions)?],
            head: Head {
                version: VERSION,
                pooling: Pooling::Mean,
                fold: chosen.iter().map(|&at| fold_of_pair[at as usize]).collect(),
                groups: groups
                    .map(|(group, rows)| rows.iter().map(|&row| group[row as usize]).collect()),
                chosen: Vec::new(),
                seed,
            },
            matchers: Vec::new(),
            text: None,
        })
    }

    /// Vectors of texts, where the audit made them of the captions' words; `None` where the data brought embeddings.
    pub fn caption_vectors(&self, texts: &[String]) -> Option<Features> {
        self.text.as_ref().map(|text| text.features(texts))
    }

    /// Whether a text holds a word that the audit's captions held; of encoders that the data brought nothing is known.
    pub fn knows(&self, text: &str) -> bool {
        self.text
            .as_ref()
            .is_none_or(|analysis| analysis.knows(text))
    }

    /// Judges pairs that came later; see [`judge_new`].
    ///
    /// # Errors
    /// If items have another width than those of the audit, or a row cannot be read.
    pub fn judge(&self, new: NewItems<'_>, watch: &mut dyn Watch) -> Result<NewFindings> {
        let n = self.reference[0].len();
        let sides = [(0, new.images), (1, new.captions)]
            .map(|(side, features)| self.joined(side, features));
        let [images, captions] = sides;
        let (images, captions) = (images?, captions?);
        let reference = (0..n as u32).map(|row| Pair {
            image: row,
            caption: row,
        });
        let later = new.pairs.iter().map(|pair| Pair {
            image: pair.image + n as u32,
            caption: pair.caption + n as u32,
        });
        let pairs: Vec<Pair> = reference.chain(later).collect();
        let [image_group, caption_group] = [(0, images.len()), (1, captions.len())]
            .map(|(side, n_items)| grouped(&self.head.groups[side], n_items));
        let links = Links::new(&pairs, caption_group, image_group)?;
        let options = options();
        let mut folds: Vec<FoldStatistics> = Vec::new();
        for fold in 0..self.n_folds() {
            let scorer = self.scorer(fold, &images, &captions)?;
            let later = n as u32..pairs.len() as u32;
            let judged: Vec<u32> = self.unseen(fold).chain(later).collect();
            let input = Fold {
                scorer: &scorer,
                pairs: &pairs,
                judged: &judged,
                links: &links,
                cells: None,
                plan: None,
            };
            folds.push(judge_fold(&input, &options, self.head.seed, watch)?);
        }
        let unread: Vec<bool> = match new.unread_captions {
            [] => Vec::new(),
            unread => [&vec![false; n], unread].concat(),
        };
        let later = Later {
            pairs: &pairs,
            first: n,
            links: &links,
            unread_captions: &unread,
        };
        judge_new(&later, &folds, &options, self.head.seed)
    }

    /// Which captions and which images of the reference are copies of each other.
    ///
    /// # Errors
    /// If groups do not fit the pairs.
    pub(super) fn links(&self, pairs: &[Pair]) -> Result<Links> {
        let n = self.reference[0].len();
        let [image_group, caption_group] = [0, 1].map(|side| grouped(&self.head.groups[side], n));
        Links::new(pairs, caption_group, image_group)
    }

    pub(super) fn seed(&self) -> Seed {
        self.head.seed
    }

    /// Cosine of each new pair, the mean over the matchers.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    pub fn scores(&self, new: NewItems<'_>) -> Result<Vec<f32>> {
        let n = self.reference[0].len() as u32;
        let (images, captions) = (self.joined(0, new.images)?, self.joined(1, new.captions)?);
        let pairs: Vec<Pair> = (new.pairs.iter())
            .map(|pair| Pair {
                image: pair.image + n,
                caption: pair.caption + n,
            })
            .collect();
        let mut mean = vec![0.0; pairs.len()];
        for fold in 0..self.n_folds() {
            let scores = score_pairs(&self.scorer(fold, &images, &captions)?, &pairs)?;
            mean.iter_mut()
                .zip(scores)
                .for_each(|(mean, score)| *mean += score / self.n_folds() as f32);
        }
        Ok(mean)
    }

    /// The reference's vectors of a side followed by those of new items.
    fn joined(&self, side: usize, new: &Features) -> Result<Features> {
        let (known, new) = (&self.reference[side], self.vectors(side, new)?);
        let values = [known.values(), new.values()].concat();
        Ok(Features::from_rows(values, known.dim()))
    }

    /// Vectors of new items as the audit read its own.
    pub(super) fn vectors(&self, side: usize, new: &Features) -> Result<Matrix> {
        let rows: Vec<u32> = (0..new.len() as u32).collect();
        let new = SideVectors::new(new, self.head.pooling)?.gather(&rows)?;
        let known = &self.reference[side];
        if new.dim() != known.dim() {
            let name = ["image", "caption"][side];
            return Err(Error::argument(
                format!(
                    "{name} vectors of {} numbers, and the audit's have {}",
                    new.dim(),
                    known.dim()
                ),
                "embed them by what embedded the audited data",
            ));
        }
        Ok(new)
    }

    fn scorer(&self, fold: usize, images: &Features, captions: &Features) -> Result<InnerProduct> {
        let [images, captions] = self.embedded(fold, images, captions)?;
        InnerProduct::new(images, captions)
    }

    /// Images and captions as the matcher of a fold sees them.
    pub(super) fn embedded(
        &self,
        fold: usize,
        images: &Features,
        captions: &Features,
    ) -> Result<[Matrix; 2]> {
        let sides = [
            SideVectors::new(images, Pooling::Mean)?,
            SideVectors::new(captions, Pooling::Mean)?,
        ];
        let all = |side: &SideVectors<'_>| -> Vec<u32> { (0..side.len() as u32).collect() };
        Ok(match self.matchers.get(fold) {
            None => [
                sides[0].gather(&all(&sides[0]))?,
                sides[1].gather(&all(&sides[1]))?,
            ],
            Some(matcher) => [
                matcher.image.embed(&sides[0], &all(&sides[0]))?,
                matcher.caption.embed(&sides[1], &all(&sides[1]))?,
            ],
        })
    }

    /// The rows of reference that the matcher of a fold never saw.
    pub(super) fn unseen(&self, fold: usize) -> impl Iterator<Item = u32> {
        let folds = self.head.fold.iter().zip(0..);
        folds.filter_map(move |(&of, row)| (of == fold as u32).then_some(row))
    }

    pub(super) fn n_folds(&self) -> usize {
        self.matchers.len().max(1)
    }

    /// Writes `judge.safetensors` and, where texts were made into vectors, `judge_text.safetensors` into `folder`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let head = serde_json::to_string(&self.head).expect("numbers serialize");
        let mut tensors: Vec<(String, Vec<usize>, &[f32])> = Vec::new();
        for (name, matrix) in ["images", "captions"].into_iter().zip(&self.reference) {
            tensors.push((
                name.to_owned(),
                vec![matrix.len(), matrix.dim()],
                matrix.values(),
            ));
        }
        for (fold, matcher) in self.matchers.iter().enumerate() {
            for (side, one) in [("image", &matcher.image), ("caption", &matcher.caption)] {
                let name = |part: &str| format!("{fold}.{side}.{part}");
                tensors.push((name("shift"), vec![one.shift.len()], &one.shift));
                tensors.push((name("map"), vec![one.shift.len(), one.width()], &one.map));
                tensors.push((name("variance"), vec![one.variance.len()], &one.variance));
                tensors.push((name("length"), vec![1], std::slice::from_ref(&one.length)));
            }
        }
        let views = tensors.iter().map(|(name, shape, values)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            (name.as_str(), view.expect("shapes fit their values"))
        });
        let metadata = HashMap::from([(KEY.to_owned(), head)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .expect("tensors of known shapes serialize");
        durable::write(folder.join(FILE), &bytes)?;
        match &self.text {
            Some(text) => text.write(folder.join(TEXT)),
            None => Ok(()),
        }
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another version.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        let bytes = source_file::read(&file, source_file::STATE)
            .map_err(|source| Error::io(&file, "read", source))?;
        let wrong = |problem: String| Error::data(&file, Place::Whole, problem, "audit again");
        let (head, tensors) = parse(&bytes).map_err(wrong)?;
        let matrix = |name: &str| -> Result<Matrix> {
            let (shape, values) = floats(&tensors, name).map_err(wrong)?;
            match *shape {
                [n, dim] if n == head.fold.len() && dim > 0 => Ok(Matrix::new(values, dim)),
                _ => Err(wrong(format!("`{name}` has shape {shape:?}"))),
            }
        };
        let reference = [matrix("images")?, matrix("captions")?];
        let n_matchers = head.chosen.len();
        let is_whole = head
            .groups
            .iter()
            .all(|groups| groups.len() == head.fold.len())
            && head
                .fold
                .iter()
                .all(|&fold| (fold as usize) < n_matchers.max(1));
        if !is_whole {
            return Err(wrong("folds and groups do not fit the pairs".to_owned()));
        }
        let side = |fold: usize, side: usize| -> Result<Projection> {
            let name = |part: &str| format!("{fold}.{}.{part}", ["image", "caption"][side]);
            let part = |part: &str| -> Result<Vec<f32>> {
                Ok(floats(&tensors, &name(part)).map_err(wrong)?.1)
            };
            let one = Projection {
                shift: part("shift")?,
                map: part("map")?,
                variance: part("variance")?,
                length: part("length")?.first().copied().unwrap_or(0.0),
            };
            let dim = reference[side].dim();
            if one.shift.len() != dim || one.map.len() != dim * one.variance.len() {
                return Err(wrong(format!(
                    "the map `{}` does not fit its vectors",
                    name("map")
                )));
            }
            Ok(one)
        };
        let matchers =
            head.chosen
                .iter()
                .enumerate()
                .map(|(fold, &chosen)| -> Result<LinearMatcher> {
                    Ok(LinearMatcher {
                        image: side(fold, 0)?,
                        caption: side(fold, 1)?,
                        chosen,
                    })
                });
        let matchers = matchers.collect::<Result<Vec<_>>>()?;
        let text = folder.join(TEXT);
        Ok(Self {
            matchers,
            text: text
                .exists()
                .then(|| LatentSemantics::read(text))
                .transpose()?,
            reference,
            head,
        })
    }

    /// Whether `folder` holds one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }
}

/// How pairs of reference and later ones are judged.
pub(super) fn options() -> AuditOptions {
    AuditOptions {
        near_misses: false,
        ..AuditOptions::default()
    }
}

/// Names of the files.
const FILE: &str = "judge.safetensors";
const TEXT: &str = "judge_text.safetensors";

/// Numbers for the groups of items, of which the first are known; every later item is a group of its own.
fn grouped(known: &[u32], n_items: usize) -> Vec<u32> {
    let mut numbers = HashMap::new();
    let mut groups: Vec<u32> = Vec::with_capacity(n_items);
    for group in known {
        let next = numbers.len() as u32;
        groups.push(*numbers.entry(*group).or_insert(next));
    }
    let first = numbers.len() as u32;
    groups.extend((0..(n_items - known.len()) as u32).map(|at| first + at));
    groups
}

fn parse(bytes: &[u8]) -> std::result::Result<(Head, SafeTensors<'_>), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("unreadable: {error}");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| unreadable(&error))?;
    let head = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
    let head = head.ok_or("it holds no judge of an audit")?;
    let head: Head = serde_json::from_str(head).map_err(|error| unreadable(&error))?;
    if head.version != VERSION {
        return Err(format!("version {}, expected {VERSION}", head.version));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| unreadable(&error))?;
    Ok((head, tensors))
}

fn floats(
    tensors: &SafeTensors<'_>,
    name: &str,
) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
    let tensor = tensors
        .tensor(name)
        .map_err(|_| format!("`{name}` is missing"))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("`{name}` does not hold f32 numbers"));
    }
    let numbers = tensor.data().chunks_exact(4);
    let values: Vec<f32> = numbers
        .map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]))
        .collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok((tensor.shape().to_vec(), values)),
        false => Err(format!("`{name}` holds a number that is not finite")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::NewVerdict;
    use crate::audit::{CrossFit, Learner, cross_fit};
    use crate::dataset::NamedFeatures;
    use crate::linear::{LinearConfig, ReadyMatchers, VectorsConfig};
    use crate::rng::normal;

    const DIM: usize = 12;

    /// Captions are turned, noisy copies of images; the first `wrong` have another's.
    fn data(n: usize, wrong: usize, seed: u64) -> Dataset {
        let rng = &mut Seed(seed).stream("data", &[]);
        let images: Vec<f32> = (0..n * DIM).map(|_| normal(rng) as f32).collect();
        let turned = images.chunks(2).flat_map(|xy| [-xy[1], xy[0]]);
        let captions: Vec<f32> = turned.map(|x| x + 0.4 * normal(rng) as f32).collect();
        let pair = |caption: u32| Pair {
            image: if (caption as usize) < wrong {
                (caption + 1) % wrong as u32
            } else {
                caption
            },
            caption,
        };
        Dataset {
            name: "toy".into(),
            format: "memory",
            split: "train".into(),
            images: Features::from_rows(images, DIM),
            image_ids: (0..n).map(|at| at.to_string()).collect(),
            image_files: Vec::new(),
            captions: None,
            caption_features: Some(NamedFeatures {
                name: "toy".into(),
                features: Features::from_rows(captions, DIM),
            }),
            pairs: (0..n as u32).map(pair).collect(),
            labels: None,
            files: Vec::new(),
            account: Default::default(),
        }
    }

    #[test]
    fn later_pairs_are_judged_by_matchers_that_were_kept() {
        let audited = data(700, 70, 1);
        let learner = LinearLearner::new(
            &audited,
            &LinearConfig::default(),
            &VectorsConfig::default(),
            Seed(0),
        )
        .unwrap();
        let learners: [&dyn Learner<Error>; 1] = [&learner];
        let links = Links::of(&audited).unwrap();
        let options = AuditOptions {
            near_misses: false,
            ..AuditOptions::default()
        };
        let findings = cross_fit(
            &audited.pairs,
            &links,
            &learners,
            &CrossFit::default(),
            &options,
            Seed(0),
            &mut (),
        )
        .unwrap();
        let kept = KeptJudge::fit(&learner, &audited, (&findings, 3), Seed(0), &mut ()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        kept.write(folder.path()).unwrap();
        assert!(KeptJudge::is_in(folder.path()));
        let kept = KeptJudge::read(folder.path()).unwrap();

        let later = data(200, 80, 2);
        let captions = &later.caption_features.as_ref().unwrap().features;
        let new = NewItems {
            images: &later.images,
            captions,
            unread_captions: &[],
            pairs: &later.pairs,
        };
        let found = kept.judge(new, &mut ()).unwrap();
        assert_eq!(found.open, None);
        assert!((found.rate - 0.4).abs() < 0.08, "{}", found.rate);
        let right = found.verdicts.iter().enumerate().filter(|(at, verdict)| {
            verdict.name() == if *at < 80 { "mismatched" } else { "matched" }
        });
        assert!(right.count() > 180);

        let ready = KeptJudge::read(folder.path()).unwrap();
        let ready = ReadyMatchers::new(ready, &mut ()).unwrap();
        assert_eq!(ready.open(), None);
        let one = |pair: &Pair| {
            let (image, caption) = ([pair.image], [pair.caption]);
            ready.judge(&later.images.select(&image), &captions.select(&caption))
        };
        let each = later.pairs.iter().map(|pair| one(pair).unwrap());
        let each: Vec<NewVerdict> = each.collect();
        // The list shows its rate of two fifths, a single pair does not.
        let of_list = found
            .verdicts
            .iter()
            .map(|verdict| verdict.posterior.unwrap_or(0.5));
        let of_one = each.iter().map(|verdict| verdict.posterior.unwrap_or(0.5));
        let auc = |posteriors: Vec<f64>| {
            let wrong: Vec<bool> = (0..200).map(|at| at < 80).collect();
            crate::audit::auc(&posteriors, &wrong)
        };
        let (of_list, of_one) = (auc(of_list.collect()), auc(of_one.collect()));
        assert!(of_list > 0.98 && of_one > 0.98, "{of_list} {of_one}");
        // A pair that was audited is not held against its own image's captions.
        let audited_captions = &audited.caption_features.as_ref().unwrap().features;
        let judged = (100..200).map(|row| {
            ready.judge(
                &audited.images.select(&[row]),
                &audited_captions.select(&[row]),
            )
        });
        let matched = judged.filter(|judged| judged.as_ref().unwrap().name() == "matched");
        assert!(matched.count() > 95);

        let narrow = Features::from_rows(vec![0.5; 10 * 4], 4);
        let new = NewItems {
            images: &narrow,
            captions,
            unread_captions: &[],
            pairs: &later.pairs[..1],
        };
        let error = kept.judge(new, &mut ()).unwrap_err().to_string();
        assert!(error.contains("4 numbers"), "{error}");
        std::fs::write(folder.path().join(FILE), b"cut").unwrap();
        assert!(KeptJudge::read(folder.path()).is_err());
    }
}

//! Rankings of other programs: a score matrix, two files of embeddings, or ranked lists.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use truepair_core::dataset::{Dataset, Features, check_single_precision};
use truepair_core::diagnosis::{self, Diagnosis, diagnose};
use truepair_core::error::{Error, Place};
use truepair_core::metric::Protocol;
use truepair_core::pair::Pair;
use truepair_core::ranking::{List, RankedLists};
use truepair_core::relevance::{Ids, Judgments, Relevance, UnknownIds};
use truepair_core::rng::Seed;
use truepair_core::scores::{Direction, InnerProduct, ScoreMatrix, Scorer};
use truepair_read::dataset::{self, ReadOptions};
use truepair_read::ranking::{read_list_map, read_trec_run};
use truepair_read::relevance::{read_all_ids, read_ids, read_map};

use super::judging::tell;
use super::{JudgingArgs, Ranker, Subject};
use crate::audit::frozen;
use crate::progress::Bars;
use crate::read_args::{Pairing, pairing};

/// Arguments that say what the rows of foreign rankings are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Foreign rankings")]
pub(crate) struct ForeignArgs {
    /// Which image row belongs to which caption row (.csv, .tsv, .npy), or which captions to which
    /// image by id (.json); for scores and embeddings also how rows that are out of step stand, such as
    /// `shift:-1` or `blocks:5`.
    #[arg(long, value_name = "FILE|ORDER", value_parser = pairing, conflicts_with = "runs")]
    pairs: Option<Pairing>,

    /// Ids of the images and of the captions in the order of their rows: .npy, a JSON list, or one id
    /// per line. Row numbers by default.
    #[arg(long, value_names = ["IMAGES", "CAPTIONS"], num_args = 2)]
    ids: Option<Vec<PathBuf>>,

    /// Name of the data in the stored protocol.
    #[arg(long, value_name = "NAME", conflicts_with = "runs")]
    name: Option<String>,
}

/// What an evaluation can do where embeddings share no space.
const FIT: &str = "fit a matcher that joins them: `truepair train DATA --matcher linear --out RUN`";

/// Rankings that another program made.
pub(crate) enum Foreign<'a> {
    Scores(&'a Path),
    Embeddings(&'a [PathBuf]),
    Lists(&'a [PathBuf]),
}

/// A foreign ranking as its files say it.
struct Opened {
    ranker: Ranker<'static>,
    /// The pairs that its files say.
    pairs: Option<Vec<Pair>>,
    /// Of images and of captions.
    names: (Ids, Ids),
    diagnoses: Vec<Diagnosis>,
}

impl ForeignArgs {
    /// The files that are named.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let pairs = match &mut self.pairs {
            Some(Pairing::File(file)) => Some(file),
            _ => None,
        };
        self.ids.iter_mut().flatten().chain(pairs)
    }

    /// Names of images and captions: from files, or what the data calls them.
    pub(crate) fn names(&self, images: Ids, captions: Ids) -> Result<(Ids, Ids)> {
        match self.ids.as_deref() {
            Some([of_images, of_captions]) => Ok((
                read_ids(of_images, images.len())?,
                read_ids(of_captions, captions.len())?,
            )),
            _ => Ok((images, captions)),
        }
    }

    /// Opens a foreign ranking; `data` are its images and captions, where they are known.
    pub(crate) fn open(
        &self,
        foreign: &Foreign<'_>,
        data: Option<&Dataset>,
        split: &str,
        judging: &JudgingArgs,
        bars: &mut Bars,
    ) -> Result<Subject<'static>> {
        let Opened {
            ranker,
            pairs: own,
            names,
            diagnoses,
        } = self.opened(foreign, data, judging, bars)?;
        let sizes = (names.0.len(), names.1.len());
        check_data(data, sizes)?;
        let pairs = match (data, own) {
            (Some(data), _) => Relevance::from_pairs(sizes.0, sizes.1, &data.pairs),
            (None, Some(pairs)) => Relevance::from_pairs(sizes.0, sizes.1, &pairs),
            (None, None) => self.pairs(foreign, &names, judging)?,
        };
        let name = self.name.clone().or_else(|| Some(data?.name.clone()));
        let name = name.unwrap_or_else(|| "unnamed".to_owned());
        Ok(Subject {
            ranker,
            protocol: Protocol::new(name, split, &pairs),
            pairs,
            images: names.0,
            captions: names.1,
            texts: data.and_then(|data| data.captions.clone()),
            labels: data.and_then(|data| data.labels.clone()),
            pictures: data
                .map(|data| data.image_files.clone())
                .unwrap_or_default(),
            doubts: None,
            occlusion: None,
            diagnoses,
        })
    }

    /// What the files of a foreign ranking say.
    fn opened(
        &self,
        foreign: &Foreign<'_>,
        data: Option<&Dataset>,
        judging: &JudgingArgs,
        bars: &mut Bars,
    ) -> Result<Opened> {
        let of_scores = |scores: Box<dyn Scorer>| -> Result<Opened> {
            let sizes = (scores.n_images(), scores.n_captions());
            Ok(Opened {
                ranker: Ranker::Scores(scores),
                pairs: None,
                names: self.numbered(sizes, data)?,
                diagnoses: Vec::new(),
            })
        };
        match foreign {
            Foreign::Scores(file) => {
                let features = Features::open_npy(file)?;
                refuse_three_axes(file, &features)?;
                check_single_precision(file)?;
                of_scores(Box::new(ScoreMatrix(features.to_matrix()?)))
            }
            Foreign::Embeddings(files) => {
                let (scorer, pairs, diagnoses) = self.embeddings(files, bars)?;
                Ok(Opened {
                    pairs: pairs.filter(|_| !self.pairs_are_named()),
                    diagnoses,
                    ..of_scores(Box::new(scorer))?
                })
            }
            Foreign::Lists(files) => {
                let named = NamedLists::read(files)?;
                let names = self.names_of_lists(&named, data, judging)?;
                Ok(Opened {
                    ranker: Ranker::Lists(named.resolve(&names)?),
                    pairs: None,
                    names,
                    diagnoses: Vec::new(),
                })
            }
        }
    }

    fn numbered(&self, sizes: (usize, usize), data: Option<&Dataset>) -> Result<(Ids, Ids)> {
        let images = match data {
            Some(data) if data.n_images() == sizes.0 => Ids::new(data.image_ids.clone())?,
            _ => Ids::numbered(sizes.0),
        };
        self.names(images, Ids::numbered(sizes.1))
    }

    fn embeddings(
        &self,
        files: &[PathBuf],
        bars: &mut Bars,
    ) -> Result<(InnerProduct, Option<Vec<Pair>>, Vec<Diagnosis>)> {
        let [images, captions] = files else {
            bail!("--embeddings takes two files")
        };
        let options = ReadOptions {
            pairs: self.pairs_file().filter(|_| !self.pairs_are_named()),
            row_order: self.pairs.as_ref().and_then(Pairing::order),
            ..ReadOptions::default()
        };
        let dataset = dataset::open_embeddings(images, captions, &options)?;
        bars.tell(&dataset.account);
        crate::data::check_finite(&dataset, bars)?;
        let found = diagnose(&diagnosis::Subject::new(&dataset, Seed(0))?)?;
        bars.stands_out(&found);
        Ok((frozen(&dataset, FIT)?, Some(dataset.pairs), found))
    }

    fn pairs_file(&self) -> Option<PathBuf> {
        self.pairs.as_ref().and_then(Pairing::file)
    }

    /// Whether the file of pairs speaks of ids, not of rows.
    fn pairs_are_named(&self) -> bool {
        self.pairs_file().is_some_and(|file| is_json(&file))
    }

    /// Which captions belong to which images, where no data set says so.
    fn pairs(
        &self,
        foreign: &Foreign<'_>,
        (images, captions): &(Ids, Ids),
        judging: &JudgingArgs,
    ) -> Result<Relevance> {
        let sizes = (images.len(), captions.len());
        let by_name = |named: &Judgments, unknown| -> Result<Relevance> {
            let direct = named.resolve(Direction::ImageToText, images, captions, unknown)?;
            Ok(Relevance::from_pairs(sizes.0, sizes.1, &direct.pairs))
        };
        match (&self.pairs, foreign) {
            (Some(Pairing::Order(order)), Foreign::Scores(file)) => {
                let pairs = consecutive_rows(file, sizes)?;
                let pairs = order.repaired(&pairs, images.names())?.pairs;
                Ok(Relevance::from_pairs(sizes.0, sizes.1, &pairs))
            }
            (Some(Pairing::Order(order)), _) => bail!(
                "--pairs {order} is about rows, and ranked lists have none (give a file of pairs)"
            ),
            (Some(Pairing::File(file)), _) if is_json(file) => {
                let named = read_map(file)?;
                tell(&named);
                by_name(&named, UnknownIds::Refuse)
            }
            (Some(Pairing::File(file)), _) => {
                let pairs = dataset::read_pairs(file, sizes.0, sizes.1)?;
                Ok(Relevance::from_pairs(sizes.0, sizes.1, &pairs))
            }
            (None, Foreign::Lists(_)) => match judging.named()? {
                Some(named) => by_name(&named, UnknownIds::Ignore),
                None => bail!(
                    "nothing says which captions belong to which images \
                     (add --pairs FILE, --data PATH or --relevance FILE)"
                ),
            },
            (None, Foreign::Scores(file)) => {
                let pairs = consecutive_rows(file, sizes)?;
                Ok(Relevance::from_pairs(sizes.0, sizes.1, &pairs))
            }
            (None, Foreign::Embeddings(_)) => bail!("embeddings bring their pairs with them"),
        }
    }

    fn names_of_lists(
        &self,
        named: &NamedLists,
        data: Option<&Dataset>,
        judging: &JudgingArgs,
    ) -> Result<(Ids, Ids)> {
        if let Some([images, captions]) = self.ids.as_deref() {
            return Ok((read_all_ids(images)?, read_all_ids(captions)?));
        }
        if let Some(data) = data {
            let images = Ids::new(data.image_ids.clone())?;
            return Ok((images, Ids::numbered(data.n_captions())));
        }
        // Without a list of ids, whatever is named anywhere is in the data.
        let paired = match self.pairs_file() {
            Some(file) if is_json(&file) => Some(read_map(&file)?),
            _ => None,
        };
        let judged = match &paired {
            Some(_) => None,
            None => judging.named()?,
        };
        let given = [paired.as_ref(), judged.as_ref()].into_iter().flatten();
        let (mut images, mut captions) = (SeenNames::default(), SeenNames::default());
        for lists in given.chain([&named.image_to_text]) {
            SeenNames::add_all(lists, &mut images, &mut captions);
        }
        SeenNames::add_all(&named.text_to_image, &mut captions, &mut images);
        Ok((Ids::new(images.order)?, Ids::new(captions.order)?))
    }
}

fn refuse_three_axes(file: &Path, scores: &Features) -> Result<()> {
    if scores.regions() == 1 {
        return Ok(());
    }
    let shape = [scores.len(), scores.regions(), scores.dim()];
    Err(Error::data(
        file,
        Place::Whole,
        format!("shape {shape:?}, expected scores [images, captions]"),
        "save one score for every image and caption",
    )
    .into())
}

/// Names in the order in which they were first seen.
#[derive(Default)]
struct SeenNames {
    order: Vec<String>,
    seen: std::collections::HashSet<String>,
}

impl SeenNames {
    /// Every name of `lists`, to those of the side that asks and of the side that is found.
    fn add_all(lists: &Judgments, asking: &mut Self, found: &mut Self) {
        for (query, items) in lists.queries() {
            asking.add(query);
            items.for_each(|item| found.add(item));
        }
    }

    fn add(&mut self, name: &str) {
        if self.seen.insert(name.to_owned()) {
            self.order.push(name.to_owned());
        }
    }
}

/// Ranked lists as their files name them.
struct NamedLists {
    image_to_text: Judgments,
    text_to_image: Judgments,
}

impl NamedLists {
    fn read(files: &[PathBuf]) -> Result<Self> {
        let [image_to_text, text_to_image] = files else {
            bail!("--ranked takes two files")
        };
        let read = |file: &Path| {
            if is_json(file) {
                read_list_map(file)
            } else {
                read_trec_run(file)
            }
        };
        let named = Self {
            image_to_text: read(image_to_text)?,
            text_to_image: read(text_to_image)?,
        };
        tell(&named.image_to_text);
        tell(&named.text_to_image);
        Ok(named)
    }

    fn resolve(&self, (images, captions): &(Ids, Ids)) -> Result<RankedLists> {
        Ok(RankedLists::new(
            images.len(),
            captions.len(),
            List::resolve(&self.image_to_text, images, captions)?,
            List::resolve(&self.text_to_image, captions, images)?,
        )?)
    }
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "json")
}

fn check_data(data: Option<&Dataset>, sizes: (usize, usize)) -> Result<()> {
    let Some(data) = data else { return Ok(()) };
    let known = (data.n_images(), data.n_captions());
    if known != sizes {
        bail!(
            "the ranking is of {} images and {} captions, but {} has {} and {} \
             (give the data and the split that were ranked)",
            sizes.0,
            sizes.1,
            data.name,
            known.0,
            known.1
        )
    }
    Ok(())
}

/// # Errors
/// If the images do not divide the captions.
fn consecutive_rows(file: &Path, sizes: (usize, usize)) -> Result<Vec<Pair>> {
    consecutive(sizes.0, sizes.1).with_context(|| {
        format!(
            "{}: {} captions (columns) cannot be shared evenly by {} images (rows) (transpose the matrix, \
             or say which belong together with --pairs)",
            file.display(),
            sizes.1,
            sizes.0
        )
    })
}

/// Captions in the order of their images, the same number each.
fn consecutive(n_images: usize, n_captions: usize) -> Option<Vec<Pair>> {
    let each = n_captions
        .checked_div(n_images)
        .filter(|each| each * n_images == n_captions)?;
    let caption = |caption: usize| Pair {
        image: (caption / each) as u32,
        caption: caption as u32,
    };
    (each > 0).then(|| (0..n_captions).map(caption).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_follow_their_images_evenly_or_not_at_all() {
        let pairs = consecutive(2, 6).unwrap();
        assert_eq!(
            pairs[3],
            Pair {
                image: 1,
                caption: 3
            }
        );
        assert!(consecutive(4, 6).is_none() && consecutive(6, 4).is_none());
        assert!(consecutive(0, 6).is_none() && consecutive(6, 0).is_none());
    }
}

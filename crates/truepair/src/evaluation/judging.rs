//! Who counts as right: the data's pairs, judgments from files, or labels.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use truepair_core::digest::Digest;
use truepair_core::metric::Relevant;
use truepair_core::pair::Pair;
use truepair_core::relevance::{
    Codes, Judgments, LabelRelevance, MatchRule, Relevance, UnknownIds, Unlabeled,
};
use truepair_core::scores::Direction;
use truepair_core::source_file;
use truepair_read::relevance::{read_codes, read_cxc, read_instances, read_map, read_qrels};

use super::Subject;
use crate::render;

/// Arguments that say who counts as right.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Relevance")]
pub(crate) struct JudgingArgs {
    /// Judgments: one file for image queries and one for caption queries (by default the first,
    /// mirrored): JSON maps, TREC qrels, or the CSV of Crisscrossed Captions.
    #[arg(long, value_names = ["I2T", "T2I"], num_args = 1..=2, conflicts_with_all = ["labels", "rule"])]
    relevance: Option<Vec<PathBuf>>,

    /// What to do with judged ids that the data does not have.
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "refuse",
        requires = "relevance"
    )]
    unknown_ids: UnknownIdsChoice,

    /// Labels of the images and of the captions (by default those of their images): integers `[n]`
    /// (classes, -1 = none) or 0 and 1 `[n, classes]`, .npy, or one class per line; of images also
    /// MS-COCO's annotations of objects, instances_val2014.json.
    #[arg(long, value_names = ["IMAGES", "CAPTIONS"], num_args = 1..=2)]
    labels: Option<Vec<PathBuf>>,

    /// When labels match: `same` (by default), `share` (a class in common), a number of classes that
    /// may differ, or `plausible` (0, 1 and 2 of them, for PMRP). Without --labels the labels are those
    /// of the data.
    #[arg(long = "match", value_name = "RULE", value_parser = match_rule)]
    rule: Option<MatchRule>,

    /// Number of classes; labels must be below it.
    #[arg(long, value_name = "N", requires = "labels")]
    classes: Option<u32>,

    /// What happens in the rankings to items without a label.
    #[arg(long, value_name = "WHAT", default_value = "remove")]
    unlabeled: UnlabeledChoice,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnknownIdsChoice {
    /// Stop and name the first one
    Refuse,
    /// Count them as relevant items that are never found
    Count,
    /// Leave them out
    Ignore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum UnlabeledChoice {
    /// They are taken out
    Remove,
    /// They stay and are relevant to nobody
    Keep,
}

fn match_rule(text: &str) -> Result<MatchRule, String> {
    match text {
        "same" => Ok(MatchRule::Same),
        "share" => Ok(MatchRule::Share),
        "plausible" => Ok(MatchRule::Plausible),
        _ => (text.parse().map(MatchRule::Distance))
            .map_err(|_| "expected same, share, plausible or a number".to_owned()),
    }
}

/// Who counts as right, read and looked up.
pub(crate) enum Judged {
    Lists(Relevance),
    Labels(LabelRelevance),
}

impl Judged {
    pub(crate) fn relevant(&self) -> Relevant<'_> {
        match self {
            Judged::Lists(relevance) => Relevant::Lists(relevance),
            Judged::Labels(labels) => Relevant::Labels(labels),
        }
    }

    /// The items of every query as lists; what labels match at the strictest level when `direction`'s
    /// queries ask.
    pub(crate) fn listed(&self, direction: Direction) -> Cow<'_, Relevance> {
        match self {
            Judged::Lists(relevance) => Cow::Borrowed(relevance),
            Judged::Labels(labels) => Cow::Owned(list(labels, direction)),
        }
    }

    /// Whether `item` answers `query`, at the strictest level.
    pub(crate) fn is_relevant(&self, direction: Direction, query: u32, item: u32) -> bool {
        match self {
            Judged::Lists(relevance) => {
                let relevant = relevance.relevant(direction, query);
                relevant.binary_search(&item).is_ok()
            }
            Judged::Labels(labels) => labels.level(direction, query, item) == Some(0),
        }
    }
}

fn list(labels: &LabelRelevance, direction: Direction) -> Relevance {
    let mut pairs = Vec::new();
    for image in 0..labels.n_images() as u32 {
        for caption in 0..labels.n_captions() as u32 {
            let (query, item) = match direction {
                Direction::ImageToText => (image, caption),
                Direction::TextToImage => (caption, image),
            };
            let asked = labels.is_query(direction, query)
                && labels.in_gallery(direction, query, item)
                && labels.level(direction, query, item) == Some(0);
            if asked {
                pairs.push(Pair { image, caption });
            }
        }
    }
    Relevance::from_pairs(labels.n_images(), labels.n_captions(), &pairs)
}

impl JudgingArgs {
    /// The files that are named.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.relevance.iter_mut().chain(&mut self.labels).flatten()
    }

    /// The judgments of images that ask, by name, when they come from files.
    pub(crate) fn named(&self) -> Result<Option<Judgments>> {
        match &self.relevance {
            None => Ok(None),
            Some(files) => Ok(Some(read(&files[0])?)),
        }
    }

    /// Reads what was asked for, and says in the subject's protocol what it was.
    pub(crate) fn judge(&self, subject: &mut Subject<'_>) -> Result<Judged> {
        match (&self.relevance, self.asked_labels(subject)?) {
            (Some(files), _) => {
                subject.protocol.relevance = format!("judgments, sha256 {}", hash(files)?);
                match self.unknown_ids {
                    UnknownIdsChoice::Refuse => {}
                    UnknownIdsChoice::Count => subject.protocol.relevance += ", unknown ids count",
                    UnknownIdsChoice::Ignore => {
                        subject.protocol.relevance += ", unknown ids ignored"
                    }
                }
                Ok(Judged::Lists(self.judgments(files, subject)?))
            }
            (None, Some(labels)) => {
                let rule = self.rule.unwrap_or(MatchRule::Same);
                subject.protocol.relevance = match &labels {
                    Labels::Files(files) => format!("labels, {rule}, sha256 {}", hash(files)?),
                    Labels::OfData(labels) => {
                        format!("labels of the data, {rule}, sha256 {}", digest_of(labels))
                    }
                };
                if let UnlabeledChoice::Keep = self.unlabeled {
                    subject.protocol.relevance += ", unlabeled kept";
                }
                let relevance = self.label_relevance(&labels, rule, subject)?;
                Ok(Judged::Labels(relevance))
            }
            (None, None) => Ok(Judged::Lists(subject.pairs.clone())),
        }
    }

    /// The labels by which is judged; `None` where that is asked of none.
    ///
    /// # Errors
    /// If they are to be those of the data, which has none, or nothing asks for labels and something
    /// says what becomes of them.
    fn asked_labels(&self, subject: &Subject<'_>) -> Result<Option<Labels<'_>>> {
        if let Some(files) = &self.labels {
            return Ok(Some(Labels::Files(files)));
        }
        if self.rule.is_none() {
            if self.unlabeled == UnlabeledChoice::Keep {
                bail!(
                    "--unlabeled is about labels (add --labels FILE, or --match for those of the data)"
                )
            }
            return Ok(None);
        }
        match &subject.labels {
            Some(labels) => Ok(Some(Labels::OfData(labels.clone()))),
            None => bail!(
                "--match compares labels, and the data has none (add --labels FILE, or --data PATH of data \
                 that has)"
            ),
        }
    }

    fn judgments(&self, files: &[PathBuf], subject: &Subject<'_>) -> Result<Relevance> {
        let first = read(&files[0])?;
        tell(&first);
        let second = match files.get(1) {
            Some(file) => {
                let second = read(file)?;
                tell(&second);
                second
            }
            None => first.mirrored(),
        };
        let unknown = match self.unknown_ids {
            UnknownIdsChoice::Refuse => UnknownIds::Refuse,
            UnknownIdsChoice::Count => UnknownIds::Count,
            UnknownIdsChoice::Ignore => UnknownIds::Ignore,
        };
        let (images, captions) = (&subject.images, &subject.captions);
        let of_images = first.resolve(Direction::ImageToText, images, captions, unknown)?;
        let of_captions = second.resolve(Direction::TextToImage, captions, images, unknown)?;
        for (direct, asked) in [(&of_images, "image"), (&of_captions, "caption")] {
            let unknown = direct.unknown;
            if unknown.queries + unknown.items > 0 {
                render::note(&format!(
                    "not in the data: {} of the judgments and {} of others",
                    render::count(unknown.queries, &format!("asking {asked}")),
                    render::count(unknown.items, "relevant item"),
                ));
            }
        }
        Ok(Relevance::from_judgments(of_images, of_captions))
    }

    fn label_relevance(
        &self,
        labels: &Labels<'_>,
        rule: MatchRule,
        subject: &Subject<'_>,
    ) -> Result<LabelRelevance> {
        let (images, of_captions) = match labels {
            Labels::Files(files) if is_json(&files[0]) => {
                let codes = read_instances(&files[0], &subject.images)?;
                (codes, files.get(1))
            }
            Labels::Files(files) => {
                let codes = read_codes(&files[0], subject.images.len(), self.classes)?;
                (codes, files.get(1))
            }
            Labels::OfData(labels) => (Codes::classes(labels, None)?, None),
        };
        let captions = match of_captions {
            Some(file) => read_codes(file, subject.captions.len(), self.classes)?,
            None => {
                let captions = 0..subject.captions.len() as u32;
                let owner = |caption| subject.pairs.images_of(caption).first().copied();
                images.inherited(&captions.map(owner).collect::<Vec<_>>())
            }
        };
        let n_unlabeled = images.n_unlabeled() + captions.n_unlabeled();
        if n_unlabeled > 0 {
            render::note(&format!(
                "{} and {} have no label",
                render::count(images.n_unlabeled(), "image"),
                render::count(captions.n_unlabeled(), "caption"),
            ));
        }
        let unlabeled = match self.unlabeled {
            UnlabeledChoice::Remove => Unlabeled::Removed,
            UnlabeledChoice::Keep => Unlabeled::Kept,
        };
        Ok(LabelRelevance::new(images, captions, rule)?.with_unlabeled(unlabeled))
    }
}

/// Labels that items are judged by.
enum Labels<'a> {
    /// Of the images and perhaps of the captions.
    Files(&'a [PathBuf]),
    /// Those that the data has of its images.
    OfData(Vec<i64>),
}

fn is_json(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "json")
}

/// The first 16 digits of a SHA-256 over labels.
fn digest_of(labels: &[i64]) -> String {
    let mut digest = Digest::new();
    for label in labels {
        digest.add(&label.to_le_bytes());
    }
    shortened(digest)
}

fn shortened(digest: Digest) -> String {
    let mut hex = digest.hex();
    hex.truncate(16);
    hex
}

/// Reads judgments of one direction, by the file's ending.
fn read(file: &Path) -> Result<Judgments> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    Ok(match ending {
        Some("json") => read_map(file)?,
        Some("csv") => read_cxc(file)?,
        _ => read_qrels(file)?,
    })
}

/// Says in one line what the reader of a file of ids passed over or chose.
pub(crate) fn tell(judgments: &Judgments) {
    if let Some(line) = judgments.account().summary() {
        let file = judgments.file().display();
        render::note(&format!("note: {file}: {line}"));
    }
}

/// The first 16 digits of a SHA-256 over the files' contents.
fn hash(files: &[PathBuf]) -> Result<String> {
    let mut digest = Digest::new();
    for file in files {
        let bytes = source_file::read(file, source_file::STATE)
            .with_context(|| format!("{}: cannot read", file.display()))?;
        if bytes.is_empty() {
            bail!(
                "{}: is empty (give a file of judgments or labels)",
                file.display()
            );
        }
        digest.add(&(bytes.len() as u64).to_le_bytes());
        digest.add(&bytes);
    }
    Ok(shortened(digest))
}

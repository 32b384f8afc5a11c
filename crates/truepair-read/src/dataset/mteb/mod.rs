//! Corpus, queries and judgments apart, as MTEB and BEIR keep benchmarks of retrieval.
//!
//! `corpus/`, `query/` or `queries/`, and `qrels/` of parquet, or `corpus.jsonl`, `queries.jsonl` and
//! `qrels/SPLIT.tsv`; one side is pictures, the other texts.
//! Source: <https://github.com/beir-cellar/beir/wiki/Load-your-custom-dataset>.

mod layout;
mod side;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Dataset, Picture};
use truepair_core::durable;
use truepair_core::error::{Error, Place, Result};

use self::layout::{Configuration, Layout};
use self::side::{Content, Side};
use super::cell::Cell;
use super::judged::{Items, Judged, kept_flags};
use super::kept_records;
use super::records;
use super::write::link_as;
use super::{Format, ReadOptions, resolve_split};

/// Columns of a judgment, each by its names.
const COLUMNS: [&[&str]; 3] = [
    &["query-id", "query_id", "qid"],
    &["corpus-id", "corpus_id", "doc-id", "doc_id", "pid"],
    &["score", "relevance", "label"],
];
/// The role of the folder of the data, as the account names it.
pub(super) const HOME_ROLE: &str = "benchmark";

/// A folder of a corpus, queries and judgments.
pub(super) struct Mteb;

impl Format for Mteb {
    fn name(&self) -> &'static str {
        "mteb"
    }

    fn summary(&self) -> &'static str {
        "Corpus, queries and judgments apart, as MTEB and BEIR have them, one side of pictures and one of \
         texts; splits are those of the judgments, and judgments of 0 are not pairs."
    }

    fn files(&self) -> &'static str {
        "`corpus/`, `query/` or `queries/`, and `qrels/` with `SPLIT-00000-of-0000N.parquet`, or \
         `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`; ids in `id` or `_id`, pictures in `image`, texts \
         in `text`; folders `CONFIG-corpus` and so on are splits `CONFIG-SPLIT` where there are several"
    }

    fn sniff(&self, path: &Path) -> Option<String> {
        let layout = Layout::find(path).ok()?;
        let first = layout.configurations.first()?;
        let [corpus, queries, qrels] = first.names(path);
        Some(format!("the folder holds {corpus}, {queries} and {qrels}"))
    }

    fn splits(&self, path: &Path, _options: &ReadOptions) -> Result<Vec<String>> {
        Ok(Layout::find(path)?.splits())
    }

    fn read(&self, path: &Path, options: &ReadOptions) -> Result<Dataset> {
        let layout = Layout::find(path)?;
        let split = resolve_split(path, options, &layout.splits())?;
        let (configuration, qrels) = layout.of_split(&split);
        let mut judged = read(path, configuration, &qrels, &split)?;
        layout.note(&mut judged.account, path, configuration, &qrels)?;
        judged.account.read_as(HOME_ROLE, path.display());
        judged.into_dataset(self.name(), path, split, options)
    }

    fn names_all_images(&self) -> bool {
        true
    }

    fn keeps_other_splits(&self, _dataset: &Dataset) -> bool {
        true
    }

    /// The same folder without the judgments of removed pairs and the queries that have none left.
    fn write_kept(&self, dataset: &Dataset, keep: &[bool], out: &Path) -> Result<Vec<PathBuf>> {
        let home = dataset.account.sources(HOME_ROLE).pop().map(PathBuf::from);
        let home = home.unwrap_or_default();
        let layout = Layout::find(&home)?;
        let (configuration, qrels) = layout.of_split(&dataset.split);
        let asking = configuration.queries_of(&qrels);
        let corpus = Side::read(&home, &configuration.corpus_of(&qrels))?;
        let queries = Side::read(&home, &asking)?;
        let sides = Sides::of(&home, corpus, queries)?;
        let place = |file: &Path| out.join(file.strip_prefix(&home).unwrap_or(file));
        let mut written = Vec::new();
        match flags(&sides, &qrels, dataset, keep)? {
            Some(flags) => {
                let left = unasked(&qrels, &flags)?;
                for (file, flags) in qrels.iter().zip(flags) {
                    let target = place(file);
                    kept_records::write(file, &flags, &target)?;
                    written.push(target);
                }
                if configuration.has_own_queries(&qrels) {
                    for file in &asking {
                        let stays: Vec<bool> = (Side::ids(file)?.iter())
                            .map(|id| !left.contains(id))
                            .collect();
                        kept_records::write(file, &stays, &place(file))?;
                        written.push(place(file));
                    }
                }
            }
            None => {
                let target = place(&qrels[0]).with_extension("tsv");
                make_folder(&target)?;
                durable::write(&target, planted(&sides, dataset, keep)?.as_bytes())?;
                written.push(target);
            }
        }
        let is_written: HashSet<PathBuf> = written.iter().cloned().collect();
        let others = layout.files().filter(|file| !qrels.contains(file));
        for file in others.filter(|file| !is_written.contains(&place(file))) {
            written.push(link_as(file, &place(file))?);
        }
        Ok(written)
    }
}

/// The two sides, told apart.
struct Sides {
    images: Items<Picture>,
    /// Ids of images whose pictures were passed over.
    without_picture: HashSet<String>,
    texts: Items<String>,
    text_file: PathBuf,
    corpus: Content,
    account: Account,
}

impl Sides {
    /// # Errors
    /// If not one of the sides is pictures and the other texts.
    fn of(path: &Path, corpus: Side, queries: Side) -> Result<Self> {
        let contents =
            [&corpus, &queries].map(|side| (side.has(Content::Pictures), side.has(Content::Texts)));
        let (pictures, texts, corpus_is) = match contents {
            [(true, _), (false, true)] => (corpus, queries, Content::Pictures),
            [(false, true), (true, _)] => (queries, corpus, Content::Texts),
            [(true, false), (true, true)] => (corpus, queries, Content::Pictures),
            [(true, true), (true, false)] => (queries, corpus, Content::Texts),
            _ => {
                let [corpus, queries] = [corpus, queries].map(|side| side.to_string());
                return Err(Error::data(
                    path,
                    Place::Whole,
                    format!("the corpus holds {corpus}, the queries hold {queries}"),
                    "pairs need pictures in a column 'image' on one side, and texts in 'text' on the other",
                ));
            }
        };
        let mut account = pictures.account.clone();
        account.merge(texts.account.clone());
        if pictures.has(Content::Texts) {
            account.pass("column", "its side is read as pictures", "text");
        }
        if texts.has(Content::Pictures) {
            account.pass("column", "its side is read as texts", "image");
        }
        let text_file = texts.first_file();
        let (images, without_picture) = pictures.into_pictures(&mut account)?;
        Ok(Self {
            text_file,
            images,
            without_picture,
            texts: texts.into_texts()?,
            corpus: corpus_is,
            account,
        })
    }

    /// The ids of image and text of a judgment.
    fn pair(&self, query: String, item: String) -> (String, String) {
        match self.corpus {
            Content::Pictures => (item, query),
            Content::Texts => (query, item),
        }
    }
}

/// One line of the judgments.
struct Judgment {
    query: String,
    item: String,
    score: f64,
}

fn read(
    path: &Path,
    configuration: &Configuration,
    qrels: &[PathBuf],
    split: &str,
) -> Result<Judged> {
    let (corpus, queries) = (
        configuration.corpus_of(qrels),
        configuration.queries_of(qrels),
    );
    let mut sides = Sides::of(
        path,
        Side::read(path, &corpus)?,
        Side::read(path, &queries)?,
    )?;
    let mut joined = Joined {
        account: std::mem::take(&mut sides.account),
        sides: &sides,
        split,
        pairs: Vec::new(),
        first: HashMap::new(),
    };
    for file in qrels {
        for_each_judgment(file, |place, judgment| joined.add(file, place, judgment))?;
    }
    let Joined { account, pairs, .. } = joined;
    let is_shared = configuration.is_shared();
    let mut judged = Judged {
        files: corpus
            .iter()
            .chain(&queries)
            .chain(qrels)
            .cloned()
            .collect(),
        images: sides.images,
        texts: sides.texts,
        text_file: sides.text_file,
        pairs,
        account,
    };
    leave_out_unjudged(&mut judged, sides.corpus, is_shared);
    Ok(judged)
}

/// Judgments on their way to pairs.
struct Joined<'a> {
    sides: &'a Sides,
    split: &'a str,
    pairs: Vec<(String, String)>,
    /// Where each query judges each item.
    first: HashMap<(String, String), Place>,
    account: Account,
}

impl Joined<'_> {
    /// # Errors
    /// If an id is not known, or an item of a query was judged before.
    fn add(&mut self, file: &Path, place: Place, judgment: Judgment) -> Result<()> {
        let Judgment { query, item, score } = judgment;
        let key = (query.clone(), item.clone());
        if let Some(first) = self.first.insert(key, place) {
            let first = first.to_string();
            let first = first.trim_start_matches([':', ' ']);
            let problem = format!("query '{query}' judges '{item}' a second time (first: {first})");
            let remedy = "judge every item of a query once";
            return Err(Error::data(file, place, problem, remedy));
        }
        if score <= 0.0 {
            let name = format!("{query} {item}");
            self.account
                .pass("judgment", "its score is 0 or less", name);
            return Ok(());
        }
        let (image, text) = self.sides.pair(query, item);
        let has_text = self.sides.texts.find(&text).is_some();
        if has_text && self.sides.images.find(&image).is_some() {
            self.pairs.push((image, text));
            return Ok(());
        }
        if has_text && self.sides.without_picture.contains(&image) {
            let why = "its picture was passed over";
            let name = format!("{text} {image}");
            self.account.pass("judgment", why, name);
            return Ok(());
        }
        let (unknown, of) = if has_text {
            (image, "pictures")
        } else {
            (text, "texts")
        };
        let split = self.split;
        let problem = format!("id '{unknown}' is not among the {of} of split '{split}'");
        let remedy = "check that corpus, queries and judgments belong together";
        Err(Error::data(file, place, problem, remedy))
    }
}

/// Queries without a pair are left out, and items of a corpus that splits share.
fn leave_out_unjudged(judged: &mut Judged, corpus: Content, is_shared: layout::Shared) {
    let mut of_images = vec![false; judged.images.items.len()];
    let mut of_texts = vec![false; judged.texts.items.len()];
    for (image, text) in &judged.pairs {
        if let (Some(image), Some(text)) = (judged.images.find(image), judged.texts.find(text)) {
            of_images[image as usize] = true;
            of_texts[text as usize] = true;
        }
    }
    let query = "no judgment of the split gives it a pair";
    let item = "no judgment of the split gives it a pair, and several splits share the corpus";
    let shares = is_shared == layout::Shared::BySplits;
    if corpus == Content::Texts || shares {
        let why = if corpus == Content::Texts {
            query
        } else {
            item
        };
        for id in judged.images.retain(&of_images) {
            judged.account.pass("picture", why, id);
        }
    }
    if corpus == Content::Pictures || shares {
        let why = if corpus == Content::Pictures {
            query
        } else {
            item
        };
        for id in judged.texts.retain(&of_texts) {
            judged.account.pass("text", why, id);
        }
    }
}

/// Calls `visit` with every judgment of a table.
///
/// # Errors
/// If a column is missing, an id is missing, or a score is not a number, and those of `visit`.
fn for_each_judgment(
    path: &Path,
    mut visit: impl FnMut(Place, Judgment) -> Result<()> + Send,
) -> Result<()> {
    let found = records::columns(path)?;
    let column = |names: &[&str]| {
        let column = found.iter().find(|column| names.contains(&column.as_str()));
        column.ok_or_else(|| {
            let problem = format!(
                "there is no column '{}'; the columns are: {}",
                names[0],
                found.join(", ")
            );
            Error::data(
                path,
                Place::Whole,
                problem,
                "write the columns query-id, corpus-id and score",
            )
        })
    };
    let wanted = [
        column(COLUMNS[0])?,
        column(COLUMNS[1])?,
        column(COLUMNS[2])?,
    ];
    let wanted = wanted.map(String::as_str);
    records::for_each(path, &wanted, |place, cells| {
        let texts = cells.into_iter().map(|cell| match cell {
            Cell::One(text) => text.trim().to_owned(),
            Cell::Missing | Cell::Many(_) | Cell::Gapped(_) => String::new(),
        });
        let texts: Vec<String> = texts.collect();
        let [query, item, score] = &texts[..] else {
            return Ok(());
        };
        let score: Option<f64> = score.parse().ok().filter(|score: &f64| score.is_finite());
        match score {
            Some(score) if !query.is_empty() && !item.is_empty() => {
                let (query, item) = (query.clone(), item.clone());
                visit(place, Judgment { query, item, score })
            }
            _ => Err(Error::data(
                path,
                place,
                format!("expected two ids and a number, found {}", texts.join(", ")),
                "correct or remove the judgment",
            )),
        }
    })
}

/// Which judgments of each file stay: those of no pair do; `None` where noise was planted.
fn flags(
    sides: &Sides,
    qrels: &[PathBuf],
    dataset: &Dataset,
    keep: &[bool],
) -> Result<Option<Vec<Vec<bool>>>> {
    let (mut pairs, mut of_files) = (Vec::new(), Vec::new());
    for file in qrels {
        let mut of_file = Vec::new();
        for_each_judgment(file, |_, Judgment { query, item, score }| {
            let (image, text) = sides.pair(query, item);
            let text = sides
                .texts
                .find(&text)
                .map(|text| &sides.texts.items[text as usize]);
            let is_pair = score > 0.0 && text.is_some() && sides.images.find(&image).is_some();
            of_file.push(is_pair);
            if let (true, Some(text)) = (is_pair, text) {
                pairs.push((image, text.clone()));
            }
            Ok(())
        })?;
        of_files.push(of_file);
    }
    let pairs = pairs
        .iter()
        .map(|(image, text)| (image.as_str(), text.as_str()));
    let Some(flags) = kept_flags(dataset, keep, pairs) else {
        return Ok(None);
    };
    let mut flags = flags.into_iter();
    for is_pair in of_files.iter_mut().flatten() {
        *is_pair = !*is_pair || flags.next().unwrap_or(true);
    }
    Ok(Some(of_files))
}

/// Queries of which a judgment above 0 was removed and none stays.
fn unasked(qrels: &[PathBuf], flags: &[Vec<bool>]) -> Result<HashSet<String>> {
    let (mut lost, mut kept) = (HashSet::new(), HashSet::new());
    for (file, flags) in qrels.iter().zip(flags) {
        let mut flags = flags.iter();
        for_each_judgment(file, |_, judgment| {
            let stays = flags.next().copied().unwrap_or(true);
            if !stays {
                lost.insert(judgment.query);
            } else if judgment.score > 0.0 {
                kept.insert(judgment.query);
            }
            Ok(())
        })?;
    }
    lost.retain(|query| !kept.contains(query));
    Ok(lost)
}

fn make_folder(target: &Path) -> Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::io(folder, "create", source))
}

/// The kept pairs of a data set with planted noise, as judgments.
fn planted(sides: &Sides, dataset: &Dataset, keep: &[bool]) -> Result<String> {
    let texts = dataset.require_captions()?;
    let known = sides.texts.items.iter().zip(&sides.texts.ids).rev();
    let ids: HashMap<&str, &str> = known
        .map(|(text, id)| (text.as_str(), id.as_str()))
        .collect();
    let mut lines = "query-id\tcorpus-id\tscore\n".to_owned();
    for pair in dataset.kept(keep) {
        let image = dataset.image_ids[pair.image as usize].as_str();
        let text = texts[pair.caption as usize].as_str();
        let text = ids.get(text).copied().unwrap_or(text);
        let (query, item) = match sides.corpus {
            Content::Pictures => (text, image),
            Content::Texts => (image, text),
        };
        lines += &format!("{query}\t{item}\t1\n");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;

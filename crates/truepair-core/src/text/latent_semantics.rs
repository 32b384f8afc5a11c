//! Captions as vectors without a pretrained encoder: weighted counts of words and pieces of words,
//! reduced by a truncated singular value decomposition (latent semantic analysis).
//!
//! No tokenizer is needed: scripts without spaces are counted by pieces of one to three characters,
//! and so are words too rare to occur again.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::sparse::SparseRows;
use super::terms::{Run, pieces, pieces_of_word, runs};
use crate::dataset::Features;
use crate::durable;
use crate::error::{Error, Place, Result};
use crate::rng::{Seed, sample};
use crate::source_file;

/// Settings of [`LatentSemantics`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatentSemanticsConfig {
    /// How many numbers a caption becomes, at least 1; fewer if the captions span fewer directions.
    pub dim: usize,
    /// Words in fewer captions than this are counted by pieces of one to three characters.
    pub rare_below: usize,
    /// At most this many terms are counted, the most frequent ones.
    pub max_terms: usize,
}

impl Default for LatentSemanticsConfig {
    fn default() -> Self {
        Self {
            dim: 300,
            rare_below: 3,
            max_terms: 50_000,
        }
    }
}

impl LatentSemanticsConfig {
    /// # Errors
    /// If a setting is out of range; the message names it.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("dim", self.dim), ("max_terms", self.max_terms)] {
            if value == 0 {
                return Err(Error::argument(
                    format!("{name} = 0 leaves nothing of a caption"),
                    "leave it out for the default",
                ));
            }
        }
        Ok(())
    }
}

/// Terms in fewer captions say nothing about other captions.
const LEAST_CAPTIONS: u32 = 2;

/// How many captions the directions are found on; the others are only projected.
const SAMPLE: usize = 32_768;

/// A fitted latent semantic analysis of captions.
///
/// ```text
/// w_t = (1 + ln n_t) ln((1 + N) / (1 + N_t)) + 1-smoothing,  scaled to length 1
/// y   = wᵀ V
/// ```
/// with `n_t` the count of term `t` in the caption, `N_t` the number of captions that contain it among
/// `N`, and `V` `[terms, dim]` the leading right singular vectors of the captions' rows.
///
/// ```
/// use truepair_core::rng::Seed;
/// use truepair_core::text::{LatentSemantics, LatentSemanticsConfig};
///
/// let captions = ["红球在草地上", "一个红球", "草地上的狗", "一只狗"];
/// let config = LatentSemanticsConfig { dim: 2, ..LatentSemanticsConfig::default() };
/// let text = LatentSemantics::fit(&captions, &config, Seed(0))?;
/// assert_eq!(text.embed("红球").len(), text.dim());
/// # Ok::<(), truepair_core::Error>(())
/// ```
///
/// # Source
/// Deerwester et al., 1990; the decomposition by random projection with two power iterations:
/// Halko, Martinsson and Tropp, 2011, algorithm 4.4. Weights as in scikit-learn's
/// `TfidfVectorizer(sublinear_tf=True)`.
///
/// # Deviations
/// 1. Directions are found on at most 32,768 captions.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentSemantics {
    /// The place of every term.
    places: HashMap<String, u32>,
    /// `ln((1 + N) / (1 + N_t)) + 1`, `[terms]`.
    idf: Vec<f32>,
    /// `V` `[terms, dim]`.
    directions: Vec<f32>,
    dim: usize,
}

impl LatentSemantics {
    /// Fits to `captions`; the same captions and seed give the same bits.
    ///
    /// # Errors
    /// If a setting is out of range or no two captions share a term.
    pub fn fit<S: AsRef<str> + Sync>(
        captions: &[S],
        config: &LatentSemanticsConfig,
        seed: Seed,
    ) -> Result<Self> {
        config.check()?;
        let counted = Counted::new(captions, config);
        if counted.terms.is_empty() {
            return Err(Error::argument(
                "no two captions share a word or a piece of one",
                "check that the captions were read, or give caption embeddings",
            ));
        }
        let mut text = Self {
            idf: counted.idf(captions.len()),
            places: counted.places(),
            directions: Vec::new(),
            dim: 0,
        };
        let mut rng = seed.stream("latent semantics", &[]);
        let mut chosen = sample(&mut rng, captions.len(), SAMPLE);
        chosen.sort_unstable();
        let rows: Vec<Vec<(u32, f32)>> = chosen
            .par_iter()
            .map(|&row| text.weigh(captions[row as usize].as_ref()))
            .collect();
        let rows = SparseRows::new(rows, text.idf.len());
        (text.directions, text.dim) = rows.directions(config.dim, &mut rng)?;
        Ok(text)
    }

    /// How many numbers a caption becomes.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of terms.
    pub fn n_terms(&self) -> usize {
        self.idf.len()
    }

    /// Whether a caption holds a word that is counted as a whole; in scripts without spaces, two adjacent characters.
    /// Pieces of other words are counted too, but say little.
    pub fn knows(&self, caption: &str) -> bool {
        runs(caption).into_iter().any(|run| match run {
            Run::Word(word) => self.places.contains_key(&word),
            Run::Unspaced(letters) => {
                let pieces = pieces(&letters);
                let mut whole = pieces.iter().filter(|piece| piece.chars().count() > 1);
                whole.any(|piece| self.places.contains_key(piece))
            }
        })
    }

    /// One caption's vector `[dim]`; zeros where it holds no known term.
    pub fn embed(&self, caption: &str) -> Vec<f32> {
        let mut out = vec![0.0; self.dim];
        for (term, weight) in self.weigh(caption) {
            let direction = &self.directions[term as usize * self.dim..][..self.dim];
            (out.iter_mut().zip(direction)).for_each(|(sum, x)| *sum += weight * x);
        }
        out
    }

    /// The vectors of all captions, in memory.
    pub fn features<S: AsRef<str> + Sync>(&self, captions: &[S]) -> Features {
        let mut values = vec![0.0; captions.len() * self.dim];
        values
            .par_chunks_exact_mut(self.dim)
            .zip(captions)
            .for_each(|(out, caption)| out.copy_from_slice(&self.embed(caption.as_ref())));
        Features::from_rows(values, self.dim)
    }

    /// The caption's terms with their weights, ascending, scaled to length 1.
    fn weigh(&self, caption: &str) -> Vec<(u32, f32)> {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for run in runs(caption) {
            let terms = match run {
                Run::Word(word) if self.places.contains_key(&word) => vec![word],
                Run::Word(word) => pieces_of_word(&word),
                Run::Unspaced(letters) => pieces(&letters),
            };
            for term in terms {
                if let Some(&place) = self.places.get(&term) {
                    *counts.entry(place).or_default() += 1;
                }
            }
        }
        let mut weights: Vec<(u32, f32)> = counts
            .into_iter()
            .map(|(term, n)| (term, (1.0 + (n as f32).ln()) * self.idf[term as usize]))
            .collect();
        weights.sort_unstable_by_key(|(term, _)| *term);
        let length = weights.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
        if length > 0.0 {
            weights.iter_mut().for_each(|(_, w)| *w /= length);
        }
        weights
    }
}

/// How many captions contain each term.
struct Counted {
    /// The terms that are kept, with their numbers of captions, the most frequent first.
    terms: Vec<(String, u32)>,
}

impl Counted {
    fn new<S: AsRef<str> + Sync>(captions: &[S], config: &LatentSemanticsConfig) -> Self {
        let split: Vec<Vec<Run>> = captions
            .par_iter()
            .map(|caption| runs(caption.as_ref()))
            .collect();
        let words = count(&split, |run, add| {
            if let Run::Word(word) = run {
                add(word.clone());
            }
        });
        let is_rare = |word: &String| (words[word] as usize) < config.rare_below;
        let parts = count(&split, |run, add| match run {
            Run::Word(word) if is_rare(word) => pieces_of_word(word).into_iter().for_each(add),
            Run::Word(_) => {}
            Run::Unspaced(letters) => pieces(letters).into_iter().for_each(add),
        });
        let whole = words
            .into_iter()
            .filter(|(_, n)| *n as usize >= config.rare_below);
        let mut terms: Vec<(String, u32)> = whole
            .chain(parts)
            .filter(|(_, n)| *n >= LEAST_CAPTIONS)
            .collect();
        terms.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        terms.truncate(config.max_terms);
        Self { terms }
    }

    fn idf(&self, n_captions: usize) -> Vec<f32> {
        let idf = |held: u32| ((1.0 + n_captions as f64) / (1.0 + f64::from(held))).ln() + 1.0;
        self.terms.iter().map(|(_, n)| idf(*n) as f32).collect()
    }

    fn places(self) -> HashMap<String, u32> {
        (self.terms.into_iter().zip(0..))
            .map(|((term, _), place)| (term, place))
            .collect()
    }
}

/// The number of captions with each term that `terms_of` yields.
fn count(
    captions: &[Vec<Run>],
    terms_of: impl Fn(&Run, &mut dyn FnMut(String)) + Sync,
) -> HashMap<String, u32> {
    /// Captions counted by one task; its terms are then added to those of the others.
    const TASK: usize = 8192;
    let count = |captions: &[Vec<Run>]| {
        let mut counts: HashMap<String, u32> = HashMap::new();
        let mut own: Vec<String> = Vec::new();
        for caption in captions {
            caption
                .iter()
                .for_each(|run| terms_of(run, &mut |term| own.push(term)));
            own.sort_unstable();
            own.dedup();
            own.drain(..)
                .for_each(|term| *counts.entry(term).or_default() += 1);
        }
        counts
    };
    let tasks = captions.par_chunks(TASK).map(count);
    tasks.reduce(HashMap::new, |mut sum, counts| {
        if sum.is_empty() {
            return counts;
        }
        for (term, n) in counts {
            *sum.entry(term).or_default() += n;
        }
        sum
    })
}

const KEY: &str = "truepair";
const VERSION: u32 = 1;

/// What the file holds besides its tensors.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    /// The terms, in the order of the tensors' rows.
    terms: Vec<String>,
}

impl LatentSemantics {
    /// Writes the analysis as safetensors: `idf` `[terms]`, `directions` `[terms, dim]`, and the
    /// terms in the file's metadata.
    ///
    /// # Errors
    /// If the folder cannot be written or the disk is full.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut terms = vec![String::new(); self.places.len()];
        for (term, &place) in &self.places {
            terms[place as usize].clone_from(term);
        }
        let head = Head {
            version: VERSION,
            terms,
        };
        let head = serde_json::to_string(&head).expect("strings and numbers serialize");
        let n = self.idf.len();
        let view = |shape: Vec<usize>, values| {
            TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values))
                .expect("shapes fit their values")
        };
        let tensors = [
            ("idf", view(vec![n], &self.idf)),
            ("directions", view(vec![n, self.dim], &self.directions)),
        ];
        let metadata = HashMap::from([(KEY.to_owned(), head)]);
        let bytes = safetensors::serialize(tensors, Some(metadata))
            .expect("two tensors of known shapes serialize");
        durable::write(path, &bytes)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or has another version.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = source_file::read(path, source_file::STATE)
            .map_err(|source| Error::io(path, "read", source))?;
        Self::from_bytes(&bytes).map_err(|problem| {
            let remedy = "restore the file, or train again";
            Error::data(path, Place::Whole, problem, remedy)
        })
    }

    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|error| format!("unreadable: {error}"))?;
        let head = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
        let head = head.ok_or("it holds no terms")?;
        let head: Head =
            serde_json::from_str(head).map_err(|error| format!("unreadable terms: {error}"))?;
        if head.version != VERSION {
            return Err(format!("version {}, expected {VERSION}", head.version));
        }
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|error| format!("unreadable: {error}"))?;
        let values = |name: &str| -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
            let tensor = (tensors.tensor(name)).map_err(|_| format!("`{name}` is missing"))?;
            if tensor.dtype() != Dtype::F32 {
                return Err(format!("`{name}` does not hold f32 numbers"));
            }
            let numbers = tensor.data().chunks_exact(4);
            let numbers = numbers.map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]));
            Ok((tensor.shape().to_vec(), numbers.collect()))
        };
        let n = head.terms.len();
        let ((idf_shape, idf), (shape, directions)) = (values("idf")?, values("directions")?);
        let dim = shape.get(1).copied().unwrap_or(0);
        if idf_shape != [n] || shape != [n, dim] || dim == 0 {
            return Err(format!(
                "{n} terms, but tensors {idf_shape:?} and {shape:?}"
            ));
        }
        Ok(Self {
            places: head.terms.into_iter().zip(0..).collect(),
            idf,
            directions,
            dim,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three topics with words of their own, in sentences of four words.
    fn captions() -> Vec<String> {
        let topics = [
            ["dog", "cat", "horse", "goat", "sheep"],
            ["car", "bus", "train", "plane", "ship"],
            ["rice", "bread", "soup", "apple", "cheese"],
        ];
        (0..300)
            .map(|n| {
                let word = |k: usize| topics[n % 3][(n / 3 + k * (1 + n % 2)) % 5];
                format!("a {} and the {} {}", word(0), word(1), word(2))
            })
            .collect()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    fn fit(captions: &[String], dim: usize) -> LatentSemantics {
        let config = LatentSemanticsConfig {
            dim,
            ..LatentSemanticsConfig::default()
        };
        LatentSemantics::fit(captions, &config, Seed(3)).unwrap()
    }

    #[test]
    fn captions_of_a_topic_lie_together_though_they_share_no_word_but_the() {
        let text = fit(&captions(), 4);
        let of = |caption: &str| text.embed(caption);
        let (dog, goat, bus) = (of("a dog"), of("a goat"), of("a bus"));
        assert!(cosine(&dog, &goat) > cosine(&dog, &bus) + 0.3);
    }

    #[test]
    fn all_directions_keep_every_inner_product() {
        let captions = captions();
        let text = fit(&captions, 1000);
        assert!(text.dim() <= 17, "{}", text.dim());
        for (a, b) in [(0, 3), (0, 1), (5, 100), (7, 7)] {
            let (a, b) = (&captions[a], &captions[b]);
            let (wa, wb) = (text.weigh(a), text.weigh(b));
            let other = |term| wb.iter().find(|(own, _)| *own == term).map_or(0.0, |w| w.1);
            let exact: f32 = wa.iter().map(|&(term, w)| w * other(term)).sum();
            let (ya, yb) = (text.embed(a), text.embed(b));
            let found: f32 = ya.iter().zip(&yb).map(|(x, y)| x * y).sum();
            assert!((found - exact).abs() < 1e-3, "{a} {b}: {found} {exact}");
        }
    }

    #[test]
    fn chinese_needs_no_tokenizer_and_rare_words_are_read_by_pieces() {
        let chinese: Vec<String> = (0..40)
            .map(|n| {
                ["一只白色的狗在草地上", "红色的汽车停在路边"][n % 2].to_owned() + &n.to_string()
            })
            .collect();
        let text = fit(&chinese, 8);
        let of = |caption: &str| text.embed(caption);
        assert!(cosine(&of("白狗"), &of("草地")) > cosine(&of("白狗"), &of("汽车")) + 0.3);

        let mut english = captions();
        english.push("a doghouse".into());
        english.push("the doghouses".into());
        let text = fit(&english, 1000);
        assert!(!text.places.contains_key("doghouse"));
        // Neither word stands alone in three captions, yet their common pieces meet.
        assert!(cosine(&text.embed("doghouse"), &text.embed("doghouses")) > 0.5);
    }

    #[test]
    fn the_file_gives_back_the_same_analysis() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.safetensors");
        let text = fit(&captions(), 5);
        text.write(&path).unwrap();
        assert_eq!(LatentSemantics::read(&path).unwrap(), text);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let message = LatentSemantics::read(&path).unwrap_err().to_string();
            assert!(message.contains("text.safetensors"), "{message}");
        }
    }

    #[test]
    fn captions_without_a_common_term_are_refused() {
        let captions: Vec<String> = ["x", "日", "7"].map(str::to_owned).to_vec();
        let config = LatentSemanticsConfig::default();
        assert!(LatentSemantics::fit(&captions, &config, Seed(0)).is_err());
        assert!(LatentSemantics::fit(&Vec::<String>::new(), &config, Seed(0)).is_err());
    }
}

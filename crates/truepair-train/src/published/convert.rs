//! The steps of a conversion: what the checkpoint says, what the caller decides, what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use truepair_core::Error;
use truepair_core::error::Place;
use truepair_core::rng::Seed;
use truepair_core::text::Vocabulary;
use truepair_read::checkpoint::{self, Tensor};

use super::settings::{Assumption, Settings};
use super::state::State;
use super::{Model, Names};
use crate::config::{Config, Recipe};
use crate::error::Result;
use crate::run;
use truepair_model::backbone::InputShape;
use truepair_model::kernel::Precision;
use truepair_model::parameters::{self, Parameters};

/// Width of the published region features, for a checkpoint without the layer that reads them.
const WIDTH: usize = 2048;

/// A checkpoint that was read and understood, before it is converted.
#[derive(Debug)]
pub struct Draft {
    /// The config that the checkpoint tells; it may be changed before
    /// [`convert`](Self::convert).
    pub config: Config,
    /// Options that the checkpoint does not hold.
    pub assumed: Vec<Assumption>,
    model: &'static Model,
    path: PathBuf,
    image: InputShape,
    networks: Vec<State>,
}

/// A converted checkpoint, in memory.
#[derive(Debug)]
pub struct Converted {
    /// The config of the run.
    pub config: Config,
    /// The words that the captions' encoder knows.
    pub vocabulary: Vocabulary,
    /// The weights of every network, by our names.
    pub peers: Vec<Parameters>,
    shapes: (InputShape, InputShape),
}

impl Draft {
    /// Reads the checkpoint at `path` as one of `model`.
    ///
    /// # Errors
    /// If the file cannot be read, or an option in it asks for something that is not there.
    pub fn read(path: &Path, model: &'static Model) -> Result<Self> {
        let mut checkpoint = checkpoint::read(path)?;
        let networks = networks(&mut checkpoint.tensors, model);
        let mut settings = Settings::new(path, &checkpoint.settings);
        // Networks of one file are alike; the comparison of shapes finds those that are not.
        let found = (model.infer)(&networks[0], &mut settings)?;
        let recipe = Recipe::default();
        Ok(Self {
            config: Config {
                sps: Default::default(),
                esc: Default::default(),
                strategy: (model.strategy)(),
                matcher: found.matcher,
                optimizer: recipe.optimizer,
                schedule: recipe.schedule,
                training: recipe.training,
                groups: recipe.groups,
            },
            assumed: settings.into_assumed(),
            model,
            path: path.to_path_buf(),
            image: InputShape::Features {
                width: found.width.unwrap_or(WIDTH),
                regions: found.regions,
            },
            networks,
        })
    }

    /// Gives every weight our name. `vocabulary` is the file that the captions' encoder was
    /// trained with, in the research code's form or in ours.
    ///
    /// # Errors
    /// If a setting is out of range, the vocabulary cannot be read or has another number of words than the embedding, or the
    /// tensors are not those of the model; the message names the missing, superfluous and
    /// differing ones as the research code does.
    pub fn convert(self, vocabulary: &Path) -> Result<Converted> {
        self.config.check()?;
        let words = Vocabulary::read(vocabulary)?;
        self.check_size(&words, vocabulary)?;
        let caption = InputShape::Tokens(words.len());
        let names = (self.model.names)(&self.config.matcher);
        let shapes = self.shapes(caption, &names)?;
        let mut peers = Vec::new();
        let mut differences = None;
        for mut network in self.networks {
            network.drop_unread(|name| (self.model.unread)(&self.config.matcher, name));
            match (network.into_parameters(&names, &shapes), &mut differences) {
                (Ok(parameters), _) => peers.push(parameters),
                (Err(these), None) => differences = Some(these),
                (Err(these), Some(all)) => all.extend(these),
            }
        }
        if let Some(differences) = differences {
            return Err(Error::data(
                &self.path,
                Place::Whole,
                format!(
                    "is no checkpoint of `{}`: {}",
                    self.model.name,
                    differences.describe()
                ),
                "choose the model whose checkpoint it is",
            )
            .into());
        }
        Ok(Converted {
            config: self.config,
            vocabulary: words,
            peers,
            shapes: (self.image, caption),
        })
    }

    fn check_size(&self, words: &Vocabulary, path: &Path) -> Result<()> {
        let extra = self.model.extra_words;
        let Some(rows) = self.networks[0].axis("txt_enc.embed.weight", 0) else {
            return Ok(());
        };
        if rows == words.len() + extra {
            return Ok(());
        }
        let spare = match extra {
            0 => String::new(),
            _ => format!(", {extra} of them for no word of a vocabulary"),
        };
        Err(Error::data(
            path,
            Place::Whole,
            format!(
                "the vocabulary has {} words, but the word embedding of {} has {rows} rows{spare}",
                words.len(),
                self.path.display()
            ),
            "give the vocabulary that the checkpoint was trained with",
        )
        .into())
    }

    /// The shape of every parameter of the matcher that the config describes.
    fn shapes(&self, caption: InputShape, names: &Names) -> Result<BTreeMap<String, Vec<usize>>> {
        let (seed, device) = (Seed(0), Device::flex());
        let matcher =
            (self.config.matcher).build(self.image, caption, seed, &device, Precision::F32)?;
        let shapes = parameters::shapes(&matcher);
        let named: BTreeSet<&String> = names.iter().map(|(ours, _)| ours).collect();
        if named == shapes.keys().collect() {
            return Ok(shapes);
        }
        let matcher = &self.config.matcher;
        Err(Error::argument(
            format!(
                "a `{}` checkpoint has no weights for {} images, {} captions and `{}` scores",
                self.model.name,
                matcher.image.name(),
                matcher.caption.name(),
                matcher.similarity.name()
            ),
            "change settings inside the backbones and the similarity, not their kinds",
        )
        .into())
    }
}

impl Converted {
    /// Writes a run directory that [`load`](crate::load) opens; it has no history and nothing to
    /// resume. The weights come last, so that a folder without them is seen to be unfinished.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        run::write_converted(
            dir,
            &self.config,
            &self.vocabulary,
            &self.peers,
            self.shapes,
        )
    }

    /// Number of weights of all networks.
    pub fn n_weights(&self) -> usize {
        let weights = self.peers.iter().flat_map(|peer| peer.values());
        weights.map(|values| values.values.len()).sum()
    }
}

/// The networks of a file. A single one lies under its key, under the key that other tools use, or
/// by itself.
fn networks(tensors: &mut BTreeMap<String, Tensor>, model: &Model) -> Vec<State> {
    match model.networks {
        [only] => {
            let prefixes = [format!("{only}."), "state_dict.".to_owned()];
            let holds = |prefix: &&String| tensors.keys().any(|name| name.starts_with(*prefix));
            let prefix = prefixes.iter().find(holds).map_or("", String::as_str);
            vec![State::take(tensors, prefix, model.parts, String::new())]
        }
        several => (several.iter())
            .map(|network| {
                let prefix = format!("{network}.");
                State::take(tensors, &prefix, model.parts, prefix.clone())
            })
            .collect(),
    }
}

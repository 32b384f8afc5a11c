//! The methods of a comparison: strategies with their settings, oracles, and the baselines that every
//! table begins with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use truepair_core::dataset::Dataset;
use truepair_core::noise::NoiseSpec;
use truepair_train::Recipe;
use truepair_train::strategy::StrategyConfig;

use super::names::chosen;
use crate::config::{ConfigArgs, RunPart};
use crate::oracle::{self, Oracle};
use crate::row_file::PublishedName;

/// One method: a row of every table.
#[derive(Debug, Clone)]
pub(crate) struct Method {
    /// What the tables call it.
    pub(crate) name: String,
    /// Its folder below the noise and the similarity.
    pub(crate) folder: String,
    pub(crate) oracle: Option<Oracle>,
    pub(crate) kind: MethodKind,
    /// The noises under which it stands; `None` for all.
    pub(crate) noises: Option<Vec<NoiseSpec>>,
    /// The published result that stands beside it.
    pub(crate) published: Option<PublishedName>,
}

/// What a method does.
#[derive(Debug, Clone)]
pub(crate) enum MethodKind {
    /// Compares the given embeddings as they are.
    Frozen,
    /// Trains by a recipe of its own, whatever the comparison's settings.
    Baseline(Box<Recipe>),
    /// Trains a strategy by the comparison's settings, with its own on top.
    Strategy {
        kind: &'static str,
        file: Option<PathBuf>,
    },
    /// Trains by settings that a row file gives.
    Settings(Box<Settings>),
    /// Averages the scores of other methods, which are named by their folders.
    Mean {
        parts: Vec<String>,
        similarity: &'static str,
    },
}

/// A row's settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) recipe: Recipe,
    pub(crate) similarity: &'static str,
}

/// Settings of the closed form: all pairs, those that its own audit keeps, and those with dropped
/// captions given the image they likely came from.
const LINEAR: [(&str, &str, &str); 3] = [
    ("linear", "linear", "kind = \"plain\""),
    (
        "linear (kept)",
        "linear.kept",
        "kind = \"truepair\"\nwarm_up = 0\nrematch_above = 1.0\nweighting = \"confidence\"",
    ),
    (
        "linear (rematched)",
        "linear.rematched",
        "kind = \"truepair\"\nwarm_up = 1\nrematch_above = 0.1\nweighting = \"confidence\"",
    ),
];

/// The similarity of all baselines.
pub(super) const COSINE: &str = "cosine";

/// The simplest methods that there are for this data: what the others must beat.
pub(crate) fn baselines(train: &Dataset) -> Result<Vec<Method>> {
    let mut methods = Vec::new();
    let of_one_space = (train.caption_features.as_ref()).is_some_and(|named| {
        !train.images.are_pictures() && named.features.dim() == train.images.dim()
    });
    if of_one_space {
        methods.push(Method {
            name: "frozen cosine".to_owned(),
            folder: "frozen".to_owned(),
            oracle: None,
            kind: MethodKind::Frozen,
            noises: None,
            published: None,
        });
    }
    for (name, folder, strategy) in LINEAR {
        let recipe = format!(
            "[strategy]\n{strategy}\n[matcher.image]\nkind = \"projection\"\n[matcher.caption]\n\
             kind = \"projection\"\n[matcher.similarity]\nkind = \"{COSINE}\""
        );
        let recipe = Recipe::from_toml(&recipe).context("a baseline's recipe is broken")?;
        if !train.images.are_pictures() && recipe.resolve(train).is_ok() {
            methods.push(Method {
                name: name.to_owned(),
                folder: folder.to_owned(),
                oracle: None,
                kind: MethodKind::Baseline(Box::new(recipe)),
                noises: None,
                published: None,
            });
        }
    }
    Ok(methods)
}

/// The strategies and oracles that were asked for, each with its settings file where it has one, and
/// one more method for every variant among the recipes.
pub(crate) fn strategies(
    wanted: &[String],
    recipes: Option<&Path>,
    own_files: &[String],
) -> Result<Vec<Method>> {
    let all = StrategyConfig::all();
    let known: Vec<&str> = (all.iter().map(|row| row.0))
        .chain(Oracle::ALL.map(Oracle::name))
        .collect();
    let names = chosen("--strategies", wanted, &known)?;
    if let Some(folder) = recipes
        && !folder.is_dir()
    {
        bail!("{}: is not a folder of recipes", folder.display())
    }
    let mut methods: Vec<Method> = Vec::new();
    for name in &names {
        let oracle = Oracle::by_name(name);
        let kind = oracle.map_or(*name, |_| oracle::STRATEGY);
        let file = recipes.map(|folder| folder.join(format!("{name}.toml")));
        let method = |label: &str, folder: String, file: Option<PathBuf>| Method {
            name: label.to_owned(),
            folder,
            oracle,
            kind: MethodKind::Strategy { kind, file },
            noises: None,
            published: None,
        };
        methods.push(method(
            name,
            (*name).to_owned(),
            file.filter(|file| file.exists()),
        ));
        for variant in variants(recipes, name)? {
            let file = recipes.map(|folder| folder.join(format!("{name}.{variant}.toml")));
            let label = format!("{name} ({variant})");
            methods.push(method(&label, format!("{name}.{variant}"), file));
        }
    }
    for assignment in own_files {
        let Some((name, path)) = assignment.split_once('=') else {
            bail!("--strategy-config {assignment}: has no `=` (write NAME=FILE)")
        };
        let name = chosen("--strategy-config", &[name.to_owned()], &names)?;
        for method in methods
            .iter_mut()
            .filter(|method| name.contains(&method.name.as_str()))
        {
            if let MethodKind::Strategy { file, .. } = &mut method.kind {
                *file = Some(path.into());
            }
        }
    }
    Ok(methods)
}

/// The variants of a strategy among the recipes: `ncr.published.toml` is one of `ncr`.
fn variants(recipes: Option<&Path>, strategy: &str) -> Result<Vec<String>> {
    let Some(folder) = recipes else {
        return Ok(Vec::new());
    };
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{}: cannot read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("{}: cannot read", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name
            .strip_prefix(strategy)
            .and_then(|rest| rest.strip_prefix('.'));
        let variant = rest.and_then(|rest| rest.strip_suffix(".toml"));
        found.extend(
            variant
                .filter(|variant| !variant.is_empty())
                .map(str::to_owned),
        );
    }
    found.sort();
    Ok(found)
}

impl Method {
    /// The similarity that the method brings, whatever is asked for; `None` where it reads any.
    pub(super) fn own_similarity(&self, wanted: &[&'static str]) -> Option<&'static str> {
        let kind = match &self.kind {
            MethodKind::Frozen | MethodKind::Baseline(_) => return Some(COSINE),
            MethodKind::Settings(_) | MethodKind::Mean { .. } => return Some(self.similarity()),
            MethodKind::Strategy { kind, .. } => kind,
        };
        let all = StrategyConfig::all();
        let config = all.iter().find(|row| row.0 == *kind).map(|row| &row.2)?;
        let fits = wanted.iter().any(|similarity| config.takes(similarity));
        (!fits).then(|| config.similarity().name())
    }

    /// The similarity of a method that comes with its own.
    pub(super) fn similarity(&self) -> &'static str {
        match &self.kind {
            MethodKind::Settings(settings) => settings.similarity,
            MethodKind::Mean { similarity, .. } => similarity,
            _ => COSINE,
        }
    }

    /// Whether the method stands among the results under a noise.
    pub(super) fn stands_under(&self, noise: &NoiseSpec) -> bool {
        (self.noises.as_ref()).is_none_or(|noises| noises.contains(noise))
    }

    /// Whether the method reads the scores of a similarity.
    pub(super) fn takes(&self, similarity: &str) -> bool {
        let MethodKind::Strategy { kind, .. } = &self.kind else {
            return similarity == self.similarity();
        };
        let all = StrategyConfig::all();
        let config = all.iter().find(|row| row.0 == *kind);
        config.is_none_or(|row| row.2.takes(similarity))
    }

    /// How the method is trained; `None` where it is not.
    ///
    /// # Errors
    /// If the settings cannot be read.
    pub(crate) fn recipe(&self, similarity: &str, shared: &ConfigArgs) -> Result<Option<Recipe>> {
        Ok(match &self.kind {
            MethodKind::Frozen | MethodKind::Mean { .. } => None,
            MethodKind::Settings(settings) => Some(settings.recipe.clone()),
            MethodKind::Baseline(recipe) => Some(recipe.as_ref().clone()),
            MethodKind::Strategy { kind, file } => {
                let kinds = [("strategy", *kind), ("matcher.similarity", similarity)];
                Some(shared.load_share(RunPart {
                    over: file.as_deref(),
                    kinds: &kinds,
                })?)
            }
        })
    }
}

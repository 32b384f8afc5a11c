//! Which runs a comparison consists of, and where each lies.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};
use truepair_core::noise::NoiseSpec;
use truepair_core::rng::Seed;
use truepair_train::strategy::StrategyConfig;

use crate::config::nearest;

/// Every combination of what was asked for.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) noises: Vec<NoiseSpec>,
    pub(crate) similarities: Vec<&'static str>,
    pub(crate) strategies: Vec<&'static str>,
    pub(crate) seeds: Vec<Seed>,
}

/// One run of the grid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) noise: NoiseSpec,
    pub(crate) similarity: &'static str,
    pub(crate) strategy: &'static str,
    pub(crate) seed: Seed,
}

impl Grid {
    /// # Errors
    /// If two kinds of noise would share a folder.
    pub(crate) fn check(&self) -> Result<()> {
        for (at, noise) in self.noises.iter().enumerate() {
            let same = |other: &&NoiseSpec| folder_of(other) == folder_of(noise);
            if let Some(other) = self.noises[..at].iter().find(same) {
                bail!("--noise {noise}: its folder is that of {other} (rename one of the files)")
            }
        }
        Ok(())
    }

    /// The rows of every table: similarity and strategy. A strategy that cannot read the scores of
    /// any similarity that was asked for stands in a row with its own.
    pub(crate) fn rows(&self) -> Vec<(&'static str, &'static str)> {
        let all = StrategyConfig::all();
        let config = |name: &str| all.iter().find(|row| row.0 == name).map(|row| &row.2);
        let takes = |strategy: &str, similarity: &str| {
            config(strategy).is_none_or(|config| config.takes(similarity))
        };
        let mut rows = Vec::new();
        for &similarity in &self.similarities {
            let fitting = self
                .strategies
                .iter()
                .filter(|name| takes(name, similarity));
            rows.extend(fitting.map(|&strategy| (similarity, strategy)));
        }
        for &strategy in &self.strategies {
            let placed = rows.iter().any(|row: &(&str, &str)| row.1 == strategy);
            let own = config(strategy).filter(|_| !placed && !self.similarities.is_empty());
            rows.extend(own.map(|config| (config.similarity().name(), strategy)));
        }
        rows
    }

    /// The cells in the order in which they run: one seed of everything before the next seed.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &seed in &self.seeds {
            for noise in &self.noises {
                cells.extend(
                    (self.rows().into_iter()).map(|(similarity, strategy)| Cell {
                        noise: noise.clone(),
                        similarity,
                        strategy,
                        seed,
                    }),
                );
            }
        }
        cells
    }
}

impl Cell {
    /// The run directory, below the folder of all runs.
    pub(crate) fn folder(&self) -> PathBuf {
        [
            folder_of(&self.noise),
            self.similarity.to_owned(),
            self.strategy.to_owned(),
            format!("seed_{}", self.seed.0),
        ]
        .iter()
        .collect()
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            noise,
            similarity,
            strategy,
            seed: Seed(seed),
        } = self;
        write!(f, "{noise} {similarity} {strategy} seed {seed}")
    }
}

fn folder_of(noise: &NoiseSpec) -> String {
    match noise {
        NoiseSpec::None => "none".to_owned(),
        NoiseSpec::Rate { model, rate } => format!("{model}-{rate}"),
        NoiseSpec::File(path) => {
            let stem = path.file_stem().unwrap_or_default();
            format!("file-{}", stem.to_string_lossy())
        }
    }
}

/// Seeds as typed: how many, counted from 0, or a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seeds(pub(crate) Vec<Seed>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| {
            let word = word.trim();
            (word.parse::<u64>()).map_err(|_| format!("`{word}` is no seed (write 3, or 0,1,7)"))
        };
        let mut seeds = match text.contains(',') {
            true => (text.split(',').filter(|word| !word.trim().is_empty()))
                .map(number)
                .collect::<Result<Vec<u64>, String>>()?,
            false => (0..number(text)?).collect(),
        };
        let n = seeds.len();
        seeds.sort_unstable();
        seeds.dedup();
        if seeds.is_empty() || seeds.len() != n {
            return Err("a comparison needs at least one seed, and each only once".to_owned());
        }
        Ok(Self(seeds.into_iter().map(Seed).collect()))
    }
}

/// The names that a list asks for, `all` being every known one, in the order typed.
///
/// # Errors
/// If a name is unknown; the nearest and all known ones are named.
pub(crate) fn chosen(
    flag: &str,
    wanted: &[String],
    known: &[&'static str],
) -> Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for word in wanted {
        match known.iter().find(|name| *name == word) {
            _ if word == "all" => names.extend(known),
            Some(name) => names.push(*name),
            None => {
                let meant = nearest(word, known.iter().copied());
                let hint = meant.map(|name| format!("did you mean `{name}`? "));
                bail!(
                    "{flag} {word}: there is no `{word}` ({}there are {})",
                    hint.unwrap_or_default(),
                    known.join(", ")
                )
            }
        }
    }
    let mut seen = Vec::new();
    names.retain(|name| !seen.contains(name) && (seen.push(*name), true).1);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_list() {
        let seeds = |text: &str| {
            (text.parse::<Seeds>()).map(|seeds| seeds.0.iter().map(|seed| seed.0).collect())
        };
        assert_eq!(seeds("3"), Ok(vec![0, 1, 2]));
        assert_eq!(seeds("7, 4"), Ok(vec![4, 7]));
        assert_eq!(seeds("7,"), Ok(vec![7]));
        for bad in ["0", "x", "1,1", "-1", ","] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_checked_and_all_means_all() {
        let known = ["ncr", "plain", "rcl"];
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            chosen("--strategies", &words, &known)
        };
        assert_eq!(names(&["rcl", "all"]).unwrap(), ["rcl", "ncr", "plain"]);
        let error = names(&["plian"]).unwrap_err().to_string();
        assert!(
            error.contains("did you mean `plain`?") && error.contains("ncr, plain, rcl"),
            "{error}"
        );
    }

    #[test]
    fn every_cell_has_a_folder_of_its_own_and_seeds_come_last() {
        let grid = Grid {
            noises: vec![NoiseSpec::None, "caption:0.4".parse().unwrap()],
            similarities: vec!["cosine"],
            strategies: vec!["plain", "rcl"],
            seeds: vec![Seed(0), Seed(5)],
        };
        let cells = grid.cells();
        let mut folders: Vec<PathBuf> = cells.iter().map(Cell::folder).collect();
        assert_eq!(folders[2], PathBuf::from("caption-0.4/cosine/plain/seed_0"));
        assert_eq!(cells[4].seed, Seed(5));
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 8);
    }

    #[test]
    fn a_strategy_that_cannot_read_the_scores_brings_its_own_similarity() {
        let rows = |similarities: Vec<&'static str>| {
            Grid {
                noises: vec![NoiseSpec::None],
                similarities,
                strategies: vec!["plain", "pcme", "pvse"],
                seeds: vec![Seed(0)],
            }
            .rows()
        };
        assert_eq!(
            rows(vec!["cosine"]),
            [
                ("cosine", "plain"),
                ("match_probability", "pcme"),
                ("multiple_instance", "pvse")
            ]
        );
        let own = rows(vec!["closed_form", "multiple_instance"]);
        assert_eq!(own.iter().filter(|row| row.1 == "pcme").count(), 1);
        assert!(own.contains(&("closed_form", "pcme")));
    }

    #[test]
    fn noise_files_of_one_name_are_refused() {
        let grid = Grid {
            noises: vec!["a/n.npy".parse().unwrap(), "b/n.npy".parse().unwrap()],
            similarities: vec![],
            strategies: vec![],
            seeds: vec![],
        };
        assert!(grid.check().is_err());
    }
}

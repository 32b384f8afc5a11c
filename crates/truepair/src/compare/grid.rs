//! Which runs a comparison consists of, and where each lies.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use truepair_core::noise::NoiseSpec;
use truepair_core::rng::Seed;

use super::method::{Method, MethodKind};
use crate::row_file::RowFile;

/// Every combination of what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    pub(crate) noises: Vec<NoiseSpec>,
    pub(crate) similarities: Vec<&'static str>,
    /// Baselines first.
    pub(crate) methods: Vec<Method>,
    pub(crate) seeds: Vec<Seed>,
    /// The table of published results whose rows stand beside those of methods.
    pub(crate) published: Option<String>,
}

/// One run of the grid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GridCell {
    pub(crate) noise: NoiseSpec,
    pub(crate) similarity: &'static str,
    /// Position of the method in the grid, and what it is called.
    pub(crate) method: usize,
    pub(crate) name: String,
    /// The method's own folder.
    pub(super) folder: String,
    pub(crate) seed: Seed,
}

/// A row of every table: a method under a similarity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GridRow {
    pub(crate) similarity: &'static str,
    /// Position of the method in the grid.
    pub(crate) method: usize,
}

impl Grid {
    /// # Errors
    /// If two kinds of noise, or two methods, would share a folder.
    pub(crate) fn check(&self) -> Result<()> {
        for (at, noise) in self.noises.iter().enumerate() {
            let same = |other: &&NoiseSpec| folder_of(other) == folder_of(noise);
            if let Some(other) = self.noises[..at].iter().find(same) {
                bail!("--noise {noise}: its folder is that of {other} (rename one of the files)")
            }
        }
        let rows = self.rows();
        let place = |row: &GridRow| (row.similarity, &self.methods[row.method].folder);
        for (at, row) in rows.iter().enumerate() {
            if let Some(other) = rows[..at].iter().find(|other| place(other) == place(row)) {
                let [one, other] = [row, other].map(|row| &self.methods[row.method].name);
                bail!(
                    "row `{one}`: its folder is that of `{other}` (give one another label, or, where the other is a \
                     baseline, leave those out with --no-baselines)"
                )
            }
        }
        Ok(())
    }

    /// The rows of every table: baselines, then the methods by similarity. A method that cannot read
    /// the scores of any similarity that was asked for gets a row with its own.
    pub(crate) fn rows(&self) -> Vec<GridRow> {
        let own = |&(method, of): &(usize, &Method)| {
            let similarity = of.own_similarity(&self.similarities)?;
            Some(GridRow { similarity, method })
        };
        let (strategies, baselines): (Vec<_>, Vec<_>) = (self.methods.iter().enumerate())
            .partition(|(_, of)| matches!(of.kind, MethodKind::Strategy { .. }));
        let mut rows: Vec<GridRow> = baselines.iter().filter_map(own).collect();
        for &similarity in &self.similarities {
            let takers = strategies.iter().filter(|(_, of)| of.takes(similarity));
            rows.extend(takers.map(|&(method, _)| GridRow { similarity, method }));
        }
        rows.extend(strategies.iter().filter_map(own));
        rows
    }

    /// The folders of the runs that a cell averages; none for a cell that does anything else.
    pub(crate) fn parts(&self, cell: &GridCell) -> Vec<PathBuf> {
        let MethodKind::Mean { parts, .. } = &self.methods[cell.method].kind else {
            return Vec::new();
        };
        let cells = self.cells();
        let of = |part: &String| {
            let mut same = cells.iter().filter(|other| {
                other.folder == *part && other.noise == cell.noise && other.seed == cell.seed
            });
            same.next().map(GridCell::folder)
        };
        parts.iter().filter_map(of).collect()
    }

    /// The cells in the order in which they run: one seed of everything before the next seed.
    pub(crate) fn cells(&self) -> Vec<GridCell> {
        let rows = self.rows();
        let mut cells = Vec::new();
        for &seed in &self.seeds {
            for noise in &self.noises {
                let stands = |row: &&GridRow| self.methods[row.method].stands_under(noise);
                cells.extend(rows.iter().filter(stands).map(|row| GridCell {
                    noise: noise.clone(),
                    similarity: row.similarity,
                    method: row.method,
                    name: self.methods[row.method].name.clone(),
                    folder: self.methods[row.method].folder.clone(),
                    seed,
                }));
            }
        }
        cells
    }
}

impl GridCell {
    /// The run directory, below the folder of all runs.
    pub(crate) fn folder(&self) -> PathBuf {
        [
            folder_of(&self.noise),
            self.similarity.to_owned(),
            self.folder.clone(),
            format!("seed_{}", self.seed.0),
        ]
        .iter()
        .collect()
    }
}

impl std::fmt::Display for GridCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            noise,
            similarity,
            name,
            seed: Seed(seed),
            ..
        } = self;
        write!(f, "{noise} {similarity} {name} seed {seed}")
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

/// Seeds where none are asked for.
const N_SEEDS: u64 = 3;

/// The noises to plant, each once: those typed, or those of the row file, or none.
///
/// # Errors
/// If a word of the file is no noise.
pub(crate) fn asked_noises<T>(typed: &[T], file: Option<&RowFile>) -> Result<Vec<T>>
where
    T: FromStr + Default + Clone + PartialEq,
    T::Err: Display,
{
    let of_file = match file {
        Some(file) if typed.is_empty() => file.noises()?,
        _ => Vec::new(),
    };
    let mut noises: Vec<T> = Vec::new();
    for noise in typed.iter().chain(&of_file) {
        if !noises.contains(noise) {
            noises.push(noise.clone());
        }
    }
    if noises.is_empty() {
        noises.push(T::default());
    }
    Ok(noises)
}

/// Seeds as typed: how many, counted from 0, or a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seeds(pub(crate) Vec<Seed>);

impl Seeds {
    /// The seeds typed, or those of the row file, or the first [`N_SEEDS`].
    ///
    /// # Errors
    /// If the file's are no seeds.
    pub(crate) fn asked(typed: Option<&Self>, file: Option<&RowFile>) -> Result<Vec<Seed>> {
        if let Some(typed) = typed {
            return Ok(typed.0.clone());
        }
        let word = file.and_then(|file| Some((file, file.seeds.as_ref()?)));
        let Some((file, word)) = word else {
            return Ok((0..N_SEEDS).map(Seed).collect());
        };
        let seeds = word.parse::<Self>().map_err(|error| anyhow!(error));
        Ok(seeds.with_context(|| format!("{}: seeds", file.name))?.0)
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| {
            let word = word.trim();
            (word.parse::<u64>()).map_err(|_| format!("`{word}` is not a seed (write 3, or 0,1,7)"))
        };
        let mut seeds: Vec<u64> = if text.contains(',') {
            let words = text.split(',').filter(|word| !word.trim().is_empty());
            words.map(number).collect::<Result<_, _>>()?
        } else {
            (0..number(text)?).collect()
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

#[cfg(test)]
mod tests {
    use super::super::method::strategies;
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

    fn methods(names: &[&str]) -> Vec<Method> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        strategies(&names, None, &[]).unwrap()
    }

    fn baseline() -> Method {
        Method {
            name: "linear".to_owned(),
            folder: "linear".to_owned(),
            oracle: None,
            kind: MethodKind::Baseline(Box::default()),
            noises: None,
            published: None,
        }
    }

    #[test]
    fn every_cell_has_a_folder_of_its_own_and_seeds_come_last() {
        let mut all = vec![baseline()];
        all.extend(methods(&["plain", "clean-only"]));
        let grid = Grid {
            noises: vec![NoiseSpec::None, "caption:0.4".parse().unwrap()],
            similarities: vec!["cosine"],
            methods: all,
            seeds: vec![Seed(0), Seed(5)],
            ..Grid::default()
        };
        let cells = grid.cells();
        let mut folders: Vec<PathBuf> = cells.iter().map(GridCell::folder).collect();
        assert_eq!(folders[0], PathBuf::from("none/cosine/linear/seed_0"));
        assert_eq!(folders[4], PathBuf::from("caption-0.4/cosine/plain/seed_0"));
        assert_eq!(cells[6].seed, Seed(5));
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 12);
    }

    #[test]
    fn a_strategy_that_cannot_read_the_scores_brings_its_own_similarity() {
        let rows = |similarities: Vec<&'static str>| {
            let mut all = methods(&["plain", "pcme", "pvse"]);
            all.push(baseline());
            let grid = Grid {
                noises: vec![NoiseSpec::None],
                similarities,
                methods: all,
                seeds: vec![Seed(0)],
                ..Grid::default()
            };
            let named = |row: GridRow| (row.similarity, grid.methods[row.method].name.clone());
            grid.rows().into_iter().map(named).collect::<Vec<_>>()
        };
        let named = |similarity, name: &str| (similarity, name.to_owned());
        assert_eq!(
            rows(vec!["cosine"]),
            [
                named("cosine", "linear"),
                named("cosine", "plain"),
                named("match_probability", "pcme"),
                named("multiple_instance", "pvse")
            ]
        );
        let own = rows(vec!["closed_form", "multiple_instance"]);
        assert_eq!(own.iter().filter(|row| row.1 == "pcme").count(), 1);
        assert!(own.contains(&named("closed_form", "pcme")));
        assert_eq!(own.iter().filter(|row| row.1 == "linear").count(), 1);
    }

    #[test]
    fn methods_of_one_folder_are_refused() {
        let mut all = methods(&["plain"]);
        all.push(baseline());
        let mut grid = Grid {
            noises: vec![NoiseSpec::None],
            similarities: vec!["cosine"],
            methods: all,
            ..Grid::default()
        };
        grid.check().unwrap();
        grid.methods[0].folder = "linear".to_owned();
        let error = grid.check().unwrap_err().to_string();
        assert!(
            error.contains("`plain`") && error.contains("`linear`"),
            "{error}"
        );
    }

    #[test]
    fn noise_files_of_one_name_are_refused() {
        let grid = Grid {
            noises: vec!["a/n.npy".parse().unwrap(), "b/n.npy".parse().unwrap()],
            ..Grid::default()
        };
        assert!(grid.check().is_err());
    }
}

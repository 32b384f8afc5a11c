//! Named arrays out of one source, whatever file they lie in: as feature rows or as labels.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Features};
use truepair_core::error::{Error, Place, Result};
use truepair_core::npy;

use super::matlab::Variable;
use crate::archive::{Archive, problem_of};
use crate::npy_features::open_npy;

/// What is said of an array of texts.
pub(super) const HOLDS_TEXTS: &str = "it holds texts, expected numbers";

/// The named arrays of one source.
#[derive(Default)]
pub struct Arrays {
    entries: Vec<Entry>,
    class_names: Option<Vec<String>>,
    files: Vec<PathBuf>,
    account: Account,
}

struct Entry {
    name: String,
    source: Source,
}

/// Where the numbers of an array are.
pub(super) enum Source {
    /// A `.npy` file.
    Npy(PathBuf),
    /// A member of an archive with this number among the opened archives' members.
    Member(crate::archive::Member),
    /// Numbers in memory, row-major.
    Dense(Dense),
    /// An array that cannot be used, and why.
    Refused { path: PathBuf, problem: String },
}

/// Row-major numbers in memory.
pub(super) struct Dense {
    /// The file and the array's name, for messages.
    pub(super) path: PathBuf,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// The labels of one array as the file has them.
#[derive(Debug)]
pub(super) struct RawLabels {
    /// The file and the array's name, for messages.
    pub(super) path: PathBuf,
    /// `[n]`.
    pub(super) values: Vec<i64>,
    /// Whether the rows of the array hold several numbers, of which these are the first.
    pub(super) are_first: bool,
}

impl Arrays {
    /// No array yet; `file` is where they come from.
    pub(super) fn of(file: &Path) -> Self {
        Self {
            files: vec![file.to_path_buf()],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, name: &str, source: Source) {
        if let Source::Npy(path) = &source {
            self.files.push(path.clone());
        }
        self.entries.push(Entry {
            name: name.to_owned(),
            source,
        });
    }

    /// Adds every variable of a MATLAB file.
    pub(super) fn add_variables(&mut self, file: &Path, variables: Vec<Variable>) {
        for variable in variables {
            let path = PathBuf::from(format!("{}:{}", file.display(), variable.name));
            let source = match variable.values {
                Ok(values) => Source::Dense(Dense {
                    path,
                    shape: variable.shape,
                    values,
                }),
                Err(problem) => Source::Refused { path, problem },
            };
            self.add(&variable.name, source);
        }
    }

    /// Adds every array of numbers of an `.npz` file; a list of texts called `classes` names them.
    pub(super) fn add_archive(&mut self, file: &Path) -> Result<()> {
        let mut archive = Archive::open(file)?;
        for name in archive.names() {
            match archive.member(&name) {
                Ok(member) if member.is_of_texts() && name == "classes" => {
                    self.class_names = Some(member.texts()?);
                }
                Ok(member) => self.add(&name, Source::Member(member)),
                // Pickled objects and the like do not spoil what lies beside them.
                Err(error) => {
                    let path = PathBuf::from(format!("{}:{name}", file.display()));
                    let problem = problem_of(&error);
                    self.add(&name, Source::Refused { path, problem });
                }
            }
        }
        for name in archive.other_members() {
            let why = "it is not an array by its name";
            self.account.pass("member", why, name);
        }
        Ok(())
    }

    /// Where the reader of a file notes what it passes over.
    pub(super) fn account(&mut self) -> &mut Account {
        &mut self.account
    }

    /// Why the array holds no numbers, where that is so.
    ///
    /// # Panics
    /// If there is no array called `name`.
    pub(super) fn refusal(&self, name: &str) -> Option<&str> {
        match self.source(name) {
            Source::Refused { problem, .. } => Some(problem),
            Source::Member(member) if member.is_of_texts() => Some(HOLDS_TEXTS),
            _ => None,
        }
    }

    pub(super) fn set_class_names(&mut self, names: Vec<String>) {
        self.class_names = Some(names);
    }

    pub(super) fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    pub(super) fn names(&self) -> Vec<String> {
        (self.entries.iter())
            .map(|entry| entry.name.clone())
            .collect()
    }

    /// Every file that was named so far.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = self.files.clone();
        files.retain(|file| file.is_file());
        files
    }

    /// The array as feature rows.
    ///
    /// # Errors
    /// If it holds no floating-point rows.
    ///
    /// # Panics
    /// If there is no array called `name`.
    pub(super) fn features(&self, name: &str) -> Result<Features> {
        match self.source(name) {
            Source::Npy(path) => open_npy(path, &mut Account::default()),
            Source::Member(member) => member.features(),
            Source::Dense(dense) => dense.features(),
            Source::Refused { path, problem } => Err(refused(path, problem)),
        }
    }

    /// The array as labels: whole numbers `[n]`, `[n, 1]`, `[1, n]`, one-hot rows `[n, k]`, or rows of
    /// other numbers, of which the first counts, as in paired data.
    ///
    /// # Errors
    /// If it holds anything else; the row is named.
    ///
    /// # Panics
    /// If there is no array called `name`.
    pub(super) fn labels(&self, name: &str) -> Result<RawLabels> {
        let (path, values, shape) = match self.source(name) {
            Source::Npy(path) => {
                let (values, shape) = npy::read_ints(path)?;
                (path.clone(), values, shape)
            }
            Source::Member(member) => {
                let (values, shape) = npy::ints(&member.path, &member.header, &member.bytes)?;
                (member.path.clone(), values, shape)
            }
            Source::Dense(dense) => (dense.path.clone(), dense.whole()?, dense.shape.clone()),
            Source::Refused { path, problem } => return Err(refused(path, problem)),
        };
        let are_first = are_columns(&values, &shape);
        let values = match are_first {
            true => values.iter().step_by(shape[1]).copied().collect(),
            false => one_per_item(&path, values, &shape)?,
        };
        Ok(RawLabels {
            path,
            values,
            are_first,
        })
    }

    fn source(&self, name: &str) -> &Source {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        &entry.expect("names come from `names`").source
    }
}

fn refused(path: &Path, problem: &str) -> Error {
    Error::data(
        path,
        Place::Whole,
        problem,
        "store it as a plain numeric matrix, for instance with cell2mat or double, or with \
         astype('float32')",
    )
}

impl Dense {
    fn features(&self) -> Result<Features> {
        let [n, d] = self.shape[..] else {
            return Err(Error::data(
                &self.path,
                Place::Whole,
                format!("shape {:?}, expected [n, d]", self.shape),
                "reshape it so that the first axis counts the items",
            ));
        };
        if n * d == 0 {
            return Err(Error::data(
                &self.path,
                Place::Whole,
                format!("shape {:?} holds no number", self.shape),
                "extract the features again",
            ));
        }
        if let Some(at) = self.values.iter().position(|x| !x.is_finite()) {
            return Err(Error::data(
                &self.path,
                Place::Row((at / d) as u64),
                "a feature is NaN or infinite, or too large for single precision, expected finite numbers",
                "extract this row again or remove its item",
            ));
        }
        Ok(Features::from_rows(self.values.clone(), d))
    }

    /// The numbers as integers.
    fn whole(&self) -> Result<Vec<i64>> {
        let whole = |(at, &value): (usize, &f32)| {
            if value.fract() == 0.0 && value.abs() < 1e7 {
                return Ok(value as i64);
            }
            Err(Error::data(
                &self.path,
                Place::Row((at / self.shape.get(1).copied().unwrap_or(1).max(1)) as u64),
                format!("label {value} is not a whole number"),
                "labels are class numbers, counted from 0 or 1",
            ))
        };
        self.values.iter().enumerate().map(whole).collect()
    }
}

/// Whether an array `[n, k]` holds several numbers an item, such as a class and a class within it, rather
/// than one mark a class.
fn are_columns(values: &[i64], shape: &[usize]) -> bool {
    let is_mark = |value: &i64| *value == 0 || *value == 1;
    matches!(shape, [n, k] if *n > 1 && *k > 1) && !values.iter().all(is_mark)
}

/// One label an item out of a column, a row, or one-hot rows.
fn one_per_item(path: &Path, values: Vec<i64>, shape: &[usize]) -> Result<Vec<i64>> {
    match shape {
        [_] | [_, 1] | [1, _] => Ok(values),
        [_, 0] => Err(Error::data(
            path,
            Place::Whole,
            format!("shape {shape:?} holds no label"),
            "write labels [n], or one-hot rows [n, k]",
        )),
        [_, k] => {
            let rows = values.chunks_exact(*k).enumerate();
            rows.map(|(row, flags)| one_hot(path, row, flags)).collect()
        }
        _ => Err(Error::data(
            path,
            Place::Whole,
            format!("shape {shape:?}, expected one label an item"),
            "write labels [n], or one-hot rows [n, k]",
        )),
    }
}

/// The place of the only 1 of a row. Items of several classes are not read: no method here treats
/// them.
fn one_hot(path: &Path, row: usize, flags: &[i64]) -> Result<i64> {
    let ones = flags.iter().filter(|&&flag| flag == 1).count();
    let zeros = flags.iter().filter(|&&flag| flag == 0).count();
    if ones == 1 && ones + zeros == flags.len() {
        let at = flags.iter().position(|&flag| flag == 1);
        return Ok(at.expect("one of the flags is 1") as i64);
    }
    Err(Error::data(
        path,
        Place::Row(row as u64),
        format!("{ones} classes marked, expected exactly one 1 among zeros"),
        "keep the items of one class, or write one class number an item",
    ))
}

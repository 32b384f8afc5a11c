//! Where items come from, and how that is read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::Dataset;
use truepair_read::dataset::{self, ReadOptions, options_for_other_data};

use crate::encoded::{Encoders, LoadedEncoders};
use crate::progress::Bars;
use crate::read_args::ReadArgs;
use crate::{remote, run_folder};

/// A split of some data, how it is read, and what embeds it before anything else reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSource {
    /// A full path or an address.
    pub(crate) data: PathBuf,
    pub(crate) read: ReadOptions,
    pub(crate) encoders: Encoders,
}

impl DataSource {
    /// What a run reads: its own data unless other is given, as it was read in training unless something is typed.
    ///
    /// # Errors
    /// If the run's job cannot be read, or it has no data of its own and none is given.
    pub(crate) fn of_run(run: &Path, given: Option<&Path>, typed: &ReadArgs) -> Result<Self> {
        let (data, read, encoders) = run_folder::data_of(run, given)?;
        let own = Self {
            data: data.clone(),
            read,
            encoders,
        };
        own.like(&data, typed)
    }

    /// Data as it is typed, with those of the encoders that it needs: none where it brings embeddings of both sides
    /// itself. `split` is one of its splits, where one was named.
    ///
    /// # Errors
    /// If the current folder is not known.
    pub(crate) fn of_data(
        data: &Path,
        typed: &ReadArgs,
        encoders: &Encoders,
        split: Option<&str>,
        bars: &mut Bars,
    ) -> Result<Self> {
        let source = Self {
            data: remote::full(data)?,
            read: typed.options(split.unwrap_or("all")),
            encoders: Encoders::default(),
        };
        let mut brings_both = || {
            let (path, read) = remote::fetched(&source.data, &source.read, bars).ok()?;
            let names = dataset::splits(&path, &read).ok()?;
            let split = split.or(names.first().map(String::as_str))?.to_owned();
            let opened = dataset::open(path, &ReadOptions { split, ..read }).ok()?;
            Some(!opened.images.are_pictures() && opened.caption_features.is_some())
        };
        if encoders.are_none() || brings_both() == Some(true) {
            return Ok(source);
        }
        Ok(Self {
            encoders: encoders.full()?,
            ..source
        })
    }

    /// Other data that is read as this one is, unless something is typed; pictures have the size that this one's have.
    ///
    /// # Errors
    /// If the current folder is not known.
    pub(crate) fn like(&self, data: &Path, typed: &ReadArgs) -> Result<Self> {
        let read = match typed.words().is_empty() {
            // What cannot be recognized yet, for instance by an address, says so when it is opened.
            true => options_for_other_data(data, &self.read).unwrap_or_else(|_| self.read.clone()),
            false => typed.options(&self.read.split),
        };
        Ok(Self {
            data: remote::full(data)?,
            read: ReadOptions {
                pixels: self.read.pixels,
                ..read
            },
            encoders: self.encoders.clone(),
        })
    }

    /// Another split.
    pub(crate) fn of_split(&self, split: &str) -> Self {
        let read = ReadOptions {
            split: split.to_owned(),
            ..self.read.clone()
        };
        Self {
            read,
            ..self.clone()
        }
    }

    /// These splits, or all there are.
    ///
    /// # Errors
    /// If the data cannot be fetched or recognized.
    pub(crate) fn splits(&self, wanted: Option<&[String]>, bars: &mut Bars) -> Result<Vec<Self>> {
        let names = match wanted {
            Some(names) => names.to_vec(),
            None => {
                let all = self.of_split("all");
                let (path, read) = remote::fetched(&all.data, &all.read, bars)?;
                dataset::splits(path, &read)?
            }
        };
        Ok(names.iter().map(|name| self.of_split(name)).collect())
    }

    /// Reads the split, and embeds it where encoders are named.
    ///
    /// # Errors
    /// If it cannot be read or embedded.
    pub(crate) fn open(&self, bars: &mut Bars) -> Result<Dataset> {
        let encoders = LoadedEncoders::load(&self.encoders)?;
        Ok(encoders.open(&self.data, &self.read, bars)?.dataset)
    }
}

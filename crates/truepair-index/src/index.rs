//! An index, opened for reading.

use std::path::{Path, PathBuf};

use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::bitmap::Bitmap;
use crate::catalog::{Catalog, segment_folder};
use crate::gallery::Gallery;
use crate::item::Side;
use crate::segment::Part;
use crate::settings::Settings;
use crate::stored_file::{RESTORE, check_numbers, numbers};

/// Times that opening begins anew because a writer has replaced the index meanwhile.
const TRIES: usize = 8;

/// An index at one version. Writers do not change it: what is open stays as it was opened.
///
/// It opens without reading its vectors and items, and any number of threads may search it.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    catalog: Catalog,
    images: Gallery,
    captions: Gallery,
}

impl Index {
    /// Opens the newest version of the index in `folder`.
    ///
    /// # Errors
    /// If there is none, it was written by another release's format, or a file is missing or has
    /// another length than it should.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut tried = 0;
        loop {
            let catalog = Catalog::read(folder)?;
            let version = catalog.version;
            let opened = Self::of(folder, catalog);
            tried += 1;
            // A writer that compacts removes files of the version before.
            let replaced = || Self::current_version(folder).is_ok_and(|now| now != version);
            if opened.is_ok() || tried == TRIES || !replaced() {
                return opened;
            }
        }
    }

    /// The version that [`open`](Self::open) would open; cheap, for readers that follow a writer.
    ///
    /// # Errors
    /// If there is no index, or its catalog is damaged.
    pub fn current_version(folder: impl AsRef<Path>) -> Result<u64> {
        Catalog::read(folder.as_ref()).map(|catalog| catalog.version)
    }

    pub(crate) fn of(folder: &Path, catalog: Catalog) -> Result<Self> {
        catalog.settings.check()?;
        Ok(Self {
            folder: folder.to_path_buf(),
            images: open_gallery(folder, Side::Images, &catalog)?,
            captions: open_gallery(folder, Side::Captions, &catalog)?,
            catalog,
        })
    }

    /// Counts changes, from 1.
    pub fn version(&self) -> u64 {
        self.catalog.version
    }

    /// What the index is made of.
    pub fn settings(&self) -> &Settings {
        &self.catalog.settings
    }

    /// What the caller keeps in it.
    pub fn about(&self) -> &serde_json::Value {
        &self.catalog.about
    }

    /// Its images.
    pub fn images(&self) -> &Gallery {
        &self.images
    }

    /// Its captions.
    pub fn captions(&self) -> &Gallery {
        &self.captions
    }

    /// One or the other.
    pub fn gallery(&self, side: Side) -> &Gallery {
        match side {
            Side::Images => &self.images,
            Side::Captions => &self.captions,
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Reads every file and compares it with its digest.
    ///
    /// # Errors
    /// If one cannot be read or differs; the error names it.
    pub fn verify(&self) -> Result<()> {
        for side in Side::BOTH {
            self.gallery(side).verify()?;
            if let Some(list) = self.catalog.deleted.list(side) {
                list.verify(&self.folder)?;
            }
        }
        Ok(())
    }
}

fn open_gallery(folder: &Path, side: Side, catalog: &Catalog) -> Result<Gallery> {
    let mut parts = Vec::new();
    for segment in &catalog.segments {
        if let Some(part) = segment.part(side) {
            let folder = segment_folder(folder, segment);
            parts.push(Part::open(&folder, side, &catalog.settings, part)?);
        }
    }
    let n_rows = parts.iter().map(Part::n).sum();
    let deleted = match catalog.deleted.list(side) {
        None => None,
        Some(list) => {
            let (path, bytes) = (folder.join(&list.name), list.map(folder)?);
            list.verify(folder)?;
            check_numbers::<u64>(&bytes, bytes.len() / 8, &path)?;
            let mut deleted = Bitmap::new(n_rows);
            for &row in numbers::<u64>(&bytes) {
                if row as usize >= n_rows {
                    let problem = format!("row {row} of {n_rows}");
                    return Err(Error::data(path, Place::Whole, problem, RESTORE));
                }
                deleted.insert(row as usize);
            }
            Some(deleted)
        }
    };
    Ok(Gallery::new(side, &catalog.settings, parts, deleted))
}

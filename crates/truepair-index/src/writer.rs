//! The one writer of an index.

use std::borrow::Cow;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::catalog::{self, Catalog, DeletedEntry, PartEntry, SegmentEntry};
use crate::gallery::Gallery;
use crate::index::Index;
use crate::item::{Item, Records, Side};
use crate::segment::{RowSource, check_records, joined_columns, write_part};
use crate::settings::Settings;
use crate::stored_file::StoredFile;

/// The file whose lock makes a writer the only one.
const LOCK: &str = "writer.lock";
const SEGMENT: &str = "segment-";
const DELETED: &str = "deleted-";

/// What [`Writer::delete`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Items that were deleted.
    pub n: usize,
    /// Ids that no item has, in the order given.
    pub unknown: Vec<String>,
}

/// The right to change an index; while it lives no other process has it. Readers are not kept waiting.
///
/// A change is there as a whole or not at all, also when the process is killed in the middle of it.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    index: Index,
    /// Locked until it is dropped.
    _lock: File,
}

impl Index {
    /// Makes an empty index in `folder`, which must be empty or not be there. `about` is kept with it.
    ///
    /// # Errors
    /// If the settings cannot be used, the folder holds something, or it cannot be written.
    pub fn create(
        folder: impl AsRef<Path>,
        settings: &Settings,
        about: serde_json::Value,
    ) -> Result<Writer> {
        let folder = folder.as_ref();
        settings.check()?;
        fs::create_dir_all(folder).map_err(|cause| Error::io(folder, "create", cause))?;
        let entries = fs::read_dir(folder).map_err(|cause| Error::io(folder, "read", cause))?;
        // What a creation leaves that was killed.
        let ours = |name: &str| name == LOCK || is_partial(name);
        let found = (entries.flatten()).find(|entry| !entry.file_name().to_str().is_some_and(ours));
        if let Some(found) = found {
            return Err(Error::data(
                folder,
                Place::Whole,
                format!("the folder holds `{}` already", found.file_name().display()),
                "name a new folder, or open the index that is there",
            ));
        }
        let lock = lock(folder)?;
        if folder.join(catalog::NAME).exists() {
            let problem = "another process has just made an index here";
            return Err(Error::data(
                folder,
                Place::Whole,
                problem,
                "open that, or name a new folder",
            ));
        }
        let catalog = Catalog {
            version: 1,
            next_segment: 1,
            settings: *settings,
            segments: Vec::new(),
            deleted: DeletedEntry::default(),
            about,
        };
        catalog.write(folder)?;
        Writer::of(folder, catalog, lock)
    }
}

impl Writer {
    /// Opens the index in `folder` for writing, and removes what killed writers left and what only
    /// earlier versions named.
    ///
    /// # Errors
    /// If another writer has it open, or the index cannot be opened.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        // Before the lock, which would make a file in a folder that is no index.
        Catalog::read(folder)?;
        let lock = lock(folder)?;
        let writer = Self::of(folder, Catalog::read(folder)?, lock)?;
        writer.remove_unnamed();
        Ok(writer)
    }

    fn of(folder: &Path, catalog: Catalog, lock: File) -> Result<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            index: Index::of(folder, catalog)?,
            _lock: lock,
        })
    }

    /// The index as it is now.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Appends images and captions; gives the version that has them. Nothing to append changes nothing.
    ///
    /// # Errors
    /// If a record cannot be kept (see [`Records`]), an id is there already, or the disk refuses. The
    /// index is then as it was.
    pub fn append(&mut self, images: Option<Records>, captions: Option<Records>) -> Result<u64> {
        match self.appended(images, captions)? {
            Some(catalog) => self.commit(catalog),
            None => Ok(self.index.version()),
        }
    }

    /// As [`append`](Self::append), replacing what the caller keeps in the same commit.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_with(
        &mut self,
        images: Option<Records>,
        captions: Option<Records>,
        about: serde_json::Value,
    ) -> Result<u64> {
        let appended = self.appended(images, captions)?;
        let mut catalog = appended.unwrap_or_else(|| self.index.catalog().clone());
        catalog.about = about;
        self.commit(catalog)
    }

    /// The catalog with a new segment; `None` where there is nothing to append.
    fn appended(
        &mut self,
        images: Option<Records>,
        captions: Option<Records>,
    ) -> Result<Option<Catalog>> {
        let of_side =
            |records: Option<Records>| records.filter(|records| !records.items.is_empty());
        let (images, captions) = (of_side(images), of_side(captions));
        for (side, records) in [(Side::Images, &images), (Side::Captions, &captions)] {
            if let Some(records) = records {
                self.check(side, records)?;
            }
        }
        if images.is_none() && captions.is_none() {
            return Ok(None);
        }
        let sources = [
            images.as_ref().map(|records| records as &dyn RowSource),
            captions.as_ref().map(|records| records as &dyn RowSource),
        ];
        let mut catalog = self.index.catalog().clone();
        let segment = self.write_segment(&mut catalog, sources)?;
        catalog.segments.push(segment);
        Ok(Some(catalog))
    }

    fn check(&self, side: Side, records: &Records) -> Result<()> {
        let gallery = self.index.gallery(side);
        check_records(self.index.settings(), side, records)?;
        joined_columns(&gallery.columns(), side, records)?;
        for (row, item) in records.items.iter().enumerate() {
            if let Some(found) = gallery.find(&item.id) {
                let (side, id) = (side.name(), &item.id);
                return Err(Error::argument(
                    format!(
                        "{side} record {row}: id `{id}` is in the index already, in row {found}"
                    ),
                    "give it another id, or delete the item that has it first",
                ));
            }
        }
        Ok(())
    }

    /// Deletes the items with these ids. Their bytes stay until [`compact`](Self::compact).
    ///
    /// # Errors
    /// If the disk refuses; nothing is then deleted.
    pub fn delete(&mut self, side: Side, ids: &[String]) -> Result<Deleted> {
        let mut catalog = self.index.catalog().clone();
        let deleted = self.strike(&mut catalog, side, ids)?;
        if deleted.n > 0 {
            self.commit(catalog)?;
        }
        Ok(deleted)
    }

    /// Deletes images and captions in one commit.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn delete_both(&mut self, images: &[String], captions: &[String]) -> Result<[Deleted; 2]> {
        let mut catalog = self.index.catalog().clone();
        let deleted = [
            self.strike(&mut catalog, Side::Images, images)?,
            self.strike(&mut catalog, Side::Captions, captions)?,
        ];
        if deleted.iter().any(|side| side.n > 0) {
            self.commit(catalog)?;
        }
        Ok(deleted)
    }

    /// Notes items as deleted in `catalog`.
    fn strike(&self, catalog: &mut Catalog, side: Side, ids: &[String]) -> Result<Deleted> {
        let gallery = self.index.gallery(side);
        let (mut rows, mut unknown) = (Vec::new(), Vec::new());
        for id in ids {
            match gallery.find(id) {
                Some(row) => rows.push(row as u64),
                None => unknown.push(id.clone()),
            }
        }
        rows.sort_unstable();
        rows.dedup();
        let n = rows.len();
        if n > 0 {
            let live: Vec<bool> = live_rows(gallery);
            rows.extend(
                (0..gallery.n_rows())
                    .filter(|row| !live[*row])
                    .map(|row| row as u64),
            );
            rows.sort_unstable();
            let name = format!("{DELETED}{}-{:06}.u64", side.name(), catalog.version + 1);
            let list = StoredFile::write(&self.folder, name, |out| {
                out.put(bytemuck::cast_slice(&rows))
            })?;
            catalog.deleted.set(side, Some(list));
        }
        Ok(Deleted { n, unknown })
    }

    /// Replaces what the caller keeps; gives the new version.
    ///
    /// # Errors
    /// If the disk refuses; the former value is then still there.
    pub fn set_about(&mut self, about: serde_json::Value) -> Result<u64> {
        let mut catalog = self.index.catalog().clone();
        catalog.about = about;
        self.commit(catalog)
    }

    /// Writes all items that are left into one segment and removes the former files; gives the version.
    /// Rows get new numbers, in the same order. Readers keep what they have open.
    ///
    /// # Errors
    /// If an item cannot be read or the disk refuses; the index is then as it was.
    pub fn compact(&mut self) -> Result<u64> {
        let mut catalog = self.index.catalog().clone();
        let nothing_deleted = catalog.deleted == DeletedEntry::default();
        if nothing_deleted && catalog.segments.len() < 2 {
            self.remove_unnamed();
            return Ok(catalog.version);
        }
        let [images, captions] = Side::BOTH.map(|side| LiveRows::of(self.index.gallery(side)));
        let source = |rows: &'_ LiveRows<'_>| rows.n() > 0;
        let sources = [
            source(&images).then_some(&images as &dyn RowSource),
            source(&captions).then_some(&captions as &dyn RowSource),
        ];
        let segments = match sources {
            [None, None] => Vec::new(),
            _ => vec![self.write_segment(&mut catalog, sources)?],
        };
        catalog.segments = segments;
        catalog.deleted = DeletedEntry::default();
        let version = self.commit(catalog)?;
        self.remove_unnamed();
        Ok(version)
    }

    /// Writes a segment that no catalog names yet.
    fn write_segment(
        &self,
        catalog: &mut Catalog,
        sources: [Option<&dyn RowSource>; 2],
    ) -> Result<SegmentEntry> {
        let name = format!("{SEGMENT}{:06}", catalog.next_segment);
        catalog.next_segment += 1;
        let folder = self.folder.join(&name);
        // What is there was left by a change that failed.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|cause| Error::io(&folder, "remove", cause))?;
        }
        fs::create_dir(&folder).map_err(|cause| Error::io(&folder, "create", cause))?;
        let part = |side: Side, source: Option<&dyn RowSource>| -> Result<Option<PartEntry>> {
            let source = source.filter(|source| source.n() > 0);
            source
                .map(|source| write_part(&folder, side, &catalog.settings, source))
                .transpose()
        };
        let [images, captions] = sources;
        let entry = SegmentEntry {
            folder: name,
            images: part(Side::Images, images)?,
            captions: part(Side::Captions, captions)?,
        };
        sync(&self.folder);
        Ok(entry)
    }

    fn commit(&mut self, mut catalog: Catalog) -> Result<u64> {
        catalog.version += 1;
        // Opened before it counts: an index that cannot be opened is not committed.
        let index = Index::of(&self.folder, catalog)?;
        index.catalog().write(&self.folder)?;
        self.index = index;
        Ok(self.index.version())
    }

    /// Removes files of ours that the catalog does not name. What cannot be removed now is removed by
    /// the next writer.
    fn remove_unnamed(&self) {
        let named = self.index.catalog().names();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if named.contains(&name) {
                continue;
            }
            let path = entry.path();
            if name.starts_with(SEGMENT) && path.is_dir() {
                let _ = fs::remove_dir_all(path);
            } else if name.starts_with(DELETED) || is_partial(name) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether `durable` calls a file so that is not whole yet.
fn is_partial(name: &str) -> bool {
    let ours = |name: &str| name.starts_with(catalog::NAME) || name.starts_with(DELETED);
    name.strip_prefix('.').is_some_and(ours) && name.ends_with(".partial")
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = (File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path))
    .map_err(|cause| Error::io(&path, "open", cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::data(
            folder,
            Place::Whole,
            "another process is writing this index",
            "wait until it is done; readers need not wait",
        )),
        Err(TryLockError::Error(cause)) => Err(Error::io(&path, "lock", cause)),
    }
}

/// Makes the names in a folder survive a power failure, where the file system can.
fn sync(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn live_rows(gallery: &Gallery) -> Vec<bool> {
    let mut live = vec![false; gallery.n_rows()];
    gallery.rows().for_each(|row| live[row] = true);
    live
}

/// What is left of a gallery, as the rows of a new segment.
struct LiveRows<'a> {
    gallery: &'a Gallery,
    rows: Vec<usize>,
}

impl<'a> LiveRows<'a> {
    fn of(gallery: &'a Gallery) -> Self {
        Self {
            rows: gallery.rows().collect(),
            gallery,
        }
    }
}

impl RowSource for LiveRows<'_> {
    fn n(&self) -> usize {
        self.rows.len()
    }

    fn vector(&self, row: usize) -> Cow<'_, [f32]> {
        let vector = self.gallery.vector(self.rows[row]);
        Cow::Owned(vector.expect("a live row has a vector"))
    }

    fn item(&self, row: usize) -> Result<Cow<'_, Item>> {
        self.gallery.item(self.rows[row]).map(Cow::Owned)
    }
}

//! The folder that keeps what was fetched.
//!
//! ```text
//! CACHE/1/objects/CONTENT         one object, whole; CONTENT is a digest of its address, version and size
//! CACHE/1/objects/CONTENT.part    one that is being fetched, with CONTENT.pieces beside it
//! CACHE/1/views/VIEW/NAME         a file or folder as readers see it: links to objects
//! CACHE/1/views/VIEW/entry.json   the address, and which objects it consists of
//! CACHE/1/views/VIEW/lock         locked while a program uses the view; changed whenever one begins to
//! ```
//!
//! The links are hard ones, so a reader meets regular files, and a folder of which one object changed fetches
//! that one alone. `1` is the version of all this.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use truepair_core::durable;
use truepair_core::source_file;

use crate::error::StoreError;
use crate::object::{Form, Found, RemoteObject, digest};
use crate::part::journal_of;

const VERSION: &str = "1";
const ENTRY: &str = "entry.json";
const LOCK: &str = "lock";
/// What backup programs look for in folders that can be made again.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # Data that truepair fetched; it may be removed whenever no truepair runs.\n";

/// The folder, and how much it may hold.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    /// Bytes.
    limit: u64,
}

/// What a view consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    address: String,
    objects: Vec<EntryObject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EntryObject {
    name: String,
    content: String,
}

/// A view that stays while this exists.
#[derive(Debug)]
pub(crate) struct Claim {
    folder: PathBuf,
    /// What readers are given.
    pub(crate) path: PathBuf,
    _lock: File,
}

impl Cache {
    /// # Errors
    /// If the folder cannot be made or written.
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Self, StoreError> {
        let root = folder.join(VERSION);
        for name in ["objects", "views"] {
            let folder = root.join(name);
            fs::create_dir_all(&folder).map_err(StoreError::cache(&folder, "make"))?;
        }
        let tag = folder.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(&tag, TAG).map_err(StoreError::cache(&tag, "write"))?;
        }
        // Links out of the cache, and messages, need one name for every file.
        let root = root.canonicalize();
        let root = root.map_err(StoreError::cache(folder, "read"))?;
        Ok(Self { root, limit })
    }

    /// Where an object lies when it is whole.
    pub(crate) fn place(&self, object: &RemoteObject) -> PathBuf {
        self.object(&object.content())
    }

    /// Whether an object is there, whole and as it is now.
    pub(crate) fn holds(&self, object: &RemoteObject) -> bool {
        let Ok(metadata) = self.place(object).metadata() else {
            return false;
        };
        // Without a version nobody knows whether the content is still the same.
        object.version.is_some() && object.size.is_none_or(|size| size == metadata.len())
    }

    /// Keeps the view of `found` from being removed, whether it is there already or not, and makes room
    /// for what is missing.
    ///
    /// # Errors
    /// If the cache cannot be written, or is too small.
    pub(crate) fn claim(
        &self,
        address: &str,
        name: &str,
        found: &Found,
    ) -> Result<Claim, StoreError> {
        let objects = found.objects.iter().map(|object| EntryObject {
            name: object.name.clone(),
            content: object.content(),
        });
        let entry = Entry {
            address: address.to_owned(),
            objects: objects.collect(),
        };
        let json = serde_json::to_string(&entry).unwrap_or_default();
        let folder = self.root.join("views").join(digest(&[&json]));
        let guard = self.lock()?;
        let claimed = || -> std::io::Result<File> {
            fs::create_dir_all(&folder)?;
            let mut lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(folder.join(LOCK))?;
            share(&lock)?;
            // The file system's clock says when the view was used last.
            lock.set_len(0)?;
            lock.write_all(b"used\n")?;
            Ok(lock)
        };
        let lock = claimed().map_err(StoreError::cache(&folder, "write"))?;
        let file = folder.join(ENTRY);
        if !file.exists() {
            durable::write(&file, json.as_bytes())
                .map_err(std::io::Error::other)
                .map_err(StoreError::cache(&file, "write"))?;
        }
        let missing = found.objects.iter().filter(|object| !self.holds(object));
        let needed: u64 = missing.filter_map(|object| object.size).sum();
        if needed > 0 {
            self.make_room(address, needed, &entry)?;
        }
        drop(guard);
        Ok(Claim {
            path: folder.join(name),
            folder,
            _lock: lock,
        })
    }

    /// Links the objects of a view into it, unless they are there already.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub(crate) fn assemble(&self, claim: &Claim, found: &Found) -> Result<(), StoreError> {
        let _guard = self.lock()?;
        if self.is_assembled(claim, found) {
            return Ok(());
        }
        let partial = claim.folder.join("partial");
        let made = || -> std::io::Result<()> {
            remove(&partial)?;
            for object in &found.objects {
                let target = match found.form {
                    Form::File => partial.clone(),
                    Form::Folder => partial.join(&object.name),
                };
                if let Some(folder) = target.parent() {
                    fs::create_dir_all(folder)?;
                }
                let source = self.place(object);
                match fs::hard_link(&source, &target) {
                    Err(cause) if cause.kind() == ErrorKind::AlreadyExists => return Err(cause),
                    // Some file systems have no links.
                    Err(_) => fs::copy(&source, &target).map(|_| ())?,
                    Ok(()) => {}
                }
            }
            remove(&claim.path)?;
            fs::rename(&partial, &claim.path)
        };
        made().map_err(StoreError::cache(&claim.path, "write"))
    }

    fn is_assembled(&self, claim: &Claim, found: &Found) -> bool {
        found.objects.iter().all(|object| {
            let path = match found.form {
                Form::File => claim.path.clone(),
                Form::Folder => claim.path.join(&object.name),
            };
            let (linked, whole) = (path.metadata(), self.place(object).metadata());
            let length = linked.map(|linked| linked.len());
            object.version.is_some()
                && length.is_ok_and(|length| whole.is_ok_and(|whole| whole.len() == length))
        })
    }

    /// Removes the views that were used longest ago, and what no view needs, until `needed` bytes more
    /// are within the limit.
    fn make_room(&self, address: &str, needed: u64, own: &Entry) -> Result<(), StoreError> {
        let held = Held::read(&self.root).map_err(StoreError::cache(&self.root, "read"))?;
        let mut held = held.without_parts_of(own);
        let used = held.bytes_in_use(own);
        if used.saturating_add(needed) > self.limit {
            return Err(self.too_small(address, needed, used));
        }
        while held.bytes.saturating_add(needed) > self.limit {
            let removed = held.remove_oldest(own);
            if !removed.map_err(StoreError::cache(&self.root, "remove from"))? {
                return Err(self.too_small(address, needed, held.bytes));
            }
        }
        Ok(())
    }

    fn too_small(&self, address: &str, needed: u64, used: u64) -> StoreError {
        let [needed, used, limit] =
            [needed, used, self.limit].map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
        let problem = format!(
            "{needed} are to be fetched, and the cache may hold {limit}, of which {used} are in use"
        );
        StoreError::address(address, problem, "allow it more with --cache-limit")
    }

    fn object(&self, content: &str) -> PathBuf {
        self.root.join("objects").join(content)
    }

    /// One program at a time decides what stays.
    fn lock(&self) -> Result<File, StoreError> {
        let path = self.root.join(LOCK);
        let locked = File::create(&path).and_then(|file| {
            wait(&file)?;
            Ok(file)
        });
        locked.map_err(StoreError::cache(&path, "lock"))
    }
}

/// Without locks, as on some network file systems, nothing is locked.
fn wait(file: &File) -> std::io::Result<()> {
    match file.lock() {
        Err(cause) if cause.kind() != ErrorKind::Unsupported => Err(cause),
        _ => Ok(()),
    }
}

fn share(file: &File) -> std::io::Result<()> {
    match file.lock_shared() {
        Err(cause) if cause.kind() != ErrorKind::Unsupported => Err(cause),
        _ => Ok(()),
    }
}

/// Removes a file, a folder or nothing.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// What the cache holds.
struct Held {
    /// By path: parts and whole objects.
    objects: HashMap<PathBuf, HeldObject>,
    views: Vec<HeldView>,
    bytes: u64,
}

struct HeldObject {
    content: String,
    bytes: u64,
    used: Option<Duration>,
}

struct HeldView {
    folder: PathBuf,
    contents: HashSet<String>,
    used: Option<Duration>,
}

impl Held {
    fn read(root: &Path) -> std::io::Result<Self> {
        let mut objects = HashMap::new();
        for file in fs::read_dir(root.join("objects"))? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let content = name.split('.').next().unwrap_or_default().to_owned();
            let Ok(metadata) = path.metadata() else {
                continue;
            };
            if name.ends_with(".pieces") {
                continue;
            }
            let object = HeldObject {
                content,
                bytes: metadata.len(),
                used: changed(&metadata),
            };
            objects.insert(path.clone(), object);
        }
        let mut views = Vec::new();
        for folder in fs::read_dir(root.join("views"))? {
            let folder = folder?.path();
            let entry =
                source_file::read(&folder.join(ENTRY), source_file::SETTINGS).unwrap_or_default();
            // A view whose entry cannot be read needs nothing.
            let entry = serde_json::from_slice(&entry).unwrap_or(Entry {
                address: String::new(),
                objects: Vec::new(),
            });
            let lock = folder.join(LOCK).metadata();
            views.push(HeldView {
                contents: (entry.objects.into_iter())
                    .map(|object| object.content)
                    .collect(),
                used: lock.ok().as_ref().and_then(changed),
                folder,
            });
        }
        let bytes = objects.values().map(|object| object.bytes).sum();
        Ok(Self {
            objects,
            views,
            bytes,
        })
    }

    /// Parts of what is about to be fetched are counted as needed already.
    fn without_parts_of(mut self, own: &Entry) -> Self {
        let own: HashSet<&str> = own
            .objects
            .iter()
            .map(|object| object.content.as_str())
            .collect();
        self.objects.retain(|path, object| {
            let is_part = path.extension().is_some();
            !(is_part && own.contains(object.content.as_str()))
        });
        self.bytes = self.objects.values().map(|object| object.bytes).sum();
        self
    }

    /// Bytes that cannot be removed now.
    fn bytes_in_use(&self, own: &Entry) -> u64 {
        let own = own.objects.iter().map(|object| object.content.as_str());
        let used = self.views.iter();
        let used = used.filter(|view| is_in_use(&view.folder.join(LOCK)));
        let used = used.flat_map(|view| view.contents.iter().map(String::as_str));
        let used: HashSet<&str> = own.chain(used).collect();
        let objects = self
            .objects
            .iter()
            .filter(|(path, object)| used.contains(object.content.as_str()) || is_in_use(path));
        objects.map(|(_, object)| object.bytes).sum()
    }

    /// Removes the view or the stray object that was used longest ago and is not in use; `false` where
    /// there is none.
    fn remove_oldest(&mut self, own: &Entry) -> std::io::Result<bool> {
        let needed = |content: &str, views: &[HeldView]| {
            own.objects.iter().any(|object| object.content == content)
                || views.iter().any(|view| view.contents.contains(content))
        };
        let strays = self
            .objects
            .iter()
            .filter(|(path, object)| !needed(&object.content, &self.views) && !is_in_use(path));
        let stray = strays.min_by_key(|(_, object)| object.used);
        let stray = stray.map(|(path, object)| (path.clone(), object.used));
        let free = self.views.iter().enumerate();
        let free = free.filter(|(_, view)| !is_in_use(&view.folder.join(LOCK)));
        let view = free
            .min_by_key(|(_, view)| view.used)
            .map(|(at, view)| (at, view.used));
        match (stray, view) {
            (Some((path, used)), view) if view.is_none_or(|(_, other)| used <= other) => {
                self.remove_object(&path)?;
            }
            (_, Some((at, _))) => {
                let view = self.views.swap_remove(at);
                remove(&view.folder)?;
                let unneeded = self.objects.iter().filter(|(path, object)| {
                    view.contents.contains(&object.content)
                        && !needed(&object.content, &self.views)
                        && !is_in_use(path)
                });
                let unneeded: Vec<PathBuf> = unneeded.map(|(path, _)| path.clone()).collect();
                for path in unneeded {
                    self.remove_object(&path)?;
                }
            }
            (_, None) => return Ok(false),
        }
        Ok(true)
    }

    fn remove_object(&mut self, path: &Path) -> std::io::Result<()> {
        remove(path)?;
        if path.extension().is_some() {
            remove(&journal_of(path))?;
        }
        let removed = self.objects.remove(path);
        self.bytes -= removed.map_or(0, |object| object.bytes);
        Ok(())
    }
}

/// When a file was changed last, by the file system's clock.
fn changed(metadata: &fs::Metadata) -> Option<Duration> {
    let changed = metadata.modified().ok()?;
    changed.duration_since(std::time::UNIX_EPOCH).ok()
}

/// Whether a program holds the lock of a file. Whole objects are never locked: views are.
fn is_in_use(path: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(path) else {
        return false;
    };
    matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, size: u64) -> RemoteObject {
        RemoteObject {
            address: format!("s3://b/{name}"),
            key: name.to_owned(),
            name: name.to_owned(),
            size: Some(size),
            version: Some("v".to_owned()),
            reads_ranges: true,
        }
    }

    /// Claims a folder of objects, puts them there and links them.
    fn filled(cache: &Cache, address: &str, objects: &[(&str, u64)]) -> Result<Claim, StoreError> {
        let objects = objects.iter().map(|(name, size)| object(name, *size));
        let found = Found {
            form: Form::Folder,
            objects: objects.collect(),
        };
        let claim = cache.claim(address, "data", &found)?;
        for object in &found.objects {
            let bytes = vec![7; object.size.unwrap() as usize];
            fs::write(cache.place(object), bytes).unwrap();
        }
        cache.assemble(&claim, &found)?;
        Ok(claim)
    }

    /// File systems count time in steps.
    fn later() {
        std::thread::sleep(std::time::Duration::from_millis(30));
    }

    #[test]
    fn what_was_used_longest_ago_goes_and_nothing_in_use() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path(), 100).unwrap();
        let path = |claim: Claim| claim.path.clone();
        let old = path(filled(&cache, "s3://b/old", &[("a", 30), ("shared", 10)]).unwrap());
        later();
        let used = filled(&cache, "s3://b/used", &[("b", 20)]).unwrap();
        later();
        let new = path(filled(&cache, "s3://b/new", &[("c", 20), ("shared", 10)]).unwrap());
        later();
        let next = path(filled(&cache, "s3://b/next", &[("d", 30)]).unwrap());
        assert!(!old.exists() && used.path.exists() && new.exists() && next.exists());
        assert_eq!(fs::read(new.join("shared")).unwrap().len(), 10);
        // Used again, it is not the oldest any more.
        later();
        drop(filled(&cache, "s3://b/new", &[("c", 20), ("shared", 10)]).unwrap());
        later();
        let last = path(filled(&cache, "s3://b/last", &[("e", 40)]).unwrap());
        assert!(used.path.exists() && new.exists() && !next.exists() && last.exists());
        let error = filled(&cache, "s3://b/big", &[("f", 90)])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("s3://b/big") && error.contains("--cache-limit"),
            "{error}"
        );
        assert!(
            used.path.exists() && new.exists() && last.exists(),
            "all for nothing"
        );
    }

    #[test]
    fn strays_and_parts_go_first_and_own_parts_stay() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path(), 100).unwrap();
        let stray = cache.object("0123.part");
        fs::write(&stray, vec![0; 60]).unwrap();
        fs::write(journal_of(&stray), [0; 4]).unwrap();
        let own = cache.object(&format!("{}.part", object("a", 90).content()));
        fs::write(&own, vec![0; 90]).unwrap();
        filled(&cache, "s3://b/x", &[("a", 90)]).unwrap();
        assert!(!stray.exists() && !journal_of(&stray).exists() && own.exists());
    }

    #[test]
    fn a_view_that_was_damaged_is_made_again() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path(), 100).unwrap();
        let claim = filled(&cache, "s3://b/x", &[("a", 9)]).unwrap();
        fs::remove_file(claim.path.join("a")).unwrap();
        drop(claim);
        let claim = filled(&cache, "s3://b/x", &[("a", 9)]).unwrap();
        assert_eq!(fs::read(claim.path.join("a")).unwrap(), [7; 9]);
    }
}

//! Data that lies elsewhere: addresses where paths are expected become local paths before a reader sees
//! them, and addresses again in what is printed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[cfg(not(feature = "stores"))]
use anyhow::bail;
use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use truepair_core::dataset::Dataset;
use truepair_core::watch::Watch;
use truepair_read::dataset::{Pictures, ReadOptions};

/// Where fetched data is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct CacheArgs {
    /// Folder that keeps data fetched from s3://, gs://, az:// and http(s):// addresses; that of
    /// TRUEPAIR_CACHE, or the user's cache folder by default.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    cache: Option<PathBuf>,

    /// How much that folder may hold; what was used longest ago goes first.
    #[arg(long, global = true, value_name = "SIZE", default_value = "20GB", value_parser = bytes,
          help_heading = "Everywhere")]
    cache_limit: u64,
}

static CHOSEN: OnceLock<CacheArgs> = OnceLock::new();

/// Records what the user chose; called once, before any work.
pub(crate) fn choose(args: &CacheArgs) {
    CHOSEN.get_or_init(|| args.clone());
}

/// Units of sizes.
const UNITS: &[(&str, u64)] = &[
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("b", 1),
];

/// Reads a size such as `20GB`.
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let units = UNITS.iter().find_map(|(unit, bytes)| {
        let number: f64 = lower.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * *bytes as f64)
    });
    let size = units.filter(|size| (1.0..=u64::MAX as f64).contains(size));
    size.map(|size| size as u64)
        .ok_or_else(|| "write a size such as 20GB or 500MiB".to_owned())
}

/// Whether a path is an address: it begins with a word and `://`.
pub(crate) fn is_address(path: &Path) -> bool {
    let scheme = path.to_str().and_then(|text| text.split_once("://"));
    scheme.is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// The path of a folder or file to write; addresses are refused.
pub(crate) fn output() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if is_address(&path) {
            return Err("results are written to this machine only: name a local path, and upload it afterwards");
        }
        Ok(path)
    })
}

/// The path that readers are given.
///
/// # Errors
/// If the path is an address and what lies there cannot be fetched.
pub(crate) fn local(path: &Path, watch: &mut dyn Watch) -> Result<PathBuf> {
    match path.to_str().filter(|_| is_address(path)) {
        Some(address) => fetch(address, watch),
        None => Ok(path.to_path_buf()),
    }
}

/// Data and options as readers are given them.
///
/// # Errors
/// If one of the addresses among them cannot be fetched.
pub(crate) fn fetched(
    path: &Path,
    options: &ReadOptions,
    watch: &mut dyn Watch,
) -> Result<(PathBuf, ReadOptions)> {
    let mut options = options.clone();
    let path = local(path, watch)?;
    for file in options.features.iter_mut().chain(&mut options.pairs) {
        *file = local(file, watch)?;
    }
    if let Pictures::In(folder) = &mut options.pictures {
        *folder = local(folder, watch)?;
    }
    Ok((path, options))
}

/// Whether some of the data lies elsewhere.
pub(crate) fn is_elsewhere(path: &Path, options: &ReadOptions) -> bool {
    let pictures = match &options.pictures {
        Pictures::In(folder) => Some(folder.as_path()),
        _ => None,
    };
    let files = options.features.iter().chain(&options.pairs);
    let mut paths = files.map(PathBuf::as_path).chain(pictures).chain([path]);
    paths.any(is_address)
}

/// A path that holds from any folder, or the address as it is.
///
/// # Errors
/// If the current folder is not known.
pub(crate) fn full(path: &Path) -> Result<PathBuf> {
    if is_address(path) {
        return Ok(path.to_path_buf());
    }
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// What the data is called: its address where it lies elsewhere, else its name.
pub(crate) fn name_of(dataset: &Dataset) -> String {
    let files = dataset.files.iter();
    let mut files = files.chain(dataset.image_files.iter().flatten());
    let address = files.next().and_then(|file| address_of(file));
    address.unwrap_or_else(|| dataset.name.clone())
}

/// What a user must know of `files` that name pictures in the cache: it may be emptied.
pub(crate) fn note_on(files: &[PathBuf]) -> Option<String> {
    let folder = CHOSEN.get().and_then(|args| folder(args).ok())?;
    let folder = folder.canonicalize().ok()?;
    let name = folder.to_str()?;
    let is_list = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "jsonl");
    let mut lists = files.iter().filter(is_list);
    let list =
        lists.find(|list| std::fs::read_to_string(list).is_ok_and(|text| text.contains(name)))?;
    Some(format!(
        "{} names pictures in the cache {name}, which go when it is full (for a list that lasts, copy the \
         data to a folder of yours and audit it there)",
        list.file_name().unwrap_or_default().display()
    ))
}

/// The folder of the cache.
fn folder(args: &CacheArgs) -> Result<PathBuf> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let home = || {
        let below = if cfg!(target_os = "macos") {
            "Library/Caches"
        } else {
            ".cache"
        };
        variable("HOME").map(|home| home.join(below))
    };
    let users = || {
        let users = variable("XDG_CACHE_HOME").or_else(|| variable("LOCALAPPDATA"));
        users.or_else(home).map(|folder| folder.join("truepair"))
    };
    let chosen = args.cache.clone().or_else(|| variable("TRUEPAIR_CACHE"));
    chosen
        .or_else(users)
        .context("no folder for fetched data is known (name one with --cache DIR)")
}

#[cfg(feature = "stores")]
mod stores {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use truepair_store::{Store, StoreOptions, is_variable};

    use super::{CHOSEN, Context, Path, PathBuf, Result, Watch, folder};
    use crate::render;

    static STORE: Mutex<Option<Store>> = Mutex::new(None);

    fn store() -> MutexGuard<'static, Option<Store>> {
        // A poisoned lock only means that a thread died while holding it.
        STORE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fetch(address: &str, watch: &mut dyn Watch) -> Result<PathBuf> {
        let mut open = store();
        let store = match &mut *open {
            Some(store) => store,
            None => {
                let chosen = CHOSEN.get().context("no cache was chosen")?;
                let variables = std::env::vars_os().filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                });
                let options = StoreOptions {
                    cache: folder(chosen)?,
                    limit: chosen.cache_limit,
                    variables: variables.filter(|(name, _)| is_variable(name)).collect(),
                };
                open.insert(Store::open(options)?)
            }
        };
        let fetched = store.fetch(address, watch)?;
        drop(open);
        if fetched.bytes > 0 {
            let size = fetched.bytes as f64 / 1e6;
            render::note(&format!("note: fetched {size:.1} MB from {address}"));
        }
        Ok(fetched.path)
    }

    pub(super) fn shown(text: &str) -> Option<String> {
        Some(store().as_ref()?.shown(text))
    }

    pub(super) fn address_of(path: &Path) -> Option<String> {
        store().as_ref()?.address_of(path).map(str::to_owned)
    }
}

#[cfg(not(feature = "stores"))]
mod stores {
    use super::{Path, PathBuf, Result, Watch, bail};

    pub(super) fn fetch(address: &str, _watch: &mut dyn Watch) -> Result<PathBuf> {
        bail!(
            "{address}: this program was built without object stores and the web (build it with \
             `cargo build --release --features stores`, or copy the data to a local folder)"
        )
    }

    pub(super) fn shown(_text: &str) -> Option<String> {
        None
    }

    pub(super) fn address_of(_path: &Path) -> Option<String> {
        None
    }
}

use stores::{address_of, fetch};

/// `text` with addresses in place of the paths that fetched data has in the cache.
pub(crate) fn shown(text: &str) -> String {
    stores::shown(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for address in ["s3://b/x", "https://h/{0..3}.tar", "ftp://h"] {
            assert!(is_address(Path::new(address)));
            assert_eq!(full(Path::new(address)).unwrap(), Path::new(address));
        }
        for path in ["data/", "./a://b", "C:/data", "://x"] {
            assert!(!is_address(Path::new(path)));
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("20GB"), Ok(20_000_000_000));
        assert_eq!(bytes(" 1.5 MiB"), Ok(3 << 19));
        assert_eq!(bytes("7B"), Ok(7));
        for bad in ["20", "GB", "-1GB", "0GB", "NaNGB", "infGB", "x"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}

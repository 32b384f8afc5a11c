//! Where this process keeps data that lies elsewhere: chosen once on the command line, looked up by
//! whatever fetches, and by whatever prints, since messages name addresses and not files of the cache.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[cfg(not(feature = "stores"))]
use anyhow::bail;
use anyhow::{Context, Result};
use clap::Args;
use truepair_core::watch::Watch;

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
    #[cfg_attr(not(feature = "stores"), allow(dead_code))]
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

/// The folder of the cache.
#[cfg(feature = "stores")]
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

    static STORE: Mutex<Option<Store>> = Mutex::new(None);

    fn store() -> MutexGuard<'static, Option<Store>> {
        // A poisoned lock only means that a thread died while holding it.
        STORE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what lies at an address local; returns its path, and the bytes that came for it.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub(crate) fn fetch(address: &str, watch: &mut dyn Watch) -> Result<(PathBuf, u64)> {
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
        Ok((fetched.path, fetched.bytes))
    }

    /// What is printed in the middle of a fetch, by a panic for instance, is printed as it is.
    pub(super) fn shown(text: &str) -> Option<String> {
        Some(STORE.try_lock().ok()?.as_ref()?.shown(text))
    }

    /// The address that a file in the cache came from.
    pub(crate) fn address_of(path: &Path) -> Option<String> {
        store().as_ref()?.address_of(path).map(str::to_owned)
    }
}

#[cfg(not(feature = "stores"))]
mod stores {
    use super::{Path, PathBuf, Result, Watch, bail};

    pub(crate) fn fetch(address: &str, _watch: &mut dyn Watch) -> Result<(PathBuf, u64)> {
        bail!(
            "{address}: this program was built without object stores and the web (build it with \
             `cargo build --release --features stores`, or copy the data to a local folder)"
        )
    }

    pub(super) fn shown(_text: &str) -> Option<String> {
        None
    }

    pub(crate) fn address_of(_path: &Path) -> Option<String> {
        None
    }
}

pub(crate) use stores::{address_of, fetch};

/// `text` with addresses in place of the paths that fetched data has in the cache.
pub(crate) fn shown(text: &str) -> String {
    stores::shown(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! Addresses to local paths.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokio::runtime::{Builder, Runtime};
use truepair_core::watch::Watch;

use crate::cache::{Cache, Claim};
use crate::error::StoreError;
use crate::fetch::Fetch;
use crate::location::Location;
use crate::object::{Form, Found};
use crate::source::Source;
use crate::web::AUTHORIZATION_VARIABLE;

/// How data that lies elsewhere is reached and kept.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Folder of the cache; it is made.
    pub cache: PathBuf,
    /// Bytes that the cache may hold.
    pub limit: u64,
    /// Names and values of the environment variables that say how stores are reached; see
    /// [`is_variable`].
    pub variables: Vec<(String, String)>,
}

/// Whether an environment variable says how stores are reached.
///
/// ```
/// assert!(truepair_store::is_variable("AWS_ACCESS_KEY_ID") && !truepair_store::is_variable("PATH"));
/// ```
pub fn is_variable(name: &str) -> bool {
    let services = ["AWS_", "GOOGLE_", "AZURE_"];
    name == AUTHORIZATION_VARIABLE || services.iter().any(|prefix| name.starts_with(prefix))
}

/// Fetches data and keeps it; whatever it fetched stays in the cache at least while it exists.
#[derive(Debug)]
pub struct Store {
    cache: Cache,
    variables: Vec<(String, String)>,
    runtime: Runtime,
    /// By address.
    views: HashMap<String, View>,
}

#[derive(Debug)]
struct View {
    claim: Claim,
    /// What stands for the local path in messages.
    shown: String,
}

/// Data that is local now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file or folder; it bears the name that it has in the store.
    pub path: PathBuf,
    /// Bytes that came over the network.
    pub bytes: u64,
}

impl Store {
    /// # Errors
    /// If the folder of the cache cannot be made or written.
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        // Both clients take the provider of the process. Where the program has chosen one, that stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StoreError::cache(&options.cache, "start the network"))?;
        Ok(Self {
            cache: Cache::open(&options.cache, options.limit)?,
            variables: options.variables,
            runtime,
            views: HashMap::new(),
        })
    }

    /// Makes the file or folder at `address` local. What is in the cache already and has not changed is not
    /// fetched again; an address is looked up once.
    ///
    /// # Errors
    /// If there is nothing, access is refused, the network fails more than a few times, a name would leave
    /// the folder, or the cache is too small; the message names the address and says what to do.
    pub fn fetch(&mut self, address: &str, watch: &mut dyn Watch) -> Result<Fetched, StoreError> {
        if let Some(view) = self.views.get(address) {
            let path = view.claim.path.clone();
            return Ok(Fetched { path, bytes: 0 });
        }
        let location = Location::parse(address)?;
        let name = location.name()?;
        // Clients start their work on the runtime.
        let entered = self.runtime.enter();
        let source = Source::open(&location, &self.variables)?;
        drop(entered);
        let found = self.runtime.block_on(source.find(&location))?;
        check_names(address, &found)?;
        let claim = self.cache.claim(address, &name, &found)?;
        let fetch = Fetch::new(&source, &self.cache, watch);
        let bytes = self.runtime.block_on(fetch.all(&found.objects))?;
        self.cache.assemble(&claim, &found)?;
        let path = claim.path.clone();
        let shown = location.shown();
        self.views.insert(address.to_owned(), View { claim, shown });
        Ok(Fetched { path, bytes })
    }

    /// The address that a file in the cache was fetched from, as it was given to [`fetch`](Self::fetch).
    pub fn address_of(&self, file: &Path) -> Option<&str> {
        let mut views = self.views.iter();
        let found = views.find(|(_, view)| file.starts_with(&view.claim.path))?;
        Some(found.0.as_str())
    }

    /// `text` with addresses in place of the paths that data from there has in the cache.
    pub fn shown(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for view in self.views.values() {
            let path = view.claim.path.display().to_string();
            shown = shown.replace(&path, &view.shown);
        }
        shown
    }
}

/// # Errors
/// If two objects would lie in the same place.
fn check_names(address: &str, found: &Found) -> Result<(), StoreError> {
    let mut names: Vec<&str> = found
        .objects
        .iter()
        .map(|object| object.name.as_str())
        .collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|two| two[0] == two[1]);
    match twice {
        Some(two) if found.form == Form::Folder => {
            let problem = format!("{:?} stands for two objects", two[0]);
            Err(StoreError::address(
                address,
                problem,
                "name every object once",
            ))
        }
        _ => Ok(()),
    }
}

//! Object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
    RetryConfig,
};

use crate::error::{Cause, StoreError, causes};
use crate::location::{Location, Service, check_name};
use crate::object::{ByteStream, Form, Found, RemoteObject};
use crate::traffic::AT_ONCE;

/// A bucket or container.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    refusals: Refusals,
}

/// How refusals of a store are told.
#[derive(Debug, Clone)]
struct Refusals {
    service: Service,
    /// The bucket or container.
    bucket: String,
}

/// Sets on a builder whatever the variables of its service say.
macro_rules! built {
    ($builder:expr, $prefix:expr, $location:expr, $variables:expr) => {{
        let own = $variables
            .iter()
            .filter(|(name, _)| name.starts_with($prefix));
        let builder = $builder
            .with_url(&$location.root)
            .with_retry(retries())
            .with_client_options(client());
        let builder = own.fold(builder, |builder, (name, value)| {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            }
        });
        builder
            .build()
            .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
    }};
}

impl Bucket {
    /// # Errors
    /// If the variables are wrong or too few.
    pub(crate) fn open(
        location: &Location,
        variables: &[(String, String)],
    ) -> Result<Self, StoreError> {
        let built = match location.service {
            Service::Google => {
                let builder = GoogleCloudStorageBuilder::new();
                built!(builder, "GOOGLE_", location, variables)
            }
            Service::Azure => {
                let builder = MicrosoftAzureBuilder::new();
                built!(builder, "AZURE_", location, variables)
            }
            Service::S3 | Service::Web => {
                let builder = AmazonS3Builder::new();
                built!(builder, "AWS_", location, variables)
            }
        };
        let refusals = Refusals {
            service: location.service,
            bucket: location.authority().to_owned(),
        };
        let store = built.map_err(|error| {
            let problem = format!("cannot be reached: {}", causes(&error));
            StoreError::address(&location.given, problem, refusals.variables())
        })?;
        Ok(Self { store, refusals })
    }

    /// The object at the location, those that its pattern stands for, or those below it.
    pub(crate) async fn find(&self, location: &Location) -> Result<Found, StoreError> {
        if location.is_pattern {
            let heads = stream::iter(&location.paths);
            let heads = heads.map(|path| self.head(location, path));
            let objects = heads.buffered(AT_ONCE).try_collect().await?;
            let form = Form::Folder;
            return Ok(Found { form, objects });
        }
        let path = location.paths[0].as_str();
        let is_folder = path.is_empty() || path.ends_with('/');
        let refused = if is_folder {
            None
        } else {
            match self.head(location, path).await {
                Ok(object) => {
                    let (form, objects) = (Form::File, vec![object]);
                    return Ok(Found { form, objects });
                }
                // Whoever may not list a bucket is told that objects are forbidden, there or not.
                Err(error) if matches!(error.cause(), Cause::Missing | Cause::Refused) => {
                    Some(error)
                }
                Err(error) => return Err(error),
            }
        };
        let objects = self.list(location).await?;
        if objects.is_empty() {
            return Err(refused.unwrap_or_else(|| missing(&location.given)));
        }
        let form = Form::Folder;
        Ok(Found { form, objects })
    }

    /// The bytes of an object, or a range of them.
    pub(crate) async fn read(
        &self,
        object: &RemoteObject,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, StoreError> {
        let path = path_of(&object.address, &object.key)?;
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let (refusals, address) = (self.refusals.clone(), object.address.clone());
        let got = self.store.get_opts(&path, options).await;
        let got = got.map_err(|error| refusals.tell(&address, &error))?;
        if version_of(&got.meta) != object.version || Some(got.meta.size) != object.size {
            return Err(StoreError::changed(&address));
        }
        let bytes = got.into_stream();
        let bytes = bytes.map_err(move |error| refusals.tell(&address, &error));
        Ok(bytes.boxed())
    }

    async fn head(&self, location: &Location, path: &str) -> Result<RemoteObject, StoreError> {
        let address = location.address(path);
        let key = path_of(&address, path)?;
        let head = self.store.head(&key).await;
        let meta = head.map_err(|error| self.refusals.tell(&address, &error))?;
        let name = path.get(location.base..).unwrap_or_default();
        object_of(location, &meta, name)
    }

    /// Every object below the location; markers of folders are left out.
    async fn list(&self, location: &Location) -> Result<Vec<RemoteObject>, StoreError> {
        let prefix = path_of(&location.given, &location.paths[0])?;
        let listed = self.store.list(Some(&prefix)).try_collect().await;
        let listed: Vec<ObjectMeta> =
            listed.map_err(|error| self.refusals.tell(&location.given, &error))?;
        let below = |meta: &ObjectMeta| {
            let rest = meta.location.as_ref().strip_prefix(prefix.as_ref());
            rest.map(|rest| rest.trim_start_matches('/').to_owned())
        };
        let named: Vec<(String, ObjectMeta)> = (listed.into_iter())
            .filter_map(|meta| Some((below(&meta)?, meta)))
            .collect();
        let folders = folders(named.iter().map(|(name, _)| name.as_str()));
        let mut objects = Vec::with_capacity(named.len());
        for (name, meta) in &named {
            if meta.size == 0 && (name.is_empty() || folders.contains(name.as_str())) {
                continue;
            }
            let object = object_of(location, meta, name)?;
            if folders.contains(name.as_str()) {
                return Err(StoreError::address(
                    &object.address,
                    "is an object and a folder of other objects",
                    "rename one of them",
                ));
            }
            objects.push(object);
        }
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }
}

/// Every folder that one of the names lies in.
fn folders<'a>(names: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
    let mut folders = HashSet::new();
    for name in names {
        for (slash, _) in name.match_indices('/') {
            folders.insert(&name[..slash]);
        }
    }
    folders
}

fn object_of(
    location: &Location,
    meta: &ObjectMeta,
    name: &str,
) -> Result<RemoteObject, StoreError> {
    let key = meta.location.to_string();
    let address = location.address(&key);
    check_name(&address, name)?;
    Ok(RemoteObject {
        address,
        key,
        name: name.to_owned(),
        size: Some(meta.size),
        version: version_of(meta),
        reads_ranges: true,
    })
}

/// The entity tag, which listings and answers may write differently; else the time of the last change.
fn version_of(meta: &ObjectMeta) -> Option<String> {
    let tag = meta.e_tag.as_deref();
    let tag = tag.map(|tag| tag.trim_matches('"').to_owned());
    Some(tag.unwrap_or_else(|| meta.last_modified.to_rfc3339()))
}

fn path_of(address: &str, key: &str) -> Result<Path, StoreError> {
    Path::parse(key).map_err(|error| {
        let problem = format!("the name cannot be read: {}", causes(&error));
        StoreError::address(address, problem, "rename the object")
    })
}

fn missing(address: &str) -> StoreError {
    let remedy = "check the address; a folder must hold at least one object";
    StoreError::new(Cause::Missing, address, "there is nothing", remedy)
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
    }
}

/// Slow lines may take as long as they like, silent ones may not.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(Duration::from_secs(30))
}

impl Refusals {
    /// Which variables say who asks.
    fn variables(&self) -> &'static str {
        match self.service {
            Service::S3 | Service::Web => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public \
                 bucket; AWS_ENDPOINT and AWS_ALLOW_HTTP=true reach another server than Amazon's"
            }
            Service::Google => {
                "set GOOGLE_APPLICATION_CREDENTIALS to a file with a key, or GOOGLE_SKIP_SIGNATURE=true for a \
                 public bucket"
            }
            Service::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or \
                 AZURE_SKIP_SIGNATURE=true for a public container"
            }
        }
    }

    /// What a store's error means, and what to do.
    fn tell(&self, address: &str, error: &object_store::Error) -> StoreError {
        use object_store::Error as E;
        let text = causes(error);
        if let Some(told) = self.tell_answer(address, &text) {
            return told;
        }
        match error {
            E::NotFound { .. } => missing(address),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => self.refused(address, &text),
            E::InvalidPath { .. } => {
                let problem = format!("a name below it cannot be read: {text}");
                StoreError::address(address, problem, "rename the object")
            }
            _ => {
                let remedy = "check the network, or run the same command again";
                StoreError::new(Cause::Passing, address, text, remedy)
            }
        }
    }

    /// What only the words of an answer tell.
    fn tell_answer(&self, address: &str, text: &str) -> Option<StoreError> {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let new = |cause, problem: String, remedy: &str| {
            Some(StoreError::new(cause, address, problem, remedy))
        };
        const NO_BUCKET: &[&str] = &[
            "NoSuchBucket",
            "ContainerNotFound",
            "specified bucket does not exist",
        ];
        const NO_CREDENTIALS: &[&str] = &[
            "169.254.169.254",
            "metadata.google",
            "instance metadata",
            "latest/api/token",
        ];
        const ELSEWHERE: &[&str] = &[
            "configured region",
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
        ];
        if says(NO_BUCKET) {
            let problem = format!("there is no bucket `{}`", self.bucket);
            return new(Cause::Missing, problem, "check its name");
        }
        if says(NO_CREDENTIALS) {
            let problem = "no credentials were found".to_owned();
            return new(Cause::Refused, problem, self.variables());
        }
        if says(ELSEWHERE) {
            let problem = "the bucket lies in another region".to_owned();
            return new(Cause::Lasting, problem, "set AWS_REGION to its region");
        }
        // Listings have no error kind of their own for these.
        if says(&["401 Unauthorized", "403 Forbidden"]) {
            return Some(self.refused(address, text));
        }
        if says(&["dns error"]) {
            let problem = format!("the name of the server is unknown: {text}");
            return new(Cause::Lasting, problem, "check the address and the network");
        }
        None
    }

    fn refused(&self, address: &str, text: &str) -> StoreError {
        let code = code(text).map_or_else(String::new, |code| format!(": {code}"));
        let problem = format!("the store refuses access{code}");
        StoreError::new(Cause::Refused, address, problem, self.variables())
    }
}

/// The code inside an answer such as `<Code>SlowDown</Code>`.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_what_names_lie_in() {
        let found = folders(["a/b/c", "a", "d"].into_iter());
        assert_eq!(found, HashSet::from(["a", "a/b"]));
    }

    #[test]
    fn every_service_is_reached_by_its_own_variables() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let public = |address: &str, variables: &[(&str, &str)]| {
            let owned = variables.iter().map(|(a, b)| ((*a).into(), (*b).into()));
            let variables: Vec<(String, String)> = owned.collect();
            Bucket::open(&Location::parse(address).unwrap(), &variables)
        };
        public("s3://b/x", &[("AWS_SKIP_SIGNATURE", "true")]).unwrap();
        public("gs://b/x", &[("GOOGLE_SKIP_SIGNATURE", "true")]).unwrap();
        public("az://c/x", &[("AZURE_STORAGE_ACCOUNT_NAME", "me")]).unwrap();
        public("abfss://c@me.dfs.core.windows.net/x", &[]).unwrap();
        // The variables of another service say nothing.
        let error = public("az://c/x", &[("AWS_SKIP_SIGNATURE", "true")]).unwrap_err();
        assert!(
            error.to_string().contains("AZURE_STORAGE_ACCOUNT_NAME"),
            "{error}"
        );
        let error = public(
            "gs://b/x",
            &[("GOOGLE_APPLICATION_CREDENTIALS", "none.json")],
        );
        assert!(error.unwrap_err().to_string().contains("none.json"));
    }
}

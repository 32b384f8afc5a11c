//! What lies at an address.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use truepair_core::digest::Digest;

use crate::error::StoreError;

/// Bytes as they come.
pub(crate) type ByteStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// Digits of the names that the cache gives.
const DIGITS: usize = 40;

/// One object of a store, or one file of a web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteObject {
    /// Its whole address.
    pub(crate) address: String,
    /// How its own source finds it.
    pub(crate) key: String,
    /// Its place in the folder that was asked for, or its name.
    pub(crate) name: String,
    /// Bytes, where they are known.
    pub(crate) size: Option<u64>,
    /// What changes with the content, where the source has it.
    pub(crate) version: Option<String>,
    /// Whether parts of it can be asked for.
    pub(crate) reads_ranges: bool,
}

impl RemoteObject {
    /// What the content is called in the cache: an address and a version.
    pub(crate) fn content(&self) -> String {
        let size = self.size.map_or_else(String::new, |size| size.to_string());
        let version = self.version.as_deref().unwrap_or_default();
        digest(&[&self.address, version, &size])
    }
}

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) form: Form,
    pub(crate) objects: Vec<RemoteObject>,
}

/// Whether an address is one object or a folder of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    File,
    Folder,
}

/// Hexadecimal digits that differ whenever one of the texts does.
pub(crate) fn digest(texts: &[&str]) -> String {
    let mut digest = Digest::new();
    for text in texts {
        digest.add(&(text.len() as u64).to_le_bytes());
        digest.add(text.as_bytes());
    }
    let mut hex = digest.hex();
    hex.truncate(DIGITS);
    hex
}

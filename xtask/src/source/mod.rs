//! The workspace's crates as the compiler sees them: parsed files, the modules they make and the names they use.

mod names;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(crate) use tree::Crate;

/// Every crate of the workspace that has sources, sorted by name.
///
/// # Errors
/// If a source file cannot be read or is not Rust.
pub(crate) fn crates(root: &Path) -> Result<Vec<Crate>> {
    let folder = root.join("crates");
    let mut roots: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path().join("src")))
        .filter(|sources| sources.is_dir())
        .collect();
    roots.push(root.join("xtask/src"));
    roots.sort();
    roots
        .iter()
        .map(|sources| Crate::read(root, sources))
        .collect()
}

/// Whether an item is there for tests alone.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

//! Type names that stand for two things in one crate.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proc_macro2::Span;
use syn::{Item, Visibility};

use crate::source::Crate;

/// A place where a type is defined: the file and its line.
pub(crate) type Definition = (PathBuf, usize);

/// Names of types that the crate's files share, each defined more than once, with where.
pub(crate) fn doubled(one: &Crate) -> BTreeMap<String, Vec<Definition>> {
    let mut names: BTreeMap<String, Vec<Definition>> = BTreeMap::new();
    for file in &one.files {
        for item in &file.syntax.items {
            if let Some((name, at)) = shared_type(item) {
                let place = (file.path.clone(), at.start().line);
                names.entry(name).or_default().push(place);
            }
        }
    }
    names.retain(|_, places| places.len() > 1);
    names
}

/// The name of a type that other files can see.
fn shared_type(item: &Item) -> Option<(String, Span)> {
    let (seen_by, name) = match item {
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Union(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    let shared = match seen_by {
        Visibility::Public(_) => true,
        Visibility::Restricted(to) => to.path.is_ident("crate"),
        Visibility::Inherited => false,
    };
    shared.then(|| (name.to_string(), name.span()))
}

//! One crate: its files, its modules, and where a path leads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use syn::{Item, UseTree};

use super::is_for_tests;
use super::names::{Use, uses};

/// A crate's parsed sources; files and modules are named by their index.
pub(crate) struct Crate {
    /// The name of the crate's folder.
    pub(crate) name: String,
    /// Sources without those that only tests read.
    pub(crate) files: Vec<File>,
    modules: Vec<Module>,
}

/// One source file.
pub(crate) struct File {
    /// Where it is, from the workspace's folder.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) syntax: syn::File,
    /// The names from the crate's root to the module that the file is.
    pub(crate) module: Vec<String>,
}

#[derive(Default)]
struct Module {
    file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeMap<String, Found>,
    globs: Vec<Vec<String>>,
}

/// What a name of a module stands for.
enum Found {
    Defined,
    Imported(Vec<String>),
}

/// Where a path leads.
enum Place {
    Module(usize),
    Item(usize),
}

impl Crate {
    pub(super) fn read(root: &Path, sources: &Path) -> Result<Self> {
        let name = sources
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let mut one = Self {
            name,
            files: Vec::new(),
            modules: Vec::new(),
        };
        for start in ["lib.rs", "main.rs"].map(|file| sources.join(file)) {
            if start.is_file() {
                one.read_file(root, &start, sources, &[], None)?;
            }
        }
        Ok(one)
    }

    /// The uses of other files' names in file `index`, as (that file, the name).
    pub(crate) fn uses(&self, index: usize) -> Vec<(usize, String)> {
        let file = &self.files[index];
        uses(&file.syntax)
            .into_iter()
            .filter_map(|Use { module, path }| {
                let from = self.inner(self.module_of(index)?, &module)?;
                let other = self.file_of(&self.resolve(from, &path, 0)?);
                (other != index).then(|| (other, path.last().cloned().unwrap_or_default()))
            })
            .collect()
    }

    fn read_file(
        &mut self,
        root: &Path,
        path: &Path,
        children: &Path,
        names: &[String],
        parent: Option<usize>,
    ) -> Result<usize> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let syntax = syn::parse_file(&text).with_context(|| path.display().to_string())?;
        let file = self.files.len();
        let items = syntax.items.clone();
        self.files.push(File {
            path: path.strip_prefix(root).unwrap_or(path).to_path_buf(),
            syntax,
            module: names.to_vec(),
        });
        self.read_module(root, children, names, &items, (file, parent))
    }

    fn read_module(
        &mut self,
        root: &Path,
        folder: &Path,
        names: &[String],
        items: &[Item],
        (file, parent): (usize, Option<usize>),
    ) -> Result<usize> {
        let here = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            ..Module::default()
        });
        for item in items {
            match item {
                Item::Mod(inner) if !is_for_tests(&inner.attrs) => {
                    let name = inner.ident.to_string();
                    let below = [names, std::slice::from_ref(&name)].concat();
                    let child = if let Some((_, items)) = &inner.content {
                        self.read_module(
                            root,
                            &folder.join(&name),
                            &below,
                            items,
                            (file, Some(here)),
                        )?
                    } else {
                        let flat = folder.join(format!("{name}.rs"));
                        let nested = folder.join(&name).join("mod.rs");
                        let path = if flat.is_file() { flat } else { nested };
                        self.read_file(root, &path, &folder.join(&name), &below, Some(here))?
                    };
                    self.modules[here].children.insert(name, child);
                }
                Item::Use(one) if !is_for_tests(&one.attrs) => {
                    self.import(here, &mut Vec::new(), &one.tree);
                }
                _ => {
                    if let Some(name) = defined(item) {
                        self.modules[here].items.insert(name, Found::Defined);
                    }
                }
            }
        }
        Ok(here)
    }

    fn import(&mut self, module: usize, prefix: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.import(module, prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for one in &group.items {
                    self.import(module, prefix, one);
                }
            }
            UseTree::Glob(_) => self.modules[module].globs.push(prefix.clone()),
            UseTree::Name(name) => self.bind(module, prefix, &name.ident, &name.ident),
            UseTree::Rename(name) => self.bind(module, prefix, &name.ident, &name.rename),
        }
    }

    fn bind(&mut self, module: usize, prefix: &[String], name: &syn::Ident, as_: &syn::Ident) {
        let mut path = prefix.to_vec();
        if name != "self" {
            path.push(name.to_string());
        }
        let local = if as_ == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            as_.to_string()
        };
        self.modules[module]
            .items
            .insert(local, Found::Imported(path));
    }

    fn module_of(&self, file: usize) -> Option<usize> {
        self.modules.iter().position(|module| module.file == file)
    }

    fn inner(&self, mut module: usize, names: &[String]) -> Option<usize> {
        for name in names {
            module = *self.modules[module].children.get(name)?;
        }
        Some(module)
    }

    fn file_of(&self, place: &Place) -> usize {
        let (Place::Module(module) | Place::Item(module)) = place;
        self.modules[*module].file
    }

    /// Where `path`, written in module `from`, leads; `None` outside of the crate. `depth` ends loops of re-exports.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<Place> {
        if depth > 16 {
            return None;
        }
        let mut place = Place::Module(from);
        for (index, name) in path.iter().enumerate() {
            let Place::Module(module) = place else {
                return Some(place);
            };
            place = match (index, name.as_str()) {
                (0, "crate") => Place::Module(0),
                (0, "self") => Place::Module(from),
                (_, "super") => Place::Module(self.modules[module].parent?),
                // An exported macro, or a variant of an enum that a glob brought in.
                _ => (self.step(module, name, depth))
                    .or_else(|| (index > 0 && depth == 0).then_some(Place::Item(module)))?,
            };
        }
        Some(place)
    }

    fn step(&self, module: usize, name: &str, depth: usize) -> Option<Place> {
        let here = &self.modules[module];
        if let Some(&child) = here.children.get(name) {
            return Some(Place::Module(child));
        }
        match here.items.get(name) {
            Some(Found::Defined) => return Some(Place::Item(module)),
            // A name imported from itself (`use rayon;`) leads outside.
            Some(Found::Imported(path)) if path.as_slice() != [name] => {
                return self.resolve(module, path, depth + 1);
            }
            _ => {}
        }
        here.globs
            .iter()
            .find_map(|glob| match self.resolve(module, glob, depth + 1)? {
                Place::Module(other) if other != module => self.step(other, name, depth + 1),
                _ => None,
            })
    }
}

fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

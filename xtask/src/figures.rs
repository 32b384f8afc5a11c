//! How large the house is: lines, long functions, many parameters, tests in the documentation.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;

use anyhow::Result;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{FnArg, Signature, Type};

use crate::source::{Crate, is_for_tests};

/// A function longer than this is looked at twice.
const LONG: usize = 60;

/// More parameters than this want a struct.
const MANY: usize = 5;

/// What is counted of one crate, tests left out unless said.
#[derive(Default)]
pub(crate) struct Figures {
    name: String,
    lines_with_tests: usize,
    lines: usize,
    long_functions: Vec<String>,
    many_parameters: usize,
    bool_parameters: usize,
    doctests: usize,
}

impl Figures {
    /// Counts one crate.
    pub(crate) fn of(root: &Path, one: &Crate) -> Result<Self> {
        let mut figures = Self {
            name: one.name.clone(),
            ..Self::default()
        };
        for file in &one.files {
            let text = fs::read_to_string(root.join(&file.path))?;
            figures.lines += crate::tidy::before_tests(&text).lines().count();
            figures.lines_with_tests += text.lines().count();
            figures.doctests += doctests(&text);
            figures.visit_file(&file.syntax);
        }
        Ok(figures)
    }

    fn signature(&mut self, signature: &Signature) {
        let arguments: Vec<&Type> = signature
            .inputs
            .iter()
            .filter_map(|one| match one {
                FnArg::Typed(one) => Some(one.ty.as_ref()),
                FnArg::Receiver(_) => None,
            })
            .collect();
        self.many_parameters += usize::from(arguments.len() > MANY);
        self.bool_parameters += arguments
            .iter()
            .filter(|one| matches!(one, Type::Path(path) if path.path.is_ident("bool")))
            .count();
    }

    fn function(&mut self, signature: &Signature, whole: proc_macro2::Span) {
        self.signature(signature);
        let lines = whole.end().line + 1 - signature.span().start().line;
        if lines > LONG {
            self.long_functions
                .push(format!("{} {lines}", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for Figures {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.function(&item.sig, item.span());
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.function(&item.sig, item.span());
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.signature(&item.sig);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

impl Display for Figures {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:16} {:6} lines ({:6} with inline tests), {} functions over {LONG} lines ({}), {} with over {MANY} \
             parameters, {} bool parameters, {} doctests",
            self.name,
            self.lines,
            self.lines_with_tests,
            self.long_functions.len(),
            self.long_functions.join(", "),
            self.many_parameters,
            self.bool_parameters,
            self.doctests,
        )
    }
}

/// Blocks of Rust code in the documentation, which `cargo test --doc` runs.
fn doctests(text: &str) -> usize {
    let mut inside = false;
    let mut count = 0;
    for line in text.lines().map(str::trim_start) {
        let Some(fence) = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
            .and_then(|line| line.trim().strip_prefix("```"))
        else {
            continue;
        };
        count += usize::from(!inside && matches!(fence, "" | "no_run" | "rust" | "should_panic"));
        inside = !inside;
    }
    count
}

//! The names by which files refer to images and captions.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Names of a gallery's items, each with its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Ids {
    /// Takes names in the order of the items.
    ///
    /// # Errors
    /// If a name occurs twice; it is named with both places, counted from 0.
    pub fn new(names: Vec<String>) -> Result<Self> {
        let mut index = HashMap::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            if let Some(first) = index.insert(name.clone(), at as u32) {
                return Err(Error::argument(
                    format!("the id '{name}' stands at {first} and at {at}"),
                    "give every item its own name",
                ));
            }
        }
        Ok(Self { names, index })
    }

    /// The numbers `0..n` as names, for data that has none.
    pub fn numbered(n: usize) -> Self {
        let names: Vec<String> = (0..n).map(|at| at.to_string()).collect();
        let numbered = names.iter().cloned().zip(0..);
        Self {
            index: numbered.collect(),
            names,
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of an item.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn name(&self, item: u32) -> &str {
        &self.names[item as usize]
    }

    /// All names, in the order of the items.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The item of this name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let names = ["a", "b", "a"].map(String::from);
        let error = Ids::new(names.into()).unwrap_err().to_string();
        assert!(error.contains("'a' stands at 0 and at 2"), "{error}");
    }

    #[test]
    fn numbers_are_names_where_there_are_none() {
        let ids = Ids::numbered(3);
        assert_eq!(
            (ids.len(), ids.find("2"), ids.find("3")),
            (3, Some(2), None)
        );
    }
}

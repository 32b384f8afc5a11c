//! The engines: one file or folder for each, one row in the table.

mod milvus;
mod pgvector;
mod qdrant;

use truepair_core::error::{Error, Result};

use crate::address::Address;
use crate::store::VectorStore;

type Open = fn(&Address, &[(String, String)]) -> Result<Box<dyn VectorStore>>;

/// An engine.
#[derive(Debug, Clone, Copy)]
pub struct StoreRow {
    /// What addresses begin with, before `://`.
    pub schemes: &'static [&'static str],
    /// What people call it.
    pub name: &'static str,
    /// An address as an example.
    pub example: &'static str,
    /// Names of environment variables that say who asks.
    pub variables: &'static [&'static str],
    open: Open,
}

/// Every engine that a table of vectors may lie on.
pub const VECTOR_STORES: &[StoreRow] = &[
    StoreRow {
        schemes: &["postgres", "postgresql"],
        name: "PostgreSQL with pgvector",
        example: "postgres://USER@HOST:5432/DATABASE?table=NAME",
        variables: &["PGUSER", "PGPASSWORD"],
        open: pgvector::open,
    },
    StoreRow {
        schemes: &["milvus"],
        name: "Milvus",
        example: "milvus://HOST:19530/DATABASE?collection=NAME",
        variables: &["MILVUS_TOKEN"],
        open: milvus::open,
    },
    StoreRow {
        schemes: &["qdrant"],
        name: "Qdrant",
        example: "qdrant://HOST:6333?collection=NAME",
        variables: &["QDRANT_API_KEY"],
        open: qdrant::open,
    },
];

/// Whether an environment variable says who asks an engine.
///
/// ```
/// use truepair_vectordb::is_variable;
///
/// assert!(is_variable("PGPASSWORD") && !is_variable("PATH"));
/// ```
pub fn is_variable(name: &str) -> bool {
    let mut variables = VECTOR_STORES.iter().flat_map(|row| row.variables);
    variables.any(|variable| *variable == name)
}

/// The store at an address; `variables` are names and values of environment variables, see [`is_variable`].
/// Connects at the first work.
///
/// # Errors
/// If no engine has this scheme, or the address cannot be understood.
pub fn open_store(
    address: &Address,
    variables: &[(String, String)],
) -> Result<Box<dyn VectorStore>> {
    let row = VECTOR_STORES
        .iter()
        .find(|row| row.schemes.contains(&address.scheme()));
    let Some(row) = row else {
        let known: Vec<&str> = VECTOR_STORES.iter().map(|row| row.example).collect();
        return Err(Error::argument(
            format!(
                "{}: no vector database is called {:?}",
                address.shown(),
                address.scheme()
            ),
            format!("write one of {}", known.join(", ")),
        ));
    };
    (row.open)(address, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_opens_and_nothing_else_does() {
        for row in VECTOR_STORES {
            let example = row.example.replace("HOST", "localhost");
            let store = open_store(&Address::parse(&example).unwrap(), &[]).unwrap();
            assert_eq!(store.place(), example);
            let (without, _) = example.split_once('?').unwrap();
            let error = open_store(&Address::parse(without).unwrap(), &[]).unwrap_err();
            assert!(error.to_string().contains("=NAME"), "{error}");
        }
        let error = open_store(&Address::parse("redis://h").unwrap(), &[]).unwrap_err();
        assert!(error.to_string().contains("postgres://"), "{error}");
    }
}

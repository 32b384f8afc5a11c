//! The subcommands, one file each.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod extend;
mod gate;
pub(crate) mod index;
pub(crate) mod inspect;
pub(crate) mod labels;
mod output_args;
pub(crate) mod recipes;
pub(crate) mod schema;
pub(crate) mod score;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod train;

//! Exact search: every row that may be a hit is looked at.

mod blocks;
mod certified;
mod scan;
mod top;

pub(crate) use blocks::Rows;
pub(crate) use certified::certified;
pub(crate) use scan::scan;
pub use top::Hit;

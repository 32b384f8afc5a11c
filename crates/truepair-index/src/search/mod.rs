//! *Which rows are most similar?* `scan` scores every row, `certified` rules out most of them by a copy of one
//! byte a number and misses none, `approximate` follows graphs of neighbors.

mod approximate;
mod blocks;
mod certified;
mod scan;
mod top;

pub(crate) use approximate::approximate;
pub(crate) use blocks::Rows;
pub(crate) use certified::certified;
pub(crate) use scan::scan;
pub use top::Hit;

//! Normalizations of rows, and of the columns of an item's rows.

mod layer_norm;
mod softmax;
mod unit;
mod unit_columns;

pub(crate) use layer_norm::layer_norm_rows;
pub(crate) use softmax::softmax_rows;
pub(crate) use unit::unit_rows;
pub(crate) use unit_columns::unit_columns;

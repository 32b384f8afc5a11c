//! Record tables with types: texts, lists, vectors and pictures in cells.

use crate::table;

pub(crate) fn parquet(data: &[u8]) {
    table::read("pairs.parquet", data);
}

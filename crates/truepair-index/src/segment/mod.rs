//! *What lies in a segment's folder?* For each side its vectors, items, ids and columns, in files that
//! never change: `write` makes them, `part` opens them.
//!
//! | file | holds |
//! |---|---|
//! | `rows.f32`, `rows.f16` | vectors `[n, dim]`, little-endian, nothing else |
//! | `codes.i8`, `bounds.f32` | the 1-byte copy and, a row, `[scale, norm of its error, norm]` |
//! | `items.bin`, `items.u64`, `items.has` | id, text and picture of every row, one after the other; where each begins; which there are |
//! | `ids.u64`, `ids.u32` | hashes of ids, sorted, and their rows |
//! | `column-000.present`, `.values`, `.text` | which rows have a value, the values, a text column's texts |

mod column;
mod id_table;
mod item_table;
mod part;
mod quantize;
mod write;

pub(crate) use column::{Cells, StoredColumn};
pub(crate) use part::{Codes, Part};
pub(crate) use write::{RowSource, check_records, joined_columns, write_part};

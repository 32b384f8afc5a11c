//! One JSON object a line, packed or not.

use crate::table;

pub(crate) fn json_lines(data: &[u8]) {
    table::read("pairs.jsonl", data);
}

//! Separated fields: by commas, by tabs, and by whatever a list of unknown origin uses.

use crate::table;

pub(crate) fn csv(data: &[u8]) {
    let first = data.split(|byte| *byte == b'\n').next().unwrap_or(data);
    let name = match first {
        line if line.contains(&b'#') || line.contains(&b'|') => "results.token",
        line if line.contains(&b';') => "captions.txt",
        line if line.contains(&b'\t') => "pairs.tsv",
        _ => "pairs.csv",
    };
    table::read(name, data);
}

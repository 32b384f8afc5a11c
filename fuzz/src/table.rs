//! Tables: as the pairs that their columns name, as plain texts, and as captions alone.

use truepair_read::dataset::{PlainTable, ReadOptions, open_captions};

use crate::{pairs, scratch};

/// Reads `data` as a table called `name`.
pub(crate) fn read(name: &str, data: &[u8]) {
    scratch::with_file(name, data, |path| {
        if let Ok(table) = PlainTable::read(path, None) {
            let n = table.columns.len();
            assert!(table.records.iter().all(|record| record.len() == n));
            let again = PlainTable::read(path, None).expect("what was read once is read again");
            assert_eq!(table, again);
        }
        if let Ok(alone) = open_captions(path) {
            alone.account.lines();
        }
        pairs::open_all(path, &pairs::with_pictures());
        // Without pictures a table stands for its own vectors, or says what is missing.
        pairs::open_all(path, &ReadOptions::default());
    });
}

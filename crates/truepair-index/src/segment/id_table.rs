//! Ids to rows without all ids in memory: their hashes, sorted, on the disk.

use std::path::Path;

use truepair_core::Result;
use truepair_core::dataset::Bytes;

use crate::catalog::PartEntry;
use crate::item::Side;
use crate::stored_file::{StoredFile, check_numbers, numbers};

const HASHES: &str = "ids.u64";
const ROWS: &str = "ids.u32";

/// The sorted hashes of a part's ids, and the row of each.
#[derive(Debug)]
pub(crate) struct IdTable {
    hashes: Bytes,
    rows: Bytes,
}

impl IdTable {
    pub(super) fn open(folder: &Path, side: Side, part: &PartEntry) -> Result<Self> {
        let map = |ending| part.file(folder, side, ending)?.map(folder);
        let (hashes, rows) = (map(HASHES)?, map(ROWS)?);
        check_numbers::<u64>(&hashes, part.n, &folder.join(HASHES))?;
        check_numbers::<u32>(&rows, part.n, &folder.join(ROWS))?;
        Ok(Self { hashes, rows })
    }

    /// Rows whose id may be `id`: those with its hash.
    pub(super) fn candidates(&self, id: &str) -> impl Iterator<Item = usize> + '_ {
        let hash = hash(id);
        let hashes: &[u64] = numbers(&self.hashes);
        let first = hashes.partition_point(|other| *other < hash);
        let rows = numbers::<u32>(&self.rows)[first..].iter();
        (hashes[first..].iter().zip(rows))
            .take_while(move |(other, _)| **other == hash)
            .map(|(_, row)| *row as usize)
    }

    /// Writes the table of the ids with these hashes, row by row.
    pub(super) fn write(folder: &Path, side: Side, hashes: &[u64]) -> Result<[StoredFile; 2]> {
        let mut order: Vec<u32> = (0..hashes.len() as u32).collect();
        order.sort_unstable_by_key(|row| (hashes[*row as usize], *row));
        let name = |ending: &str| format!("{}-{ending}", side.name());
        let sorted = StoredFile::write(folder, name(HASHES), |out| {
            order
                .iter()
                .try_for_each(|row| out.put(&hashes[*row as usize].to_le_bytes()))
        })?;
        let rows = StoredFile::write(folder, name(ROWS), |out| {
            out.put(bytemuck::cast_slice(&order))
        })?;
        Ok([sorted, rows])
    }
}

/// FNV-1a of 64 bits; equal hashes of different ids only cost a look at both.
pub(super) fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

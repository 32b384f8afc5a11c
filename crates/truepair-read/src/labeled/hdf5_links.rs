//! Names of what lies in an HDF5 file of the old kind that holds soft links.
//!
//! The library takes a soft link of such a file for an object at no address and calls the file damaged.
//! So the symbol tables that the superblock leads to are read here, and the library is shown the file
//! without the links.
//! Format: The HDF Group, "HDF5 File Format Specification Version 3.0", II.A to III.D.

use std::path::Path;

use hdf5_pure::{FormatError, Source};
use truepair_core::dataset::Bytes;

/// Entries that one file may have.
const MOST_ENTRIES: usize = 1 << 20;
/// Nodes of one tree inside one another.
const DEEPEST: u32 = 32;

/// The soft links of a file, and what its bytes would be without them.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Names, and where they lead.
    pub(super) found: Vec<(String, String)>,
    /// Bytes that stand elsewhere in the file, and where.
    patches: Vec<(u64, Vec<u8>)>,
}

/// Soft links in the root and in its groups; `None` when the file is of another kind or damaged.
pub(super) fn links(path: &Path) -> Option<Links> {
    let bytes = Bytes::map(path).ok()?;
    let mut places = std::iter::once(0).chain((9..20).map(|power| 1usize << power));
    let start = places.find(|at| {
        bytes
            .get(*at..)
            .is_some_and(|rest| rest.starts_with(SIGNATURE))
    })?;
    let reader = Reader {
        bytes: bytes.get(start..)?,
    };
    let version = *reader.bytes.get(8)?;
    let widths = reader.bytes.get(13..15)?;
    if version > 1 || widths != [8, 8] {
        return None;
    }
    // Version 1 has four bytes more before the addresses; the root's entry follows four of these.
    let root = 24 + 4 * usize::from(version) + 4 * 8;
    let mut links = Links::default();
    let mut left = MOST_ENTRIES;
    reader.group("", reader.tables(root)?, 1, &mut left, &mut links)?;
    for (at, _) in &mut links.patches {
        *at += start as u64;
    }
    Some(links)
}

/// A file that shows none of its soft links.
pub(super) struct WithoutLinks<S> {
    source: S,
    patches: Vec<(u64, Vec<u8>)>,
}

impl<S: Source> WithoutLinks<S> {
    pub(super) fn of(source: S, links: &Links) -> Self {
        Self {
            source,
            patches: links.patches.clone(),
        }
    }
}

impl<S: Source> Source for WithoutLinks<S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FormatError> {
        self.source.read_at(offset, out)?;
        let end = offset.saturating_add(out.len() as u64);
        for (at, patch) in &self.patches {
            let (first, last) = (offset.max(*at), end.min(at + patch.len() as u64));
            if first < last {
                let part = &patch[(first - at) as usize..(last - at) as usize];
                out[(first - offset) as usize..][..part.len()].copy_from_slice(part);
            }
        }
        Ok(())
    }
}

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Bytes before the entries of a node, whose last two are their number, and bytes of an entry.
const NODE_HEADER: usize = 8;
const ENTRY: usize = 40;
/// What an entry that is a soft link has in place of its kind.
const SOFT_LINK: u32 = 2;

/// Where the tree and the names of a group are.
struct Tables {
    tree: usize,
    heap: usize,
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn address(&self, at: usize) -> Option<usize> {
        let eight = self.bytes.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(eight.try_into().ok()?)).ok()
    }

    fn word(&self, at: usize) -> Option<u32> {
        let four = self.bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(four.try_into().ok()?))
    }

    fn count(&self, at: usize) -> Option<usize> {
        let two = self.bytes.get(at..at.checked_add(2)?)?;
        Some(u16::from_le_bytes(two.try_into().ok()?).into())
    }

    fn has_mark(&self, at: usize, mark: &[u8]) -> Option<()> {
        self.bytes.get(at..)?.starts_with(mark).then_some(())
    }

    /// The tables that the symbol table entry of a group keeps.
    fn tables(&self, entry: usize) -> Option<Tables> {
        (self.word(entry.checked_add(16)?)? == 1).then_some(())?;
        Some(Tables {
            tree: self.address(entry + 24)?,
            heap: self.address(entry + 32)?,
        })
    }

    /// Finds the links of a group called `name`, and `levels` further down.
    fn group(
        &self,
        name: &str,
        tables: Tables,
        levels: u32,
        left: &mut usize,
        links: &mut Links,
    ) -> Option<()> {
        self.has_mark(tables.heap, b"HEAP")?;
        let names = self.address(tables.heap.checked_add(24)?)?;
        self.tree(tables.tree, DEEPEST, left, &mut |node, n, left| {
            let mut kept: Vec<u8> = Vec::new();
            for at in 0..n {
                *left = left.checked_sub(1)?;
                let entry = node + NODE_HEADER + ENTRY * at;
                let own = self.text(names.checked_add(self.address(entry)?)?)?;
                let own = match name.is_empty() {
                    true => own,
                    false => format!("{name}/{own}"),
                };
                if self.word(entry + 16)? == SOFT_LINK {
                    let target = self.word(entry + 24)? as usize;
                    let target = self.text(names.checked_add(target)?)?;
                    links.found.push((own, target));
                    continue;
                }
                kept.extend(self.bytes.get(entry..entry + ENTRY)?);
                if levels > 0
                    && let Some(tables) = self.tables(entry)
                {
                    self.group(&own, tables, levels - 1, left, links)?;
                }
            }
            let n_kept = kept.len() / ENTRY;
            if n_kept < n {
                let mut patch = self.bytes.get(node..node + NODE_HEADER)?.to_vec();
                patch[6..].copy_from_slice(&(n_kept as u16).to_le_bytes());
                patch.extend(kept);
                links.patches.push((node as u64, patch));
            }
            Some(())
        })
    }

    /// Visits the place of every node of names below a node of the tree, with the number of its entries.
    fn tree(
        &self,
        node: usize,
        levels: u32,
        left: &mut usize,
        visit: &mut dyn FnMut(usize, usize, &mut usize) -> Option<()>,
    ) -> Option<()> {
        self.has_mark(node, b"TREE")?;
        let level = *self.bytes.get(node.checked_add(5)?)?;
        for child in 0..self.count(node + 6)? {
            // A tree that leads into itself ends, too.
            *left = left.checked_sub(1)?;
            // Keys and children take turns after a header of 24 bytes.
            let child = self.address(node + 24 + 16 * child + 8)?;
            if level > 0 {
                self.tree(child, levels.checked_sub(1)?, left, visit)?;
                continue;
            }
            self.has_mark(child, b"SNOD")?;
            let n = self.count(child + 6)?;
            // All of its entries lie inside the file, so no place of one overflows.
            (self.bytes.len() >= child.checked_add(NODE_HEADER + ENTRY * n)?).then_some(())?;
            visit(child, n, left)?;
        }
        Some(())
    }

    fn text(&self, at: usize) -> Option<String> {
        let rest = self.bytes.get(at..)?;
        let end = rest.iter().take(4096).position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

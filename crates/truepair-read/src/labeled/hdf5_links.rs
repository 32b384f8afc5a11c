//! Names of what lies in an HDF5 file of the old kind that holds soft links.
//!
//! The library takes a soft link of such a file for an object at no address and calls the file damaged.
//! So the names are read here, from the symbol tables that the superblock leads to, and the library
//! is asked for the objects only.
//! Format: The HDF Group, "HDF5 File Format Specification Version 3.0", II.A to III.D.

use std::path::Path;

use truepair_core::dataset::Bytes;

/// Entries that one file may have.
const MOST_ENTRIES: usize = 1 << 20;
/// Nodes of one tree inside one another.
const DEEPEST: u32 = 32;

/// What lies in a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A data set, or a group without entries of its own here.
    Object(String),
    /// A group, with what lies in it; deeper groups are objects.
    Group(String, Vec<Entry>),
    /// A soft link and where it leads.
    Link(String, String),
}

/// What lies in the root, and in its groups; `None` when the file is of another kind or damaged.
pub(super) fn entries(path: &Path) -> Option<Vec<Entry>> {
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
    let mut left = MOST_ENTRIES;
    reader.group(reader.tables(root)?, 1, &mut left)
}

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

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

    /// What lies in a group, and `levels` further down.
    fn group(&self, tables: Tables, levels: u32, left: &mut usize) -> Option<Vec<Entry>> {
        self.has_mark(tables.heap, b"HEAP")?;
        let names = self.address(tables.heap.checked_add(24)?)?;
        let mut found = Vec::new();
        self.tree(tables.tree, DEEPEST, &mut |entry| {
            *left = left.checked_sub(1)?;
            let name = self.text(names.checked_add(self.address(entry)?)?)?;
            let inner = self.tables(entry).filter(|_| levels > 0);
            found.push(match (self.word(entry + 16)?, inner) {
                (2, _) => {
                    let target = self.word(entry + 24)? as usize;
                    Entry::Link(name, self.text(names.checked_add(target)?)?)
                }
                (_, Some(tables)) => Entry::Group(name, self.group(tables, levels - 1, left)?),
                _ => Entry::Object(name),
            });
            Some(())
        })?;
        Some(found)
    }

    /// Visits the place of every entry below a node.
    fn tree(
        &self,
        node: usize,
        levels: u32,
        visit: &mut dyn FnMut(usize) -> Option<()>,
    ) -> Option<()> {
        self.has_mark(node, b"TREE")?;
        let level = *self.bytes.get(node.checked_add(5)?)?;
        for child in 0..self.count(node + 6)? {
            // Keys and children take turns after a header of 24 bytes.
            let child = self.address(node + 24 + 16 * child + 8)?;
            if level > 0 {
                self.tree(child, levels.checked_sub(1)?, visit)?;
                continue;
            }
            self.has_mark(child, b"SNOD")?;
            for entry in 0..self.count(child + 6)? {
                visit(child + 8 + 40 * entry)?;
            }
        }
        Some(())
    }

    fn text(&self, at: usize) -> Option<String> {
        let rest = self.bytes.get(at..)?;
        let end = rest.iter().take(4096).position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

//! Pictures in packed archives: unpacked as they are asked for, a bounded part at a time.
//!
//! A packed archive has no offsets to read at. It is unpacked from its beginning to the picture that
//! is asked for, and the pictures around it are held, so that reading in the order of the archive
//! unpacks it once. All archives of a data set share one place, so memory does not grow with them.
//! Reading in any other order unpacks again and again, which the account says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use truepair_core::dataset::PictureColumn;
use truepair_core::error::Result;

use super::super::tar::{Member, Tape};

/// Bytes of pictures that are held together.
const HELD_BYTES: u64 = 64 << 20;
/// Largest picture that is unpacked.
const LARGEST: u64 = 1 << 30;

/// The place for the pictures of all packed archives of a data set.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Option<Held>>>);

struct Held {
    archive: PathBuf,
    group: usize,
    pictures: Vec<Arc<[u8]>>,
    tape: Tape,
}

/// The pictures of one packed archive.
pub(super) struct PackedPictures {
    path: PathBuf,
    pictures: Vec<Member>,
    /// Index of the first picture of every group that is held together, and at last their number.
    starts: Vec<usize>,
    shelf: Shelf,
}

impl PackedPictures {
    pub(super) fn new(path: &Path, pictures: Vec<Member>, shelf: Shelf) -> Self {
        let mut starts = vec![0];
        let mut bytes = 0u64;
        for (index, picture) in pictures.iter().enumerate() {
            if bytes > 0 && bytes.saturating_add(picture.len) > HELD_BYTES {
                starts.push(index);
                bytes = 0;
            }
            bytes = bytes.saturating_add(picture.len);
        }
        starts.push(pictures.len());
        Self {
            path: path.to_path_buf(),
            pictures,
            starts,
            shelf,
        }
    }

    fn hold(&self, group: usize, tape: Option<Tape>) -> Result<Held> {
        let mut tape = tape.map_or_else(|| Tape::open(&self.path), Ok)?;
        let range = self.starts[group]..self.starts[group + 1];
        let mut order: Vec<usize> = range.clone().collect();
        order.sort_by_key(|index| self.pictures[*index].start);
        let mut pictures: Vec<Arc<[u8]>> = vec![Arc::default(); range.len()];
        for index in order {
            let picture = &self.pictures[index];
            tape.go_to(picture.start)?;
            let mut bytes = Vec::new();
            tape.read_part(picture.len, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            pictures[index - range.start] = bytes.into();
        }
        Ok(Held {
            archive: self.path.clone(),
            group,
            pictures,
            tape,
        })
    }
}

impl PictureColumn for PackedPictures {
    fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self, record: u32) -> String {
        self.pictures[record as usize].name.clone()
    }

    fn read(&self, record: u32) -> Result<Vec<u8>, String> {
        let index = record as usize;
        if self.pictures[index].len > LARGEST {
            return Err(format!("it has more than {LARGEST} bytes"));
        }
        let group = self.starts.partition_point(|start| *start <= index) - 1;
        // A thread that panicked left the place empty or as it was.
        let mut shelf = self
            .shelf
            .0
            .lock()
            .unwrap_or_else(|shelf| shelf.into_inner());
        let held = match shelf.take() {
            Some(held) if held.archive == self.path && held.group == group => held,
            other => {
                let own = other.filter(|held| held.archive == self.path);
                (self.hold(group, own.map(|held| held.tape)))
                    .map_err(|cause| format!("cannot be unpacked: {cause}"))?
            }
        };
        let bytes = held.pictures[index - self.starts[group]].to_vec();
        *shelf = Some(held);
        Ok(bytes)
    }
}

impl fmt::Debug for PackedPictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.pictures.len();
        write!(f, "PackedPictures({}, {n})", self.path.display())
    }
}

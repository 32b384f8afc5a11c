//! The images of a list by their names, whichever way these are spelled.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::listed::ListedImage;
use crate::spelling::normal;

/// Finds images by their ids in normal spelling, of which it holds no copy.
#[derive(Default)]
pub(super) struct ImageIndex {
    /// Hash of the id, and index of the image.
    table: HashTable<(u32, u32)>,
    hasher: RandomState,
}

impl ImageIndex {
    /// The one of `images`, all of which were given places here, that is called `id`. Where there is none,
    /// the image that the caller appends to them next has this place.
    pub(super) fn find_or_place(&mut self, id: &str, images: &[ListedImage]) -> Option<u32> {
        let id = normal(id);
        let hash = self.hasher.hash_one(id.as_bytes()) as u32;
        let is_it = |&(known, image): &(u32, u32)| {
            known == hash && normal(&images[image as usize].id) == id
        };
        match (self.table).entry(spread(hash), is_it, |&(known, _)| spread(known)) {
            Entry::Occupied(found) => Some(found.get().1),
            Entry::Vacant(place) => {
                place.insert((hash, images.len() as u32));
                None
            }
        }
    }
}

/// The table looks at both ends of a hash of 64 bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_found_under_every_spelling() {
        let (mut index, mut images) = (ImageIndex::default(), Vec::new());
        let name = |n: u32, accent: &str| format!("caf{accent}/{n}.jpg");
        for n in 0..5_000 {
            let id = name(n, "\u{e9}");
            assert_eq!(index.find_or_place(&id, &images), None, "{id}");
            images.push(ListedImage {
                id,
                file: None,
                record: n,
                in_split: true,
            });
        }
        for n in 0..5_000 {
            assert_eq!(index.find_or_place(&name(n, "\u{e9}"), &images), Some(n));
            assert_eq!(index.find_or_place(&name(n, "e\u{301}"), &images), Some(n));
        }
    }
}

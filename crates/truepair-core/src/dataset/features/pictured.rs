//! Features that are pictures, decoded when a row is needed by a reader that is supplied later.

use std::sync::Arc;

use rayon::prelude::*;

use super::part::{Numbers, Part};
use super::picture_rows::{BrokenPicture, PictureReader, PictureRows};
use super::{Augmentation, BLOCK, Features};
use crate::dataset::picture::Picture;
use crate::error::Result;
use crate::rng::Seed;
use crate::watch::Watch;

impl Features {
    /// One row per picture. Rows cannot be read before [`with_reader`](Self::with_reader).
    ///
    /// # Panics
    /// If there is no picture.
    pub fn from_pictures(pictures: Vec<Picture>) -> Self {
        assert!(!pictures.is_empty(), "a set without pictures");
        let part = Part {
            path: pictures[0].file().to_path_buf(),
            first: 0,
            n: pictures.len(),
            numbers: Numbers::Pictures(PictureRows {
                pictures: pictures.into(),
                reader: None,
            }),
            scale: None,
        };
        Self {
            parts: [part].into(),
            selection: None,
            regions: 1,
            dim: 1,
        }
    }

    /// Whether the rows are pictures.
    pub fn are_pictures(&self) -> bool {
        self.picture_rows().is_some()
    }

    /// The same pictures, decoded by `reader` whenever a row is needed.
    ///
    /// # Panics
    /// If the rows are not pictures.
    pub fn with_reader(&self, reader: Arc<dyn PictureReader>) -> Self {
        let rows = self.picture_rows().expect("the rows are pictures");
        let [regions, dim] = reader.shape();
        let numbers = Numbers::Pictures(PictureRows {
            pictures: rows.pictures.clone(),
            reader: Some(reader),
        });
        let part = Part {
            numbers,
            ..self.parts[0].clone()
        };
        Self {
            parts: [part].into(),
            selection: self.selection.clone(),
            regions,
            dim,
        }
    }

    /// Where the picture of row `index` lies; `None` when the rows are not pictures.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn picture(&self, index: usize) -> Option<&Picture> {
        assert!(index < self.len(), "row {index} of {}", self.len());
        Some(&self.picture_rows()?.pictures[self.stored(index)])
    }

    /// As [`gather`](Features::gather), with every picture varied by its own stream, named by `seed`,
    /// `key` and its place in `indices`. Rows that are not pictures stay as they are.
    ///
    /// # Errors
    /// Those of [`gather`](Features::gather).
    pub fn gather_varied(
        &self,
        indices: &[u32],
        how: &Augmentation,
        seed: Seed,
        key: &[u64],
    ) -> Result<Vec<f32>> {
        let Some(rows) = self.picture_rows() else {
            return self.gather(indices);
        };
        let mut out = vec![0.0; indices.len() * self.row_len()];
        (out.par_chunks_mut(self.row_len()).zip(indices).enumerate()).try_for_each(
            |(at, (out, &index))| {
                let key: Vec<u64> = key.iter().copied().chain([at as u64]).collect();
                let mut rng = seed.stream("augment", &key);
                rows.decode(self.stored(index as usize), Some((how, &mut rng)), out)
            },
        )?;
        Ok(out)
    }

    /// Decodes every picture once and returns those that cannot be decoded, in the order of the rows;
    /// nothing when the rows are not pictures.
    ///
    /// # Panics
    /// If the pictures have no reader.
    pub fn broken_pictures(&self, watch: &mut dyn Watch) -> Vec<BrokenPicture> {
        let Some(rows) = self.picture_rows() else {
            return Vec::new();
        };
        let reader = rows.reader.as_deref().expect("pictures with a reader");
        let mut broken = Vec::new();
        for first in (0..self.len()).step_by(BLOCK / 64) {
            let last = (first + BLOCK / 64).min(self.len());
            let found = (first..last).into_par_iter().map_init(
                || vec![0.0; self.row_len()],
                |out, index| {
                    let picture = &rows.pictures[self.stored(index)];
                    let problem = picture.read().and_then(|bytes| reader.read(&bytes, out));
                    problem.err().map(|problem| BrokenPicture {
                        row: index as u32,
                        place: picture.to_string(),
                        problem,
                    })
                },
            );
            broken.extend(found.collect::<Vec<_>>().into_iter().flatten());
            watch.advance("check pictures", last as u64, self.len() as u64);
        }
        broken
    }

    fn picture_rows(&self) -> Option<&PictureRows> {
        match &self.parts[0].numbers {
            Numbers::Pictures(rows) => Some(rows),
            Numbers::Memory(_) | Numbers::Encoded { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rng::Stream;

    /// Reads a picture as its first two bytes, and draws for a varied one.
    #[derive(Debug)]
    struct FirstBytes;

    impl PictureReader for FirstBytes {
        fn shape(&self) -> [usize; 2] {
            [2, 1]
        }

        fn read(&self, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
            let [a, b, ..] = bytes else {
                return Err("too short".into());
            };
            out.copy_from_slice(&[f32::from(*a), f32::from(*b)]);
            Ok(())
        }

        fn read_varied(
            &self,
            bytes: &[u8],
            _: &Augmentation,
            rng: &mut Stream,
            out: &mut [f32],
        ) -> Result<(), String> {
            self.read(bytes, out)?;
            out[1] = crate::rng::unit(rng) as f32;
            Ok(())
        }
    }

    fn pictures(folder: &Path) -> Features {
        for (name, bytes) in [("a", &b"ab"[..]), ("b", b"x"), ("c", b"cd")] {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let files = ["a", "b", "c"].map(|name| Picture::File(folder.join(name)));
        Features::from_pictures(files.into())
    }

    #[test]
    fn rows_are_decoded_when_asked_for_and_broken_ones_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let undecoded = pictures(folder.path());
        let error = undecoded.copy_row(0, &mut [0.0]).unwrap_err().to_string();
        assert!(error.contains("truepair embed"), "{error}");
        let features = undecoded.with_reader(Arc::new(FirstBytes));
        assert_eq!((features.regions(), features.dim()), (2, 1));
        assert_eq!(features.gather(&[2, 0]).unwrap(), [99.0, 100.0, 97.0, 98.0]);
        let broken = features.broken_pictures(&mut ());
        assert_eq!((broken.len(), broken[0].row), (1, 1));
        assert_eq!(broken[0].problem, "too short");
        let error = features.gather(&[1]).unwrap_err().to_string();
        assert!(error.contains("b: too short"), "{error}");
        let kept = features.select(&[2]);
        assert!(kept.broken_pictures(&mut ()).is_empty());
        assert_eq!(kept.gather(&[0]).unwrap(), [99.0, 100.0]);
    }

    #[test]
    fn variants_follow_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let features = pictures(folder.path()).with_reader(Arc::new(FirstBytes));
        let how = Augmentation::default();
        let draw = |key| {
            let drawn = features.gather_varied(&[0, 0], &how, Seed(1), &[key]);
            drawn.unwrap()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[1], draw(1)[3]);
    }
}

//! A data set's pictures and captions to embeddings, in parts that survive being stopped.
//!
//! The work is cut into parts of a fixed number of rows. A part is one file that is whole or absent;
//! who calls again with the same job goes on with the first part that is missing, and the result is
//! the same to the bit. Pictures that cannot be decoded are listed and left out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::{Dataset, Features, Picture};
use truepair_core::digest::Digest;
use truepair_core::error::Place;
use truepair_core::watch::Watch;
use truepair_core::{Error, Result, durable, npy};
use truepair_image::decode;

use crate::image::ImageEncoder;
use crate::text::TextEncoder;

/// Pictures of one part.
const IMAGES_PER_PART: usize = 512;

/// Captions of one part.
const CAPTIONS_PER_PART: usize = 4096;

/// The encoders, and what is stored of their vectors.
///
/// ```
/// use std::path::Path;
/// use std::sync::atomic::AtomicBool;
/// use truepair_encode::job::{Job, Outcome};
/// use truepair_encode::{ImageEncoder, Runtime};
/// use truepair_image::Preprocessing;
/// use truepair_read::dataset::{ReadOptions, open};
///
/// # let home = tempfile::tempdir()?;
/// # let (photos, parts) = (home.path().join("photos"), home.path().join("parts"));
/// # std::fs::create_dir(&photos)?;
/// # std::fs::create_dir(&parts)?;
/// # std::fs::copy("fixtures/pictures/rgb.png", photos.join("a.png"))?;
/// # std::fs::write(photos.join("a.txt"), "a red square")?;
/// // `photos` holds a.png and its caption in a.txt.
/// let data = open(&photos, &ReadOptions::default())?;
/// let path = Path::new("fixtures/encoders/tiny_image.onnx");
/// let settings = Preprocessing { size: 16, ..Preprocessing::default() };
/// let images = &ImageEncoder::open(path, Some(settings), None, &Runtime::BuiltIn)?;
/// let job = Job { images, captions: None, half: false, batch: 32 };
/// match job.run(&data, &parts, &AtomicBool::new(false), &mut ())? {
///     Outcome::Done(embedded) => assert_eq!((embedded.images.len(), embedded.skipped.len()), (1, 0)),
///     Outcome::Stopped => unreachable!("nobody set the flag"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Job<'a> {
    /// For the pictures.
    pub images: &'a ImageEncoder,
    /// For the captions; they are stored as text only when there is none.
    pub captions: Option<&'a TextEncoder>,
    /// Whether numbers are stored in 16 bits.
    pub half: bool,
    /// Pictures between two looks at the stop flag.
    pub batch: usize,
}

/// A finished split.
#[derive(Debug)]
pub struct Embedded {
    /// Embeddings of the images that could be decoded, in the order of the data set.
    pub images: Features,
    /// Embeddings of all captions of the data set.
    pub captions: Option<Features>,
    /// Images without an embedding.
    pub skipped: Vec<Skipped>,
}

/// A picture that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Row of the image.
    pub row: u32,
    /// The image's id.
    pub id: String,
    /// Where its bytes lie.
    pub place: String,
    /// What is wrong with them.
    pub problem: String,
}

/// How far a call came.
#[derive(Debug)]
pub enum Outcome {
    /// Everything is there.
    Done(Embedded),
    /// The stop flag was set; what is there is kept.
    Stopped,
}

/// What a part of the images left besides its rows; written last, so that it marks a whole part.
#[derive(Serialize, Deserialize)]
struct Record {
    skipped: Vec<Skipped>,
}

impl Job<'_> {
    /// Embeds a split, keeping its parts in `folder`, which exists.
    ///
    /// # Errors
    /// If the data set has no pictures, an encoder fails, or a part cannot be written or read.
    pub fn run(
        &self,
        dataset: &Dataset,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut dyn Watch,
    ) -> Result<Outcome> {
        let pictures = dataset.clone().with_pictures()?.images;
        let Some((images, skipped)) = self.embed_images(dataset, &pictures, folder, stop, watch)?
        else {
            return Ok(Outcome::Stopped);
        };
        let captions = match self.captions {
            None => None,
            Some(encoder) => {
                let Some(parts) = self.embed_captions(encoder, dataset, folder, stop, watch)?
                else {
                    return Ok(Outcome::Stopped);
                };
                Some(joined(&parts)?)
            }
        };
        let all = joined(&images)?;
        let mut kept = vec![true; all.len()];
        skipped
            .iter()
            .for_each(|one| kept[one.row as usize] = false);
        let rows: Vec<u32> = (0..all.len() as u32)
            .filter(|row| kept[*row as usize])
            .collect();
        if rows.is_empty() {
            return Err(Error::data(
                &skipped[0].place,
                Place::Whole,
                format!("{}, and so are all other pictures", skipped[0].problem),
                "check where the pictures lie and that they were copied whole",
            ));
        }
        Ok(Outcome::Done(Embedded {
            images: all.select(&rows),
            captions,
            skipped,
        }))
    }

    /// The parts of the images and what was skipped; `None` when stopped.
    fn embed_images(
        &self,
        dataset: &Dataset,
        pictures: &Features,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut dyn Watch,
    ) -> Result<Option<(Vec<PathBuf>, Vec<Skipped>)>> {
        let (mut files, mut skipped) = (Vec::new(), Vec::new());
        let n = pictures.len();
        for (part, first) in (0..n).step_by(IMAGES_PER_PART).enumerate() {
            let last = (first + IMAGES_PER_PART).min(n);
            let file = folder.join(format!("images_{part:05}.npy"));
            let marker = file.with_extension("json");
            if !marker.is_file() {
                let mut values = Vec::with_capacity((last - first) * self.images.dim());
                let mut record = Record {
                    skipped: Vec::new(),
                };
                for from in (first..last).step_by(self.batch.max(1)) {
                    if stop.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    let rows = from..(from + self.batch.max(1)).min(last);
                    let done = rows.end as u64;
                    let vectors = rows.into_par_iter().map(|row| {
                        let picture = pictures.picture(row).expect("the rows are pictures");
                        self.embed_picture(row as u32, &dataset.image_ids[row], picture)
                    });
                    for vector in vectors.collect::<Result<Vec<_>>>()? {
                        match vector {
                            Ok(vector) => values.extend(vector),
                            Err(one) => {
                                values.resize(values.len() + self.images.dim(), 0.0);
                                record.skipped.push(one);
                            }
                        }
                    }
                    watch.advance("embed pictures", done, n as u64);
                }
                self.write_rows(&file, &values, self.images.dim())?;
                let json = serde_json::to_vec(&record).expect("a record is plain data");
                durable::write(&marker, &json)?;
            }
            skipped.extend(read_record(&marker)?.skipped);
            files.push(file);
        }
        Ok(Some((files, skipped)))
    }

    /// The vector of a picture, or why there is none. The outer error is the encoder's.
    fn embed_picture(
        &self,
        row: u32,
        id: &str,
        picture: &Picture,
    ) -> Result<std::result::Result<Vec<f32>, Skipped>> {
        let decoded = picture
            .read()
            .and_then(|bytes| decode(&bytes).map_err(|p| p.to_string()));
        match decoded {
            Ok(decoded) => self.images.embed(&decoded).map(Ok),
            Err(problem) => Ok(Err(Skipped {
                row,
                id: id.to_owned(),
                place: picture.to_string(),
                problem,
            })),
        }
    }

    /// The parts of the captions; `None` when stopped.
    fn embed_captions(
        &self,
        encoder: &TextEncoder,
        dataset: &Dataset,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut dyn Watch,
    ) -> Result<Option<Vec<PathBuf>>> {
        let texts = dataset.require_captions()?;
        let mut files = Vec::new();
        for (part, texts_of_part) in texts.chunks(CAPTIONS_PER_PART).enumerate() {
            let file = folder.join(format!("captions_{part:05}.npy"));
            if !file.is_file() {
                let mut values = Vec::with_capacity(texts_of_part.len() * encoder.dim());
                for batch in texts_of_part.chunks(CAPTIONS_PER_PART / 8) {
                    if stop.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    values.extend(encoder.embed(batch)?);
                    let done = part * CAPTIONS_PER_PART + values.len() / encoder.dim();
                    watch.advance("embed captions", done as u64, texts.len() as u64);
                }
                self.write_rows(&file, &values, encoder.dim())?;
            }
            files.push(file);
        }
        Ok(Some(files))
    }

    fn write_rows(&self, path: &Path, values: &[f32], dim: usize) -> Result<()> {
        let shape = [values.len() / dim, dim];
        durable::write_with(path, |file| {
            file.write_all(&npy::header_bytes(
                if self.half { "<f2" } else { "<f4" },
                &shape,
            ))?;
            for row in values.chunks_exact(dim) {
                let bytes: Vec<u8> = match self.half {
                    true => row
                        .iter()
                        .flat_map(|x| f16::from_f32(*x).to_le_bytes())
                        .collect(),
                    false => row.iter().flat_map(|x| x.to_le_bytes()).collect(),
                };
                file.write_all(&bytes)?;
            }
            Ok(())
        })
    }
}

fn read_record(path: &Path) -> Result<Record> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, "read", source))?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        let remedy = "remove the file, then its part is computed again";
        Error::data(
            path,
            Place::Whole,
            format!("no record of a part: {cause}"),
            remedy,
        )
    })
}

fn joined(files: &[PathBuf]) -> Result<Features> {
    Features::open_shards(files)
}

/// A hash of what a job reads of a data set: ids, places of pictures, captions and pairs; not the
/// pictures' bytes.
///
/// # Errors
/// If the data set has no pictures or no captions.
pub fn fingerprint(dataset: &Dataset) -> Result<String> {
    let pictures = dataset.clone().with_pictures()?.images;
    let mut digest = Digest::new();
    let mut add = |text: &str| {
        digest.add(&(text.len() as u64).to_le_bytes());
        digest.add(text.as_bytes());
    };
    for (row, id) in dataset.image_ids.iter().enumerate() {
        add(id);
        add(&pictures
            .picture(row)
            .map(Picture::to_string)
            .unwrap_or_default());
    }
    dataset
        .require_captions()?
        .iter()
        .for_each(|text| add(text));
    for pair in &dataset.pairs {
        add(&format!("{} {}", pair.image, pair.caption));
    }
    Ok(digest.hex())
}

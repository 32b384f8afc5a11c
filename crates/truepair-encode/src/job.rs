//! A data set's pictures and captions to embeddings, in parts that survive being stopped.
//!
//! The work is cut into parts of a fixed number of rows. A part is one file that is whole or absent;
//! who calls again with the same job goes on with the first part that is missing, and the result is
//! the same to the bit. Pictures that cannot be decoded are listed and left out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use serde::{Deserialize, Serialize};
use truepair_core::dataset::{Dataset, Features, Picture};
use truepair_core::digest::Digest;
use truepair_core::error::Place;
use truepair_core::watch::Watch;
use truepair_core::{Error, Result, durable, npy, source_file};
use truepair_image::decode_with_remark;

use crate::image::ImageEncoder;
use crate::model::{Lane, side_by_side};
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
/// use truepair_encode::{Assumption, ImageEncoder, ImageOptions, Runtime};
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
/// let options = ImageOptions { assume: Some(Assumption::Clip), ..ImageOptions::default() };
/// let images = ImageEncoder::open(path, &options, &Runtime::BuiltIn)?;
/// let job = Job { images: Some(&images), captions: None, half: false, batch: 32 };
/// match job.run(&data, &parts, &AtomicBool::new(false), &mut ())? {
///     Outcome::Done(embedded) => assert_eq!(embedded.images.map(|images| images.len()), Some(1)),
///     Outcome::Stopped => unreachable!("nobody set the flag"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Job<'a> {
    /// For the pictures; they are not read when there is none.
    pub images: Option<&'a ImageEncoder>,
    /// For the captions; they are stored as text only when there is none.
    pub captions: Option<&'a TextEncoder>,
    /// Whether numbers are stored in 16 bits.
    pub half: bool,
    /// Pictures between two looks at the stop flag.
    pub batch: usize,
}

/// What there is to embed: images, captions, or both.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    /// The name of every image, `[n_images]`.
    pub image_ids: &'a [String],
    /// Pictures `[n_images]`; `None` when they are not to be embedded.
    pub pictures: Option<&'a Features>,
    /// Captions `[n_captions]`; `None` when they are not to be embedded.
    pub captions: Option<&'a [String]>,
}

/// A finished split.
#[derive(Debug)]
pub struct Embedded {
    /// Embeddings of the images that could be decoded, in the order of the data set; `None` without
    /// an image encoder.
    pub images: Option<Features>,
    /// Embeddings of all captions of the data set; `None` without a text encoder.
    pub captions: Option<Features>,
    /// Images without an embedding.
    pub skipped: Vec<Skipped>,
    /// Pictures that were read although something is wrong with them.
    pub remarks: Vec<Skipped>,
    /// Captions that are longer than the text encoder reads, and were cut.
    pub n_cut: usize,
}

/// A picture that something is wrong with: mostly it could not be decoded.
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
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    skipped: Vec<Skipped>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<Skipped>,
}

/// What a part of the captions left besides its rows.
#[derive(Debug, Serialize, Deserialize)]
struct CaptionRecord {
    /// Captions that were cut.
    cut: usize,
}

impl Job<'_> {
    /// Embeds a split, keeping its parts in `folder`, which exists.
    ///
    /// # Errors
    /// If the data set lacks the pictures or captions that there is an encoder for, an encoder
    /// fails, or a part cannot be written or read.
    pub fn run(
        &self,
        dataset: &Dataset,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut dyn Watch,
    ) -> Result<Outcome> {
        let pictures = match self.images {
            Some(_) => Some(dataset.clone().with_pictures()?.images),
            None => None,
        };
        let captions = match self.captions {
            Some(_) => Some(dataset.require_captions()?),
            None => None,
        };
        let items = Items {
            image_ids: &dataset.image_ids,
            pictures: pictures.as_ref(),
            captions,
        };
        self.run_items(items, folder, stop, watch)
    }

    /// As [`run`](Self::run), of images and captions that need not belong together: a gallery, a
    /// list of queries. Each side that is there and has an encoder is embedded.
    ///
    /// # Errors
    /// If an encoder fails, no picture can be decoded, or a part cannot be written or read.
    pub fn run_items(
        &self,
        items: Items<'_>,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut dyn Watch,
    ) -> Result<Outcome> {
        let mut place = Parts {
            folder,
            stop,
            watch,
        };
        let (mut images, mut captions, mut record) = (None, None, Record::default());
        let mut n_cut = 0;
        if let (Some(encoder), Some(pictures)) = (self.images, items.pictures) {
            let found = self.embed_images(encoder, items.image_ids, pictures, &mut place)?;
            let Some((files, found)) = found else {
                return Ok(Outcome::Stopped);
            };
            images = Some(without_skipped(&files, &found.skipped)?);
            record = found;
        }
        if let (Some(encoder), Some(texts)) = (self.captions, items.captions) {
            let Some((parts, cut)) = self.embed_captions(encoder, texts, &mut place)? else {
                return Ok(Outcome::Stopped);
            };
            (captions, n_cut) = (Some(joined(&parts)?), cut);
        }
        Ok(Outcome::Done(Embedded {
            images,
            captions,
            skipped: record.skipped,
            remarks: record.remarks,
            n_cut,
        }))
    }

    /// The parts of the images and what was skipped; `None` when stopped.
    fn embed_images(
        &self,
        encoder: &ImageEncoder,
        ids: &[String],
        pictures: &Features,
        parts: &mut Parts<'_>,
    ) -> Result<Option<(Vec<PathBuf>, Record)>> {
        let (mut files, mut all) = (Vec::new(), Record::default());
        let n = pictures.len();
        for (part, first) in (0..n).step_by(IMAGES_PER_PART).enumerate() {
            let last = (first + IMAGES_PER_PART).min(n);
            let file = parts.folder.join(format!("images_{part:05}.npy"));
            let marker = file.with_extension("json");
            if !marker.is_file() {
                let mut values = Vec::with_capacity((last - first) * encoder.dim());
                let mut record = Record::default();
                for from in (first..last).step_by(self.batch.max(1)) {
                    if parts.stop.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    let to = (from + self.batch.max(1)).min(last);
                    let vectors = side_by_side(to - from, |index, lane| {
                        let row = from + index;
                        let picture = pictures.picture(row).expect("the rows are pictures");
                        embed_picture(encoder, picture, lane)
                    });
                    for (row, vector) in (from..to).zip(vectors) {
                        let wrong = |problem: String| Skipped {
                            row: row as u32,
                            id: ids[row].clone(),
                            place: (pictures.picture(row).map(Picture::to_string))
                                .unwrap_or_default(),
                            problem,
                        };
                        match vector? {
                            Seen::Vector(vector, remark) => {
                                values.extend(vector);
                                let remark = remark.map(str::to_owned);
                                record.remarks.extend(remark.map(wrong));
                            }
                            Seen::Nothing(problem) => {
                                values.resize(values.len() + encoder.dim(), 0.0);
                                record.skipped.push(wrong(problem));
                            }
                        }
                    }
                    parts.watch.advance("embed pictures", to as u64, n as u64);
                }
                self.write_rows(&file, &values, encoder.dim())?;
                let json = serde_json::to_vec(&record).expect("a record is plain data");
                durable::write(&marker, &json)?;
            }
            let record: Record = read_record(&marker)?;
            all.skipped.extend(record.skipped);
            all.remarks.extend(record.remarks);
            files.push(file);
        }
        Ok(Some((files, all)))
    }

    /// The parts of the captions and how many captions were cut; `None` when stopped.
    fn embed_captions(
        &self,
        encoder: &TextEncoder,
        texts: &[String],
        parts: &mut Parts<'_>,
    ) -> Result<Option<(Vec<PathBuf>, usize)>> {
        let (mut files, mut n_cut) = (Vec::new(), 0);
        for (part, texts_of_part) in texts.chunks(CAPTIONS_PER_PART).enumerate() {
            let file = parts.folder.join(format!("captions_{part:05}.npy"));
            let record = file.with_extension("json");
            if !file.is_file() {
                let mut values = Vec::with_capacity(texts_of_part.len() * encoder.dim());
                let mut cut = 0;
                for batch in texts_of_part.chunks(CAPTIONS_PER_PART / 8) {
                    if parts.stop.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    let (vectors, cut_of_batch) = encoder.embed_counting(batch)?;
                    values.extend(vectors);
                    cut += cut_of_batch;
                    let done = part * CAPTIONS_PER_PART + values.len() / encoder.dim();
                    let watch = &mut parts.watch;
                    watch.advance("embed captions", done as u64, texts.len() as u64);
                }
                // The rows come last, so that they mark a whole part.
                let json = serde_json::to_vec(&CaptionRecord { cut });
                durable::write(&record, &json.expect("a record is plain data"))?;
                self.write_rows(&file, &values, encoder.dim())?;
            }
            n_cut += match record.is_file() {
                true => read_record::<CaptionRecord>(&record)?.cut,
                // Parts of earlier versions have no record.
                false => encoder.count_cut(texts_of_part)?,
            };
            files.push(file);
        }
        Ok(Some((files, n_cut)))
    }

    fn write_rows(&self, path: &Path, values: &[f32], dim: usize) -> Result<()> {
        let shape = [values.len() / dim, dim];
        durable::write_with(path, |file| {
            file.write_all(&npy::header_bytes(
                if self.half { "<f2" } else { "<f4" },
                &shape,
            ))?;
            for row in values.chunks_exact(dim) {
                let bytes: Vec<u8> = if self.half {
                    (row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())).collect()
                } else {
                    row.iter().flat_map(|x| x.to_le_bytes()).collect()
                };
                file.write_all(&bytes)?;
            }
            Ok(())
        })
    }
}

/// Where the parts lie, who may stop the work and who watches it.
struct Parts<'a> {
    folder: &'a Path,
    stop: &'a AtomicBool,
    watch: &'a mut dyn Watch,
}

/// What became of a picture.
enum Seen {
    /// Its vector, and what is wrong with it nevertheless.
    Vector(Vec<f32>, Option<&'static str>),
    /// Why there is none.
    Nothing(String),
}

/// # Errors
/// Those of the encoder.
fn embed_picture(encoder: &ImageEncoder, picture: &Picture, lane: &Lane) -> Result<Seen> {
    let decoded = (picture.read())
        .and_then(|bytes| decode_with_remark(&bytes).map_err(|problem| problem.to_string()));
    match decoded {
        Ok((decoded, remark)) => {
            let vector = encoder.embed_on(&decoded, lane)?;
            Ok(Seen::Vector(vector, remark))
        }
        Err(problem) => Ok(Seen::Nothing(problem)),
    }
}

/// The rows of the images that could be decoded.
///
/// # Errors
/// If there is none.
fn without_skipped(files: &[PathBuf], skipped: &[Skipped]) -> Result<Features> {
    let all = joined(files)?;
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
    Ok(all.select(&rows))
}

fn read_record<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = source_file::read(path, source_file::LIST)
        .map_err(|source| Error::io(path, "read", source))?;
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
/// If the data set has no captions.
pub fn fingerprint(dataset: &Dataset) -> Result<String> {
    let pictures = dataset.clone().with_pictures().ok();
    let items = Items {
        image_ids: &dataset.image_ids,
        pictures: pictures.as_ref().map(|dataset| &dataset.images),
        captions: Some(dataset.require_captions()?),
    };
    let mut digest = Digest::new();
    add_items(items, &mut digest);
    for pair in &dataset.pairs {
        add_text(&format!("{} {}", pair.image, pair.caption), &mut digest);
    }
    Ok(digest.hex())
}

/// As [`fingerprint`], of images and captions that need not belong together.
pub fn fingerprint_of_items(items: Items<'_>) -> String {
    let mut digest = Digest::new();
    add_items(items, &mut digest);
    digest.hex()
}

fn add_items(items: Items<'_>, digest: &mut Digest) {
    for (row, id) in items.image_ids.iter().enumerate() {
        add_text(id, digest);
        let picture = items.pictures.and_then(|pictures| pictures.picture(row));
        add_text(&picture.map(Picture::to_string).unwrap_or_default(), digest);
    }
    for text in items.captions.into_iter().flatten() {
        add_text(text, digest);
    }
}

fn add_text(text: &str, digest: &mut Digest) {
    digest.add(&(text.len() as u64).to_le_bytes());
    digest.add(text.as_bytes());
}

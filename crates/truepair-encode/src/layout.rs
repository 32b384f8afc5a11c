//! Embeddings on disk, as every other command reads them.

use std::path::{Path, PathBuf};

use half::f16;
use truepair_core::dataset::{Dataset, Features};
use truepair_core::npy;
use truepair_core::{Error, Result, durable};

use crate::job::Embedded;

/// Writes a split into `folder` and returns the files.
///
/// One unlabeled split `all` with both embeddings becomes the layout `embeddings`: `images.npy`,
/// `captions.npy`, `pairs.npy`, `ids.txt` and `captions.txt`. Images with embeddings and captions as
/// text become `precomp`: `SPLIT_ims.npy`, `SPLIT_caps.tsv`, `SPLIT_ids.txt`, `SPLIT_caps_text.npy`,
/// `SPLIT_labels.npy`. Captions alone are written as [`write_captions`] does.
///
/// # Errors
/// If a file cannot be written; none is left half written.
pub fn write(dataset: &Dataset, embedded: &Embedded, folder: &Path) -> Result<Vec<PathBuf>> {
    let Some(images) = &embedded.images else {
        return write_captions(dataset.require_captions()?, embedded, folder);
    };
    let mut keep = vec![true; dataset.n_images()];
    for one in &embedded.skipped {
        keep[one.row as usize] = false;
    }
    let rows: Vec<u32> = (0..dataset.n_captions() as u32).collect();
    let whole = Dataset {
        // Rows of the captions are followed through the removal of images.
        caption_features: None,
        ..dataset.clone()
    };
    let (kept, captions) = if embedded.skipped.is_empty() {
        (whole, rows)
    } else {
        whole.with_images_kept(&keep)
    };
    let captions = (embedded.captions.as_ref()).map(|features| features.select(&captions));
    let writer = Writer {
        dataset: &kept,
        images,
        captions: captions.as_ref(),
        folder,
    };
    match (&captions, kept.split.as_str(), &kept.labels) {
        (Some(captions), "all", None) => writer.embeddings(captions),
        _ => writer.precomp(),
    }
}

/// Writes images that have no captions: `images.npy` `[n, d]` and `ids.txt`, without those that
/// were skipped.
///
/// # Errors
/// If a file cannot be written; none is left half written.
///
/// # Panics
/// If no images were embedded.
pub fn write_images(ids: &[String], embedded: &Embedded, folder: &Path) -> Result<Vec<PathBuf>> {
    let images = embedded.images.as_ref().expect("images were embedded");
    let is_kept = |row: usize| {
        let mut skipped = embedded.skipped.iter();
        skipped.all(|one| one.row as usize != row)
    };
    let kept = ids.iter().enumerate().filter(|(row, _)| is_kept(*row));
    let kept = kept.map(|(_, id)| one_line(id));
    Ok(vec![
        write_rows(images, &folder.join("images.npy"))?,
        lines(&folder.join("ids.txt"), kept)?,
    ])
}

/// Writes captions that have no images: `captions.npy` `[n, d]` and `captions.txt`.
///
/// # Errors
/// If a file cannot be written; none is left half written.
///
/// # Panics
/// If no captions were embedded.
pub fn write_captions(
    texts: &[String],
    embedded: &Embedded,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let captions = embedded.captions.as_ref().expect("captions were embedded");
    Ok(vec![
        write_rows(captions, &folder.join("captions.npy"))?,
        lines(
            &folder.join("captions.txt"),
            texts.iter().map(|text| one_line(text)),
        )?,
    ])
}

struct Writer<'a> {
    dataset: &'a Dataset,
    images: &'a Features,
    captions: Option<&'a Features>,
    folder: &'a Path,
}

impl Writer<'_> {
    fn embeddings(&self, captions: &Features) -> Result<Vec<PathBuf>> {
        let texts = self.dataset.require_captions()?;
        let pairs = (self.dataset.pairs.iter())
            .flat_map(|pair| [i64::from(pair.image), i64::from(pair.caption)]);
        Ok(vec![
            self.rows("images.npy", self.images)?,
            self.rows("captions.npy", captions)?,
            self.ints("pairs.npy", &[self.dataset.pairs.len(), 2], pairs)?,
            self.lines(
                "ids.txt",
                self.dataset.image_ids.iter().map(|id| one_line(id)),
            )?,
            self.lines("captions.txt", texts.iter().map(|text| one_line(text)))?,
        ])
    }

    fn precomp(&self) -> Result<Vec<PathBuf>> {
        let dataset = self.dataset;
        let prefix = match dataset.split.as_str() {
            "all" => String::new(),
            split => format!("{split}_"),
        };
        let name = |part: &str| format!("{prefix}{part}");
        let ids: Vec<String> = dataset.image_ids.iter().map(|id| one_line(id)).collect();
        let texts = dataset.require_captions()?;
        let mut owner = vec![None; texts.len()];
        for pair in &dataset.pairs {
            owner[pair.caption as usize] = Some(pair.image as usize);
        }
        // Captions of no image have no line, so their embeddings have no row either.
        let owned: Vec<u32> = (0..texts.len() as u32)
            .filter(|row| owner[*row as usize].is_some())
            .collect();
        let line = |row: &u32| {
            let row = *row as usize;
            let image = owner[row].unwrap_or_default();
            format!("{}\t{}", ids[image], one_line(&texts[row]))
        };
        let mut written = vec![
            self.rows(&name("ims.npy"), self.images)?,
            self.lines(&name("ids.txt"), ids.iter().cloned())?,
            self.lines(&name("caps.tsv"), owned.iter().map(line))?,
        ];
        if let Some(captions) = self.captions {
            written.push(self.rows(&name("caps_text.npy"), &captions.select(&owned))?);
        }
        if let Some(labels) = &dataset.labels {
            let shape = [labels.len()];
            written.push(self.ints(&name("labels.npy"), &shape, labels.iter().copied())?);
        }
        Ok(written)
    }

    fn rows(&self, name: &str, features: &Features) -> Result<PathBuf> {
        write_rows(features, &self.folder.join(name))
    }

    fn ints(
        &self,
        name: &str,
        shape: &[usize],
        values: impl Iterator<Item = i64>,
    ) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let mut bytes = npy::header_bytes("<i8", shape);
        bytes.extend(values.flat_map(i64::to_le_bytes));
        durable::write(&path, &bytes)?;
        Ok(path)
    }

    fn lines(&self, name: &str, texts: impl Iterator<Item = String>) -> Result<PathBuf> {
        lines(&self.folder.join(name), texts)
    }
}

/// Writes the rows of `features` as an array `[n, d]`, in half precision where they are.
///
/// # Errors
/// If a row cannot be read or the file cannot be written; none is left half written.
pub fn write_rows(features: &Features, path: &Path) -> Result<PathBuf> {
    let half = features.dtype() == "f16";
    let mut row = vec![0.0; features.row_len()];
    let header = npy::header_bytes(
        if half { "<f2" } else { "<f4" },
        &[features.len(), features.dim()],
    );
    let mut unreadable: Option<Error> = None;
    let written = durable::write_with(path, |file| {
        file.write_all(&header)?;
        for index in 0..features.len() {
            if let Err(error) = features.copy_row(index, &mut row) {
                let cause = std::io::Error::other(error.to_string());
                unreadable = Some(error);
                return Err(cause);
            }
            let bytes: Vec<u8> = if half {
                (row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())).collect()
            } else {
                row.iter().flat_map(|x| x.to_le_bytes()).collect()
            };
            file.write_all(&bytes)?;
        }
        Ok(())
    });
    match unreadable {
        Some(error) => Err(error),
        None => written.map(|()| path.to_path_buf()),
    }
}

/// Writes one text a line.
fn lines(path: &Path, texts: impl Iterator<Item = String>) -> Result<PathBuf> {
    let text: String = texts.flat_map(|text| [text, "\n".to_owned()]).collect();
    durable::write(path, text.as_bytes())?;
    Ok(path.to_path_buf())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

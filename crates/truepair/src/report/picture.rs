//! Pictures as data URIs, within a budget of bytes.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use truepair_core::dataset::Dataset;
use truepair_core::source_file;
use truepair_image::PictureFormat;

use super::number::counted;

/// Embeds pictures until the budget is spent, and remembers what it could not embed.
#[derive(Debug)]
pub(crate) struct Pictures<'a> {
    files: &'a [Option<PathBuf>],
    bytes_left: usize,
    /// Pictures that would have exceeded the budget.
    pub(crate) n_left_out: usize,
    /// Pictures whose file could not be read or does not hold a picture that browsers show.
    pub(crate) n_unreadable: usize,
}

impl<'a> Pictures<'a> {
    /// `budget` bounds the length of all data URIs together.
    pub(super) fn new(dataset: &'a Dataset, budget: usize) -> Self {
        Self::of_files(&dataset.image_files, budget)
    }

    /// Pictures by the index of their image.
    pub(crate) fn of_files(files: &'a [Option<PathBuf>], budget: usize) -> Self {
        Self {
            files,
            bytes_left: budget,
            n_left_out: 0,
            n_unreadable: 0,
        }
    }

    /// Whether the data has any pictures.
    pub(crate) fn exist(&self) -> bool {
        self.files.iter().any(Option::is_some)
    }

    /// The picture of image `index`, if there is one and it fits.
    pub(crate) fn embed(&mut self, index: u32) -> Option<String> {
        let path = self.files.get(index as usize)?.as_deref()?;
        match self.read(path) {
            Ok(uri) => {
                self.bytes_left -= uri.len();
                Some(uri)
            }
            Err(Obstacle::Budget) => {
                self.n_left_out += 1;
                None
            }
            Err(Obstacle::Unreadable) => {
                self.n_unreadable += 1;
                None
            }
        }
    }

    /// What a page says of pictures that it does not show.
    pub(crate) fn note(&self) -> Option<String> {
        let mut sentences = Vec::new();
        if self.n_left_out > 0 {
            sentences.push(format!(
                "{} left out to keep this file small.",
                counted(self.n_left_out as u64, "picture")
            ));
        }
        if self.n_unreadable > 0 {
            sentences.push(format!(
                "{} could not be read.",
                counted(self.n_unreadable as u64, "picture")
            ));
        }
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    fn read(&self, path: &Path) -> Result<String, Obstacle> {
        // The size is asked first, so that a folder of huge scans is not read to be thrown away.
        let size = std::fs::metadata(path)
            .map_err(|_| Obstacle::Unreadable)?
            .len();
        if size > self.bytes_left as u64 {
            return Err(Obstacle::Budget);
        }
        let bytes = source_file::read(path, size).map_err(|_| Obstacle::Unreadable)?;
        let uri = data_uri(&bytes).ok_or(Obstacle::Unreadable)?;
        if uri.len() > self.bytes_left {
            return Err(Obstacle::Budget);
        }
        Ok(uri)
    }
}

#[derive(Debug)]
enum Obstacle {
    Budget,
    Unreadable,
}

pub(crate) fn data_uri(bytes: &[u8]) -> Option<String> {
    let mut uri = format!("data:{};base64,", media_type(bytes)?);
    STANDARD.encode_string(bytes, &mut uri);
    Some(uri)
}

/// The type by content, since endings lie. An SVG in an `<img>` runs no script and loads nothing
/// (HTML standard, "image documents" of SVG Integration: secure static mode).
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    if let Some(format) = PictureFormat::of(bytes) {
        return Some(format.media_type());
    }
    match bytes.get(4..12) {
        Some(b"ftypavif" | b"ftypavis") => Some("image/avif"),
        _ => is_svg(bytes).then_some("image/svg+xml"),
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let start = start.trim_start_matches('\u{feff}').trim_start();
    start.starts_with("<svg") || (start.starts_with("<?xml") && start.contains("<svg"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen;

    #[test]
    fn the_content_decides_the_type() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"\x89PNG\r\n", Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x20ftypavif", Some("image/avif")),
            (b"<?xml version='1.0'?>\n<svg>", Some("image/svg+xml")),
            (b"<html><script>", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(media_type(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_budget_bounds_the_uris_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = specimen::with_pictures(dir.path());
        let one = Pictures::new(&dataset, usize::MAX).embed(0).unwrap().len();
        let mut pictures = Pictures::new(&dataset, 2 * one + one / 2);
        let embedded: Vec<bool> = (0..4)
            .map(|index| pictures.embed(index).is_some())
            .collect();
        assert_eq!(embedded, [true, true, false, false]);
        assert_eq!((pictures.n_left_out, pictures.n_unreadable), (2, 0));
    }

    #[test]
    fn unreadable_files_are_counted_and_missing_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut dataset = specimen::with_pictures(dir.path());
        dataset.image_files[0] = Some(dir.path().join("absent.png"));
        dataset.image_files[1] = None;
        std::fs::write(dir.path().join("page.png"), "<html>").unwrap();
        dataset.image_files[2] = Some(dir.path().join("page.png"));
        let mut pictures = Pictures::new(&dataset, usize::MAX);
        assert!((0..3).all(|index| pictures.embed(index).is_none()));
        assert_eq!((pictures.n_left_out, pictures.n_unreadable), (0, 2));
        assert!(pictures.embed(u32::MAX).is_none());
    }
}

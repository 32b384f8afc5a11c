//! Several named arrays in one file: NumPy's `.npz` and safetensors.
//!
//! Members that are not compressed stay on disk, as `.npy` files do.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata};
use truepair_core::ErrorKind;
use truepair_core::dataset::{Bytes, Features};
use truepair_core::error::{Error, Place, Result};
use truepair_core::npy::{self, Header, Number};
use zip::ZipArchive;

use crate::inflate;
use crate::npy_features::{needs_scale, scale_of};
use crate::text_file::open_regular;

/// An opened file of named arrays.
pub(crate) struct Archive {
    path: PathBuf,
    bytes: Bytes,
    index: Index,
}

enum Index {
    Npz(ZipArchive<Cursor<Bytes>>),
    /// The metadata and the offset of the first tensor.
    Safetensors(Metadata, usize),
}

/// One array whose numbers have not been read.
pub(crate) struct Member {
    /// The file and the array's name, for messages.
    pub(crate) path: PathBuf,
    /// Where the numbers stand in `bytes`.
    pub(crate) header: Header,
    pub(crate) bytes: Bytes,
}

impl Archive {
    /// Whether the ending of `path` is that of a file of named arrays.
    pub(crate) fn has_ending(path: &Path) -> bool {
        path.extension()
            .is_some_and(|ending| ending == "npz" || ending == "safetensors")
    }

    /// Opens a file by its ending, `.npz` or `.safetensors`.
    ///
    /// # Errors
    /// If it cannot be mapped or is no such file.
    pub(crate) fn open(path: &Path) -> Result<Archive> {
        drop(open_regular(path)?);
        let bytes = Bytes::map(path)?;
        let broken = |what: &str, cause: &dyn std::fmt::Display| {
            let remedy = "it was cut short or is of another kind: copy or write it again";
            Error::data(
                path,
                Place::Whole,
                format!("not a readable {what} file: {cause}"),
                remedy,
            )
        };
        let index = if path
            .extension()
            .is_some_and(|ending| ending == "safetensors")
        {
            let (length, metadata) = safetensors::SafeTensors::read_metadata(&bytes)
                .map_err(|cause| broken("safetensors", &cause))?;
            // The file begins with the length of the metadata in 8 bytes.
            Index::Safetensors(metadata, 8 + length)
        } else {
            let zip = inflate::archive(Cursor::new(bytes.clone()));
            let zip = zip.map_err(|cause| broken(".npz", &cause))?;
            if zip.has_duplicate_names() {
                return Err(Error::data(
                    path,
                    Place::Whole,
                    "two arrays in it have one name",
                    "write it again with numpy.savez",
                ));
            }
            Index::Npz(zip)
        };
        Ok(Archive {
            path: path.to_path_buf(),
            bytes,
            index,
        })
    }

    /// Names of the arrays, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.index {
            Index::Npz(zip) => {
                let names = zip.file_names().flatten();
                names
                    .filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned()))
                    .collect()
            }
            Index::Safetensors(metadata, _) => metadata.offset_keys(),
        };
        names.sort();
        names
    }

    /// Names of members that are no arrays by their names, sorted.
    pub(crate) fn other_members(&self) -> Vec<String> {
        let Index::Npz(zip) = &self.index else {
            return Vec::new();
        };
        let names = zip.file_names().flatten();
        let mut names: Vec<String> = names
            .filter(|name| !name.ends_with(".npy"))
            .map(|name| name.into_owned())
            .collect();
        names.sort();
        names
    }

    /// The array that holds the scale of the integers of array `name`.
    pub(crate) fn scale_name(&self, name: &str) -> Option<String> {
        let names = self.names();
        let own = SCALES.iter().map(|scale| format!("{name}{scale}"));
        let all = ["scale", "scales"].map(str::to_owned);
        own.chain(all)
            .find(|scale| names.contains(scale) && scale != name)
    }

    /// The array `name`.
    ///
    /// # Errors
    /// If there is none, or its type is none that can be read.
    pub(crate) fn member(&mut self, name: &str) -> Result<Member> {
        let path = PathBuf::from(format!("{}:{name}", self.path.display()));
        match &mut self.index {
            Index::Npz(zip) => npz_member(zip, &self.bytes, path, name),
            Index::Safetensors(metadata, start) => {
                let header = tensor_header(metadata, *start, &path, name)?;
                Ok(Member {
                    path,
                    header,
                    bytes: self.bytes.clone(),
                })
            }
        }
    }

    /// The array `name` as features; integers of one byte need a scale in an array of their own.
    ///
    /// # Errors
    /// Those of [`Archive::member`], and if it does not hold floating-point rows.
    pub(crate) fn features(&mut self, name: &str) -> Result<Features> {
        let member = self.member(name)?;
        if !matches!(member.header.number, Number::Int(1) | Number::Uint(1)) {
            return member.features();
        }
        let Some(scale) = self.scale_name(name) else {
            let remedy = format!("put it into an array '{name}_scale'");
            return Err(needs_scale(&member.path, member.header.number, &remedy));
        };
        let scale = self.member(&scale)?;
        let scale = scale_of(&scale.path, &scale.header, &scale.bytes, &member.header)?;
        Features::from_scaled(&member.path, member.bytes, &member.header, scale)
    }
}

/// What follows the name of an array in that of its scale.
const SCALES: &[&str] = &["_scale", "_scales", ".scale", ".scales"];

/// What an error says, without the place.
pub(crate) fn problem_of(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Data { problem, .. } => problem.clone(),
        _ => error.to_string(),
    }
}

impl Member {
    /// The array as features.
    ///
    /// # Errors
    /// If it does not hold floating-point rows.
    pub(crate) fn features(&self) -> Result<Features> {
        Features::from_encoded(&self.path, self.bytes.clone(), &self.header)
    }

    /// Whether it holds texts.
    pub(crate) fn is_of_texts(&self) -> bool {
        matches!(self.header.number, Number::Unicode(_) | Number::Ascii(_))
    }

    /// The texts of a list of texts.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn texts(&self) -> Result<Vec<String>> {
        npy::texts(&self.path, &self.header, &self.bytes)
    }
}

fn npz_member(
    zip: &mut ZipArchive<Cursor<Bytes>>,
    whole: &Bytes,
    path: PathBuf,
    name: &str,
) -> Result<Member> {
    let failed = |cause: &dyn std::fmt::Display| {
        let remedy = "write the file again with numpy.savez";
        Error::data(
            &path,
            Place::Whole,
            format!("cannot be unpacked: {cause}"),
            remedy,
        )
    };
    let entry = zip
        .by_name(&format!("{name}.npy"))
        .map_err(|cause| failed(&cause))?;
    let stored = entry.compression() == zip::CompressionMethod::Stored && !entry.encrypted();
    let start = entry
        .data_start()
        .and_then(|start| usize::try_from(start).ok());
    let length = usize::try_from(entry.size()).map_err(|cause| failed(&cause))?;
    if let (true, Some(start)) = (stored, start) {
        let content = start
            .checked_add(length)
            .and_then(|end| whole.get(start..end));
        let content = content.ok_or_else(|| failed(&"it ends after the end of the file"))?;
        let mut header = Header::parse(&path, content)?;
        header.start += start;
        return Ok(Member {
            path,
            header,
            bytes: whole.clone(),
        });
    }
    // The header first: no more is unpacked than it declares.
    let mut entry = inflate::member(entry);
    let mut content = Vec::new();
    (&mut entry)
        .take(LONGEST_HEADER)
        .read_to_end(&mut content)
        .map_err(|cause| failed(&cause))?;
    let header = Header::parse_start(&path, &content)?;
    let declared = header.n_bytes().unwrap_or(usize::MAX);
    // One byte more tells a file that has too many.
    let rest = declared.saturating_sub(content.len()).saturating_add(1);
    (&mut entry)
        .take(rest as u64)
        .read_to_end(&mut content)
        .map_err(|cause| failed(&cause))?;
    let header = Header::parse(&path, &content)?;
    Ok(Member {
        path,
        header,
        bytes: content.into(),
    })
}

/// Bytes in which the header of an array ends.
const LONGEST_HEADER: u64 = 1 << 17;

fn tensor_header(metadata: &Metadata, start: usize, path: &Path, name: &str) -> Result<Header> {
    let refuse = |problem: String, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
    let info = metadata
        .info(name)
        .ok_or_else(|| refuse("there is no such tensor".into(), "check the names"))?;
    let number = match info.dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::I8 => Number::Int(1),
        Dtype::I16 => Number::Int(2),
        Dtype::I32 => Number::Int(4),
        Dtype::I64 => Number::Int(8),
        Dtype::U8 | Dtype::BOOL => Number::Uint(1),
        Dtype::U16 => Number::Uint(2),
        Dtype::U32 => Number::Uint(4),
        Dtype::U64 => Number::Uint(8),
        other => {
            let remedy = "convert it to F16, BF16, F32 or F64, or to I8 with a scale";
            return Err(refuse(format!("type {other} is not read"), remedy));
        }
    };
    let shape = info.shape.clone();
    let start = start + info.data_offsets.0;
    Ok(Header {
        number,
        big_endian: false,
        fortran: false,
        shape,
        start,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use safetensors::tensor::TensorView;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn npz(path: &Path, method: zip::CompressionMethod) {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, value) in [("images", 1.0f32), ("captions", 2.0)] {
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(&npy::header_bytes("<f4", &[2, 3])).unwrap();
            zip.write_all(&[value; 6].map(f32::to_le_bytes).concat())
                .unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn stored_and_compressed_arrays_read_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for method in [
            zip::CompressionMethod::Stored,
            zip::CompressionMethod::Deflated,
        ] {
            let path = folder.path().join("a.npz");
            npz(&path, method);
            let mut archive = Archive::open(&path).unwrap();
            assert_eq!(archive.names(), ["captions", "images"]);
            let captions = archive.features("captions").unwrap();
            assert_eq!(captions.to_matrix().unwrap().values(), [2.0; 6]);
            assert!(archive.member("none").is_err());
        }
    }

    #[test]
    fn tensors_are_read_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let halves: Vec<u8> = [1.0, 2.0]
            .iter()
            .flat_map(|x| half::bf16::from_f32(*x).to_le_bytes())
            .collect();
        let ints = 7i64.to_le_bytes();
        let tensors = [
            (
                "text",
                TensorView::new(Dtype::BF16, vec![1, 2], &halves).unwrap(),
            ),
            (
                "image",
                TensorView::new(Dtype::I64, vec![1, 1], &ints).unwrap(),
            ),
        ];
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
        let mut archive = Archive::open(&path).unwrap();
        let text = archive.features("text").unwrap();
        assert_eq!((text.dtype().as_str(), text.dim()), ("bf16", 2));
        assert_eq!(text.to_matrix().unwrap().values(), [1.0, 2.0]);
        let error = archive.features("image").unwrap_err().to_string();
        assert!(
            error.contains("a.safetensors:image") && error.contains("i64"),
            "{error}"
        );
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.npz", "a.safetensors"] {
            let path = folder.path().join(name);
            std::fs::write(&path, b"PK\x03\x04 cut").unwrap();
            let error = Archive::open(&path).err().unwrap().to_string();
            assert!(
                error.contains(name) && error.contains("cut short"),
                "{error}"
            );
        }
    }
}

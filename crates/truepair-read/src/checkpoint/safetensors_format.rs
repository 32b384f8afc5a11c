//! The safetensors format: a JSON header with names, types, shapes and places, then the numbers.
//!
//! Format: <https://huggingface.co/docs/safetensors>. Texts of the header's `__metadata__` become
//! settings.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::dense::{View, gather};
use super::element::Element;
use super::error::{Origin, Result};
use super::flatten::without_wrapper;
use super::{Checkpoint, Scalar, Tensor, TensorValues};

/// Bytes of the number that gives the length of the JSON header.
const LENGTH_WIDTH: u64 = 8;

/// Longest JSON header, the limit of the format's reference implementation.
const MAX_HEADER: u64 = 100_000_000;

/// Reads a checkpoint from the start of `reader`; `path` is for messages.
pub(super) fn read(
    mut reader: impl Read + Seek,
    file_length: u64,
    path: &Path,
) -> Result<Checkpoint> {
    let origin = Origin::file(path);
    let (metadata, start) = read_header(&mut reader, file_length, &origin)?;
    let mut checkpoint = Checkpoint::default();
    for (key, text) in metadata.metadata().iter().flatten() {
        let setting = Scalar::Text(text.clone());
        checkpoint.settings.insert(key.clone(), setting);
    }
    // In the order of the file, so that it is read from front to back.
    for full_name in metadata.offset_keys() {
        let name = without_wrapper(&full_name);
        let Some(info) = metadata.info(&full_name) else {
            continue;
        };
        let Some(element) = element(info.dtype) else {
            let skipped = format!("{name}: {:?}", info.dtype);
            checkpoint.skipped.push(skipped);
            continue;
        };
        let values = read_values(&mut reader, info, element, start)
            .map_err(|cause| origin.unreadable(Some(start + info.data_offsets.0 as u64), cause))?;
        let shape = info.shape.clone();
        let tensor = Tensor { shape, values };
        if checkpoint.tensors.insert(name.clone(), tensor).is_some() {
            let found = format!("a second tensor of the name `{name}`");
            return Err(origin.content(None, found, "different names of all tensors"));
        }
    }
    checkpoint.skipped.sort();
    Ok(checkpoint)
}

/// The header, and the offset of the first number from the start of the file.
fn read_header(
    reader: &mut (impl Read + Seek),
    file_length: u64,
    origin: &Origin<'_>,
) -> Result<(Metadata, u64)> {
    let mut length = [0; LENGTH_WIDTH as usize];
    let read = reader.read_exact(&mut length);
    read.map_err(|cause| origin.unreadable(Some(0), cause))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        let expected = format!("at most {MAX_HEADER}");
        let found = format!("a header of {length} bytes");
        return Err(origin.content(Some(0), found, expected));
    }
    let mut json = Vec::new();
    let read = reader.by_ref().take(length).read_to_end(&mut json);
    read.map_err(|cause| origin.unreadable(Some(LENGTH_WIDTH), cause))?;
    let metadata: Metadata = serde_json::from_slice(&json).map_err(|cause| {
        let found = format!("a damaged header: {cause}");
        origin.content(
            Some(LENGTH_WIDTH),
            found,
            "the header of a safetensors file",
        )
    })?;
    let start = LENGTH_WIDTH + length;
    let end = start.checked_add(metadata.data_len() as u64);
    if end != Some(file_length) {
        let found = format!("{file_length} bytes");
        let end = end.map_or("more than 2^64".into(), |end| end.to_string());
        let expected = format!("{end} (the file was cut short or damaged: copy it again)");
        return Err(origin.content(None, found, expected));
    }
    Ok((metadata, start))
}

fn read_values(
    reader: &mut (impl Read + Seek),
    info: &TensorInfo,
    element: Element,
    start: u64,
) -> std::io::Result<TensorValues> {
    // The header's validation ties these to the shape, and the file is as long as they say.
    let (first, end) = info.data_offsets;
    let mut bytes = vec![0; end - first];
    reader.seek(SeekFrom::Start(start + first as u64))?;
    reader.read_exact(&mut bytes)?;
    let view = View::dense(&info.shape);
    Ok(gather(&view, element, &bytes).expect("kinds that are skipped have no element"))
}

/// The kind of numbers of `dtype`; `None` if tensors of it are skipped.
fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::U8 => Element::U8,
        Dtype::U16 => Element::U16,
        Dtype::U32 => Element::U32,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}

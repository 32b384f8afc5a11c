//! A file of arrays without the one that says which rows belong together: its cleaned list says that in a file
//! beside it.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use truepair_core::dataset::Bytes;
use truepair_core::durable;
use truepair_core::error::Result;
use truepair_core::source_file;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::inflate;

/// The array that says which rows belong together, in a file of several arrays.
pub(super) const PAIRS: &str = "pairs";

/// Writes the file of arrays `source` without its pairs under its own name into the folder `out`.
///
/// # Errors
/// If it cannot be read again or written.
pub(super) fn write_without_pairs(source: &Path, out: &Path) -> Result<PathBuf> {
    let target = out.join(source.file_name().unwrap_or_default());
    let is_npz = source.extension().is_some_and(|ending| ending == "npz");
    durable::write_with(&target, |file| match is_npz {
        true => copy_members(source, file),
        false => copy_tensors(source, file),
    })?;
    Ok(target)
}

fn copy_members(source: &Path, out: &mut (dyn io::Write + Send)) -> io::Result<()> {
    let mut archive = inflate::archive(BufReader::new(source_file::open(source)?))?;
    let mut copy = ZipWriter::new_stream(out);
    for at in 0..archive.len() {
        let member = archive.by_index(at)?;
        let name = member.name().map_err(io::Error::other)?.into_owned();
        if name == format!("{PAIRS}.npy") {
            continue;
        }
        let options = SimpleFileOptions::default()
            .compression_method(member.compression())
            .large_file(true);
        copy.start_file(name, options)?;
        io::copy(&mut inflate::member(member), &mut copy)?;
    }
    copy.finish()?;
    Ok(())
}

fn copy_tensors(source: &Path, out: &mut (dyn io::Write + Send)) -> io::Result<()> {
    let bytes = Bytes::map(source).map_err(io::Error::other)?;
    let (_, head) = SafeTensors::read_metadata(&bytes).map_err(io::Error::other)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(io::Error::other)?;
    let kept = tensors.iter().filter(|(name, _)| *name != PAIRS);
    let written = safetensors::serialize(kept, head.metadata().clone());
    out.write_all(&written.map_err(io::Error::other)?)
}

//! The parts of a cleaned list: lines, arrays and links to the features, which are never copied.

use std::io::Write;
use std::path::{Path, PathBuf};

use half::f16;
use truepair_core::dataset::Features;
use truepair_core::durable;
use truepair_core::error::{Error, Result};
use truepair_core::npy::header_bytes;

use super::links::link_or_copy;

/// Writes one entry a line and returns `path`.
pub(crate) fn write_lines(
    path: &Path,
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<PathBuf> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    durable::write(path, text.as_bytes())?;
    Ok(path.to_path_buf())
}

/// Writes the rows `rows` as `.npy` `[n, d]` or `[n, regions, d]`: `f2` stays `f2`, all else becomes
/// `f4`.
pub(super) fn write_features(path: &Path, features: &Features, rows: &[u32]) -> Result<PathBuf> {
    durable::write_with(path, |file| {
        write_rows(file, features, rows).map_err(|cause| std::io::Error::other(cause.to_string()))
    })?;
    Ok(path.to_path_buf())
}

/// As [`write_features`], into what is open already.
pub(crate) fn write_rows(out: &mut dyn Write, features: &Features, rows: &[u32]) -> Result<()> {
    let failed = |source| Error::io(features.path(), "write rows of", source);
    let half = features.dtype() == "f16";
    let shape = [rows.len(), features.regions(), features.dim()];
    let shape = if shape[1] == 1 {
        &[shape[0], shape[2]][..]
    } else {
        &shape
    };
    let header = header_bytes(if half { "<f2" } else { "<f4" }, shape);
    out.write_all(&header).map_err(failed)?;
    let mut row = vec![0.0; features.row_len()];
    let mut bytes = Vec::with_capacity(4 * row.len());
    for &index in rows {
        features.copy_row(index as usize, &mut row)?;
        bytes.clear();
        if half {
            bytes.extend(row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()));
        } else {
            bytes.extend(row.iter().flat_map(|x| x.to_le_bytes()));
        }
        out.write_all(&bytes).map_err(failed)?;
    }
    Ok(())
}

/// Writes integers `[n, k]` as `.npy`.
pub(super) fn write_ints<const K: usize>(path: &Path, rows: &[[i64; K]]) -> Result<PathBuf> {
    let mut bytes = header_bytes("<i8", &[rows.len(), K]);
    bytes.extend(rows.iter().flatten().flat_map(|x| x.to_le_bytes()));
    durable::write(path, &bytes)?;
    Ok(path.to_path_buf())
}

/// Makes the file or folder `source` available under its own name in the folder `out`: a link where
/// the system has them, since features may be larger than the free disk. [`settle`] decides
/// afterwards what the link becomes.
///
/// [`settle`]: super::links::settle
pub(crate) fn link_into(source: &Path, out: &Path) -> Result<PathBuf> {
    link_as(source, &out.join(source.file_name().unwrap_or_default()))
}

/// As [`link_into`], under another name; the folders above `target` are made.
pub(super) fn link_as(source: &Path, target: &Path) -> Result<PathBuf> {
    let failed = |source| Error::io(target, "write", source);
    let full = source
        .canonicalize()
        .map_err(|cause| Error::io(source, "read", cause))?;
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    if target.is_symlink() {
        std::fs::remove_file(target).map_err(failed)?;
    }
    link_or_copy(&full, target).map_err(failed)?;
    Ok(target.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_features_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let features = Features::from_rows(vec![0.5, 1.0, 2.0, -3.0], 2);
        let path = write_features(&folder.path().join("a.npy"), &features, &[1, 0]).unwrap();
        let again = Features::open_npy(path).unwrap();
        assert_eq!(again.to_matrix().unwrap().values(), [2.0, -3.0, 0.5, 1.0]);
    }

    #[test]
    fn a_link_can_be_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let source = folder.path().join("a.npy");
        std::fs::write(&source, b"numbers").unwrap();
        for _ in 0..2 {
            assert_eq!(
                std::fs::read(link_into(&source, &out).unwrap()).unwrap(),
                b"numbers"
            );
        }
    }
}

//! The files that public exporters lay beside an encoder or one folder up.

use std::path::{Path, PathBuf};

use serde_json::Value;
use truepair_core::error::Place;
use truepair_core::{Error, Result, source_file};

/// The folders in which an encoder's settings may lie, nearest first: its own and the one above,
/// then those of the place that a link leads to. However `path` is written, they are the same.
fn folders(path: &Path) -> Vec<PathBuf> {
    let own = source_file::folder_of(path).canonicalize();
    let real = path.canonicalize();
    let real = (real.as_deref().ok()).and_then(|real| real.parent().map(Path::to_path_buf));
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in own.ok().into_iter().chain(real) {
        for folder in folder.ancestors().take(2) {
            if !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_path_buf());
            }
        }
    }
    folders
}

/// The files of these names near `path`, the nearest first, and of those in one folder in the order
/// of `names`.
pub(crate) fn near(path: &Path, names: &[&str]) -> Vec<PathBuf> {
    let folders = folders(path);
    let files = folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    files.filter(|file| file.is_file()).collect()
}

/// `file` as it is told: its name, and its folder where that is not the encoder's.
pub(crate) fn told(file: &Path, encoder: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let folder = |path: &Path| path.canonicalize().ok()?.parent().map(Path::to_path_buf);
    match (folder(file), folder(encoder)) {
        (Some(there), Some(here)) if here.parent() == Some(&there) => {
            format!("{name} one folder up")
        }
        _ => name.into_owned(),
    }
}

/// # Errors
/// If the file cannot be read or is not JSON.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let bytes = source_file::read(path, source_file::SETTINGS)
        .map_err(|source| Error::io(path, "read", source))?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        let remedy = "correct the file, or remove it and give the settings as arguments";
        Error::data(path, Place::Whole, format!("not JSON: {cause}"), remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_beside_and_one_folder_up_however_the_path_is_written() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let onnx = root.join("model/onnx");
        std::fs::create_dir_all(&onnx).unwrap();
        std::fs::create_dir(root.join("elsewhere")).unwrap();
        for file in [
            "model/a.json",
            "model/onnx/b.json",
            "model/onnx/encoder.onnx",
        ] {
            std::fs::write(root.join(file), "{}").unwrap();
        }
        let expected = [onnx.join("b.json"), root.join("model/a.json")];
        let link = root.join("elsewhere/link.onnx");
        let mut ways = vec![
            onnx.join("encoder.onnx"),
            onnx.join("../onnx/./encoder.onnx"),
        ];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(onnx.join("encoder.onnx"), &link).unwrap();
            ways.push(link);
        }
        for way in ways {
            assert_eq!(near(&way, &["a.json", "b.json"]), expected, "{way:?}");
        }
        let encoder = onnx.join("encoder.onnx");
        assert_eq!(told(&expected[0], &encoder), "b.json");
        assert_eq!(told(&expected[1], &encoder), "a.json one folder up");
    }
}

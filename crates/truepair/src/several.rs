//! Several files that are one data set, typed one by one or by a shell's pattern.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use truepair_read::dataset::one_path_of;

use crate::remote::is_address;
use crate::render;

/// Files that an error names.
const NAMED: usize = 2;

/// One path that stands for what was typed; `None` where nothing was.
///
/// # Errors
/// If several things were typed that are no files of one data set.
pub(crate) fn one_path(typed: &[PathBuf]) -> Result<Option<PathBuf>> {
    let [_, _, ..] = typed else {
        return Ok(typed.first().cloned());
    };
    let names: Vec<String> = (typed.iter().take(NAMED))
        .map(|path| path.display().to_string())
        .collect();
    let names = names.join(", ");
    if typed.iter().any(|path| is_address(path)) {
        bail!(
            "{names}: several addresses are one data set where a pattern stands for them (write \
             s3://bucket/shards-{{000..012}}.tar)"
        )
    }
    if let Some(missing) = typed.iter().find(|path| !path.exists()) {
        bail!("{}: there is no such file", missing.display())
    }
    if !typed.iter().all(|path| is_archive(path)) {
        bail!(
            "{names}: {}, which are one data set only where all are tar archives (put tables or pictures into \
             a folder of their own and name that; two files of embeddings go to `truepair audit IMAGES \
             CAPTIONS`)",
            render::count(typed.len(), "path")
        )
    }
    Ok(Some(one_path_of(typed)?))
}

/// Whether a file is an archive of shards by its ending.
fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let endings = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd", ".tzst"];
    path.is_file() && endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether both are files of arrays by their endings: embeddings of images and of captions.
pub(crate) fn are_embeddings(typed: &[PathBuf]) -> bool {
    let is_array = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default();
        ["npy", "npz", "safetensors"]
            .iter()
            .any(|known| ending == *known)
    };
    typed.len() == 2 && typed.iter().all(is_array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_one_path_and_others_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for name in ["0.tar", "1.tar", "a.csv", "b.csv"] {
            std::fs::write(at(name), b"").unwrap();
        }
        assert_eq!(one_path(&[]).unwrap(), None);
        assert_eq!(one_path(&[at("x")]).unwrap(), Some(at("x")));
        let found = one_path(&[at("0.tar"), at("1.tar")]).unwrap();
        assert_eq!(found, Some(at("{0..1}.tar")));
        for (typed, part) in [
            ([at("a.csv"), at("b.csv")], "folder of their own"),
            ([at("0.tar"), at("2.tar")], "no such file"),
            (["s3://b/0.tar".into(), "s3://b/1.tar".into()], "{000..012}"),
        ] {
            let error = one_path(&typed).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(are_embeddings(&["a.npy".into(), "b.npz".into()]));
        assert!(!are_embeddings(&["a.npy".into(), "b.tar".into()]));
    }
}

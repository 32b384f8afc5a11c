//! What lies in a folder beside the files that are read, for the account of a format.

use std::path::{Path, PathBuf};

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Result};

/// Names that systems and browsers of folders leave behind.
const OF_SYSTEMS: &[&str] = &["Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"];

/// What becomes of one entry of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is read.
    Used,
    /// It is read when another split is.
    OfOtherSplits,
    /// It is not read, and why.
    PassedOver(&'static str),
}

/// Notes every entry of `folder`; `fate` is asked by name for all that are not hidden.
///
/// # Errors
/// If the folder cannot be listed.
pub(super) fn account_for_folder(
    account: &mut Account,
    folder: &Path,
    fate: impl Fn(&str) -> Fate,
) -> Result<()> {
    for entry in entries(folder)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let is_folder = entry.is_dir();
        let kind = if is_folder { "folder" } else { "file" };
        let fate = match is_hidden(&name) {
            true => Fate::PassedOver("it is hidden or a system's own"),
            false => fate(&name),
        };
        match fate {
            Fate::Used => account.used(kind, 1),
            Fate::OfOtherSplits if is_folder => account.used("folder of other splits", 1),
            Fate::OfOtherSplits => account.used("file of other splits", 1),
            Fate::PassedOver(why) => account.pass(kind, why, name),
        }
    }
    Ok(())
}

/// Whether an entry of this name is hidden, or was left behind by a system.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || OF_SYSTEMS.contains(&name)
}

/// What lies in a folder, sorted. The folder of a file that is named without one has the empty path.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = match folder == Path::new("") {
        true => Path::new("."),
        false => folder,
    };
    let failed = |source| Error::io(listed, "list", source);
    let entries = std::fs::read_dir(listed).map_err(failed)?;
    let paths = entries.map(|entry| Ok(folder.join(entry.map_err(failed)?.file_name())));
    let mut paths = paths.collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

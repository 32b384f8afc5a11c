//! An output folder that is whole or absent.
//!
//! Everything is written into a hidden folder inside the output folder, synced to the disk, and
//! only then moved to its final place. A failure at any point (a full disk, a signal, an error of
//! the work itself) removes the hidden folder, so nobody ever reads half a result. The folder is
//! created before the long work starts: an unwritable place is reported in the first second.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use truepair_core::source_file;

use crate::folder::{self, MadeFolder};
use crate::interrupt;
use crate::output::{self, Output};

/// The file that says which command made a folder, and what it printed.
pub(crate) const SUMMARY: &str = "summary.json";

const PARTIAL: &str = ".truepair-partial";

/// What to do with an output folder that already holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Leave it alone and fail.
    Refuse,
    /// Replace it, but only if the same command made it.
    Replace,
}

/// An output folder under construction.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    destination: PathBuf,
    partial: PathBuf,
    /// The destination, where it was not there before.
    made: Option<MadeFolder>,
    finished: bool,
}

impl StagedFolder {
    /// Claims `destination` for `command`, before the work that fills it.
    ///
    /// # Errors
    /// If the folder cannot be made or written, or holds something that may not be replaced.
    pub(crate) fn open(destination: &Path, command: &str, existing: Existing) -> Result<Self> {
        let place = destination.display();
        let made = match fs::metadata(destination) {
            Ok(metadata) if !metadata.is_dir() => {
                bail!("{place}: is a file, and --out needs a folder (choose another --out)")
            }
            Ok(_) => {
                check_replaceable(destination, command, existing)?;
                None
            }
            Err(_) => Some(folder::create(destination, "output folder")?),
        };
        let partial = destination.join(PARTIAL);
        let stage = Self {
            destination: destination.into(),
            partial,
            made,
            finished: false,
        };
        // A run that was killed outright may have left its own unfinished files.
        let _ = fs::remove_dir_all(&stage.partial);
        fs::create_dir(&stage.partial).with_context(|| {
            format!("{place}: cannot write into the output folder (choose another --out)")
        })?;
        interrupt::remove_on_interrupt(stage.unfinished());
        Ok(stage)
    }

    /// Where the work writes its files for now.
    pub(crate) fn folder(&self) -> &Path {
        &self.partial
    }

    /// Where a file of the output will lie in the end.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.destination.join(name)
    }

    /// Where the files written so far will lie in the end, sorted.
    pub(crate) fn planned(&self) -> Result<Vec<PathBuf>> {
        let mut files = self.files()?;
        for file in &mut files {
            if let Ok(name) = file.strip_prefix(&self.partial) {
                *file = self.destination.join(name);
            }
        }
        Ok(files)
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        list_files(&self.partial, &mut files)?;
        files.sort();
        Ok(files)
    }

    /// Writes one file of the output through `fill`.
    pub(crate) fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = std::io::BufWriter::new(fs::File::create(self.partial.join(name))?);
            fill(&mut file)?;
            file.flush()
        };
        write().with_context(|| format!("{}: cannot write", self.destination.join(name).display()))
    }

    /// Writes `value` as indented JSON that names its schema.
    pub(crate) fn write_json(&self, name: &str, value: &impl Output) -> Result<()> {
        let text = output::text(value)?;
        self.write(name, |file| file.write_all(text.as_bytes()))
    }

    /// Makes the files durable and gives them their names; returns every file, sorted.
    pub(crate) fn finish(mut self) -> Result<Vec<PathBuf>> {
        let files = self.planned()?;
        let place = self.destination.display().to_string();
        sync(&self.files()?).with_context(|| format!("{place}: cannot write"))?;
        self.move_into_place()
            .with_context(|| format!("{place}: cannot move the finished files into place"))?;
        self.finished = true;
        interrupt::forget(self.unfinished());
        Ok(files)
    }

    /// What must not stay behind when the work fails.
    fn unfinished(&self) -> &Path {
        if self.made.is_some() {
            &self.destination
        } else {
            &self.partial
        }
    }

    fn move_into_place(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.partial)? {
            let entry = entry?;
            let place = self.destination.join(entry.file_name());
            // Only what this output names is replaced: a reviewer's notes beside it stay.
            if place.is_dir() {
                fs::remove_dir_all(&place)?;
            }
            fs::rename(entry.path(), place)?;
        }
        fs::remove_dir(&self.partial)?;
        fs::File::open(&self.destination)?.sync_all()
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        match &self.made {
            Some(made) => made.remove(),
            // The error that brought us here is the one the user needs to see.
            None => drop(fs::remove_dir_all(&self.partial)),
        }
        interrupt::forget(self.unfinished());
    }
}

fn check_replaceable(folder: &Path, command: &str, existing: Existing) -> Result<()> {
    let place = folder.display();
    let mut entries = fs::read_dir(folder).with_context(|| format!("{place}: cannot read"))?;
    let empty = entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == PARTIAL));
    if empty {
        return Ok(());
    }
    let maker = maker_of(folder);
    match (maker.as_deref(), existing) {
        (Some(maker), Existing::Replace) if maker == command => Ok(()),
        (Some(maker), Existing::Refuse) if maker == command => bail!(
            "{place}: already holds the output of an earlier `truepair {command}` \
             (add --force to replace it, or choose another --out)"
        ),
        _ => bail!(
            "{place}: is not empty and was not written by `truepair {command}` \
             (choose another --out; --force replaces only this command's own output)"
        ),
    }
}

fn maker_of(folder: &Path) -> Option<String> {
    let text = source_file::read_text(&folder.join(SUMMARY), source_file::SETTINGS).ok()?;
    let summary: serde_json::Value = serde_json::from_str(&text).ok()?;
    summary.get("command")?.as_str().map(str::to_owned)
}

fn sync(files: &[PathBuf]) -> std::io::Result<()> {
    let own = files.iter().filter(|file| !file.is_symlink());
    own.into_iter()
        .try_for_each(|file| fs::File::open(file)?.sync_all())
}

fn list_files(folder: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // A link may lead to the user's own folders; it counts as one file.
        if path.is_dir() && !path.is_symlink() {
            list_files(&path, out)?
        } else {
            out.push(path)
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        list_files(folder, &mut files).unwrap();
        files
    }

    #[test]
    fn a_finished_folder_holds_its_files_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("out");
        let stage = StagedFolder::open(&out, "audit", Existing::Refuse).unwrap();
        fs::create_dir(stage.folder().join("cleaned")).unwrap();
        fs::write(stage.folder().join("cleaned/list.txt"), "x").unwrap();
        stage.write(SUMMARY, |file| file.write_all(b"{}")).unwrap();
        assert_eq!(
            stage.finish().unwrap(),
            [out.join("cleaned/list.txt"), out.join(SUMMARY)]
        );
        assert!(!out.join(PARTIAL).exists());
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("out");
        let stage = StagedFolder::open(&out, "audit", Existing::Refuse).unwrap();
        let full = |_: &mut dyn Write| Err(std::io::ErrorKind::StorageFull.into());
        let error = stage.write("verdicts.csv", full).unwrap_err();
        assert!(format!("{error:#}").contains("verdicts.csv: cannot write: no storage space"));
        drop(stage);
        assert!(!out.exists());
    }

    #[test]
    fn a_failed_replacement_keeps_the_earlier_output() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path();
        fs::write(out.join(SUMMARY), r#"{"command": "audit"}"#).unwrap();
        drop(StagedFolder::open(out, "audit", Existing::Replace).unwrap());
        assert_eq!(listing(out), [out.join(SUMMARY)]);
    }

    #[test]
    fn only_the_same_commands_output_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path();
        fs::write(out.join("thesis.tex"), "x").unwrap();
        let error = StagedFolder::open(out, "audit", Existing::Replace)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is not empty and was not written by"),
            "{error}"
        );
        fs::write(out.join(SUMMARY), r#"{"command": "audit"}"#).unwrap();
        let error = StagedFolder::open(out, "audit", Existing::Refuse)
            .unwrap_err()
            .to_string();
        assert!(error.contains("add --force"), "{error}");
        let stage = StagedFolder::open(out, "audit", Existing::Replace).unwrap();
        stage.write("new.txt", |file| file.write_all(b"x")).unwrap();
        assert_eq!(stage.finish().unwrap(), [out.join("new.txt")]);
        assert!(out.join("thesis.tex").exists());
    }

    #[test]
    fn a_place_below_a_file_is_refused_at_once() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(StagedFolder::open(&file, "audit", Existing::Refuse).is_err());
        assert!(StagedFolder::open(&file.join("out"), "audit", Existing::Refuse).is_err());
        assert_eq!(listing(home.path()), [file]);
    }
}

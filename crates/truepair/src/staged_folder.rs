//! An output folder that is whole or absent.
//!
//! A new one is written under a hidden name beside its place, synced to the disk, and given its name in one step. One
//! that is there already, empty or to be replaced, is written into a hidden folder inside it; that folder being
//! renamed to [`READY`] is the decision, and its files are moved from there, by the next command if this one is
//! killed in between. A failure at any other point (a full disk, a signal, an error of the work itself) removes the
//! hidden folder, so nobody ever reads half a result. All this is begun before the long work starts: an unwritable
//! place is reported in the first second, and a second process that names the same folder is turned away.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use truepair_core::source_file::{self, folder_of};

use crate::folder::{self, MadeFolder};
use crate::folder_lock::{FolderLock, LOCK};
use crate::interrupt;
use crate::output::{self, Output};

/// The file that says which command made a folder, and what it printed.
pub(crate) const SUMMARY: &str = "summary.json";

/// Where files are written, and where they are once all of them are.
const PARTIAL: &str = ".truepair-partial";
const READY: &str = ".truepair-ready";

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
    /// The parents, where the destination was not there before.
    parents: Option<MadeFolder>,
    finished: bool,
    lock: FolderLock,
}

impl StagedFolder {
    /// Claims `destination` for `command`, before the work that fills it.
    ///
    /// # Errors
    /// If the folder cannot be made or written, another process writes it, or it holds something that may not be
    /// replaced.
    pub(crate) fn open(destination: &Path, command: &str, existing: Existing) -> Result<Self> {
        let stage = match fs::symlink_metadata(destination) {
            Ok(_) => Self::inside(destination, command, existing)?,
            Err(_) => Self::beside(destination)?,
        };
        // A run that was killed outright may have left its own unfinished files.
        let _ = fs::remove_dir_all(&stage.partial);
        fs::create_dir(&stage.partial).with_context(|| {
            format!(
                "{}: cannot write into the output folder (choose another --out)",
                destination.display()
            )
        })?;
        interrupt::remove_on_interrupt(&stage.partial);
        interrupt::remove_on_interrupt(stage.lock.path());
        Ok(stage)
    }

    /// A folder that is there already.
    fn inside(destination: &Path, command: &str, existing: Existing) -> Result<Self> {
        let place = destination.display();
        if !destination.is_dir() {
            bail!("{place}: is a file, and --out needs a folder (choose another --out)")
        }
        let lock = FolderLock::inside(destination)?;
        check_replaceable(destination, command, existing)?;
        let ready = destination.join(READY);
        if ready.is_dir() {
            move_into_place(&ready, destination)
                .with_context(|| format!("{place}: cannot finish what a killed command began"))?;
        }
        Ok(Self {
            destination: destination.into(),
            partial: destination.join(PARTIAL),
            parents: None,
            finished: false,
            lock,
        })
    }

    /// A folder that is not there yet.
    fn beside(destination: &Path) -> Result<Self> {
        let place = destination.display();
        let Some(name) = destination.file_name() else {
            bail!("{place}: is no name of a folder (choose another --out)")
        };
        let parent = folder_of(destination);
        let parents = folder::create(parent, "output folder").with_context(|| place.to_string())?;
        let hidden = |suffix: &str| {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(suffix);
            parent.join(hidden)
        };
        Ok(Self {
            destination: destination.into(),
            partial: hidden(PARTIAL),
            parents: Some(parents),
            finished: false,
            lock: FolderLock::take(hidden(LOCK), destination)?,
        })
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
        sync(&self.partial).with_context(|| format!("{place}: cannot write"))?;
        // From here on a signal must not take away what has its name.
        interrupt::forget(&self.partial);
        let decided = match &self.parents {
            Some(_) => fs::rename(&self.partial, &self.destination),
            None => fs::rename(&self.partial, self.destination.join(READY)),
        };
        self.finished = true;
        if let Err(error) = decided {
            return Err(error).with_context(|| {
                format!(
                    "{place}: something else lies there now; the finished output is in {}",
                    self.partial.display()
                )
            });
        }
        if self.parents.is_none() {
            move_into_place(&self.destination.join(READY), &self.destination)
        } else {
            sync_folder(folder_of(&self.destination))
        }
        .with_context(|| format!("{place}: cannot move the finished files into place"))?;
        Ok(files)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        interrupt::forget(&self.partial);
        interrupt::forget(self.lock.path());
        if self.finished {
            return;
        }
        // The error that brought us here is the one the user needs to see.
        let _ = fs::remove_dir_all(&self.partial);
        if let Some(parents) = &self.parents {
            let _ = fs::remove_file(self.lock.path());
            parents.remove_empty();
        }
    }
}

/// Moves finished files from `ready` to their names. Whoever is stopped in between leaves the rest in `ready`, and a
/// folder that no command takes for its own output.
fn move_into_place(ready: &Path, destination: &Path) -> std::io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(ready)? {
        names.push(entry?.file_name());
    }
    // What says whose output this is goes first and comes last.
    names.sort_by_key(|name| name == SUMMARY);
    if names.last().is_some_and(|name| name == SUMMARY) && names.len() > 1 {
        match fs::remove_file(destination.join(SUMMARY)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => sync_folder(destination)?,
        }
    }
    for name in names {
        let place = destination.join(&name);
        // Only what this output names is replaced: a reviewer's notes beside it stay.
        if place.is_dir() && !place.is_symlink() {
            fs::remove_dir_all(&place)?;
        }
        fs::rename(ready.join(&name), place)?;
    }
    fs::remove_dir(ready)?;
    sync_folder(destination)
}

fn check_replaceable(folder: &Path, command: &str, existing: Existing) -> Result<()> {
    let place = folder.display();
    let mut entries = fs::read_dir(folder).with_context(|| format!("{place}: cannot read"))?;
    let is_rest = |name: &std::ffi::OsStr| name == PARTIAL || name == LOCK;
    if entries.all(|entry| entry.is_ok_and(|entry| is_rest(&entry.file_name()))) {
        return Ok(());
    }
    // Whoever was killed between two renames left what says so in a hidden folder.
    let mut makers = ["", READY, PARTIAL].iter().map(|name| folder.join(name));
    let maker = makers.find_map(|folder| maker_of(&folder));
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

/// Makes everything in a folder survive a power failure, links excepted: they lead to the user's own files.
fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            sync(&path)?;
        } else {
            fs::File::open(path)?.sync_all()?;
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
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
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_at_once_do_not_touch_each_other() {
        let home = tempfile::tempdir().unwrap();
        for out in [home.path().join("new"), home.path().to_path_buf()] {
            let first = StagedFolder::open(&out, "audit", Existing::Replace).unwrap();
            first.write(SUMMARY, |file| file.write_all(b"{}")).unwrap();
            let error = StagedFolder::open(&out, "audit", Existing::Replace).unwrap_err();
            assert!(error.to_string().contains("another truepair"), "{error}");
            first.finish().unwrap();
            assert!(out.join(SUMMARY).exists());
            fs::remove_file(out.join(SUMMARY)).unwrap();
            let _ = fs::remove_dir(&out);
        }
    }

    #[test]
    fn what_a_killed_command_left_is_no_obstacle() {
        let home = tempfile::tempdir().unwrap();
        let summary = r#"{"command": "audit"}"#;
        // Beside a new folder: a file that was being written, and a lock that nobody holds.
        let out = home.path().join("out");
        fs::create_dir(home.path().join(".out.truepair-partial")).unwrap();
        fs::write(home.path().join(".out.truepair-partial/half"), "x").unwrap();
        fs::write(home.path().join(".out.truepair-lock"), "").unwrap();
        let stage = StagedFolder::open(&out, "audit", Existing::Refuse).unwrap();
        stage
            .write(SUMMARY, |file| file.write_all(summary.as_bytes()))
            .unwrap();
        stage.finish().unwrap();
        assert_eq!(listing(home.path()), [out.join(SUMMARY)]);

        // Between two renames: the first of the files have their names.
        fs::remove_file(out.join(SUMMARY)).unwrap();
        fs::write(out.join("verdicts.csv"), "new").unwrap();
        fs::write(out.join("findings.json"), "old").unwrap();
        fs::create_dir(out.join(READY)).unwrap();
        fs::write(out.join(READY).join("findings.json"), "new").unwrap();
        fs::write(out.join(READY).join(SUMMARY), summary).unwrap();
        assert!(StagedFolder::open(&out, "labels", Existing::Replace).is_err());
        drop(StagedFolder::open(&out, "audit", Existing::Replace).unwrap());
        assert_eq!(fs::read(out.join("findings.json")).unwrap(), b"new");
        assert!(out.join(SUMMARY).exists() && !out.join(READY).exists());

        // As version 0.1 left it: its summary still in the folder of unfinished files.
        fs::create_dir(out.join(PARTIAL)).unwrap();
        fs::rename(out.join(SUMMARY), out.join(PARTIAL).join(SUMMARY)).unwrap();
        assert!(StagedFolder::open(&out, "audit", Existing::Refuse).is_err());
        let stage = StagedFolder::open(&out, "audit", Existing::Replace).unwrap();
        stage
            .write(SUMMARY, |file| file.write_all(summary.as_bytes()))
            .unwrap();
        stage.finish().unwrap();
        assert!(out.join(SUMMARY).exists() && !out.join(PARTIAL).exists());
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
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
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

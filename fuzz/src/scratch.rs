//! Files for readers that want files: one folder a thread, among the system's temporary files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static HOME: TempDir = {
        let home = tempfile::Builder::new().prefix("truepair-fuzz-").tempdir();
        let home = home.expect("a folder for temporary files");
        fs::create_dir(home.path().join("input")).expect("a folder for the input");
        home
    };
}

/// Calls `read` with a file `name` that holds `data`, alone in its folder. The file is gone afterwards.
pub(crate) fn with_file(name: &str, data: &[u8], read: impl FnOnce(&Path)) {
    with_files(&[(name, data)], |folder| read(&folder.join(name)));
}

/// Calls `read` with a folder of these files and nothing else.
pub(crate) fn with_files(files: &[(&str, &[u8])], read: impl FnOnce(&Path)) {
    let folder = folder("input");
    let mut written = Written(Vec::new());
    for (name, data) in files {
        written.0.push(folder.join(name));
        fs::write(folder.join(name), data).expect("a file for the input");
    }
    read(&folder);
}

/// Files that go when they were read, also where that panics.
struct Written(Vec<PathBuf>);

impl Drop for Written {
    fn drop(&mut self) {
        for file in &self.0 {
            // The next input is written over what cannot go.
            let _ = fs::remove_file(file);
        }
    }
}

/// An empty folder that is not there yet, for what is written.
pub(crate) fn output() -> PathBuf {
    let folder = folder("output");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the former output goes");
    }
    folder
}

fn folder(name: &str) -> PathBuf {
    HOME.with(|home| home.path().join(name))
}

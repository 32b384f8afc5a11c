//! Python's own tools, where they are at hand.

use std::path::Path;
use std::process::Command;

/// Runs `script` in Python, which is `TRUEPAIR_PYTHON` or `python3`, and returns what it prints; `None`, which is
/// said, where Python or a package is missing.
pub(crate) fn run(script: &str, args: &[&Path]) -> Option<String> {
    let python = std::env::var_os("TRUEPAIR_PYTHON").unwrap_or_else(|| "python3".into());
    let home = tempfile::tempdir().unwrap();
    let done = Command::new(&python)
        .arg("-c")
        .arg(script)
        .args(args)
        .env("HF_DATASETS_OFFLINE", "1")
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", home.path())
        .output();
    let done = match done {
        Ok(done) => done,
        Err(cause) => {
            eprintln!("skipped: {} cannot be run: {cause}", python.display());
            return None;
        }
    };
    let problem = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        let missing = problem
            .lines()
            .find(|line| line.contains("No module named"));
        let missing = missing.unwrap_or_else(|| panic!("{problem}"));
        eprintln!("skipped: {missing}");
        return None;
    }
    Some(String::from_utf8(done.stdout).unwrap())
}

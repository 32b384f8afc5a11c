//! The program from the outside: run in an empty folder, judged by exit code, output and files.
#![allow(clippy::print_stdout, reason = "a skipped test must be seen")]

mod at_once;
mod bad_input;
mod commands;
mod compare;
mod convert;
mod embed;
mod encoded;
mod evaluation;
mod feature;
mod files;
mod labels;
#[cfg(feature = "stores")]
mod remote;
mod resumed;
mod schema;
mod search;
mod several;
mod uncertainty;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the program keeps embeddings and fetched data, so that tests share nothing.
const CACHE: &str = "own-cache";

/// What a finished program left.
struct Finished {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Finished {
    /// The one JSON object on standard output.
    #[track_caller]
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out))
    }

    /// Expects exit code 2, nothing on standard output but an object that says why, and a message that
    /// holds every part.
    #[track_caller]
    fn is_refused(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{}", self.err);
        if !self.out.is_empty() {
            let failure: serde_json::Value = serde_json::from_str(&self.out).unwrap();
            assert_eq!(failure["schema"], "truepair/error/1", "{}", self.out);
            assert_eq!(failure["exit_code"], 2);
            let error = failure["error"].as_str().unwrap();
            assert!(self.err.contains(error), "{error} is not in {}", self.err);
        }
        holds(&self.err, parts);
    }
}

/// Expects every part in `text`.
#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Expects the program to refuse `args` with one message that holds every part, and to write
/// nothing.
#[track_caller]
fn refused(home: &Path, args: &[&str], parts: &[&str]) {
    let before = listing(home);
    let done = truepair(home, args);
    done.is_refused(parts);
    assert_eq!(done.err.matches("error:").count(), 1, "{}", done.err);
    assert_eq!(listing(home), before, "something was written");
}

/// The arguments of a command line, split at spaces.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs the program in `home`.
fn truepair(home: &Path, args: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_truepair"));
    let output = command
        .current_dir(home)
        .env("TRUEPAIR_CACHE", home.join(CACHE))
        .args(args)
        .output()
        .expect("the program was built");
    Finished {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("the program prints UTF-8"),
        err: String::from_utf8(output.stderr).expect("the program prints UTF-8"),
    }
}

/// Every file below `home`, sorted.
fn listing(home: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![home.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path.clone());
            }
            found.push(path.strip_prefix(home).unwrap().to_path_buf());
        }
    }
    found.sort();
    found
}

#[test]
fn the_help_of_every_command_has_examples() {
    let home = tempfile::tempdir().unwrap();
    for command in [
        "demo",
        "inspect",
        "audit",
        "train",
        "compare",
        "eval",
        "embed",
        "convert",
        "index",
        "search",
        "score",
        "serve",
        "labels",
        "recipes",
        "schema",
        "completions",
        "man",
    ] {
        let help = truepair(home.path(), &[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(
            help.out.contains(&format!("\n  truepair {command}")),
            "{}",
            help.out
        );
        assert!(
            truepair(home.path(), &["--help"])
                .out
                .contains(&format!("  {command} "))
        );
    }
}

#[test]
fn a_usage_error_exits_with_2_and_leaves_standard_output_empty() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["audti", "data"][..],
        &["audit"],
        &["inspect", "data", "--jsn"],
        &["eval"],
    ] {
        let done = truepair(home.path(), args);
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(done.err.contains("Usage"), "{}", done.err);
    }
    assert!(
        truepair(home.path(), &["inspcet", "x"])
            .err
            .contains("inspect")
    );
}

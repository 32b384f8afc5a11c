//! The house rules that a machine can check; `cargo test` runs them, so no rule lives in CI alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::circles::circles;
use crate::doubled::doubled;
use crate::source::Crate;

/// File names that say nothing about what is inside.
const NAMELESS: &[&str] = &[
    "utils.rs",
    "util.rs",
    "common.rs",
    "helpers.rs",
    "types.rs",
    "misc.rs",
];

/// Folders that are not ours to check: build output, data, other people's texts.
const SKIPPED: &[&str] = &[
    "target",
    ".git",
    "runs",
    "samples",
    "fixtures",
    "truepair-demo",
];

/// Code that must not be committed anywhere. Split so that this file does not trip over itself.
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("dbg", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];

/// What a library leaves to its caller: printing, ending the process, environment and clock.
const PROGRAM_ONLY: &[&str] = &[
    "println!(",
    "eprintln!(",
    "print!(",
    "process::exit",
    "std::env::",
    "SystemTime",
    "Instant::now",
];

/// Paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Use", "rs/"),
    concat!("/wo", "rk/"),
];

/// Files outside the crate: what is uploaded to a registry does not have them.
const OUTSIDE: &[&str] = &[concat!("../", "../"), concat!("../true", "pair")];

/// What opens a file for reading. A pipe or a device must not get past the one place that asks what a file is.
const OPENING: &[&str] = &[
    "File::open(",
    "fs::read(",
    "fs::read_to_string(",
    "open_streaming(",
    "Reader::from_path(",
];

/// The place that opens files, and those that open a folder to make the names in it durable.
const OPENERS: &[&str] = &[
    "crates/truepair-core/src/source_file.rs",
    "crates/truepair-core/src/durable.rs",
    "crates/truepair-index/src/writer.rs",
    "crates/truepair-vectordb/src/file/staged.rs",
    "crates/truepair/src/staged_folder.rs",
];

/// What inflates. A few bytes must not become all of the memory.
const INFLATING: &[&str] = &[
    "GzDecoder",
    "ZlibDecoder",
    "DeflateDecoder",
    "zstd::Decoder",
    "read::Decoder",
    "decode_all(",
    "Decompress::new",
    "ZipArchive::new(",
];

/// The place that inflates.
const INFLATERS: &[&str] = &["crates/truepair-read/src/inflate.rs"];

/// One departure from the rules: where, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// Checks every text file below `root`; returns the complaints, sorted by file.
pub(crate) fn check(root: &Path) -> Result<Vec<Complaint>> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut complaints = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        complaints.extend(check_file(name, &text));
    }
    Ok(complaints)
}

/// Checks what only the whole crates show: circles between files, and type names that mean two things.
pub(crate) fn check_crates(crates: &[Crate]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for circle in crates.iter().flat_map(circles) {
        let steps: Vec<String> = circle
            .steps
            .iter()
            .map(|(from, to, names)| {
                let (from, to) = (from.display(), to.display());
                format!("\n    {from} takes {} from {to}", names.join(", "))
            })
            .collect();
        complaints.push(Complaint {
            file: circle.steps[0].0.clone(),
            line: 1,
            text: format!(
                "a circle, in a knot of {} files:{}",
                circle.files,
                steps.concat()
            ),
        });
    }
    for (name, places) in crates.iter().flat_map(doubled) {
        let (first, others) = places.split_first().expect("a doubled name has places");
        let others: Vec<String> = others
            .iter()
            .map(|(file, line)| format!("{}:{line}", file.display()))
            .collect();
        complaints.push(Complaint {
            file: first.0.clone(),
            line: first.1,
            text: format!("`{name}` is also another type, in {}", others.join(" and ")),
        });
    }
    complaints
}

/// Lines before the first inline test of every Rust file, longest first.
pub(crate) fn sizes(root: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    let mut sizes = Vec::new();
    for file in files.into_iter().filter(|file| is_rust(file)) {
        let text = fs::read_to_string(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        sizes.push((before_tests(&text).lines().count(), name.to_path_buf()));
    }
    sizes.sort_by(|a, b| b.cmp(a));
    Ok(sizes)
}

fn check_file(name: &Path, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |line, text: String| {
        complaints.push(Complaint {
            file: name.to_path_buf(),
            line,
            text,
        });
    };
    if name
        .file_name()
        .is_some_and(|name| NAMELESS.iter().any(|bad| name == *bad))
    {
        complain(
            1,
            "the name says nothing: name the thing that is inside".to_owned(),
        );
    }
    if is_rust(name) && is_source(name) && !text.starts_with("//!") {
        complain(1, "a file opens with `//!` and why it exists".to_owned());
    }
    for (index, line) in text.lines().enumerate() {
        for rule in line_rules(name) {
            if rule.0.iter().any(|bad| line.contains(bad)) {
                complain(index + 1, format!("{}: `{}`", rule.1, line.trim()));
            }
        }
    }
    let library = before_tests(text);
    for (index, line) in library.lines().enumerate() {
        for rule in library_rules(name) {
            let code = line.split("//").next().unwrap_or(line);
            if rule.0.iter().any(|bad| code.contains(bad)) {
                complain(index + 1, format!("{}: `{}`", rule.1, line.trim()));
            }
        }
        for rule in file_rules(name) {
            let code = line.split("//").next().unwrap_or(line);
            if rule.0.iter().any(|bad| holds_name(code, bad)) {
                complain(index + 1, format!("{}: `{}`", rule.1, line.trim()));
            }
        }
    }
    complaints
}

type Rule = (&'static [&'static str], &'static str);

fn line_rules(name: &Path) -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![(MACHINE_PATHS, "a path of one machine")];
    if is_rust(name) {
        rules.push((UNFINISHED, "unfinished or debugging code"));
    }
    if is_rust(name) && is_of_library(name) {
        rules.push((OUTSIDE, "a library reads no file outside its crate"));
    }
    rules
}

/// Rules for the code of the libraries, tests excluded.
fn library_rules(name: &Path) -> Vec<Rule> {
    if !is_rust(name) || !is_of_library(name) || !is_source(name) || is_test_file(name) {
        return Vec::new();
    }
    let core = name.starts_with("crates/truepair-core");
    let trains = ["crates/truepair-model", "crates/truepair-train"];
    let train = trains.iter().any(|own| name.starts_with(own));
    let mut rules: Vec<Rule> = vec![(PROGRAM_ONLY, "a library leaves this to the program")];
    if core {
        rules.push((
            &["burn::", "truepair_read"],
            "the core knows neither the tensor framework nor the readers",
        ));
    }
    if !core && !train {
        rules.push((
            &["burn::"],
            "two crates know the tensor framework: models and their training",
        ));
    }
    if !core {
        rules.push((
            &["Manifest"],
            "the training path never sees the truth about noise",
        ));
    }
    if !goes_backward(name) {
        rules.push((&[".backward()"], "only trainers go backward"));
    }
    rules
}

/// Rules for all code of the crates that reads what somebody names, tests excluded.
fn file_rules(name: &Path) -> Vec<Rule> {
    let is_checked = is_rust(name) && name.starts_with("crates") && is_source(name);
    let is_of_tests = is_test_file(name) || name.iter().any(|part| part == "tests");
    if !is_checked || is_of_tests {
        return Vec::new();
    }
    let mut rules: Vec<Rule> = Vec::new();
    if !OPENERS.iter().any(|allowed| name == Path::new(allowed)) {
        rules.push((OPENING, "only `truepair_core::source_file` opens files"));
    }
    if !INFLATERS.iter().any(|allowed| name == Path::new(allowed)) {
        rules.push((INFLATING, "only `inflate.rs` of truepair-read inflates"));
    }
    rules
}

/// Whether `code` holds `name`, and not as the end of a longer one such as `TextFile::open(`.
fn holds_name(code: &str, name: &str) -> bool {
    let is_decoder = !name.ends_with('(');
    let mut found = code.match_indices(name);
    found.any(|(at, _)| {
        let before = code[..at].chars().next_back();
        is_decoder || !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

/// Whether a file may ask the tensor framework for gradients: the trainers, their benchmarks, and a
/// strategy that weighs its terms by the gradients of a detached copy.
fn goes_backward(name: &Path) -> bool {
    // `check.rs` holds the gradients of objectives against finite differences.
    let parts = [
        "trainer",
        "trainer.rs",
        "bench",
        "gradient_ratio.rs",
        "check.rs",
    ];
    let mut names = name.components();
    names.any(|part| parts.iter().any(|allowed| part.as_os_str() == *allowed))
}

/// Whether a file belongs to a crate that others depend on: every one but the program's.
fn is_of_library(name: &Path) -> bool {
    name.starts_with("crates") && !name.starts_with("crates/truepair")
}

pub(crate) fn before_tests(text: &str) -> &str {
    let of_tests = [
        "#[cfg(test)]\nmod tests",
        "#[cfg(all(test, unix))]\nmod tests",
    ];
    let ends = of_tests.iter().filter_map(|start| text.find(start));
    &text[..ends.min().unwrap_or(text.len())]
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn is_source(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "src")
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem == "tests" || stem == "golden")
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if !SKIPPED.contains(&name) {
                collect(&path, out)?;
            }
        } else if is_text(&path) {
            out.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(
        extension,
        Some("rs" | "toml" | "md" | "html" | "css" | "js" | "json")
    ) || path.ends_with(".ci/run")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, text: &str) -> Vec<usize> {
        check_file(Path::new(name), text)
            .into_iter()
            .map(|complaint| complaint.line)
            .collect()
    }

    #[test]
    fn the_repository_is_tidy() {
        let mut complaints = check(crate::root()).unwrap();
        complaints.extend(check_crates(&crate::source::crates(crate::root()).unwrap()));
        let report: Vec<String> = complaints
            .iter()
            .map(|one| format!("{}:{}: {}", one.file.display(), one.line, one.text))
            .collect();
        assert!(report.is_empty(), "\n{}\n", report.join("\n"));
    }

    #[test]
    fn names_and_openings_are_checked() {
        assert_eq!(lines("crates/a/src/utils.rs", "//! Things."), [1]);
        assert_eq!(lines("crates/a/src/rank.rs", "fn rank() {}"), [1]);
        assert!(lines("crates/a/src/rank.rs", "//! Ranks.").is_empty());
    }

    #[test]
    fn libraries_do_not_print_but_their_tests_and_the_program_may() {
        let text = "//! A.\nfn a() { println!(\"x\") }\n#[cfg(test)]\nmod tests { println!() }";
        assert_eq!(lines("crates/truepair-core/src/a.rs", text), [2]);
        assert!(lines("crates/truepair/src/a.rs", text).is_empty());
        let comment = "//! A.\n// println!( is for programs\n";
        assert!(lines("crates/truepair-core/src/a.rs", comment).is_empty());
    }

    #[test]
    fn libraries_stay_inside_their_crate() {
        let text = format!("//! A.\nconst A: &str = \"{}docs\";\n", OUTSIDE[0]);
        assert_eq!(lines("crates/truepair-core/tests/a.rs", &text), [2]);
        assert!(lines("crates/truepair/src/a.rs", &text).is_empty());
    }

    #[test]
    fn files_are_opened_and_inflated_in_one_place() {
        let found = |name: &str, code: &str| lines(name, &format!("//! A.\nfn a() {{ {code} }}\n"));
        for code in [
            "File::open(path)",
            "std::fs::read(path)",
            "fs::read_to_string(path)",
            "flate2::read::MultiGzDecoder::new(file)",
            "ZipArchive::new(file)",
        ] {
            assert_eq!(found("crates/truepair-read/src/a.rs", code), [2], "{code}");
            assert_eq!(found("crates/truepair/src/a.rs", code), [2], "{code}");
            assert!(found("crates/truepair-read/tests/a.rs", code).is_empty());
            assert!(found("crates/truepair-read/src/a/tests.rs", code).is_empty());
            assert!(found("xtask/src/a.rs", code).is_empty());
        }
        for code in [
            "TextFile::open(path)",
            "source_file::read(path, 9)",
            "fs::read_dir(path)",
        ] {
            assert!(
                found("crates/truepair-read/src/a.rs", code).is_empty(),
                "{code}"
            );
        }
        assert!(found(OPENERS[0], "File::open(path)").is_empty());
        assert!(found(INFLATERS[0], "MultiGzDecoder::new(file)").is_empty());
    }

    #[test]
    fn truth_stays_out_of_the_training_crate() {
        assert_eq!(
            lines(
                "crates/truepair-train/src/a.rs",
                "//! A.\nuse noise::Manifest;"
            ),
            [2]
        );
        assert!(
            lines(
                "crates/truepair-core/src/a.rs",
                "//! A.\nuse noise::Manifest;"
            )
            .is_empty()
        );
    }

    #[test]
    fn only_trainers_go_backward() {
        let text = "//! A.\nfn a() { loss.backward() }\n";
        let found = |name: &str| lines(&format!("crates/truepair-train/src/{name}"), text);
        assert_eq!(found("objective/triplet.rs"), [2]);
        assert!(found("trainer/step.rs").is_empty());
    }

    #[test]
    fn unfinished_code_and_machine_paths_are_found_anywhere() {
        let text = format!("//! A.\nfn a() {{ {}) }}\n", UNFINISHED[0]);
        assert_eq!(lines("crates/truepair/src/a.rs", &text), [2]);
        assert_eq!(
            lines("README.md", &format!("see {}me/data", MACHINE_PATHS[0])),
            [1]
        );
    }
}

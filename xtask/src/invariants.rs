//! The invariants of ARCHITECTURE.md: each names tests, and the tests are there.

use std::fs;
use std::path::{Path, PathBuf};

/// The texts between backticks, in their order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What an invariant cites: a file, and the tests in it that are named after it.
fn cited(invariant: &str) -> Vec<(&str, &str)> {
    let (mut file, mut found) = (None, Vec::new());
    for word in quoted(invariant) {
        if word.ends_with(".rs") && word.contains('/') {
            file = Some(word);
        } else if let Some(file) = file {
            found.push((file, word));
        }
    }
    found
}

/// The numbered invariants, each with its number.
fn invariants(text: &str) -> Vec<(usize, String)> {
    let section = text.split("## Invariants").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let (mut found, mut rest) = (Vec::new(), section);
    for number in 1.. {
        let (this, next) = (format!("\n{number}. "), format!("\n{}. ", number + 1));
        let Some(start) = rest.find(&this) else {
            break;
        };
        rest = &rest[start..];
        let end = rest.find(&next).unwrap_or(rest.len());
        found.push((number, rest[..end].to_owned()));
    }
    found
}

/// Whether the file has a test of that name.
fn is_test(file: &Path, name: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let opening = format!("fn {name}()");
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev();
        line.starts_with(&opening)
            && (attributes.take_while(|above| above.starts_with('#')))
                .any(|above| *above == "#[test]")
    })
}

/// Where else the repository has a test of that name.
fn elsewhere(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            elsewhere(&path, name, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && is_test(&path, name) {
            found.push(path);
        }
    }
}

#[test]
fn every_invariant_names_tests_that_are_there() {
    let root = crate::root();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let invariants = invariants(&text);
    assert!(invariants.len() >= 12, "{} invariants", invariants.len());
    let mut missing = Vec::new();
    for (number, invariant) in &invariants {
        let cited = cited(invariant);
        if cited.is_empty() {
            missing.push(format!("invariant {number} names no test"));
        }
        for (file, test) in cited {
            if !is_test(&root.join(file), test) {
                let mut found = Vec::new();
                elsewhere(&root.join("crates"), test, &mut found);
                missing.push(format!(
                    "{number}: {file} has no test `{test}`; found in {found:?}"
                ));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn what_is_cited_is_read_over_several_lines() {
    let text = "## Invariants\n\n1. No `a` is `b`.\n   `x/y.rs`: `one_test`,\n   `other_test`.\n2. Nothing.\n\n## Next";
    let found = invariants(text);
    assert_eq!(
        cited(&found[0].1),
        [("x/y.rs", "one_test"), ("x/y.rs", "other_test")]
    );
    assert!(found.len() == 2 && cited(&found[1].1).is_empty());
}

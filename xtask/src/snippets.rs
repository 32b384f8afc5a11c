//! Rust in the READMEs and the book: every block stands word for word in a file that is compiled and run.
//!
//! A line `<!-- from PATH -->` before a block says where. READMEs that their crate compiles need none.

use std::fs;
use std::path::{Path, PathBuf};

/// A block of Rust: the line before it, and its own lines without their indentation.
struct Block<'a> {
    before: &'a str,
    lines: Vec<&'a str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let (mut found, mut before) = (Vec::new(), "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```rust") {
            let inside = lines.by_ref().take_while(|line| !line.starts_with("```"));
            let inside = inside.map(str::trim).collect();
            found.push(Block {
                before,
                lines: inside,
            });
        }
        before = line;
    }
    found
}

/// What is wrong with a block; nothing when it stands in the file that it names.
fn problem(block: &Block<'_>, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let named = block.before.strip_prefix("<!-- from ");
    let Some(path) = named.and_then(|rest| rest.strip_suffix(" -->")) else {
        return Some("no line `<!-- from PATH -->` before it".into());
    };
    let text = read(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let stands = lines
        .windows(block.lines.len())
        .any(|part| part == block.lines);
    (!stands).then(|| format!("{path} does not hold it"))
}

/// Whether a crate compiles its README as tests of its documentation.
fn is_compiled(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join("src/lib.rs")).unwrap_or_default();
    text.contains("include_str!(\"../README.md\")")
}

fn pages() -> Vec<PathBuf> {
    let root = crate::root();
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let readmes = list(&root.join("crates")).into_iter();
    let readmes = readmes.filter(|folder| !is_compiled(folder));
    let readmes = readmes.map(|folder| folder.join("README.md"));
    let pages = list(&root.join("docs")).into_iter();
    let all = readmes.chain(pages).chain([root.join("README.md")]);
    all.filter(|file| file.extension().is_some_and(|ending| ending == "md") && file.is_file())
        .collect()
}

#[test]
fn rust_on_the_pages_stands_in_files_that_run() {
    let read = |path: &str| fs::read_to_string(crate::root().join(path)).ok();
    let mut n = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in blocks(&text) {
            n += 1;
            if let Some(problem) = problem(&block, read) {
                panic!("{}: {:?}: {problem}", page.display(), block.lines.first());
            }
        }
    }
    assert!(n > 0, "the README shows no Rust");
}

#[test]
fn a_block_that_differs_by_a_word_is_found() {
    let page = "<!-- from a.rs -->\n```rust\nlet x = 1;\nlet y = 2;\n```\n";
    let block = &blocks(page)[0];
    let file = |text: &'static str| move |_: &str| Some(text.to_owned());
    assert_eq!(
        problem(block, file("fn f() {\n    let x = 1;\n    let y = 2;\n}")),
        None
    );
    assert!(problem(block, file("let x = 1;\nlet z = 2;")).is_some());
    assert!(
        problem(
            &blocks("text\n```rust\nlet x = 1;\n```")[0],
            file("let x = 1;")
        )
        .is_some()
    );
}

//! The pages of `docs/` as a book: each is in the summary, and links between pages lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the links of a page lead, without anchors; not those into the network.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap_or(target))
}

fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(crate::root().join("docs")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

#[test]
fn every_page_is_in_the_summary() {
    let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    let summary = fs::read_to_string(crate::root().join("docs/SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = links(&summary).map(str::to_owned).collect();
    let there: BTreeSet<String> = pages().iter().map(|page| name(page)).collect();
    let expected: BTreeSet<String> = (listed.iter().cloned())
        .chain(["SUMMARY.md".to_owned()])
        .collect();
    assert_eq!(there, expected);
}

#[test]
fn links_lead_to_files() {
    let root = crate::root();
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "NOTICES.md",
    ];
    let all = names.map(|name| root.join(name)).into_iter().chain(pages());
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        for target in links(&text).filter(|target| !target.contains(' ')) {
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target} is not there", page.display());
        }
    }
}

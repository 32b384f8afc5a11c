//! The libraries that the program links, with their licenses, as cargo knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The package that is distributed, and the platform whose libraries are listed.
const PROGRAM: &str = "truepair";
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// How the names of license files begin.
const LICENSE_FILES: &[&str] = &[
    "license",
    "licence",
    "copying",
    "notice",
    "unlicense",
    "copyright",
];

/// One library.
struct Library {
    name: String,
    version: String,
    license: String,
    folder: PathBuf,
}

/// A table of licenses with the libraries under each, for NOTICES.
///
/// # Errors
/// If cargo does not answer, or a library names no license.
pub(crate) fn table(root: &Path) -> Result<String> {
    let mut of_license: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for library in libraries(root)? {
        let names = of_license.entry(library.license).or_default();
        names.insert(library.name);
    }
    let mut out = String::from("| license | libraries |\n|---|---|\n");
    for (license, names) in of_license {
        let names: Vec<String> = names.into_iter().collect();
        out.push_str(&format!("| {license} | {} |\n", names.join(", ")));
    }
    Ok(out)
}

/// The texts of the libraries' licenses, each once, behind the libraries that carry it: what travels with a binary.
///
/// # Errors
/// As [`table`], or if a license file cannot be read.
pub(crate) fn texts(root: &Path) -> Result<String> {
    let mut of_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut without = Vec::new();
    for library in libraries(root)? {
        let named = format!("{} {} ({})", library.name, library.version, library.license);
        let texts = license_texts(&library.folder)?;
        if texts.is_empty() {
            without.push(named.clone());
        }
        for text in texts {
            of_text.entry(text).or_default().push(named.clone());
        }
    }
    let mut out = String::new();
    for (text, libraries) in of_text {
        out.push_str(&format!(
            "{}\n\n{}\n\n{}\n",
            libraries.join("\n"),
            text.trim(),
            "-".repeat(80)
        ));
    }
    if !without.is_empty() {
        out.push_str(&format!(
            "Without a license file of their own, under the terms that they name:\n\n{}\n",
            without.join("\n")
        ));
    }
    Ok(out)
}

/// What the program links on the platform, by name and version.
fn libraries(root: &Path) -> Result<Vec<Library>> {
    let metadata = metadata(root)?;
    let packages = array(&metadata["packages"]);
    let of_id: BTreeMap<&str, &Value> = packages
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = array(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let program = packages.iter().find(|package| package["name"] == PROGRAM);
    let program = program.and_then(|package| package["id"].as_str());
    let mut open = vec![program.with_context(|| format!("no package is called {PROGRAM}"))?];
    let mut linked = BTreeSet::new();
    while let Some(id) = open.pop() {
        if linked.insert(id) {
            let deps = nodes
                .get(id)
                .map(|node| array(&node["deps"]))
                .unwrap_or_default();
            open.extend(
                deps.iter()
                    .filter(|dep| is_linked(dep))
                    .filter_map(|dep| dep["pkg"].as_str()),
            );
        }
    }
    let members: Vec<&str> = array(&metadata["workspace_members"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut libraries = Vec::new();
    for id in linked.into_iter().filter(|id| !members.contains(id)) {
        let package = of_id.get(id).with_context(|| format!("{id} is unknown"))?;
        libraries.push(library(package)?);
    }
    libraries.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(libraries)
}

/// Whether a dependency ends in the binary, and not only in tests or build scripts.
fn is_linked(dep: &Value) -> bool {
    array(&dep["dep_kinds"])
        .iter()
        .any(|kind| kind["kind"].is_null())
}

fn library(package: &Value) -> Result<Library> {
    let word = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let folder = PathBuf::from(word("manifest_path"));
    let folder = folder.parent().unwrap_or(Path::new("")).to_path_buf();
    let name = word("name");
    let license = match (
        package["license"].as_str(),
        package["license_file"].as_str(),
    ) {
        (Some(license), _) => license.replace(" / ", " OR ").replace('/', " OR "),
        (None, Some(file)) => license_of_file(&folder.join(file))?,
        (None, None) => bail!("{name}: names no license"),
    };
    Ok(Library {
        version: word("version"),
        name,
        license,
        folder,
    })
}

/// The license that a file holds, where a library names the file alone.
fn license_of_file(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let begin = text.get(..400).unwrap_or(&text);
    if text.contains("Permission is hereby granted, free of charge") {
        Ok("MIT".to_owned())
    } else if begin.contains("Apache License") && begin.contains("Version 2.0") {
        Ok("Apache-2.0".to_owned())
    } else {
        bail!("{}: a license that is not known here", file.display())
    }
}

fn license_texts(folder: &Path) -> Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if path.is_file() && LICENSE_FILES.iter().any(|begin| name.starts_with(begin)) {
            texts.insert(String::from_utf8_lossy(&fs::read(&path)?).into_owned());
        }
    }
    Ok(texts)
}

fn metadata(root: &Path) -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            PLATFORM,
        ])
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms that ask for no more than their notice, or, as MPL-2.0 does, for the source of the library itself.
    const ALLOWED: &[&str] = &[
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "0BSD",
        "MIT-0",
        "CC0-1.0",
        "Unlicense",
        "Unicode-3.0",
        "BSL-1.0",
        "MPL-2.0",
        "CDLA-Permissive-2.0",
        "IJG",
    ];

    #[test]
    fn every_library_has_a_license_that_a_binary_may_carry() {
        let mut wrong = Vec::new();
        for library in libraries(crate::root()).unwrap() {
            let terms = library.license.replace(['(', ')'], "");
            // Every part of an AND, and one of an OR.
            let is_allowed = terms
                .split(" AND ")
                .all(|part| part.split(" OR ").any(|one| ALLOWED.contains(&one.trim())));
            if !is_allowed {
                wrong.push(format!("{}: {}", library.name, library.license));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn texts_travel_with_their_libraries() {
        let texts = texts(crate::root()).unwrap();
        assert!(texts.contains("anyhow ") && texts.contains("Permission is hereby granted"));
    }
}

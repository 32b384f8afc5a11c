//! Names of outputs that would take something away, and are refused before any work.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use same_file::{Handle, is_same_file};
use truepair_core::dataset::Dataset;
use truepair_core::source_file::{folder_of, replaceable};
use truepair_train::run::file;

use crate::staged_folder::SUMMARY;
use crate::{run_folder, training};

/// Endings of results that users name; inside what is read only such files are replaced.
const RESULTS: &[&str] = &[
    "csv", "html", "json", "jsonl", "parquet", "qrels", "run", "trec", "tsv",
];

/// Files and folders of runs, audits and indexes that end so as well, but belong to them.
const OWN: &[&str] = &[
    run_folder::ENVIRONMENT,
    run_folder::JOB,
    run_folder::PROVENANCE,
    training::RESULT,
    file::METRICS,
    file::VOCABULARY,
    "cell.json",
    "failed.json",
    "manifest.json",
    "queries.json",
    "split.jsonl",
    SUMMARY,
    "cleaned",
    "findings.json",
    "judge.json",
    "new.csv",
    "new.parquet",
    "report.html",
    "verdicts.csv",
    "verdicts.jsonl",
    "verdicts.parquet",
    "index.json",
];

/// Refuses, before any work, outputs that would take something away: what `inputs` (files, and folders of runs,
/// audits and indexes) hold, each other, or something that is no regular file.
///
/// # Errors
/// If one of them does. The message names it.
pub(crate) fn check_targets(outputs: &[PathBuf], inputs: &[PathBuf]) -> Result<()> {
    let mut taken: Vec<(PathBuf, &Path)> = Vec::new();
    for output in outputs {
        let named = output.display();
        if output.as_path() == Path::new("-") {
            bail!("-: standard output is no file (give a file's name, or ./- for one called so)")
        }
        let place = place_of(output)?;
        let real = spelled(&place)?;
        if let Some((_, other)) = taken.iter().find(|(place, _)| *place == real) {
            bail!(
                "{named}: two outputs are this file, the other one named as {} (give each a name of its own)",
                other.display()
            )
        }
        if is_standard_output(&place) {
            bail!("{named}: is where the result is printed (choose another name)")
        }
        for input in inputs {
            if is_one_file(&place, input) {
                bail!("{named}: is what this command reads (choose another name)")
            }
            if place.exists() && (belongs_to(input, &real) || belongs_to(input, &spelled(output)?))
            {
                bail!(
                    "{named}: belongs to {}, which this command reads (choose another name)",
                    input.display()
                )
            }
        }
        taken.push((real, output.as_path()));
    }
    Ok(())
}

/// Refuses outputs that would take away what was read of a data set, or files beside that.
///
/// # Errors
/// If one of them would. The message names it.
pub(crate) fn check_not_data(outputs: &[PathBuf], dataset: &Dataset) -> Result<()> {
    for output in outputs {
        let named = output.display();
        let place = place_of(output)?;
        if !place.exists() {
            continue;
        }
        let pictures = dataset.image_files.iter().flatten();
        let pictures = pictures.filter(|picture| picture.file_name() == place.file_name());
        if (dataset.files.iter().chain(pictures)).any(|file| is_one_file(&place, file)) {
            bail!("{named}: is what this command reads (choose another name)")
        }
        let is_beside =
            |file: &PathBuf| is_same_file(folder_of(file), folder_of(&place)).unwrap_or(false);
        if !is_result(&place) && dataset.files.iter().any(is_beside) {
            bail!("{named}: lies beside the data that this command reads (choose another name)")
        }
    }
    Ok(())
}

/// The file behind the links of `output`, where there are any.
fn place_of(output: &Path) -> Result<PathBuf> {
    replaceable(output).with_context(|| format!("{}: cannot write", output.display()))
}

/// The one spelling of a place: its folder without links, as far as that is there.
fn spelled(place: &Path) -> Result<PathBuf> {
    let unknown = || format!("{}: cannot write", place.display());
    let full = std::path::absolute(place).with_context(unknown)?;
    for folder in full.ancestors().skip(1) {
        let (Ok(mut real), Ok(rest)) = (folder.canonicalize(), full.strip_prefix(folder)) else {
            continue;
        };
        for part in rest.components() {
            match part {
                Component::ParentDir => {
                    real.pop();
                }
                part => real.push(part),
            }
        }
        return Ok(real);
    }
    Ok(full)
}

/// Whether both are one regular file; nothing else is opened.
fn is_one_file(a: &Path, b: &Path) -> bool {
    a.is_file() && b.is_file() && is_same_file(a, b).unwrap_or(false)
}

fn is_standard_output(place: &Path) -> bool {
    let (Ok(there), Ok(printed)) = (Handle::from_path(place), Handle::stdout()) else {
        return false;
    };
    there == printed
}

fn is_result(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| RESULTS.contains(&ending))
}

/// Whether a file that is spelled so lies in the folder `input` and was not put there by a user.
fn belongs_to(input: &Path, spelled: &Path) -> bool {
    let Ok(folder) = input.canonicalize() else {
        return false;
    };
    let Ok(below) = spelled.strip_prefix(folder) else {
        return false;
    };
    let is_own = |part: &std::ffi::OsStr| part.to_str().is_some_and(|part| OWN.contains(&part));
    !is_result(spelled) || below.iter().any(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_neither_inputs_nor_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("run/sub")).unwrap();
        for name in [
            "in.csv",
            "run/job.json",
            "run/weights.safetensors",
            "run/mine.csv",
            "run/sub/mine.html",
        ] {
            std::fs::write(at(name), "").unwrap();
        }
        let inputs = [at("in.csv"), at("run"), at("nowhere")];
        let check = |names: &[&str]| {
            let outputs: Vec<PathBuf> = names.iter().map(|name| at(name)).collect();
            check_targets(&outputs, &inputs).map_err(|error| format!("{error:#}"))
        };
        for free in ["out", "run/mine.csv", "run/new.bin", "run/sub/mine.html"] {
            assert_eq!(check(&[free]), Ok(()), "{free}");
        }
        assert_eq!(check(&["a", "b", "new/a"]), Ok(()));
        let refused = |names: &[&str], part: &str| {
            let error = check(names).unwrap_err();
            assert!(error.contains(part), "{names:?}: {error}");
        };
        refused(&["b", "in.csv"], "in.csv: is what this command reads");
        refused(&["run/../in.csv"], "is what this command reads");
        for own in ["run/job.json", "run/weights.safetensors"] {
            refused(&[own], "which this command reads");
        }
        refused(&["a", "b", "a"], "two outputs are this file");
        refused(&["a", "./a"], "two outputs are this file");
        refused(&["a", "run/../a"], "two outputs are this file");
        refused(&["new/../a", "a"], "two outputs are this file");
        refused(&["run"], "but a folder");
        let printed = check_targets(&[PathBuf::from("-")], &[]).unwrap_err();
        assert!(printed.to_string().contains("./-"), "{printed}");
    }
}

//! Cleaned lists have the form of their input and open again: where they lie, when all is moved, and, as copies, when
//! the input is gone.

mod inputs;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Dataset, Features};
use truepair_read::dataset::{
    FORMATS, KeptFolder, Pictures, ReadOptions, Unchanged, WriteOptions, open, splits,
    write_kept_into,
};

use inputs::{Case, cases, stays};

/// Everything that is known of the pairs whose flag is set.
fn pairs(data: &Dataset, keep: &[bool]) -> Vec<String> {
    let values = |features: &Features, row: u32| match features.picture(row as usize) {
        Some(picture) => {
            String::from_utf8_lossy(&picture.read().unwrap_or_else(|cause| cause.into_bytes()))
                .into_owned()
        }
        None => format!("{:?}", features.gather(&[row]).unwrap()),
    };
    let described = data.kept(keep).map(|pair| {
        let text = data
            .captions
            .as_ref()
            .map(|texts| &texts[pair.caption as usize]);
        let named = data.caption_features.as_ref();
        format!(
            "{} {text:?} {} {:?} {:?}",
            data.image_ids[pair.image as usize],
            values(&data.images, pair.image),
            named.map(|named| (&named.name, values(&named.features, pair.caption))),
            data.labels
                .as_ref()
                .map(|labels| labels[pair.image as usize]),
        )
    });
    described.collect()
}

/// Opens data by its features where it has some, else with the pictures that it names.
fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, String> {
    let with_pictures = ReadOptions {
        pictures: Pictures::Beside,
        ..options.clone()
    };
    let first = open(path, options);
    let opened = first
        .or_else(|first| open(path, &with_pictures).map_err(|second| format!("{first}; {second}")));
    opened.map_err(|problem| problem.to_string())
}

fn flags(data: &Dataset) -> Vec<bool> {
    let flag = |(n, pair): (usize, &truepair_core::pair::Pair)| match &data.captions {
        Some(texts) => stays(
            &data.image_ids[pair.image as usize],
            &texts[pair.caption as usize],
        ),
        None => n != 1 && n / 2 != 1,
    };
    data.pairs.iter().enumerate().map(flag).collect()
}

/// What is passed over, by kind and reason.
fn passed_over(data: &Dataset) -> HashSet<(String, String)> {
    let entries = data.account.passed_over().iter();
    entries
        .map(|entry| (entry.kind.to_string(), entry.reason.clone()))
        .collect()
}

/// # Errors
/// What is wrong with the list at `path`, which should hold `expected`.
fn check(path: &Path, case: &Case, expected: &[String], input: &Dataset) -> Result<(), String> {
    let again = read(path, &case.options())?;
    let all = vec![true; again.pairs.len()];
    let found = pairs(&again, &all);
    if found != expected {
        return Err(format!("expected {expected:#?}, found {found:#?}"));
    }
    if again.format != input.format {
        return Err(format!("it is read as {}", again.format));
    }
    let known = passed_over(input);
    let new: Vec<_> = passed_over(&again)
        .into_iter()
        .filter(|entry| !known.contains(entry))
        .filter(|(_, reason)| case.may_pass.is_empty() || !reason.contains(case.may_pass))
        .collect();
    if !new.is_empty() {
        return Err(format!(
            "{new:?} are passed over: {:?}",
            again.account.lines()
        ));
    }
    Ok(())
}

/// # Errors
/// Which split of the list at `path` besides the `cleaned` one is not that of the input at `before`.
fn check_others(path: &Path, case: &Case, before: &Path, cleaned: &str) -> Result<(), String> {
    let names = |path: &Path| splits(path, &case.options()).unwrap_or_default();
    for split in names(path).iter().filter(|split| *split != cleaned) {
        let options = ReadOptions {
            split: split.clone(),
            ..case.options()
        };
        // The features of some inputs are those of one split alone.
        let Ok(known) = read(before, &options) else {
            continue;
        };
        let again =
            read(path, &options).map_err(|problem| format!("split '{split}': {problem}"))?;
        let [known, again] = [known, again].map(|data| pairs(&data, &vec![true; data.pairs.len()]));
        if known != again {
            return Err(format!(
                "split '{split}': expected {known:#?}, found {again:#?}"
            ));
        }
    }
    Ok(())
}

fn written(
    case: &Case,
    data: &Dataset,
    keep: &[bool],
    out: &Path,
    unchanged: Unchanged,
) -> Result<(), String> {
    let target = KeptFolder {
        folder: out,
        place: out,
        unchanged,
    };
    let kept = write_kept_into(data, keep, &target, &WriteOptions { form: case.form })
        .map_err(|e| e.to_string())?;
    let unique: HashSet<&PathBuf> = kept.files.iter().collect();
    if unique.len() != kept.files.len() {
        return Err(format!("a file is written twice: {:?}", kept.files));
    }
    for (name, part) in &case.holds {
        let bytes = fs::read(out.join(name)).map_err(|cause| format!("{name}: {cause}"))?;
        let text = String::from_utf8_lossy(&bytes);
        if !text.contains(part) {
            return Err(format!("{name} does not hold {part}: {text}"));
        }
    }
    Ok(())
}

fn problems_of(case: &Case) -> Result<(), String> {
    let at = |step: &'static str| move |problem: String| format!("{step}: {problem}");
    let home = tempfile::tempdir().unwrap();
    let first = home.path().join("first");
    let (input, out, copy) = (
        first.join("data"),
        first.join("out/cleaned"),
        home.path().join("copy"),
    );
    case.write(&input);
    let data = read(&input.join(case.path), &case.options()).map_err(at("input"))?;
    if data.format != case.format {
        return Err(format!("the input is read as {}", data.format));
    }
    let keep = flags(&data);
    let expected = pairs(&data, &keep);
    let n_kept = keep.iter().filter(|keep| **keep).count();
    assert!(
        n_kept > 0 && n_kept + 2 <= keep.len(),
        "{}: {keep:?}",
        case.what
    );
    written(case, &data, &keep, &out, Unchanged::Linked).map_err(at("written"))?;
    check(&out.join(case.path), case, &expected, &data).map_err(at("opened again"))?;
    check_others(
        &out.join(case.path),
        case,
        &input.join(case.path),
        &data.split,
    )
    .map_err(at("opened again"))?;
    check(&out, case, &expected, &data).map_err(at("its folder opened"))?;
    written(case, &data, &keep, &out, Unchanged::Linked).map_err(at("written a second time"))?;
    written(case, &data, &keep, &copy, Unchanged::Copied).map_err(at("copied"))?;
    fs::rename(&first, home.path().join("moved")).unwrap();
    let moved = home.path().join("moved/out/cleaned");
    check(&moved.join(case.path), case, &expected, &data).map_err(at("moved"))?;
    fs::remove_dir_all(home.path().join("moved")).unwrap();
    check(&copy.join(case.path), case, &expected, &data).map_err(at("copied and alone"))
}

#[test]
fn every_format_reads_its_own_cleaned_lists() {
    let cases = cases();
    for format in FORMATS {
        let has_row = cases.iter().any(|case| case.format == format.name());
        assert!(
            has_row,
            "write an input of format '{}' for cleaned lists",
            format.name()
        );
    }
    let problems = cases.iter().filter_map(|case| {
        let problem = problems_of(case).err()?;
        Some(format!("{}, {}: {problem}", case.format, case.what))
    });
    let problems: Vec<String> = problems.collect();
    assert!(
        problems.is_empty(),
        "{} of {}:\n{}",
        problems.len(),
        cases.len(),
        problems.join("\n\n")
    );
}

//! Paths that stand for several files: `shards/{000..012}.tar`, `{train,val}-0.tar`.
//!
//! What was typed file by file becomes such a path, too, so that one path names a data set wherever it is
//! stored or typed again.

use std::path::{Path, PathBuf};

use truepair_core::error::{Error, Place, Result};

/// Files that one path may stand for.
const MOST: usize = 1_000_000;
/// Letters of a pattern that is shown as a name.
const LONGEST_NAME: usize = 40;

/// The files that a path with braces stands for, in order; `None` where it has none, or a file or
/// folder of that name exists.
///
/// # Errors
/// If braces are no range and no list, or a file is missing.
pub(super) fn files_of(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(pattern) = path.to_str().filter(|text| text.contains('{')) else {
        return Ok(None);
    };
    if path.exists() {
        return Ok(None);
    }
    let refuse = |problem: String, remedy: &str| Error::data(path, Place::Whole, problem, remedy);
    let remedy = "write a range or a list, as in shards/{000..012}.tar or {train,val}-0.tar";
    let files = expand(pattern).map_err(|problem| refuse(problem, remedy))?;
    let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    let mut missing = files.iter().filter(|file| !file.is_file());
    let Some(first) = missing.next() else {
        return Ok(Some(files));
    };
    let n_missing = 1 + missing.count();
    Err(refuse(
        format!(
            "stands for {} files, of which {n_missing} are missing, the first {}",
            files.len(),
            first.display()
        ),
        "write the range of those that are there, or name their folder",
    ))
}

/// One path that stands for several files, which reading takes as one data set.
///
/// # Errors
/// If a name holds a brace or a comma, which patterns are made of.
///
/// ```
/// use std::path::{Path, PathBuf};
/// use truepair_read::dataset::one_path_of;
///
/// let files = ["s/08.tar", "s/09.tar", "s/10.tar"].map(PathBuf::from);
/// assert_eq!(one_path_of(&files)?, Path::new("s/{08..10}.tar"));
/// # Ok::<(), truepair_core::Error>(())
/// ```
pub fn one_path_of(files: &[PathBuf]) -> Result<PathBuf> {
    let [first, rest @ ..] = files else {
        return Err(Error::argument("no file", "name one or several"));
    };
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let mut root = first.parent().unwrap_or(Path::new(""));
    while !rest.iter().all(|file| file.starts_with(root)) {
        root = root.parent().unwrap_or(Path::new(""));
    }
    let mut names = Vec::with_capacity(files.len());
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(file).to_str();
        let name = name.filter(|_| !file.to_string_lossy().contains(['{', '}', ',']));
        names.push(name.ok_or_else(|| {
            Error::argument(
                format!(
                    "{}: a name among several that holds a brace or a comma",
                    file.display()
                ),
                "put the files into a folder of their own and name that",
            )
        })?);
    }
    let pattern = range_of(&names).unwrap_or_else(|| format!("{{{}}}", names.join(",")));
    Ok(root.join(pattern))
}

/// What data of several files is called.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.chars().count() <= LONGEST_NAME {
        return name.into_owned();
    }
    let start: String = name.chars().take(LONGEST_NAME).collect();
    format!("{start}…")
}

/// `part-{08..10}.tar` of names that differ in the last number alone, which counts up by one.
fn range_of(names: &[&str]) -> Option<String> {
    let mut numbered = Vec::with_capacity(names.len());
    for name in names {
        let end = name.rfind(|letter: char| letter.is_ascii_digit())? + 1;
        let before = name[..end].trim_end_matches(|letter: char| letter.is_ascii_digit());
        let digits = &name[before.len()..end];
        numbered.push((digits.parse::<u64>().ok()?, digits, before, &name[end..]));
    }
    numbered.sort_unstable();
    let (first, digits, before, after) = *numbered.first()?;
    let width = if digits.starts_with('0') {
        digits.len()
    } else {
        0
    };
    let fits = (first..)
        .zip(&numbered)
        .all(|(n, found)| *found == (n, format!("{n:0width$}").as_str(), before, after));
    let (_, last, ..) = *numbered.last()?;
    fits.then(|| format!("{before}{{{digits}..{last}}}{after}"))
}

/// Every text that a pattern stands for, in order.
fn expand(pattern: &str) -> std::result::Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let Some((inside, after)) = rest.split_once('}') else {
        return Err("it has a `{` without a `}`".into());
    };
    let words = match inside.split_once("..") {
        Some((first, last)) => numbers(first, last)?,
        None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
        None => return Err(format!("`{{{inside}}}` is neither a range nor a list")),
    };
    let tails = expand(after)?;
    if words.len().saturating_mul(tails.len()) > MOST {
        return Err(format!("it stands for more than {MOST} files"));
    }
    let all = words.iter().flat_map(|word| {
        let whole = tails
            .iter()
            .map(move |tail| format!("{before}{word}{tail}"));
        whole.collect::<Vec<_>>()
    });
    Ok(all.collect())
}

/// The numbers from `first` to `last`, as wide as the first one is written.
fn numbers(first: &str, last: &str) -> std::result::Result<Vec<String>, String> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| digits)
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Err(format!(
            "`{{{first}..{last}}}` is not a range of whole numbers"
        ));
    };
    if to < from || to - from >= MOST as u64 {
        let problem = if to < from {
            "runs backwards"
        } else {
            "is too long"
        };
        return Err(format!("`{{{first}..{last}}}` {problem}"));
    }
    let width = if first.starts_with('0') {
        first.len()
    } else {
        0
    };
    Ok((from..=to).map(|n| format!("{n:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_files_that_are_there() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for name in ["a-09.tar", "a-10.tar", "b.tar", "odd{1}.tar"] {
            std::fs::write(at(name), b"").unwrap();
        }
        let found = files_of(&at("a-{09..10}.tar")).unwrap().unwrap();
        assert_eq!(found, [at("a-09.tar"), at("a-10.tar")]);
        let found = files_of(&at("{b,a-10}.tar")).unwrap().unwrap();
        assert_eq!(found, [at("b.tar"), at("a-10.tar")]);
        for whole in ["b.tar", "odd{1}.tar", "none.tar"] {
            assert_eq!(files_of(&at(whole)).unwrap(), None, "{whole}");
        }
        for (bad, part) in [
            ("a-{09..12}.tar", "of which 2 are missing, the first"),
            ("{split}-{0..1}.tar", "`{split}` is neither"),
            ("a-{1..0}.tar", "backwards"),
            ("a-{0..99999999}.tar", "too long"),
            ("a-{b..c}.tar", "not a range"),
            ("a-{0", "without a `}`"),
        ] {
            let error = files_of(&at(bad)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn files_become_one_path_and_come_back() {
        for (files, path) in [
            (&["s/2.tar", "s/1.tar"][..], "s/{1..2}.tar"),
            (&["9.tar", "10.tar"], "{9..10}.tar"),
            (
                &["s/train/0.tar", "s/val/0.tar"],
                "s/{train/0.tar,val/0.tar}",
            ),
            (&["s/1.tar", "s/3.tar"], "s/{1.tar,3.tar}"),
            (&["s/1.tar", "s/02.tar"], "s/{1.tar,02.tar}"),
            (&["one.tar"], "one.tar"),
        ] {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            let found = one_path_of(&files).unwrap();
            assert_eq!(found, Path::new(path));
            let mut back = expand(found.to_str().unwrap()).unwrap();
            let mut files: Vec<_> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            back.sort();
            files.sort();
            assert_eq!(back, files);
        }
        assert!(one_path_of(&["a,b.tar".into(), "c.tar".into()]).is_err());
    }
}

//! Lists of names as typed, checked against those that exist.

use anyhow::{Result, bail};

use crate::config::nearest;

/// The names that a list asks for, `all` being every known one, in the order typed.
///
/// # Errors
/// If a name is unknown; the nearest and all known ones are named.
pub(crate) fn chosen(
    flag: &str,
    wanted: &[String],
    known: &[&'static str],
) -> Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for word in wanted {
        match known.iter().find(|name| *name == word) {
            _ if word == "all" => names.extend(known),
            Some(name) => names.push(*name),
            None => {
                let meant = nearest(word, known.iter().copied());
                let hint = meant.map(|name| format!("did you mean `{name}`? "));
                bail!(
                    "{flag} {word}: is unknown ({}choose from {})",
                    hint.unwrap_or_default(),
                    known.join(", ")
                )
            }
        }
    }
    let mut seen = Vec::new();
    names.retain(|name| !seen.contains(name) && (seen.push(*name), true).1);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_all_means_all() {
        let known = ["ncr", "plain", "rcl"];
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            chosen("--strategies", &words, &known)
        };
        assert_eq!(names(&["rcl", "all"]).unwrap(), ["rcl", "ncr", "plain"]);
        let error = names(&["plian"]).unwrap_err().to_string();
        assert!(
            error.contains("did you mean `plain`?") && error.contains("ncr, plain, rcl"),
            "{error}"
        );
    }
}

//! Addresses as users type them.

use crate::error::StoreError;

/// Addresses that one pattern may stand for.
const MOST: usize = 1_000_000;

const KNOWN: &str = "s3://, gs://, az://, abfs://, abfss://, http:// and https:// are known";

/// Who answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Google,
    Azure,
    Web,
}

/// Schemes and who answers.
const SCHEMES: &[(&str, Service)] = &[
    ("s3", Service::S3),
    ("s3a", Service::S3),
    ("gs", Service::Google),
    ("az", Service::Azure),
    ("abfs", Service::Azure),
    ("abfss", Service::Azure),
    ("http", Service::Web),
    ("https", Service::Web),
];

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// As it was typed.
    pub(crate) given: String,
    pub(crate) service: Service,
    /// Scheme and bucket, container or host, without a slash at the end.
    pub(crate) root: String,
    /// What is asked for there, one path for each address that a pattern stands for; without a slash
    /// at the beginning. Web addresses keep their query.
    pub(crate) paths: Vec<String>,
    /// Bytes of every path that lead to the folder in which all lie.
    pub(crate) base: usize,
    /// Whether a pattern was typed, which makes a folder even of one object.
    pub(crate) is_pattern: bool,
}

impl Location {
    /// # Errors
    /// If the scheme is unknown, a part is missing, or a pattern has no end.
    pub(crate) fn parse(given: &str) -> Result<Self, StoreError> {
        let refuse = |problem: String, remedy: &str| StoreError::address(given, problem, remedy);
        let (scheme, rest) = given.split_once("://").unwrap_or(("", given));
        let known = SCHEMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(scheme));
        let Some(&(scheme, service)) = known else {
            return Err(refuse(
                format!("`{scheme}://` is not an address that can be read"),
                KNOWN,
            ));
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() {
            let what = if service == Service::Web {
                "host"
            } else {
                "bucket"
            };
            let remedy = format!("write {scheme}://{}/path", what.to_uppercase());
            return Err(refuse(format!("names no {what}"), &remedy));
        }
        if service == Service::Web && authority.contains('@') {
            return Err(refuse_password(scheme, authority));
        }
        let paths = expand(path).map_err(|problem| {
            refuse(
                problem,
                "write one or several ranges as in shards-{000..012}.tar",
            )
        })?;
        let first_brace = path
            .find('{')
            .filter(|_| paths.len() > 1 || paths[0] != path);
        let trimmed = path.trim_end_matches('/');
        let end = first_brace.unwrap_or_else(|| without_query(service, trimmed).len());
        Ok(Self {
            given: given.to_owned(),
            service,
            root: format!("{scheme}://{authority}"),
            base: path[..end].rfind('/').map_or(0, |slash| slash + 1),
            is_pattern: first_brace.is_some(),
            paths,
        })
    }

    /// The whole address of one of the paths.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// The bucket, container or host.
    pub(crate) fn authority(&self) -> &str {
        self.root.split_once("://").map_or("", |(_, rest)| rest)
    }

    /// What the local file or folder is called.
    ///
    /// # Errors
    /// If the last part of the address cannot be a name.
    pub(crate) fn name(&self) -> Result<String, StoreError> {
        let rest = self.given.split_once("://").map_or("", |(_, rest)| rest);
        let path = without_query(self.service, rest).trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        let name = decoded(self.service, last);
        // A folder of archives is not an archive.
        let name = match name.rfind('}').filter(|_| self.is_pattern) {
            Some(brace) => {
                let dot = name[brace..]
                    .find('.')
                    .map_or(name.len(), |dot| brace + dot);
                name[..dot].to_owned()
            }
            None => name,
        };
        check_name(&self.given, &name)?;
        Ok(name)
    }

    /// The address of the folder or file that stands for this one in messages about local files.
    pub(crate) fn shown(&self) -> String {
        let whole = self.given.trim_end_matches('/');
        if !self.is_pattern {
            return whole.to_owned();
        }
        let folder = &self.paths[0][..self.base];
        self.address(folder).trim_end_matches('/').to_owned()
    }
}

fn refuse_password(scheme: &str, authority: &str) -> StoreError {
    let host = authority.rsplit('@').next().unwrap_or_default();
    StoreError::address(
        format!("{scheme}://{host}"),
        "a name or password in the address would stand in reports",
        "leave it out, and set TRUEPAIR_HTTP_AUTHORIZATION to the header's value, such as `Bearer TOKEN`",
    )
}

/// A web address up to its query; keys of buckets may hold any sign.
pub(crate) fn without_query(service: Service, path: &str) -> &str {
    if service == Service::Web {
        path.split(['?', '#']).next().unwrap_or_default()
    } else {
        path
    }
}

/// A name as it is meant: web addresses write some signs as `%20`.
pub(crate) fn decoded(service: Service, name: &str) -> String {
    if service == Service::Web {
        let bytes = percent_encoding::percent_decode_str(name);
        bytes.decode_utf8_lossy().into_owned()
    } else {
        name.to_owned()
    }
}

/// Every text that a pattern of `{000..012}` and `{a,b}` stands for, in order.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, words, after)) = first_braces(pattern)? else {
        return Ok(vec![pattern.to_owned()]);
    };
    let tails = expand(after)?;
    if words.len().saturating_mul(tails.len()) > MOST {
        return Err(format!("stands for more than {MOST} addresses"));
    }
    let mut all = Vec::with_capacity(words.len() * tails.len());
    for word in &words {
        all.extend(tails.iter().map(|tail| format!("{before}{word}{tail}")));
    }
    Ok(all)
}

/// A text, the words of its first braces, and what follows.
type Braces<'a> = (&'a str, Vec<String>, &'a str);

/// Takes a text apart at its first braces.
fn first_braces(pattern: &str) -> Result<Option<Braces<'_>>, String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return Ok(None);
    };
    let Some((inside, after)) = rest.split_once('}') else {
        return Err("has a `{` without a `}`".to_owned());
    };
    let words = match inside.split_once("..") {
        Some((first, last)) => numbers(first, last)?,
        None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
        None => return Err(format!("`{{{inside}}}` is neither a range nor a list")),
    };
    Ok(Some((before, words, after)))
}

/// The numbers from `first` to `last`, as wide as the first one is written.
fn numbers(first: &str, last: &str) -> Result<Vec<String>, String> {
    let range = || format!("`{{{first}..{last}}}` is not a range of whole numbers");
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>()
            .ok()
            .filter(|_| digits)
            .ok_or_else(range)
    };
    let (from, to) = (number(first)?, number(last)?);
    if to < from {
        return Err(format!("`{{{first}..{last}}}` runs backwards"));
    }
    if to - from >= MOST as u64 {
        return Err(format!("stands for more than {MOST} addresses"));
    }
    let width = if first.starts_with('0') {
        first.len()
    } else {
        0
    };
    Ok((from..=to).map(|n| format!("{n:0width$}")).collect())
}

/// # Errors
/// If `name`, parts separated by slashes, would leave the folder that it is put into.
pub(crate) fn check_name(place: &str, name: &str) -> Result<(), StoreError> {
    let is_bad = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\0', '\\']);
    // `C:` of Windows and the like.
    let is_absolute = std::path::Path::new(name).is_absolute();
    if is_absolute || name.split('/').any(is_bad) {
        return Err(StoreError::address(
            place,
            format!("the name {name:?} would not lie in the folder"),
            "rename the object, or name the others one by one",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let found = Location::parse("s3://bucket/a/b c%20{x/").unwrap_err();
        assert!(found.to_string().contains("without a `}`"), "{found}");
        let found = Location::parse("S3://bucket/a/b%20c/").unwrap();
        assert_eq!(
            (found.service, found.root.as_str()),
            (Service::S3, "s3://bucket")
        );
        assert_eq!((found.base, found.name().unwrap().as_str()), (2, "b%20c"));
        let found = Location::parse("https://h:80/a/b%20c.npy?x=1/2").unwrap();
        assert_eq!((found.base, found.name().unwrap().as_str()), (2, "b c.npy"));
        assert_eq!(found.address(&found.paths[0]), found.given);
        let bucket = Location::parse("gs://bucket").unwrap();
        assert_eq!(
            (bucket.name().unwrap().as_str(), bucket.paths),
            ("bucket", vec![String::new()])
        );
    }

    #[test]
    fn patterns_stand_for_addresses_in_order() {
        let found = Location::parse("az://c/x/{train,val}/s-{08..10}.tar").unwrap();
        assert!(found.is_pattern);
        assert_eq!(found.paths.len(), 6);
        assert_eq!(&found.paths[1][found.base..], "train/s-09.tar");
        assert_eq!(found.paths[5], "x/val/s-10.tar");
        assert_eq!(found.name().unwrap(), "s-{08..10}");
        assert_eq!(found.shown(), "az://c/x");
        let wide = Location::parse("s3://b/{9..11}").unwrap();
        assert_eq!(wide.paths, ["9", "10", "11"]);
    }

    #[test]
    fn what_cannot_be_an_address_is_named() {
        for (given, part) in [
            ("ftp://h/x", "`ftp://`"),
            ("s3:///x", "names no bucket"),
            ("https:///x", "names no host"),
            ("s3://b/{3..1}", "backwards"),
            ("s3://b/{a..z}", "not a range"),
            ("s3://b/{0..99999999}", "more than"),
            ("s3://b/{0..9999}{0..9999}", "more than"),
            ("s3://b/{x}", "neither"),
            ("https://me:secret@h/x", "password"),
        ] {
            let error = Location::parse(given).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn names_stay_in_their_folder() {
        for name in [
            "../a", "a/../b", "/a", "a//b", "a/", "", ".", "a\0b", "a\\b",
        ] {
            let error = check_name("s3://b/x", name).unwrap_err().to_string();
            assert!(
                error.contains("s3://b/x") && error.contains(&format!("{name:?}")),
                "{error}"
            );
        }
        for name in ["a", "a/b.c", "..a/b..", "A/a"] {
            check_name("s3://b/x", name).unwrap();
        }
    }
}

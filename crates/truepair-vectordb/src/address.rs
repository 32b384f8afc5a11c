//! Addresses of stores.

use percent_encoding::percent_decode_str;
use truepair_core::error::{Error, Result};

/// Where a table or collection lies: `SCHEME://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE`.
///
/// Its `Debug` and [`shown`](Self::shown) leave out the password.
///
/// ```
/// use truepair_vectordb::Address;
///
/// let address = Address::parse("milvus://root:secret@db.example:19530/default?collection=captions")?;
/// assert_eq!(address.shown(), "milvus://root@db.example:19530/default?collection=captions");
/// # Ok::<(), truepair_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    /// Host and port, or several with commas between.
    host: String,
    /// Without its leading slash.
    path: String,
    parameters: Vec<(String, String)>,
    shown: String,
}

impl Address {
    /// # Errors
    /// If `text` is not of this form; the message does not hold what may be a password.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Error::argument(
                "an address without `://`",
                "write one like postgres://user@host/database?table=captions",
            ));
        };
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may hold a slash that nobody encoded: what is left of the last sign is who asks.
        let (who, place) = match before.rsplit_once('@') {
            Some((who, place)) => (Some(who), place),
            None => (None, before),
        };
        let (user, password) = match who.map(|who| who.split_once(':').ok_or(who)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
        };
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs: Vec<(&str, &str)> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let given = pairs.iter().find(|(name, _)| *name == "password");
        let password = password.filter(|password| !password.is_empty());
        let password = password.or(given.map(|(_, value)| *value));
        let public: Vec<(&str, &str)> = (pairs.iter().copied())
            .filter(|(name, _)| *name != "password")
            .collect();
        let parameters = (public.iter()).map(|(name, value)| Ok((decoded(name)?, decoded(value)?)));
        let parameters = parameters.collect::<Result<_>>()?;
        let user = user.filter(|user| !user.is_empty());
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user: user.map(decoded).transpose()?,
            password: password.map(decoded).transpose()?,
            host: decoded(host)?,
            path: decoded(path.trim_end_matches('/'))?,
            parameters,
            shown: shown(scheme, user, place, &public),
        })
    }

    /// The address without a password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The value of a parameter; the last one counts.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut from_last = self.parameters.iter().rev();
        let (_, value) = from_last.find(|(given, _)| given == name)?;
        Some(value)
    }

    /// The value of a parameter that must be there.
    pub(crate) fn needed(&self, name: &str) -> Result<&str> {
        match self.parameter(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Error::argument(
                format!("{}: the parameter `{name}` is missing", self.shown),
                format!("add ?{name}=NAME to the address"),
            )),
        }
    }

    /// # Errors
    /// If there is a parameter that is none of `names`.
    pub(crate) fn check_parameters(&self, names: &[&str]) -> Result<()> {
        let unknown = |given: &&(String, String)| !names.contains(&given.0.as_str());
        match self.parameters.iter().find(unknown) {
            None => Ok(()),
            Some((name, _)) => Err(Error::argument(
                format!("{}: unknown parameter {name:?}", self.shown),
                format!("known are {}", names.join(", ")),
            )),
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

fn shown(scheme: &str, user: Option<&str>, place: &str, parameters: &[(&str, &str)]) -> String {
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let pairs: Vec<String> = (parameters.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let query = if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    };
    format!("{scheme}://{user}{place}{query}")
}

fn decoded(text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| {
        Error::argument(
            "an address with escapes that are not UTF-8",
            "write % as %25 and other signs as they are",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_found_and_the_password_is_not_shown() {
        let text = "postgres://me:p%40ss/w:x@a:1,b:2/db?table=my%20table&sslmode=require";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.scheme(), "postgres");
        assert_eq!(address.user(), Some("me"));
        assert_eq!(address.password(), Some("p@ss/w:x"));
        assert_eq!((address.host(), address.path()), ("a:1,b:2", "db"));
        assert_eq!(address.needed("table").unwrap(), "my table");
        let shown = "postgres://me@a:1,b:2/db?table=my%20table&sslmode=require";
        assert_eq!(address.shown(), shown);
        assert_eq!(format!("{address:?}"), format!("Address({shown:?})"));
        assert!(
            address
                .check_parameters(&["table"])
                .unwrap_err()
                .to_string()
                .contains("sslmode")
        );
        address.check_parameters(&["table", "sslmode"]).unwrap();
    }

    #[test]
    fn a_password_among_the_parameters_is_one() {
        let address =
            Address::parse("postgresql://postgres:@/db?host=/tmp/x&password=secret").unwrap();
        assert_eq!(address.password(), Some("secret"));
        assert_eq!(address.parameter("host"), Some("/tmp/x"));
        assert!(!format!("{address:?}{}", address.shown()).contains("secret"));
        assert!(address.parameter("password").is_none());
    }

    #[test]
    fn what_is_no_address_is_told_without_being_repeated() {
        let error = Address::parse("me:secret@host").unwrap_err().to_string();
        assert!(
            error.contains("://") && !error.contains("secret"),
            "{error}"
        );
        let address = Address::parse("qdrant://host").unwrap();
        let error = address.needed("collection").unwrap_err().to_string();
        assert!(
            error.contains("qdrant://host") && error.contains("collection"),
            "{error}"
        );
    }
}

//! What all words for planted noise have in common: a model's name with a rate, or a path.

use crate::error::{Error, Result};

/// The words for one kind of noise.
pub(super) struct Words<M: ?Sized + 'static> {
    /// The kind, for messages: `noise` or `label noise`.
    pub(super) kind: &'static str,
    /// The models that take a rate.
    pub(super) models: &'static [&'static M],
    /// Name of a model.
    pub(super) name: fn(&M) -> &'static str,
    /// What may follow a rate, and what may stand instead of one; the end of every remedy.
    pub(super) others: &'static str,
}

/// Lets serde read and write a type as the word that it is parsed from and shown as.
macro_rules! as_word {
    ($spec:ty) => {
        impl TryFrom<String> for $spec {
            type Error = crate::error::Error;

            fn try_from(text: String) -> crate::error::Result<Self> {
                text.parse()
            }
        }

        impl From<$spec> for String {
            fn from(spec: $spec) -> String {
                spec.to_string()
            }
        }
    };
}
pub(super) use as_word;

impl<M: ?Sized + 'static> Words<M> {
    /// The name and the rate in `word`; `None` when it is a path. A word that looks like a rate but
    /// names no known model is refused, not taken for a file.
    ///
    /// # Errors
    /// If the word is empty or a model without a rate, or if there is no such model or rate.
    pub(super) fn split<'a>(&self, word: &'a str) -> Result<Option<(&'a str, f64)>> {
        if word.is_empty() {
            return Err(self.refused(format!("empty {}", self.kind)));
        }
        let named = word.split_once(':').filter(|(name, rate)| {
            let is_rate = rate.parse::<f64>().is_ok() && !name.contains(['/', '\\']);
            self.model(name).is_some() || is_rate
        });
        let Some((name, rate)) = named else {
            if self.model(word).is_some() {
                return Err(self.refused(format!("{} `{word}` without a rate", self.kind)));
            }
            return Ok(None);
        };
        let rate = rate
            .parse()
            .map_err(|_| self.refused(format!("the noise rate `{rate}` is not a number")))?;
        self.checked(name, rate)?;
        Ok(Some((name, rate)))
    }

    /// The model of a name, if the rate is valid.
    ///
    /// # Errors
    /// If there is no such model, or the rate is outside 0 to 1.
    pub(super) fn checked(&self, name: &str, rate: f64) -> Result<&'static M> {
        let Some(model) = self.model(name) else {
            return Err(self.refused(format!("no {} is called `{name}`", self.kind)));
        };
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::argument(
                format!("noise rate {rate} is outside 0 to 1"),
                "give a fraction: 40 % is 0.4",
            ));
        }
        Ok(model)
    }

    fn model(&self, name: &str) -> Option<&'static M> {
        let mut models = self.models.iter().copied();
        models.find(|model| (self.name)(model) == name)
    }

    fn refused(&self, problem: String) -> Error {
        let named = self.models.iter();
        let named: Vec<String> = named
            .map(|model| format!("{}:RATE", (self.name)(model)))
            .collect();
        let remedy = format!("use none, {}{}", named.join(", "), self.others);
        Error::argument(problem, remedy)
    }
}

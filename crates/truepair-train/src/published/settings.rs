//! What a checkpoint's options say about a model where the shapes of its tensors cannot tell.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use truepair_core::Error;
use truepair_core::error::Place;
use truepair_read::checkpoint::Scalar;

use crate::error::Result;

/// An option that the checkpoint does not hold, with the value that is taken instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Assumption {
    /// The research code's name of the option.
    pub option: &'static str,
    /// The research code's default.
    pub value: String,
    /// The key of the config that it decides, for instance `matcher.similarity.smooth`; `None`
    /// where another value could not be converted.
    pub key: Option<&'static str>,
}

/// Reads options such as `opt.lambda_softmax`, and remembers those that are not there.
#[derive(Debug)]
pub(super) struct Settings<'c> {
    path: &'c Path,
    given: &'c BTreeMap<String, Scalar>,
    assumed: Vec<Assumption>,
}

impl<'c> Settings<'c> {
    pub(super) fn new(path: &'c Path, given: &'c BTreeMap<String, Scalar>) -> Self {
        Self {
            path,
            given,
            assumed: Vec::new(),
        }
    }

    /// The options that were asked for in vain.
    pub(super) fn into_assumed(self) -> Vec<Assumption> {
        self.assumed
    }

    /// A number above 0.
    pub(super) fn number(
        &mut self,
        option: &'static str,
        key: &'static str,
        default: f64,
    ) -> Result<f64> {
        match self.look_up(option) {
            None => {
                self.assume(option, Some(key), default.to_string());
                Ok(default)
            }
            Some(given) => match number(given) {
                Some(number) if number > 0.0 && number.is_finite() => Ok(number),
                _ => self.refuse(option, given, "expected a number above 0"),
            },
        }
    }

    /// A whole number, at least 1.
    pub(super) fn count(
        &mut self,
        option: &'static str,
        key: &'static str,
        default: usize,
    ) -> Result<usize> {
        match self.look_up(option) {
            None => {
                self.assume(option, Some(key), default.to_string());
                Ok(default)
            }
            Some(given) => match number(given) {
                Some(number) if number >= 1.0 && number.fract() == 0.0 && number < 1e9 => {
                    Ok(number as usize)
                }
                _ => self.refuse(option, given, "expected a whole number, at least 1"),
            },
        }
    }

    /// One of the words that `T` is made of; `rename` gives `T`'s word for the source's.
    pub(super) fn word<T: DeserializeOwned>(
        &mut self,
        option: &'static str,
        key: &'static str,
        default: &str,
        rename: impl Fn(&str) -> String,
    ) -> Result<T> {
        let Some(given) = self.look_up(option) else {
            self.assume(option, Some(key), default.to_owned());
            return Ok(parse(&rename(default)).expect("the default is one of the words"));
        };
        let parsed = match given {
            Scalar::Text(text) => parse(&rename(text)).map_err(|error| error.to_string()),
            _ => Err("expected a word".to_owned()),
        };
        parsed.or_else(|problem| self.refuse(option, given, &problem))
    }

    /// A switch, off when it is not there.
    pub(super) fn switch(&mut self, option: &'static str, key: &'static str) -> Result<bool> {
        let Some(given) = self.look_up(option) else {
            self.assume(option, Some(key), python(&Scalar::Bool(false)));
            return Ok(false);
        };
        match switch(given) {
            Some(on) => Ok(on),
            None => self.refuse(option, given, "expected True or False"),
        }
    }

    /// A switch that must be `expected`; `meaning` says what another value would ask for.
    pub(super) fn require(
        &mut self,
        option: &'static str,
        expected: bool,
        meaning: &str,
    ) -> Result<()> {
        let Some(given) = self.look_up(option) else {
            self.assume(option, None, python(&Scalar::Bool(expected)));
            return Ok(());
        };
        match switch(given) {
            Some(on) if on == expected => Ok(()),
            _ => self.refuse(option, given, meaning),
        }
    }

    /// A failure because of an option's value.
    pub(super) fn refuse<T>(&self, option: &str, given: &Scalar, problem: &str) -> Result<T> {
        Err(Error::data(
            self.path,
            Place::Whole,
            format!("its option `{option}` is {}: {problem}", python(given)),
            "only what the methods of this program compute can be converted",
        )
        .into())
    }

    /// The scalar of `opt.OPTION`, or of `OPTION` where the options stand by themselves.
    pub(super) fn look_up(&self, option: &str) -> Option<&'c Scalar> {
        (self.given.get(&format!("opt.{option}"))).or_else(|| self.given.get(option))
    }

    fn assume(&mut self, option: &'static str, key: Option<&'static str>, value: String) {
        self.assumed.push(Assumption { option, value, key });
    }
}

fn parse<T: DeserializeOwned>(word: &str) -> std::result::Result<T, WordError> {
    let words: StrDeserializer<'_, WordError> = word.into_deserializer();
    T::deserialize(words)
}

/// Metadata of safetensors files holds texts only, so a text that reads as a number is one.
fn number(given: &Scalar) -> Option<f64> {
    match given {
        Scalar::Int(integer) => Some(*integer as f64),
        Scalar::Float(float) => Some(*float),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Bool(_) => None,
    }
}

fn switch(given: &Scalar) -> Option<bool> {
    match given {
        Scalar::Bool(on) => Some(*on),
        Scalar::Int(integer @ (0 | 1)) => Some(*integer == 1),
        Scalar::Text(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

fn python(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Bool(true) => "True".to_owned(),
        Scalar::Bool(false) => "False".to_owned(),
        Scalar::Int(integer) => integer.to_string(),
        Scalar::Float(float) => float.to_string(),
        Scalar::Text(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
    }
}

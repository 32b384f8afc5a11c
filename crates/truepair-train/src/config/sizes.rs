//! The largest numbers that a config may hold.

use serde::Serialize;
use toml::Value;
use truepair_core::Error as CoreError;

use crate::error::Result;

/// The largest whole number of a config: epochs, widths, pairs of a batch. What is larger is a slip, and would end in
/// memory that is not there or in work that does not end.
const LARGEST: i64 = 1 << 20;

/// # Errors
/// If a whole number is larger than any that makes sense; the message names the setting.
pub(crate) fn check_sizes(config: &impl Serialize) -> Result<()> {
    let too_large = |name: String| {
        let problem = format!("{name} is out of range");
        CoreError::argument(problem, format!("it must be at most {LARGEST}")).into()
    };
    match Value::try_from(config) {
        Ok(value) => match largest(&value, "") {
            Some(found) => Err(too_large(found)),
            None => Ok(()),
        },
        // TOML has no numbers beyond 63 bits.
        Err(_) => Err(too_large("a number of the configuration".to_owned())),
    }
}

/// The first number that is too large, with its name.
fn largest(value: &Value, name: &str) -> Option<String> {
    let inside = |key: &str| match name {
        "" => key.to_owned(),
        name => format!("{name}.{key}"),
    };
    match value {
        Value::Integer(number) => (*number > LARGEST).then(|| format!("{name} = {number}")),
        Value::Table(table) => table
            .iter()
            .find_map(|(key, value)| largest(value, &inside(key))),
        Value::Array(values) => values.iter().find_map(|value| largest(value, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_named() {
        let config: toml::Table = toml::from_str(
            "[training]\nepochs = 1048576\n[[groups]]\nname = \"x\"\n[strategy]\nwarm_up = 2147483648\n",
        )
        .unwrap();
        let error = check_sizes(&config).unwrap_err().to_string();
        assert!(
            error.contains("strategy.warm_up = 2147483648 is out of range"),
            "{error}"
        );
        assert!(check_sizes(&toml::from_str::<toml::Table>("a = [1, 2]\nb = -5").unwrap()).is_ok());
    }
}

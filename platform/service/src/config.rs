//! Reading settings from the environment.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where settings come from: the environment of the process, or a table.
pub struct Env(Lookup);

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env") // Never the values: they may contain secrets.
    }
}

/// A setting is missing or wrong. The message names the variable and says what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It is not set, and has no default.
    #[error("{name} is not set: {meaning}, for example {name}={example}")]
    Missing {
        /// The variable.
        name: String,
        /// What it says.
        meaning: String,
        /// A valid value.
        example: String,
    },
    /// Its value is wrong.
    #[error("{name} is {value:?}: {reason}")]
    Invalid {
        /// The variable.
        name: String,
        /// The value, unless it may contain a secret.
        value: String,
        /// What it should be.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(name: &str, value: &str, reason: impl fmt::Display) -> Self {
        Self::Invalid {
            name: name.to_owned(),
            value: without_secrets(value),
            reason: reason.to_string(),
        }
    }
}

impl Env {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// A table.
    pub fn of(settings: Vec<(String, String)>) -> Self {
        Self(Box::new(move |name| {
            settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        }))
    }

    /// With these settings taking precedence.
    #[must_use]
    pub fn with(self, settings: Vec<(String, String)>) -> Self {
        let front = Self::of(settings);
        Self(Box::new(move |name| front.get(name).or_else(|| self.get(name))))
    }

    /// The value of a variable; none, if it is empty.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The first of these variables that is set.
    pub fn first<T: FromStr<Err: fmt::Display>>(
        &self,
        names: &[&str],
    ) -> Result<Option<T>, ConfigError> {
        let find = |name: &&str| self.get(name).map(|value| ((*name).to_owned(), value));
        let Some((name, value)) = names.iter().find_map(find) else { return Ok(None) };
        let invalid = |reason: T::Err| ConfigError::invalid(&name, &value, reason);
        value.parse().map(Some).map_err(invalid)
    }

    /// A variable that must be set.
    pub fn required<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &str,
        meaning: &str,
        example: &str,
    ) -> Result<T, ConfigError> {
        self.first(&[name])?.ok_or_else(|| ConfigError::Missing {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            example: example.to_owned(),
        })
    }
}

/// A value as it may be printed: one that may contain a password is not.
fn without_secrets(value: &str) -> String {
    let is_plain = !value.contains(['@', ' ']) && !value.to_lowercase().contains("pass");
    if is_plain { value.to_owned() } else { "(not shown)".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str, value: &str) -> Env {
        Env::of(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_missing_setting_says_what_to_write() {
        let error = env("VACCINE_PORT", "")
            .required::<u16>("VACCINE_PORT", "where vaccine listens", "8081")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "VACCINE_PORT is not set: where vaccine listens, for example VACCINE_PORT=8081"
        );
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_value() {
        let error = env("VACCINE_PORT", "many").required::<u16>("VACCINE_PORT", "", "");
        let expected = "VACCINE_PORT is \"many\": invalid digit found in string";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_password_is_not_shown() {
        for value in ["postgres:/a:hunter2@h/db", "host=h password=hunter2", "http://u:hunter2@h"] {
            let wrong = env("DATABASE_URL", value).first::<u16>(&["DATABASE_URL"]).unwrap_err();
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        }
    }
}

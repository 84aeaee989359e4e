//! Reading settings from the environment. Which settings there are stands in each part's `config.rs`.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where settings come from: the process environment, or a test's own table.
pub struct Env(Lookup);

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send>;

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env") // Never the values: there may be secrets among them.
    }
}

/// A setting is missing or wrong. The message names the variable and says what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It is not set, and there is no sensible default.
    #[error("{name} is not set: {meaning}, for instance {name}={example}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it says.
        meaning: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// It is set to something else than it should be.
    #[error("{name} is {value:?}: {reason}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        reason: String,
    },
}

impl Env {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
    pub fn of_process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// A table, for tests and for parts that share a process.
    pub fn of(settings: Vec<(&'static str, String)>) -> Self {
        Self(Box::new(move |name| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        }))
    }

    /// The same, with these settings in front.
    #[must_use]
    pub fn with(self, settings: Vec<(&'static str, String)>) -> Self {
        let front = Self::of(settings);
        Self(Box::new(move |name| (front.0)(name).or_else(|| (self.0)(name))))
    }

    /// The first of these settings that is there.
    pub fn first<T: FromStr<Err: fmt::Display>, const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<Option<T>, ConfigError> {
        let find =
            |name| (self.0)(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        let Some((name, value)) = names.into_iter().find_map(find) else { return Ok(None) };
        value.parse().map(Some).map_err(|reason: T::Err| ConfigError::Invalid {
            name,
            reason: reason.to_string(),
            value: without_secrets(&value),
        })
    }

    /// A setting that must be there.
    pub fn required<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &'static str,
        meaning: &'static str,
        example: &'static str,
    ) -> Result<T, ConfigError> {
        let missing = ConfigError::Missing { name, meaning, example };
        let value = (self.0)(name).filter(|value| !value.is_empty()).ok_or(missing)?;
        value.parse().map_err(|reason: T::Err| ConfigError::Invalid {
            name,
            reason: reason.to_string(),
            value: without_secrets(&value),
        })
    }
}

/// A value as it may be shown: whatever looks as if it held a password is not.
fn without_secrets(value: &str) -> String {
    let is_plain = !value.contains(['@', '=', ' ']) && !value.to_lowercase().contains("pass");
    if is_plain { value.to_owned() } else { "(not shown)".to_owned() }
}

/// What the log shows: `RUST_LOG`, default `info`, without what NATS' client says of itself.
pub fn log_filter(env: &Env) -> String {
    (env.0)("RUST_LOG").unwrap_or_else(|| "info,async_nats=warn".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_says_what_to_write() {
        let error = Env::of(vec![])
            .required::<u16>("VACCINE_PORT", "where vaccine listens", "8081")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "VACCINE_PORT is not set: where vaccine listens, for instance VACCINE_PORT=8081"
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        for value in ["postgres:/a:hunter2@h/db", "host=h password=hunter2", "http://u:hunter2@h"] {
            let env = || Env::of(vec![("DATABASE_URL", value.to_owned())]);
            let wrong = env().first::<u16, 1>(["DATABASE_URL"]).unwrap_err();
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
            let wrong = env().required::<u16>("DATABASE_URL", "", "").unwrap_err();
            assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_setting_names_itself_and_its_value() {
        let error = Env::of(vec![("VACCINE_PORT", "many".to_owned())])
            .required::<u16>("VACCINE_PORT", "where vaccine listens", "8081")
            .unwrap_err();
        assert_eq!(error.to_string(), "VACCINE_PORT is \"many\": invalid digit found in string");
    }
}

//! The services of the program, as `anticorona services --json` lists them.

use std::process::Command;

use serde::{Deserialize, Serialize};
use servers::Failure;

use crate::child;

/// A service.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListedService {
    /// The subcommand that runs it alone.
    pub name: String,
    /// The port that it listens on.
    pub port: u16,
    /// Whether it has a store.
    pub owns_data: bool,
    /// Whether it has an OpenAPI document.
    pub has_openapi: bool,
    /// The services whose events it consumes.
    pub consumes: Vec<String>,
}

/// The services of `program`, which is `anticorona` or a command that runs it, in start order.
pub fn list(program: &mut Command) -> Result<Vec<ListedService>, Failure> {
    parse(&child::printed(program.args(["services", "--json"]), "fix what it printed above")?)
}

/// Anticorona, built without optimisation; arguments follow.
pub fn anticorona() -> Command {
    child::cargo(["run", "--quiet", "--package", "anticorona", "--"])
}

fn parse(json: &str) -> Result<Vec<ListedService>, Failure> {
    serde_json::from_str(json).map_err(|error| {
        let what = format!("`anticorona services --json` printed something unknown: {error}");
        Failure::new(what, "adapt xtask/src/services.rs to anticorona/src/list_services.rs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read() {
        let json = r#"[{"name": "booking", "port": 8082, "ownsData": true, "hasOpenapi": true,
                        "consumes": ["vaccine", "injection"]}]"#;
        let expected = ListedService {
            name: "booking".to_owned(),
            port: 8082,
            owns_data: true,
            has_openapi: true,
            consumes: vec!["vaccine".to_owned(), "injection".to_owned()],
        };
        assert_eq!(parse(json), Ok(vec![expected]));
    }

    #[test]
    fn any_other_output_is_a_failure() {
        for json in ["", "{}", r#"[{"name": "booking"}]"#] {
            assert!(parse(json).is_err(), "{json}");
        }
    }
}

//! `cargo xtask openapi`: docs/ has the `OpenAPI` documents of the services and the `AsyncAPI`
//! document of their events, so that a change of the public interface shows in review.

use serde::de::IgnoredAny;
use servers::Failure;

use crate::committed::{self, Generated};
use xtask::{child, services};

pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let listed = services::list(&mut services::anticorona())?;
    let mut files = vec![document("docs/asyncapi.json".to_owned(), &["asyncapi"])?];
    for service in listed.iter().filter(|service| service.has_openapi) {
        let path = format!("docs/openapi/{}.json", service.name);
        files.push(document(path, &["openapi", &service.name])?);
    }
    committed::update("openapi", &files, check)
}

/// What `anticorona` prints with these arguments.
fn document(path: String, args: &[&str]) -> Result<Generated, Failure> {
    let mut command = services::anticorona();
    let printed = child::printed(command.args(args), "fix what it printed above")?;
    let text = as_file(&printed).map_err(|error| {
        Failure::new(
            format!("`anticorona {}` did not print JSON: {error}", args.join(" ")),
            "let it print the document and nothing else",
        )
    })?;
    Ok(Generated { path: path.into(), text })
}

/// Text files end with one line break, however the program ends its output.
fn as_file(printed: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(printed)?;
    Ok(format!("{}\n", printed.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_json_and_ends_with_one_line_break() {
        assert_eq!(as_file("{}").expect("it is JSON"), "{}\n");
        assert_eq!(as_file("{}\n\n").expect("it is JSON"), "{}\n");
        assert!(as_file("listening on 8081").is_err());
    }
}

//! `cargo xtask generate`: renders the templates `deploy/**/*.j2`, which repeat text for every service.
//!
//! `a.yaml.j2` becomes `a.yaml` beside it. A template in `deploy/pipelines` becomes one file in the
//! folder of each service, where the build systems look for it.

use std::{fs, path::Path};

use minijinja::{Environment, UndefinedBehavior, context, syntax::SyntaxConfig, value::Serde};
use servers::Failure;

use crate::committed::{self, Generated};
use xtask::{
    child,
    services::{self, ListedService},
};

/// What every service's pipeline runs for, besides changes of the service itself.
const BUILT_FROM: [&str; 5] =
    ["anticorona", "contracts", "platform", "deploy/image", "deploy/pipelines"];

pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let services = services::list(&mut services::anticorona())?;
    let mut git = child::program("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "deploy/*.j2"]);
    let mut files = Vec::new();
    for template in child::printed(&mut git, "run it in a git checkout")?.lines() {
        let failure = |why: String| {
            let what = format!("{template} cannot be read or rendered: {why}");
            Failure::new(what, "correct what it names")
        };
        let text = fs::read_to_string(child::root().join(template))
            .map_err(|error| failure(error.to_string()))?;
        render(Path::new(template), &text, &services, &mut files)
            .map_err(|error| failure(format!("{error:#}")))?;
    }
    committed::update("generate", &files, check)
}

fn render(
    template: &Path,
    text: &str,
    services: &[ListedService],
    files: &mut Vec<Generated>,
) -> Result<(), minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    let generated = &*format!("Generated from {} by `cargo xtask generate`.", template.display());
    let output = template.with_extension("");
    if !template.starts_with("deploy/pipelines") {
        let text =
            environment.render_str(text, context! { generated, services => Serde(services) })?;
        files.push(Generated { path: output, text });
        return Ok(());
    }
    let file = output.file_name().unwrap_or_default();
    for service in services {
        let path = Path::new("services").join(&service.name).join(file);
        let values =
            context! { generated, service => Serde(service), builtFrom => Serde(BUILT_FROM) };
        files.push(Generated { path, text: environment.render_str(text, values)? });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, text: &str) -> Result<Vec<(String, String)>, String> {
        let service = |name: &str, port| ListedService {
            name: name.to_owned(),
            port,
            owns_data: true,
            has_openapi: true,
            consumes: Vec::new(),
        };
        let mut files = Vec::new();
        let services = [service("booking", 8082), service("mypage", 8083)];
        render(Path::new(template), text, &services, &mut files)
            .map_err(|error| error.to_string())?;
        let shown = |file: Generated| (file.path.display().to_string(), file.text);
        Ok(files.into_iter().map(shown).collect())
    }

    #[test]
    fn a_template_repeats_its_blocks_for_every_service() {
        let text = "{% for service in services %}\n{{ service.name }}: {{ service.port }}\n\
                    {% endfor %}\n";
        let expected = ("deploy/a.yaml".to_owned(), "booking: 8082\nmypage: 8083\n".to_owned());
        assert_eq!(rendered("deploy/a.yaml.j2", text), Ok(vec![expected]));
    }

    #[test]
    fn a_pipeline_is_rendered_into_the_folder_of_every_service() {
        let files = rendered("deploy/pipelines/a.yml.j2", "{{ service.port }}\n");
        let expected = [("services/booking/a.yml", "8082\n"), ("services/mypage/a.yml", "8083\n")];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(files, Ok(expected.to_vec()));
    }

    #[test]
    fn an_unknown_value_is_an_error() {
        let error = rendered("deploy/a.yaml.j2", "{{ servces }}").expect_err("it is misspelt");
        assert!(error.contains("undefined"), "{error}");
    }
}

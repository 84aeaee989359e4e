//! `cargo xtask test`: installs and starts what the tests need, then runs them.

use clap::Args;
use servers::Failure;
use xtask::{
    background::{BackgroundServers, ServerKind},
    child,
    tools::{self, TOOLS, ThisMachine, Tool, python::Environment},
};

use crate::image;

#[derive(Args)]
pub(crate) struct Options {
    /// Installs nothing, and skips the tests that need an installed program
    #[arg(long)]
    pub(crate) embedded_only: bool,
    /// Passed to `cargo test`, for example `-- -p booking`
    #[arg(last = true)]
    pub(crate) cargo_args: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.embedded_only {
        test(cargo_args(TOOLS, &options.cargo_args), &[])?;
        println!("{}", verdict(TOOLS));
        return Ok(());
    }
    for tool in TOOLS {
        tools::provide(tool, &mut ThisMachine)?;
    }
    Environment::of_tests().provide(&mut ThisMachine)?;
    let servers = BackgroundServers::start(&[ServerKind::Postgres, ServerKind::Nats])?;
    test(cargo_args(&[], &options.cargo_args), servers.variables())?;
    if options.cargo_args.is_empty() {
        image::run(&image::Options { dist: false })?;
    }
    println!("{}", verdict(&[]));
    Ok(())
}

fn test(args: Vec<&str>, variables: &[(String, String)]) -> Result<(), Failure> {
    let mut command = child::cargo(args);
    command.env("PATH", tools::search_path()).envs(variables.iter().cloned());
    child::succeed(
        &mut command,
        "read the first `failures:` above; the line `to rerun pass` names the tests that failed",
    )
}

/// `extra` may contain `--`; the arguments after it are for the tests, not for cargo.
fn cargo_args<'a>(skipped: &[Tool], extra: &'a [String]) -> Vec<&'a str> {
    let mut parts = extra.splitn(2, |arg| arg == "--");
    let for_cargo = parts.next().unwrap_or_default();
    let for_tests = parts.next().unwrap_or_default();

    // One test program that fails must not keep the others from running.
    let mut args = vec!["test", "--no-fail-fast"];
    // With `--workspace` cargo would ignore the selected package.
    if !for_cargo.iter().any(|arg| names_a_package(arg)) {
        args.push("--workspace");
    }
    args.extend(for_cargo.iter().map(String::as_str));
    args.push("--");
    for test in skipped.iter().flat_map(|tool| tool.skipped_tests) {
        args.extend(["--skip", test]);
    }
    args.extend(for_tests.iter().map(String::as_str));
    args
}

fn names_a_package(arg: &str) -> bool {
    arg == "--workspace"
        || arg.starts_with("--package")
        || (arg.starts_with("-p") && !arg.starts_with("--"))
}

fn verdict(skipped: &[Tool]) -> String {
    if skipped.is_empty() {
        return "xtask test: all passed".to_owned();
    }
    let packages: Vec<_> = skipped.iter().map(|tool| tool.package).collect();
    format!("xtask test: all passed, without the tests that need {}", packages.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATHE: Tool = Tool {
        programs: &["lathe"],
        package: "lathe-bin",
        needed_for: "turning",
        skipped_tests: &["lathe", "turning"],
    };

    fn line(skipped: &[Tool], extra: &str) -> String {
        let extra: Vec<_> = extra.split_whitespace().map(str::to_owned).collect();
        cargo_args(skipped, &extra).join(" ")
    }

    #[test]
    fn by_default_every_test_of_every_crate_runs() {
        assert_eq!(line(&[], ""), "test --no-fail-fast --workspace --");
    }

    #[test]
    fn embedded_only_skips_the_tests_of_each_tool() {
        assert_eq!(
            line(&[LATHE], ""),
            "test --no-fail-fast --workspace -- --skip lathe --skip turning"
        );
    }

    #[test]
    fn arguments_are_for_cargo_and_after_two_dashes_for_the_tests() {
        assert_eq!(
            line(&[], "--no-fail-fast"),
            "test --no-fail-fast --workspace --no-fail-fast --"
        );
        assert_eq!(
            line(&[LATHE], "--doc -- --nocapture"),
            "test --no-fail-fast --workspace --doc -- --skip lathe --skip turning --nocapture"
        );
    }

    #[test]
    fn only_a_selected_package_is_tested() {
        assert_eq!(line(&[], "-p booking"), "test --no-fail-fast -p booking --");
        assert_eq!(line(&[], "--package=booking"), "test --no-fail-fast --package=booking --");
        assert_eq!(line(&[], "-- -p"), "test --no-fail-fast --workspace -- -p");
    }

    #[test]
    fn the_last_line_names_what_was_skipped() {
        assert_eq!(verdict(&[]), "xtask test: all passed");
        assert!(verdict(&[LATHE]).ends_with("without the tests that need lathe-bin"));
    }
}

//! The project's own tasks, as `cargo xtask NAME`. Each runs other programs; a failure has advice.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool prints to its terminal"
)]

mod ci;
mod committed;
mod generate;
mod image;
mod openapi;
mod suite;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use servers::Failure;
use xtask::{
    background::{self, ServerKind},
    child,
};

/// The tasks around the code of anticorona.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs and starts what tests need, runs every test, and stops what it started
    Test(suite::Options),
    /// Runs servers in the background until its input ends
    #[command(hide = true)]
    Servers { kinds: Vec<ServerKind> },
    /// Runs the program as its image does, in an empty root, and prints its size and
    /// start time
    Image(image::Options),
    /// What `image` does in its own network namespace
    #[command(hide = true)]
    ImageInside(image::inside::Options),
    /// Checks the rules that neither the compiler nor clippy knows
    Tidy,
    /// Writes the OpenAPI and AsyncAPI documents below docs/
    Openapi {
        /// Writes nothing, and fails if a document is not up to date
        #[arg(long)]
        check: bool,
    },
    /// Renders the templates of deploy/, which repeat text for every service
    Generate {
        /// Compare only, and fail if a file is not up to date
        #[arg(long)]
        check: bool,
    },
    /// Runs everything that a change must pass, up to the first failure
    Ci {
        /// Without the tests
        #[arg(long)]
        without_test: bool,
    },
    /// Measures the program as it is shipped, under load
    Bench {
        /// Passed to the bench binary
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match perform(Xtask::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<(), Failure> {
    match task {
        Task::Test(options) => suite::run(&options),
        Task::Servers { kinds } => background::run(&kinds),
        Task::Image(options) => image::run(&options),
        Task::ImageInside(options) => image::inside::run(&options),
        Task::Tidy => tidy::run(),
        Task::Openapi { check } => openapi::run(check),
        Task::Generate { check } => generate::run(check),
        Task::Ci { without_test } => ci::run(without_test),
        Task::Bench { args } => bench(&args),
    }
}

/// A binary of its own, so that this one builds without the drill.
fn bench(args: &[String]) -> Result<(), Failure> {
    let mut command = child::cargo(["run", "--profile", child::DIST, "--package", "xtask"]);
    command.args(["--features", "bench", "--bin", "bench", "--"]).args(args);
    child::succeed(&mut command, "read what it printed above")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        let words = std::iter::once("xtask").chain(line.split_whitespace());
        Xtask::try_parse_from(words).map(|xtask| xtask.task).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Xtask::command().debug_assert();
    }

    #[test]
    fn arguments_after_two_dashes_are_for_cargo_test() {
        let Ok(Task::Test(options)) = parse("test --embedded-only -- -p booking -- --nocapture")
        else {
            panic!("the line parses as the task `test`");
        };
        assert!(options.embedded_only);
        assert_eq!(options.cargo_args, ["-p", "booking", "--", "--nocapture"]);
    }

    #[test]
    fn bench_takes_any_argument() {
        let Ok(Task::Bench { args }) = parse("bench --seconds 5 quick") else {
            panic!("the line parses as the task `bench`");
        };
        assert_eq!(args, ["--seconds", "5", "quick"]);
    }

    #[test]
    fn an_unknown_argument_is_named() {
        for line in ["tidy --fast", "ci --no-test", "polish", "test booking"] {
            let error = parse(line).err().expect("the line is refused");
            let unknown = line.split(' ').next_back().expect("a line has words");
            assert!(error.contains(unknown), "{line:?} was answered with {error}");
        }
    }
}

//! `cargo xtask ci`: the checks of a change, cheapest first.

use std::time::Instant;

use servers::Failure;
use xtask::child;

use crate::{generate, openapi, suite, tidy};

struct Step {
    name: &'static str,
    run: fn() -> Result<(), Failure>,
}

const TEST: &str = "test";

const STEPS: &[Step] = &[
    Step { name: "fmt", run: fmt },
    Step { name: "clippy", run: clippy },
    Step { name: TEST, run: test },
    Step { name: "doc", run: doc },
    Step { name: "tidy", run: tidy::run },
    Step { name: "generate", run: || generate::run(true) },
    Step { name: "openapi", run: || openapi::run(true) },
];

pub(crate) fn run(without_test: bool) -> Result<(), Failure> {
    let steps = STEPS.iter().filter(|step| !(without_test && step.name == TEST));
    perform(steps)
}

fn perform<'a>(steps: impl Iterator<Item = &'a Step>) -> Result<(), Failure> {
    let all = Instant::now();
    for Step { name, run } in steps {
        println!("ci: {name} …");
        let begun = Instant::now();
        run().map_err(|Failure { what, do_this }| {
            Failure::new(format!("ci stopped at step {name}: {what}"), do_this)
        })?;
        println!("ci: {name} passed in {:.1} s", begun.elapsed().as_secs_f32());
    }
    println!("ci: all passed in {:.1} s", all.elapsed().as_secs_f32());
    Ok(())
}

fn fmt() -> Result<(), Failure> {
    child::succeed(&mut child::cargo(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

fn clippy() -> Result<(), Failure> {
    // The bench binary needs its feature to be checked.
    let args = ["clippy", "--workspace", "--all-targets", "--features", "xtask/bench"];
    let mut command = child::cargo(args);
    child::succeed(command.args(["--", "-D", "warnings"]), "fix what clippy printed above")
}

fn test() -> Result<(), Failure> {
    suite::run(&suite::Options { embedded_only: false, cargo_args: Vec::new() })
}

fn doc() -> Result<(), Failure> {
    let args = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    child::succeed(
        child::cargo(args).env("RUSTDOCFLAGS", "-D warnings"),
        "fix the documentation that rustdoc printed above",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails() -> Result<(), Failure> {
        Err(Failure::new("the disk is full", "free some space"))
    }

    fn must_not_run() -> Result<(), Failure> {
        panic!("the step before this one failed");
    }

    #[test]
    fn the_first_failure_stops_the_run_and_names_its_step() {
        let steps = [
            Step { name: "first", run: || Ok(()) },
            Step { name: "second", run: fails },
            Step { name: "third", run: must_not_run },
        ];
        let failure = perform(steps.iter()).expect_err("the second step fails");
        assert_eq!(failure.what, "ci stopped at step second: the disk is full");
        assert_eq!(failure.do_this, "free some space");
    }

    #[test]
    fn a_run_without_failure_passes() {
        assert_eq!(perform([Step { name: "first", run: || Ok(()) }].iter()), Ok(()));
    }
}

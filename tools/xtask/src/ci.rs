//! `cargo xtask ci`: the checks of a change, cheapest first.

use std::time::Instant;

use servers::Failure;
use xtask::child;

use crate::{generate, openapi, suite, tidy};

type Step = (&'static str, fn() -> Result<(), Failure>);

const TEST: &str = "test";

const STEPS: &[Step] = &[
    ("fmt", || {
        child::succeed(&mut child::cargo(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
    }),
    ("clippy", clippy),
    (TEST, || suite::run(&suite::Options { embedded_only: false, cargo_args: Vec::new() })),
    ("doc", doc),
    ("tidy", tidy::run),
    ("generate", || generate::run(true)),
    ("openapi", || openapi::run(true)),
];

pub(crate) fn run(without_test: bool) -> Result<(), Failure> {
    perform(STEPS.iter().filter(|(name, _)| !(without_test && *name == TEST)))
}

fn perform<'a>(steps: impl Iterator<Item = &'a Step>) -> Result<(), Failure> {
    let all = Instant::now();
    for (name, run) in steps {
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

fn clippy() -> Result<(), Failure> {
    // The bench binary needs its feature to be checked.
    let args = ["clippy", "--workspace", "--all-targets", "--features", "xtask/bench"];
    let mut command = child::cargo(args);
    child::succeed(command.args(["--", "-D", "warnings"]), "fix what clippy printed above")
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
        let steps: [Step; 3] = [("first", || Ok(())), ("second", fails), ("third", must_not_run)];
        let failure = perform(steps.iter()).expect_err("the second step fails");
        assert_eq!(failure.what, "ci stopped at step second: the disk is full");
        assert_eq!(failure.do_this, "free some space");
    }

    #[test]
    fn a_run_without_failure_passes() {
        let steps: [Step; 1] = [("first", || Ok(()))];
        assert_eq!(perform(steps.iter()), Ok(()));
    }
}

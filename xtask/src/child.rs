//! Other programs, run from the root of the checkout.

use std::{
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use servers::Failure;

/// The root of the checkout that this program was built from.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// A program, to be run from there.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Cargo with these arguments, to be run from there.
pub fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = program("cargo");
    command.args(args);
    // If cargo started us, it told us which package we are. Build scripts that ask for that would run
    // again for each of our names, and with them everything that depends on them is built anew.
    let ours = env::vars_os().map(|(name, _)| name).filter(|name| is_about_a_package(name));
    for name in ours {
        command.env_remove(name);
    }
    command
}

fn is_about_a_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Runs a program on our terminal.
pub fn succeed(command: &mut Command, do_this: &str) -> Result<(), Failure> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` failed ({status})", line(command)), do_this))
}

/// Runs a program for what it prints; its complaints go to our terminal.
pub fn printed(command: &mut Command, do_this: &str) -> Result<String, Failure> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        let what = format!("`{}` failed ({})", line(command), output.status);
        return Err(Failure::new(what, do_this));
    }
    String::from_utf8(output.stdout).map_err(|_| {
        Failure::new(format!("`{}` printed something other than text", line(command)), do_this)
    })
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    let name = command.get_program().display();
    Failure::new(
        format!("`{}` could not be started: {error}", line(command)),
        format!("install `{name}` or add its folder to PATH"),
    )
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_not_told_which_package_started_it() {
        let command = cargo(["--version"]);
        let told: Vec<_> = command.get_envs().collect();
        // Cargo runs these tests, so it has told us.
        assert!(told.contains(&("CARGO_PKG_NAME".as_ref(), None)), "{told:?}");
        assert!(!told.iter().any(|(name, _)| *name == "CARGO_HOME"), "{told:?}");
    }

    #[test]
    fn a_failure_quotes_the_command_and_passes_the_advice_on() {
        let failure =
            succeed(program("false").arg("-q"), "mind the spelling").expect_err("it always fails");
        assert!(failure.what.contains("`false -q` failed"), "{failure}");
        assert_eq!(failure.do_this, "mind the spelling");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let failure = printed(&mut program("no-such-program"), "").expect_err("there is none");
        assert!(failure.do_this.contains("`no-such-program`"), "{failure}");
    }

    #[test]
    fn what_a_program_prints_is_returned() {
        let printed = printed(&mut cargo(["--version"]), "").expect("cargo runs these tests");
        assert!(printed.starts_with("cargo "), "{printed}");
    }
}

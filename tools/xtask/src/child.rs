//! Other programs, run from the root of the checkout.

use std::{
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use servers::Failure;

/// The profile that the image and the measurements are built with.
pub const DIST: &str = "dist";

/// The root of the checkout that this program was built from.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(own)
}

/// A command that runs in the root.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// Cargo with these arguments; runs in the root.
pub fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = program("cargo");
    command.args(args);
    // Cargo sets these for the program it runs. Build scripts that read them would run again, and
    // everything that depends on them would be rebuilt.
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

/// Runs a program with its input and output on the terminal; an error unless it succeeds.
pub fn succeed(command: &mut Command, do_this: &str) -> Result<(), Failure> {
    printed(command.stdin(Stdio::inherit()).stdout(Stdio::inherit()), do_this).map(|_| ())
}

/// The standard output of a program; its standard error goes to the terminal.
pub fn printed(command: &mut Command, do_this: &str) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| {
        let name = command.get_program().display();
        Failure::new(
            format!("`{}` could not be started: {error}", line(command)),
            format!("install `{name}` or add its folder to PATH"),
        )
    })?;
    let failed = |what| Failure::new(format!("`{}` {what}", line(command)), do_this);
    if !output.status.success() {
        return Err(failed(format!("failed ({})", output.status)));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| failed("printed something other than text".to_owned()))
}

/// The command as typed in a shell.
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
    fn variables_of_the_running_package_are_removed_from_cargo() {
        let command = cargo(["--version"]);
        let variables: Vec<_> = command.get_envs().collect();
        // Cargo runs these tests, so it is set here.
        assert!(variables.contains(&("CARGO_PKG_NAME".as_ref(), None)), "{variables:?}");
        assert!(!variables.iter().any(|(name, _)| *name == "CARGO_HOME"), "{variables:?}");
    }

    #[test]
    fn a_failure_has_the_command_and_the_advice() {
        let failure =
            succeed(program("false").arg("-q"), "check the spelling").expect_err("it always fails");
        assert!(failure.what.contains("`false -q` failed"), "{failure}");
        assert_eq!(failure.do_this, "check the spelling");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let failure = printed(&mut program("no-such-program"), "").expect_err("there is none");
        assert!(failure.do_this.contains("`no-such-program`"), "{failure}");
    }

    #[test]
    fn standard_output_is_returned() {
        let printed = printed(&mut cargo(["--version"]), "").expect("cargo runs these tests");
        assert!(printed.starts_with("cargo "), "{printed}");
    }
}

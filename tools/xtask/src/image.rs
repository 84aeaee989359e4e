//! `cargo xtask image`: runs the program the way the image does, without a container engine.
//!
//! The program is linked as in the Dockerfile, checked to depend on no library, and run with `chroot`
//! in a folder that contains nothing else, in its own network namespace.

mod dns;
pub(crate) mod inside;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;

use servers::Failure;
use xtask::{child, tools};

/// Compiler arguments of the last step, here and in the Dockerfile.
const LINK_ARGS: [&str; 4] = ["-C", "target-feature=+crt-static", "-C", "strip=symbols"];

/// The limit for the program as shipped.
const SIZE_MAX_BYTES: u64 = 20_000_000;

/// Ways to create namespaces, tried in this order: as an unprivileged user, as root, with sudo.
const UNSHARE: [&[&str]; 3] =
    [&["unshare", "--map-root-user"], &["unshare"], &["sudo", "-n", "unshare"]];

/// The namespaces end with the first process in them.
const UNSHARED: [&str; 5] = ["--net", "--pid", "--mount-proc", "--fork", "--kill-child"];

const WORKAROUND: &str = "correct the reason above; `cargo xtask test --embedded-only` skips this";

#[derive(Args)]
pub(crate) struct Options {
    /// Use the profile of the image, and check the program's size; takes some minutes to build
    #[arg(long)]
    pub(crate) dist: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let program = build(options.dist)?;
    check_static(&program)?;
    let size = fs::metadata(&program).map_err(|error| failure(&error))?.len();
    if options.dist && size > SIZE_MAX_BYTES {
        let what = format!("the program has {size} bytes, the limit is {SIZE_MAX_BYTES}");
        return Err(Failure::new(what, "find out what made it grow (`cargo bloat`)"));
    }
    println!("image: the program is static: {size} bytes");

    let root = tempfile::tempdir().map_err(|error| failure(&error))?;
    fill(root.path(), &program).map_err(|error| failure(&error))?;
    let this = env::current_exe().map_err(|error| failure(&error))?;
    let mut command = isolated()?;
    command.arg(this).arg("image-inside").arg(root.path());
    child::succeed(&mut command, WORKAROUND)
}

/// Builds in the usual target folder, so that only the last step is not cached.
fn build(dist: bool) -> Result<PathBuf, Failure> {
    let mut command = child::cargo(["rustc", "--quiet", "--package", "anticorona"]);
    command.args(["--bin", "anticorona", "--message-format", "json-render-diagnostics"]);
    command.args(["--profile", if dist { "dist" } else { "dev" }]).arg("--").args(LINK_ARGS);
    let messages = child::printed(&mut command, "read what the compiler says above")?;
    let program = messages.lines().filter_map(executable).next_back();
    program.ok_or_else(|| Failure::new("cargo did not report an executable", WORKAROUND))
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

/// No interpreter, no shared library.
fn check_static(program: &Path) -> Result<(), Failure> {
    let mut command = child::program("readelf");
    command.args(["--wide", "--program-headers", "--dynamic"]).arg(program).env("LC_ALL", "C");
    let headers = child::printed(&mut command, "install binutils")?;
    let dependencies: Vec<_> = headers
        .lines()
        .filter(|line| line.contains("INTERP") || line.contains("(NEEDED)"))
        .map(str::trim)
        .collect();
    if dependencies.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} is not static:\n  {}", program.display(), dependencies.join("\n  ")),
        format!("link it with {}", LINK_ARGS.join(" ")),
    ))
}

/// The content of the image, and what a container runtime adds: devices and the DNS configuration.
fn fill(root: &Path, program: &Path) -> std::io::Result<()> {
    for folder in ["data", "dev", "etc"] {
        fs::create_dir(root.join(folder))?;
    }
    fs::write(root.join("etc/resolv.conf"), dns::RESOLV_CONF)?;
    fs::copy(program, root.join("anticorona")).map(|_| ())
}

/// A command that runs its arguments in new namespaces.
fn isolated() -> Result<Command, Failure> {
    let prefix = UNSHARE.into_iter().find(|prefix| {
        let mut command = unshare(prefix);
        command.args(["ip", "link", "set", "lo", "up"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    prefix.map(unshare).ok_or_else(|| {
        let what = "`unshare` may not create a network namespace here, not even as root";
        Failure::new(what, "run it where that is allowed, or skip it: --embedded-only")
    })
}

fn unshare(prefix: &[&str]) -> Command {
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).args(UNSHARED).env("PATH", tools::search_path());
    command
}

fn failure(error: &std::io::Error) -> Failure {
    Failure::new(format!("the program cannot be examined: {error}"), WORKAROUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_uses_the_same_link_arguments() {
        let file = fs::read_to_string(child::root().join("deploy/image/Dockerfile"));
        let file = file.expect("it is there").replace("\\\n", " ");
        let words: Vec<_> = file.split_whitespace().collect();
        assert!(words.windows(LINK_ARGS.len()).any(|words| words == LINK_ARGS), "{file}");
    }

    #[test]
    fn a_dynamically_linked_program_is_rejected() {
        let this = env::current_exe().expect("it runs");
        let failure = check_static(&this).expect_err("it is linked as usual");
        assert!(failure.what.contains("INTERP") && failure.what.contains("libc.so"), "{failure}");
    }

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let program = executable(r#"{"reason":"compiler-artifact","executable":"/t/anticorona"}"#);
        assert_eq!(program, Some(PathBuf::from("/t/anticorona")));
        for other in [r#"{"executable":null}"#, r#"{"reason":"build-finished"}"#, "warning: x"] {
            assert_eq!(executable(other), None, "{other}");
        }
    }
}

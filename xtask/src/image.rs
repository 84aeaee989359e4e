//! `cargo xtask image`: the program as the image holds it, alone in an empty root.
//!
//! No container engine is needed: what one does with an image is done with the tools that every Linux
//! has. The program is linked as the Dockerfile links it, shown to need nothing else, and run in a
//! folder that holds nothing else, in a network of its own.

pub(crate) mod inside;
mod names;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;

use servers::Failure;
use xtask::{child, tools};

/// What the linker is told, here and in the Dockerfile.
const LINKED: [&str; 4] = ["-C", "target-feature=+crt-static", "-C", "strip=symbols"];

/// The largest that the program may be in its image: 20 MB.
const SIZE_MAX_BYTES: u64 = 20_000_000;

/// Who makes a network, a process table and mounts of one's own: whoever may, as root in there alone;
/// root; whoever may become root without being asked.
const WAYS: [&[&str]; 3] =
    [&["unshare", "--map-root-user"], &["unshare"], &["sudo", "-n", "unshare"]];

/// All of it ends with the first process.
const UNSHARED: [&str; 5] = ["--net", "--pid", "--mount-proc", "--fork", "--kill-child"];

const WAY_AROUND: &str = "mend what the reason above names; `cargo xtask test --embedded-only` \
                          leaves this out";

#[derive(Args)]
pub(crate) struct Options {
    /// As it is shipped, and no larger than it may be; takes some minutes to build
    #[arg(long)]
    pub(crate) release: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let program = build(options.release)?;
    needs_nothing(&program)?;
    let size = fs::metadata(&program).map_err(|error| failure(&error))?.len();
    if options.release && size > SIZE_MAX_BYTES {
        let what = format!("the program has {size} bytes, and may have {SIZE_MAX_BYTES}");
        return Err(Failure::new(what, "find out what made it grow (`cargo bloat`)"));
    }
    println!("image: the program is static: {size} bytes");

    let root = tempfile::tempdir().map_err(|error| failure(&error))?;
    furnish(root.path(), &program).map_err(|error| failure(&error))?;
    let this = env::current_exe().map_err(|error| failure(&error))?;
    let mut command = alone()?;
    command.arg(this).arg("image-inside").arg(root.path());
    child::succeed(&mut command, WAY_AROUND)
}

/// Builds it where every other build is, so that only the last step is done anew.
fn build(release: bool) -> Result<PathBuf, Failure> {
    let mut command = child::cargo(["rustc", "--quiet", "--package", "anticorona"]);
    command.args(["--bin", "anticorona", "--message-format", "json-render-diagnostics"]);
    command.args(release.then_some("--release")).arg("--").args(LINKED);
    let said = child::printed(&mut command, "read what the compiler says above")?;
    let program = said.lines().filter_map(executable).next_back();
    program.ok_or_else(|| Failure::new("cargo does not say what it built", WAY_AROUND))
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

/// No loader, no library.
fn needs_nothing(program: &Path) -> Result<(), Failure> {
    let mut command = child::program("readelf");
    command.args(["--wide", "--program-headers", "--dynamic"]).arg(program).env("LC_ALL", "C");
    let headers = child::printed(&mut command, "install binutils")?;
    let needs: Vec<_> = headers
        .lines()
        .filter(|line| line.contains("INTERP") || line.contains("(NEEDED)"))
        .map(str::trim)
        .collect();
    if needs.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} needs more than itself:\n  {}", program.display(), needs.join("\n  ")),
        format!("link it with {}", LINKED.join(" ")),
    ))
}

/// What the image holds, and what whoever runs it adds: devices, and whom to ask for names.
fn furnish(root: &Path, program: &Path) -> std::io::Result<()> {
    for folder in ["data", "dev", "etc"] {
        fs::create_dir(root.join(folder))?;
    }
    fs::write(root.join("etc/resolv.conf"), names::RESOLV_CONF)?;
    fs::copy(program, root.join("anticorona")).map(|_| ())
}

/// What runs the rest of its line in a network of its own.
fn alone() -> Result<Command, Failure> {
    let way = WAYS.into_iter().find(|way| {
        let mut command = unshare(way);
        command.args(["ip", "link", "set", "lo", "up"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    way.map(unshare).ok_or_else(|| {
        let what = "nobody may make a network of their own here (`unshare`), not even root";
        Failure::new(what, "run it where that is allowed, or leave it out: --embedded-only")
    })
}

fn unshare(way: &[&str]) -> Command {
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).args(UNSHARED).env("PATH", tools::search_path());
    command
}

fn failure(error: &std::io::Error) -> Failure {
    Failure::new(format!("the program cannot be looked at: {error}"), WAY_AROUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfile_links_as_we_do() {
        let file = fs::read_to_string(child::root().join("deploy/image/Dockerfile"));
        let file = file.expect("it is there").replace("\\\n", " ");
        let words: Vec<_> = file.split_whitespace().collect();
        assert!(words.windows(LINKED.len()).any(|words| words == LINKED), "{file}");
    }

    #[test]
    fn a_program_with_a_loader_is_refused() {
        let this = env::current_exe().expect("it runs");
        let failure = needs_nothing(&this).expect_err("it is linked as usual");
        assert!(failure.what.contains("INTERP") && failure.what.contains("libc.so"), "{failure}");
    }

    #[test]
    fn the_last_program_that_cargo_names_is_meant() {
        let program = executable(r#"{"reason":"compiler-artifact","executable":"/t/anticorona"}"#);
        assert_eq!(program, Some(PathBuf::from("/t/anticorona")));
        for other in [r#"{"executable":null}"#, r#"{"reason":"build-finished"}"#, "warning: x"] {
            assert_eq!(executable(other), None, "{other}");
        }
    }
}

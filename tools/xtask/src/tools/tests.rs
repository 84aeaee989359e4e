//! A tool exists, is installed, or cannot be installed.

use super::*;

const LATHE: Tool = Tool {
    programs: &["lathe"],
    package: "lathe-bin",
    needed_for: "turning",
    skipped_tests: &["lathe"],
};
const INSTALL: &str = "apt-get install --yes --no-install-recommends lathe-bin";

/// Has some programs, fails the first commands, and has `lathe` after the first success.
struct Scripted {
    programs: Vec<&'static str>,
    root: bool,
    failures_left: u8,
    ran: Vec<String>,
}

impl Scripted {
    fn with(programs: &[&'static str]) -> Self {
        Self { programs: programs.to_vec(), root: true, failures_left: 0, ran: Vec::new() }
    }
}

impl Machine for Scripted {
    fn has(&self, program: &str) -> bool {
        self.programs.contains(&program)
    }

    fn is_root(&self) -> bool {
        self.root
    }

    fn run(&mut self, command: &[&str]) -> Result<(), String> {
        let command = command.join(" ");
        self.ran.push(command.clone());
        let is_update = command.ends_with("update");
        if self.failures_left > 0 && !is_update {
            self.failures_left -= 1;
            return Err(format!("{command}: refused"));
        }
        if !is_update {
            self.programs.push("lathe");
        }
        Ok(())
    }
}

#[test]
fn an_installed_tool_is_not_installed_again() {
    let mut machine = Scripted::with(&["lathe", "apt-get"]);
    assert_eq!(provide(&LATHE, &mut machine), Ok(()));
    assert!(machine.ran.is_empty());
}

#[test]
fn root_installs_directly() {
    let mut machine = Scripted::with(&["apt-get", "sudo"]);
    assert_eq!(provide(&LATHE, &mut machine), Ok(()));
    assert_eq!(machine.ran, [INSTALL]);
}

#[test]
fn other_users_install_through_sudo_without_a_password() {
    let mut machine = Scripted { root: false, ..Scripted::with(&["apt-get", "sudo"]) };
    assert_eq!(provide(&LATHE, &mut machine), Ok(()));
    assert_eq!(machine.ran, [format!("sudo -n {INSTALL}")]);
}

#[test]
fn package_lists_are_fetched_only_after_a_failed_install() {
    let mut machine = Scripted { failures_left: 1, ..Scripted::with(&["apt-get"]) };
    assert_eq!(provide(&LATHE, &mut machine), Ok(()));
    assert_eq!(machine.ran, [INSTALL, "apt-get update", INSTALL]);
}

#[test]
fn a_failed_installation_has_advice() {
    let no_apt = Scripted::with(&[]);
    let no_sudo = Scripted { root: false, ..Scripted::with(&["apt-get"]) };
    let refused = Scripted { failures_left: 2, ..Scripted::with(&["apt-get"]) };
    for (mut machine, why) in
        [(no_apt, "apt-get"), (no_sudo, "no sudo"), (refused, "lathe-bin: refused")]
    {
        let failure = provide(&LATHE, &mut machine).expect_err("the lathe stays missing");
        assert!(failure.what.contains("`lathe` is missing. It is needed for turning."));
        assert!(failure.what.contains(why), "{why} is not in: {failure}");
        assert!(failure.do_this.contains("`apt-get install lathe-bin`"), "{failure}");
        assert!(failure.do_this.contains("--embedded-only"), "{failure}");
    }
}

#[test]
fn a_package_without_the_program_is_a_failure() {
    for programs in [["mill"].as_slice(), &["lathe", "mill"]] {
        let other = Tool { programs, ..LATHE };
        let failure =
            provide(&other, &mut Scripted::with(&["apt-get"])).expect_err("no mill appears");
        assert!(failure.what.contains("`mill` is still not on PATH"), "{failure}");
    }
}

#[test]
fn a_tool_needs_all_of_its_programs() {
    let both = Tool { programs: &["chuck", "lathe"], ..LATHE };
    let mut machine = Scripted::with(&["chuck", "apt-get"]);
    assert_eq!(provide(&both, &mut machine), Ok(()));
    assert_eq!(machine.ran, [INSTALL]);
}

#[test]
fn every_tool_has_a_purpose() {
    for tool in TOOLS {
        assert!(!tool.needed_for.is_empty(), "{}", tool.package);
    }
}

#[test]
fn this_machine_finds_cargo_and_reports_why_a_command_failed() {
    assert!(ThisMachine.has("cargo"));
    assert!(!ThisMachine.has("no-such-program"));
    let why =
        ThisMachine.run(&["cargo", "no-such-command"]).expect_err("cargo has no such command");
    assert!(why.starts_with("`cargo no-such-command` failed: "), "{why}");
}

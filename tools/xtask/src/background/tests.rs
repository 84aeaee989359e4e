//! The process of the servers prints their addresses, and ends with this one.

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn the_addresses_are_read_and_the_process_ends_with_its_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = folder.path().join("ended");
    let mut command = shell("echo A=postgres://b:1 C=d; cat; touch \"$0\"");
    let servers = BackgroundServers::start_with(command.arg(&ended)).expect("it prints them");
    let expected = [("A", "postgres://b:1"), ("C", "d")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(servers.variables(), expected);
    assert_eq!(servers.address(ServerKind::Redis), None);
    assert!(!ended.exists());
    drop(servers);
    assert!(ended.exists());
}

#[test]
fn a_server_that_does_not_start_is_a_failure() {
    let failure =
        BackgroundServers::start_with(&mut shell("exit 1")).expect_err("there are no servers");
    assert!(failure.what.contains("did not start"), "{failure}");
    assert!(BackgroundServers::start_with(&mut Command::new("no-such-program")).is_err());
}

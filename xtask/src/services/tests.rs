//! The keeper says what it keeps, and ends when we do.

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn the_keeper_says_the_variables_and_ends_after_its_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = folder.path().join("ended");
    let mut keeper = shell("echo A=postgres://b:1 C=d; cat; touch \"$0\"");
    let services = Services::kept_by(keeper.arg(&ended)).expect("it says them");
    let expected = [("A", "postgres://b:1"), ("C", "d")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(services.variables(), expected);
    assert_eq!(services.address(Kind::Redis), None);
    assert!(!ended.exists());
    drop(services);
    assert!(ended.exists());
}

#[test]
fn a_keeper_that_fails_stops_the_task() {
    let failure = Services::kept_by(&mut shell("exit 1")).expect_err("there are no servers");
    assert!(failure.what.contains("not up"), "{failure}");
    assert!(Services::kept_by(&mut Command::new("no-such-program")).is_err());
}

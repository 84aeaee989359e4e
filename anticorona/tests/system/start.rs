//! Starting: the errors that an operator sees.

use std::process::{Command, Output};

use drill::ServiceProcess;

use crate::test_system::TestSystem;

/// Runs the program to its end, without settings.
pub(crate) fn anticorona(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anticorona")).args(arguments).env_clear().output().unwrap()
}

fn fails(arguments: &[&str], code: i32, error: &str) {
    let output = anticorona(arguments);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    assert!(printed.contains(error), "{printed}");
}

#[test]
fn the_error_of_a_missing_url_names_the_setting_and_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let error = "VACCINE_URL is not set: where vaccine listens, \
                 for example VACCINE_URL=http://127.0.0.1:8081";
    fails(&["booking", "--data", data], 64, error);
}

#[tokio::test]
async fn a_second_process_on_the_same_ports_does_not_start() {
    let system = TestSystem::in_one_process().await;
    let folder = tempfile::tempdir().unwrap();
    let (data, offset) = (folder.path().to_str().unwrap(), system.port_offset().to_string());
    fails(&["serve", "--data", data, "--port-offset", &offset], 1, "cannot listen on 127.0.0.1");
}

#[tokio::test]
async fn a_second_process_on_the_same_data_does_not_start() {
    let system = TestSystem::in_one_process().await;
    let data = system.data(ServiceProcess::ALL);
    let offset = drill::free_port_offset().unwrap().to_string();
    let arguments = ["serve", "--data", data.to_str().unwrap(), "--port-offset", &offset];
    fails(&arguments, 1, "is in use by another process");
}

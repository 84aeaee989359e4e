//! The files of deploy/ and the pipelines: validated by tools that know their formats, and compared with
//! the code. Each check is also run on a broken file.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{process::Command, time::Duration};

use platform_service::Service;

#[path = "../overlay/overlay.rs"]
mod overlay;

mod jsonschema;
mod kubectl;
mod pipeline;

/// The services, with the time limits of their responses.
const SERVICES: [(&Service, Duration); 6] = [
    (&vaccine::SERVICE, vaccine::RESPONSE_TIMEOUT),
    (&campaign::SERVICE, campaign::RESPONSE_TIMEOUT),
    (&booking::SERVICE, booking::RESPONSE_TIMEOUT),
    (&injection::SERVICE, injection::RESPONSE_TIMEOUT),
    (&mypage::SERVICE, mypage::RESPONSE_TIMEOUT),
    (&gateway::SERVICE, gateway::RESPONSE_TIMEOUT),
];

/// What a tool prints: `Ok` if it exits with 0.
fn checked(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}: `cargo xtask test` installs it", command.get_program().display())
    });
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(printed) } else { Err(printed) }
}

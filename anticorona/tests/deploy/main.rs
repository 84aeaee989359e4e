//! The files of deploy/ and the pipelines: checked by tools that know their formats, and against what
//! the code says of itself. Each check is shown a broken file too.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::process::Command;

#[path = "../overlay/overlay.rs"]
mod overlay;

mod jsonschema;
mod kubectl;
mod pipeline;

/// What a tool has to say if it accepts something, and if it does not.
fn checked(command: &mut Command) -> Result<String, String> {
    let ended = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}: `cargo xtask test` brings it", command.get_program().display())
    });
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    if ended.status.success() { Ok(said) } else { Err(said) }
}

//! Prints a part's OpenAPI document, for `docs/openapi/`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::ValueEnum;

/// A part with an HTTP interface of its own.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Part {
    Vaccine,
    Booking,
    Injection,
    Mypage,
}

pub(crate) fn print(part: Part) -> ExitCode {
    let document = match part {
        Part::Vaccine => vaccine::api::openapi(),
        Part::Booking => booking::api::openapi(),
        Part::Injection => injection::api::openapi(),
        Part::Mypage => mypage::api::openapi(),
    };
    let printed = document
        .to_pretty_json()
        .map_err(io::Error::other)
        .and_then(|json| writeln!(io::stdout(), "{json}"));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

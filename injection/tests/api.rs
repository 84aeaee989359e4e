//! What the desk answers to whoever asks it over HTTP, and what it tells.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "api/town.rs"]
mod town;

#[path = "api/hears.rs"]
mod hears;
#[path = "api/injections.rs"]
mod injections;
#[path = "api/refuses.rs"]
mod refuses;

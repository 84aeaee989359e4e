//! The client and the load against a server whose every byte is scripted.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

mod client;
mod load;
mod open;
mod server;

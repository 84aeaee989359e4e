//! What the ledger answers to whoever asks it over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "api/town.rs"]
mod town;

#[path = "api/document.rs"]
mod document;
#[path = "api/faults.rs"]
mod faults;
#[path = "api/hears.rs"]
mod hears;
#[path = "api/holds.rs"]
mod holds;
#[path = "api/old_clients.rs"]
mod old_clients;
#[path = "api/refuses.rs"]
mod refuses;
#[path = "api/vaccines.rs"]
mod vaccines;

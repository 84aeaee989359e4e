//! What booking responds over HTTP, with a fake `vaccine`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/app.rs"]
mod app;
#[path = "fixture/vaccine.rs"]
mod vaccine;

#[path = "api/alternatives.rs"]
mod alternatives;
#[path = "api/books.rs"]
mod books;
#[path = "api/cancels.rs"]
mod cancels;
#[path = "api/document.rs"]
mod document;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/lists.rs"]
mod lists;
#[path = "api/moves.rs"]
mod moves;
#[path = "api/refuses.rs"]
mod refuses;
#[path = "api/series.rs"]
mod series;
#[path = "api/tickets.rs"]
mod tickets;

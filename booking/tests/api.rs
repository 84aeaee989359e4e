//! What booking answers to whoever asks it over HTTP, with a vaccine that the test plays.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "town/town.rs"]
mod town;

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
#[path = "api/refuses.rs"]
mod refuses;
#[path = "api/tickets.rs"]
mod tickets;

/// Of a problem: its status, its field, and what is wrong.
fn in_short(answer: &town::Answer) -> String {
    let json = answer.json();
    let field = json.get("field").map(|field| format!(" {field}:")).unwrap_or_default();
    format!("{}{field} {}", answer.status.as_u16(), json["detail"].as_str().unwrap_or_default())
}

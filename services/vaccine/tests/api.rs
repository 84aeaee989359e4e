//! The HTTP side of the ledger.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "api/app.rs"]
mod app;
#[path = "fixture/unguarded.rs"]
mod unguarded;

#[path = "api/availability.rs"]
mod availability;
#[path = "api/check_and_book_stock.rs"]
mod check_and_book_stock;
#[path = "api/conditions.rs"]
mod conditions;
#[path = "api/consumed.rs"]
mod consumed;
#[path = "api/document.rs"]
mod document;
#[path = "api/faults.rs"]
mod faults;
#[path = "api/holds.rs"]
mod holds;
#[path = "api/lots.rs"]
mod lots;
#[path = "api/products.rs"]
mod products;
#[path = "api/refusals.rs"]
mod refusals;
#[path = "api/vaccines.rs"]
mod vaccines;

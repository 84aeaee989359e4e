//! Where the ledger is kept.
//!
//! Writing: [`storage::writer::Store`], all commands of a batch in one transaction.
//! Reading: [`Reads`], the last commit.

pub mod sqlite;

pub use sqlite::{Reads, Sqlite};

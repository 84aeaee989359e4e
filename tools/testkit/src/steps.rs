//! The cost of a read on SQLite: steps of its virtual machine, which are the same on every machine.
//!
//! A row that is skipped takes a few steps, as one that is read does. A `count(*)` of a whole table is
//! one step however long it takes: `cargo xtask tidy` rejects it.

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use platform_store::{Database, SqlError, Tx};
use rusqlite::{
    Connection, StatementStatus,
    trace::{TraceEvent, TraceEventCodes},
};

use crate::database::TestDatabase;

/// Steps of one read without caches: each of its statements runs once.
pub fn steps<T>(database: &TestDatabase, read: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>) -> i32 {
    let Database::Sqlite(path) = &database.database else {
        panic!("only SQLite counts its steps");
    };
    let mut connection = Connection::open(path).expect("the file exists");
    let taken = Arc::new(AtomicI32::new(0));
    let sum = Arc::clone(&taken);
    let add = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            sum.fetch_add(statement.get_status(StatementStatus::VmStep), Ordering::Relaxed);
        }
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(add)).expect("traces");
    read(&Tx::Sqlite(&connection)).expect("reads");
    taken.load(Ordering::Relaxed)
}

//! What a read costs on SQLite: steps of its virtual machine, which are the same on every machine.
//!
//! A row that is passed over takes a few steps, as one that is read does. A `count(*)` of a whole
//! table is one step however long it takes: `cargo xtask tidy` refuses it.

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use rusqlite::{
    Connection, StatementStatus,
    trace::{TraceEvent, TraceEventCodes},
};
use storage::{
    database::Database,
    sql::{SqlError, Tx},
};

use super::place::Place;

/// Steps of one read that nothing was remembered for: each of its statements runs once.
pub(crate) fn steps<T>(place: &Place, read: impl FnOnce(&Tx<'_>) -> Result<T, SqlError>) -> i32 {
    let Database::Sqlite(path) = &place.database else {
        panic!("only SQLite counts its steps");
    };
    let mut connection = Connection::open(path).expect("the file is there");
    let taken = Arc::new(AtomicI32::new(0));
    let sum = Arc::clone(&taken);
    let add = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            sum.fetch_add(statement.get_status(StatementStatus::VmStep), Ordering::Relaxed);
        }
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(add)).expect("it tells");
    read(&Tx::Sqlite(&connection)).expect("it reads");
    taken.load(Ordering::Relaxed)
}

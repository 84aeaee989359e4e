#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod aggregate;
mod change_set;
mod commands;
mod connection;
pub mod consumer;
pub mod database;
pub mod dead_letter;
mod delayed;
mod error;
mod fence;
mod migrate;
mod notifier;
pub mod outbox;
mod page;
pub mod postgres;
mod read;
pub mod retention;
mod sql;
mod sqlite;
mod value;
mod write;
pub mod writer;

pub use {
    aggregate::{Advance, Aggregate, AggregateStore, Disposition, Input, Output},
    change_set::{ChangeSet, RowChange},
    commands::{CommandOf, Commands},
    connection::{Database, DatabaseUrlError},
    consumer::{Offset, SnapshotOffset},
    dead_letter::{DeadLetter, DeadLetterChange, DeadLetterId, DeadLetterState, Dismissal},
    delayed::DelayedStore,
    error::{OpenError, SqlError, StoreError},
    fence::{Fence, UNKNOWN_MAX},
    migrate::Migration,
    notifier::{Notifier, Subscription},
    outbox::{Event, OutboxEntry, Payload},
    page::{Keyset, PageRange, PageRows, PageStart},
    read::{READ_CONNECTIONS_MAX, ReadError, ReadPool},
    retention::{Prunable, Prune},
    sql::{ById, PendingQuery, Tx},
    value::{Row, Value},
    write::WriteConnection,
    writer::{CommandError, Store, WriteError, WriterHealth},
};

/// Ties a command type to its variant of all commands, and its reply to its variant of all replies:
/// implements `From` and [`CommandOf`].
///
/// `command_of!(Bookings: CancelBooking => Command::Cancel, Reply::Cancel(reply) -> CancelReply);`
#[macro_export]
macro_rules! command_of {
    (
        $aggregate:ty:
        $command:ident => $commands:ident::$variant:ident,
        $replies:ident::$reply:ident($($field:ident),+) -> $type:ty
    ) => {
        impl From<$command> for $commands {
            fn from(command: $command) -> Self {
                Self::$variant(command)
            }
        }

        impl $crate::CommandOf<$aggregate> for $command {
            type Reply = $type;

            fn reply(reply: $replies) -> Option<$type> {
                if let $replies::$reply($($field),+) = reply { Some(($($field),+)) } else { None }
            }
        }
    };
}

/// The statements of a [`Keyset`]. Rows may be selected with parameters from `?4`:
///
/// `keyset!(SELECT "id, reservation, status" FROM "bookings" WHERE "user_id = ?4" ORDER BY "id")`
#[macro_export]
macro_rules! keyset {
    (SELECT $columns:literal FROM $table:literal $(WHERE $rows:literal)? ORDER BY $key:literal) => {
        $crate::Keyset {
            after: concat!(
                "SELECT ", $columns, " FROM ", $table, " WHERE ", $key, " > ?1", $(" AND ", $rows,)?
                " ORDER BY ", $key, " LIMIT ?2 OFFSET ?3"
            ),
            before: concat!(
                "SELECT ", $columns, " FROM ", $table, " WHERE ", $key, " < ?1", $(" AND ", $rows,)?
                " ORDER BY ", $key, " DESC LIMIT ?2 OFFSET ?3"
            ),
        }
    };
}

/// The statements of a [`ById`]: `by_id!(SELECT "booking, reservation" FROM "attempts" BY "reservation")`
#[macro_export]
macro_rules! by_id {
    (SELECT $columns:literal FROM $table:literal BY $id:literal) => {
        $crate::ById {
            id: concat!("SELECT ", $columns, " FROM ", $table, " WHERE ", $id, " = ?1"),
            between: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE ",
                $id,
                " BETWEEN ?1 AND ?2 LIMIT ?3"
            ),
        }
    };
}

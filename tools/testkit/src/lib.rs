#![doc = include_str!("../README.md")]
#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]
#![warn(missing_docs)]

pub mod app;
pub mod database;
pub mod deliveries;
pub mod events;
pub mod reply;
pub mod steps;
pub mod store;

pub use {
    app::{TEST_TIMEOUT, TestApp},
    database::TestDatabase,
    events::{EventRecorder, event},
    reply::Reply,
    store::TestStore,
};

/// Makes a test of every behaviour for each database. A behaviour is a function that takes the
/// constructor of a [`TestDatabase`].
#[macro_export]
macro_rules! on_both_databases {
    ($($behaviour:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $behaviour() {
                super::$behaviour($crate::database::TestDatabase::sqlite);
            })+
        }

        mod postgres {
            $(#[test]
            fn $behaviour() {
                super::$behaviour($crate::database::TestDatabase::postgres);
            })+
        }
    };
}

//! A place to keep stores in, for one test alone: a file, or a database on the server that
//! `cargo xtask test` starts.

use storage::{
    database::{Database, OpenError, Readers, Writable, open_blocking},
    migrate::Migration,
    postgres::Connection,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// Where tests learn the address of PostgreSQL.
const SERVER: &str = "ANTICORONA_TEST_POSTGRES";

/// Makes a test of every behaviour for each database. A behaviour is a function that is told how to
/// make a place.
macro_rules! on_both {
    ($($behaviour:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $behaviour() {
                super::$behaviour(crate::place::Place::sqlite);
            })+
        }

        mod postgres {
            $(#[test]
            fn $behaviour() {
                super::$behaviour(crate::place::Place::postgres);
            })+
        }
    };
}

pub(crate) use on_both;

pub(crate) struct Place {
    pub(crate) database: Database,
    runtime: Runtime,
    _folder: Option<TempDir>,
}

impl Place {
    /// In a folder that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Database::Sqlite(folder.path().join("town/store.sqlite"));
        Self { database, runtime: runtime(), _folder: Some(folder) }
    }

    /// In a database without any tables.
    pub(crate) fn postgres() -> Self {
        let Database::Postgres(mut server) = server() else {
            panic!("{SERVER} is not an address of PostgreSQL");
        };
        let runtime = runtime();
        let name = format!("test_{}", Uuid::now_v7().simple());
        let connection = Connection::open(&server, "public").expect("PostgreSQL is there");
        connection.run(&format!("CREATE DATABASE {name}")).expect("makes a database");
        server.dbname(name);
        Self { database: Database::Postgres(server), runtime, _folder: None }
    }

    pub(crate) fn open(
        &self,
        part: &'static str,
        migrations: &[Migration],
    ) -> Result<(Writable, Readers), OpenError> {
        open_blocking(&self.database, part, migrations)
    }

    /// What comes of something that a store does in the background, as reading.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests of stores learn it")]
fn server() -> Database {
    let Ok(address) = std::env::var(SERVER) else {
        panic!("{SERVER} is not set: start the tests with `cargo xtask test`");
    };
    address.parse().expect("an address of a database")
}

//! A database for one test: a SQLite file, or a database on the PostgreSQL server that
//! `cargo xtask test` starts.

use platform_store::{
    Database, Migration, OpenError, ReadPool, WriteConnection, database::open_blocking,
    postgres::Connection,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// The environment variable with the URL of PostgreSQL.
const SERVER: &str = "ANTICORONA_TEST_POSTGRES";

/// A database of one test, without tables.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its address.
    pub database: Database,
    runtime: Runtime,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// A SQLite file in a folder that does not exist yet; deleted with this.
    pub fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Database::Sqlite(folder.path().join("data/store.sqlite"));
        Self { database, runtime: runtime(), _folder: Some(folder) }
    }

    /// A new database on the test server; deleted with the server.
    pub fn postgres() -> Self {
        let Database::Postgres(mut server) = server() else {
            panic!("{SERVER} is not a URL of PostgreSQL");
        };
        let runtime = runtime();
        let name = format!("test_{}", Uuid::now_v7().simple());
        let connection = Connection::open(&server, "public").expect("connects to PostgreSQL");
        connection.run_script(&format!("CREATE DATABASE {name}")).expect("creates a database");
        server.dbname(name);
        Self { database: Database::Postgres(server), runtime, _folder: None }
    }

    /// Opens the store of a service in it.
    pub fn open(
        &self,
        service: &'static str,
        migrations: &[Migration],
    ) -> Result<(WriteConnection, ReadPool), OpenError> {
        open_blocking(&self.database, service, migrations)
    }

    /// Runs something asynchronous, such as a read.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

#[expect(clippy::disallowed_methods, reason = "only here do store tests read the environment")]
fn server() -> Database {
    let Ok(url) = std::env::var(SERVER) else {
        panic!("{SERVER} is not set: start the tests with `cargo xtask test`");
    };
    url.parse().expect("the URL of a database")
}

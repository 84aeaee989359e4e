//! PostgreSQL: fast for tests and drills, since what it holds is thrown away, or durable for measurements.

use std::{
    env, fs, io,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::{
    Service,
    failure::Failure,
    free_port, no_folder,
    running::{Running, Terms},
};

/// This signal ends it with its connections; SIGTERM would wait for them.
const TERMS: Terms = Terms::stop_with(Signal::INT);

const USER: &str = "anticorona";

/// Every test opens connections of its own.
const CONNECTIONS_MAX: u16 = 300;

/// Whom it runs as in place of root, in this order: whoever is there.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// What a commit is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It outlives the process.
    None,
    /// It outlives a power cut; nothing differs from how PostgreSQL is installed.
    Full,
}

pub(crate) fn start(durability: Durability) -> Result<Service, Failure> {
    let account = if geteuid().is_root() { Some(other_than_root()?) } else { None };
    let folder = folder_of(account).map_err(|error| no_folder(&error))?;
    let mut initdb = program("initdb", &folder, account);
    initdb.args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    initdb.arg(format!("--username={USER}"));
    Running::launch(&mut initdb, folder.path().join("initdb.log"), TERMS)?.done()?;

    let port = free_port()?;
    let mut postgres = program("postgres", &folder, account);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        match durability {
            Durability::None => "fsync=off",
            Durability::Full => "fsync=on",
        },
        // In its folder: in /dev/shm it would stay if the server were killed.
        "dynamic_shared_memory_type=mmap",
        &format!("port={port}"),
        &format!("max_connections={CONNECTIONS_MAX}"),
    ] {
        postgres.args(["-c", setting]);
    }
    let mut server = Running::launch(&mut postgres, folder.path().join("log"), TERMS)?;
    server.up("database system is ready to accept connections", port)?;
    Ok(Service { address: format!("postgres://{USER}@127.0.0.1:{port}/postgres"), server, folder })
}

fn program(name: &str, folder: &TempDir, account: Option<Account>) -> Command {
    let mut command = Command::new(name);
    command.arg("-D").arg(folder.path().join("data"));
    // The checkout may be closed to the account.
    command.current_dir(folder);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Somebody on this machine, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// PostgreSQL refuses to run as root.
fn other_than_root() -> Result<Account, Failure> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    account(&accounts).ok_or_else(|| {
        Failure::new(
            format!(
                "PostgreSQL does not run as root, and there is no user {}",
                ACCOUNTS.join(", ")
            ),
            "add one of them, or be somebody other than root",
        )
    })
}

/// `accounts` is written as /etc/passwd is.
pub(crate) fn account(accounts: &str) -> Option<Account> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let accounts: Vec<_> = accounts.lines().map(fields).collect();
    ACCOUNTS.iter().find_map(|name| {
        let account = accounts.iter().find(|fields| fields.first().is_some_and(|it| it == name))?;
        let [_, _, uid, gid, ..] = &account[..] else { return None };
        Some(Account { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    })
}

fn folder_of(account: Option<Account>) -> io::Result<TempDir> {
    let Some(Account { uid, gid }) = account else { return tempfile::tempdir() };
    let usual = env::temp_dir();
    let places = [usual.clone(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let place = places.into_iter().find(|place| everybody_may_enter(place)).unwrap_or(usual);
    let folder = tempfile::tempdir_in(place)?;
    chown(&folder, Some(uid), Some(gid))?;
    Ok(folder)
}

pub(crate) fn everybody_may_enter(folder: &Path) -> bool {
    let may_enter = |folder: &Path| fs::metadata(folder).is_ok_and(|it| it.mode() & 0o001 != 0);
    fs::canonicalize(folder).is_ok_and(|folder| folder.ancestors().all(may_enter))
}

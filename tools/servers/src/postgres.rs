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
    failure::Failure,
    identity::Identity,
    process::{Limits, Process},
    server::{Kind, ThrowAwayServer, new_folder},
};

/// SIGINT closes its connections; SIGTERM would wait for them.
const KIND: Kind = Kind {
    ready_line: "database system is ready to accept connections",
    stop_with: Signal::INT,
    url: ("postgres://anticorona@", "/postgres"),
};

/// Every test opens connections of its own.
const CONNECTIONS_MAX: u16 = 300;

/// The users that replace root; the first that exists is used.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process that made it.
    None,
    /// A power cut. Every setting is PostgreSQL's default.
    Full,
}

/// PostgreSQL: fast for data that is thrown away, or with its default durability.
pub fn postgres(durability: Durability) -> Result<ThrowAwayServer, Failure> {
    start(durability, None)
}

/// PostgreSQL for tests, which offers TLS with this certificate.
pub fn postgres_with_tls(identity: &Identity) -> Result<ThrowAwayServer, Failure> {
    start(Durability::None, Some(identity))
}

fn start(durability: Durability, identity: Option<&Identity>) -> Result<ThrowAwayServer, Failure> {
    let account = if geteuid().is_root() { Some(other_than_root()?) } else { None };
    let folder = new_folder(folder_of(account))?;
    let mut initdb = program("initdb", folder.path(), account);
    initdb.args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    initdb.arg("--username=anticorona");
    let tls = new_folder(identity.map(|identity| identity.write(folder.path())).transpose())?;
    if let (Some([_, key]), Some(Account { uid, gid })) = (&tls, account) {
        new_folder(chown(key, Some(uid), Some(gid)))?;
    }
    let log = folder.path().join("initdb.log");
    Process::launch(&mut initdb, log, Limits::stop_with(Signal::INT))?.wait_for_success()?;

    ThrowAwayServer::start(&KIND, folder, |folder, port| {
        let mut postgres = program("postgres", folder, account);
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
        if let Some([certificate, key]) = tls {
            let path = |name: &str, path: &Path| format!("{name}={}", path.display());
            postgres.args(["-c", "ssl=on"]);
            postgres.args(["-c", &path("ssl_cert_file", &certificate)]);
            postgres.args(["-c", &path("ssl_key_file", &key)]);
        }
        postgres
    })
}

fn program(name: &str, folder: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(name);
    command.arg("-D").arg(folder.join("data"));
    // The account may have no access to the checkout.
    command.current_dir(folder);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// A user of this machine.
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
                "PostgreSQL does not run as root, and the users {} do not exist",
                ACCOUNTS.join(" and ")
            ),
            "add one of them, or run this as another user",
        )
    })
}

/// `accounts` is the text of /etc/passwd.
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
    let place = places.into_iter().find(|place| every_user_may_enter(place)).unwrap_or(usual);
    let folder = tempfile::tempdir_in(place)?;
    chown(&folder, Some(uid), Some(gid))?;
    Ok(folder)
}

pub(crate) fn every_user_may_enter(folder: &Path) -> bool {
    let may_enter = |folder: &Path| fs::metadata(folder).is_ok_and(|it| it.mode() & 0o001 != 0);
    fs::canonicalize(folder).is_ok_and(|folder| folder.ancestors().all(may_enter))
}

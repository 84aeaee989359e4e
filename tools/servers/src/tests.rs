//! Servers that start, that do not, and that leave nothing behind.
//! A test that needs an installed program has its name in its own: `--embedded-only` skips it.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, test_kill_process};
use tempfile::TempDir;

use crate::{
    Durability, ThrowAwayServer, nats, poll, postgres,
    postgres::{Account, account, every_user_may_enter},
    process::{Limits, Process},
    search_path,
    server::free_port,
};

const ENDS_WITHIN: Duration = Duration::from_secs(30);

const SHORT: Limits = Limits {
    stop_with: Signal::INT,
    start_within: Duration::from_millis(200),
    stop_within: Duration::from_millis(200),
};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn launch(script: &str, folder: &Path) -> Process {
    Process::launch(&mut shell(script), folder.join("log"), SHORT).expect("there is a shell")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn port_of(server: &ThrowAwayServer) -> u16 {
    let tail = server.address().split("127.0.0.1:").nth(1).expect("an address on this machine");
    tail.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
}

fn end(server: ThrowAwayServer) {
    let port = port_of(&server);
    let folder: PathBuf = server.folder().into();
    drop(server);
    assert!(!folder.exists(), "its folder was not removed");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "it still listens");
}

/// Prints the results of the statements, one per line.
fn psql(server: &ThrowAwayServer, statements: &[&str]) -> Child {
    let mut psql = Command::new("psql");
    psql.arg(server.address()).args(["--no-align", "--tuples-only"]);
    for statement in statements {
        psql.args(["--command", statement]);
    }
    psql.env("PATH", search_path()).stdout(Stdio::piped()).stderr(Stdio::null());
    psql.spawn().expect("psql comes with the server")
}

#[test]
fn postgres_takes_clients_at_its_address_and_leaves_nothing_behind() {
    let server = postgres(Durability::None).expect("it starts");
    let psql = psql(&server, &["SHOW server_encoding", "SHOW max_connections"]);
    let printed = psql.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&printed), "UTF8\n300\n");
    end(server);
}

#[test]
fn postgres_stops_while_a_query_runs() {
    let server = postgres(Durability::None).expect("it starts");
    let mut psql = psql(&server, &["SELECT 'connected'", "SELECT pg_sleep(600)"]);
    let mut line = String::new();
    BufReader::new(psql.stdout.take().expect("a pipe")).read_line(&mut line).expect("it answers");
    assert_eq!(line, "connected\n");
    end(server);
    assert!(!psql.wait().expect("it ends").success());
}

#[test]
fn durable_postgres_syncs_every_commit() {
    let server = postgres(Durability::Full).expect("it starts");
    let psql = psql(&server, &["SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes"]);
    let printed = psql.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&printed), "on\non\non\n");
    end(server);
}

#[test]
fn nats_takes_clients_at_its_address_has_jetstream_and_leaves_nothing_behind() {
    let server = nats().expect("it starts");
    let mut greeting = [0; 1024];
    let length = TcpStream::connect((Ipv4Addr::LOCALHOST, port_of(&server)))
        .and_then(|mut connection| connection.read(&mut greeting))
        .expect("it is up");
    let greeting = String::from_utf8_lossy(&greeting[..length]);
    assert!(
        greeting.starts_with("INFO ") && greeting.contains(r#""jetstream":true"#),
        "{greeting}"
    );
    end(server);
}

#[test]
fn a_failed_start_quotes_the_end_of_the_log_and_the_alternative() {
    let folder = folder();
    let script = "seq 50; echo disk is full >&2; exit 3";
    let ended = launch(script, folder.path()).wait_until_ready("dry", 0).expect_err("it ends");
    let failed = launch(script, folder.path()).wait_for_success().expect_err("it fails");
    for (failure, what) in [(ended, "ended (exit status: 3)"), (failed, "failed (exit status: 3)")]
    {
        assert!(failure.what.contains(what), "{failure}");
        assert!(failure.what.contains("    50\n    disk is full"), "{failure}");
        assert!(!failure.what.contains("    41\n"), "{failure}");
        assert!(failure.do_this.contains("--embedded-only"), "{failure}");
    }
}

#[test]
fn a_slow_start_is_a_failure() {
    let folder = folder();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let hang = || launch("exec sleep 60", folder.path());
    let failure = hang().wait_until_ready("ready", port).expect_err("it never is ready");
    let expected = "is not ready after 0 s. The end of its log:\n    nothing";
    assert!(failure.what.contains(expected), "{failure}");
    let failure = hang().wait_for_success().expect_err("it does not end");
    assert!(failure.what.contains("has not ended after 0 s"), "{failure}");
}

#[test]
fn a_ready_line_without_an_open_port_is_not_enough() {
    let folder = folder();
    let mut server = launch("echo ready; exec sleep 60", folder.path());
    assert!(server.wait_until_ready("ready", free_port().expect("a port")).is_err());
}

#[test]
fn a_server_that_ends_early_is_reported() {
    let folder = folder();
    let mut server = launch("read nothing; exit 4", folder.path());
    let failure = poll(ENDS_WITHIN, || server.check_running().err());
    let failure = failure.expect("it ends");
    assert!(failure.what.contains("ended (exit status: 4) while it was needed"), "{failure}");
}

#[test]
fn a_program_that_ignores_signals_is_killed() {
    let folder = folder();
    let script = "trap '' INT TERM; echo $$; while :; do sleep 0.01; done";
    let server = launch(script, folder.path());
    let log = || fs::read_to_string(folder.path().join("log")).ok();
    let id = poll(ENDS_WITHIN, || log()?.trim().parse().ok());
    let id = id.and_then(Pid::from_raw).expect("it prints its process id");
    assert!(test_kill_process(id).is_ok());
    drop(server);
    assert!(test_kill_process(id).is_err(), "it still runs");
}

#[test]
fn postgres_runs_as_postgres_or_nobody_instead_of_root() {
    let nobody = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
    let both = format!("{nobody}postgres:x:104:111:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n");
    assert_eq!(account(nobody), Some(Account { uid: 65534, gid: 65533 }));
    assert_eq!(account(&both), Some(Account { uid: 104, gid: 111 }));
    assert_eq!(account("root:x:0:0::/:/bin/sh\npostgres\n"), None);
}

#[test]
fn a_folder_below_a_closed_one_is_closed() {
    let closed = folder();
    let inner = closed.path().join("inner");
    fs::create_dir(&inner).expect("a folder");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("it is ours");
    assert!(every_user_may_enter(Path::new("/")));
    assert!(!every_user_may_enter(&inner));
    assert!(!every_user_may_enter(Path::new("/no/such/folder")));
}

//! Servers that come up, that do not, and that are gone in the end, whatever happens.
//! Those that need a program from outside have its name in theirs: `--embedded-only` skips them.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, test_kill_process};

use super::{
    postgres::{Account, account, everybody_may_enter},
    running::Terms,
    *,
};

/// How long the end of a program is looked for.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

const SHORT: Terms = Terms {
    stop_with: Signal::INT,
    start_within: Duration::from_millis(200),
    stop_within: Duration::from_millis(200),
};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn launch(script: &str, folder: &Path) -> Running {
    Running::launch(&mut shell(script), folder.join("log"), SHORT).expect("there is a shell")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn port_of(service: &Service) -> u16 {
    let tail = service.address.split("127.0.0.1:").nth(1).expect("an address on this machine");
    tail.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
}

fn end(service: Service) {
    let port = port_of(&service);
    let folder: PathBuf = service.folder.path().into();
    drop(service);
    assert!(!folder.exists(), "its folder is still there");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "it still listens");
}

/// Reads what the statements answer, one line each.
fn psql(service: &Service, statements: &[&str]) -> Child {
    let mut psql = Command::new("psql");
    psql.arg(&service.address).args(["--no-align", "--tuples-only"]);
    for statement in statements {
        psql.args(["--command", statement]);
    }
    psql.env("PATH", search_path()).stdout(Stdio::piped()).stderr(Stdio::null());
    psql.spawn().expect("psql comes with the server")
}

#[test]
fn postgres_answers_at_its_address_and_is_gone_in_the_end() {
    let service = postgres(Durability::None).expect("it starts");
    let asked = psql(&service, &["SHOW server_encoding", "SHOW max_connections"]);
    let answer = asked.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&answer), "UTF8\n300\n");
    end(service);
}

#[test]
fn postgres_does_not_wait_for_those_who_still_ask() {
    let service = postgres(Durability::None).expect("it starts");
    let mut psql = psql(&service, &["SELECT 'connected'", "SELECT pg_sleep(600)"]);
    let mut line = String::new();
    BufReader::new(psql.stdout.take().expect("a pipe")).read_line(&mut line).expect("it answers");
    assert_eq!(line, "connected\n");
    end(service);
    assert!(!psql.wait().expect("it ends").success());
}

#[test]
fn postgres_keeps_its_promises_where_they_are_measured() {
    let service = postgres(Durability::Full).expect("it starts");
    let asked = psql(&service, &["SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes"]);
    let answer = asked.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&answer), "on\non\non\n");
    end(service);
}

#[test]
fn nats_answers_at_its_address_with_streams_and_is_gone_in_the_end() {
    let service = nats().expect("it starts");
    let mut greeting = [0; 1024];
    let length = TcpStream::connect((Ipv4Addr::LOCALHOST, port_of(&service)))
        .and_then(|mut connection| connection.read(&mut greeting))
        .expect("it is up");
    let greeting = String::from_utf8_lossy(&greeting[..length]);
    assert!(
        greeting.starts_with("INFO ") && greeting.contains(r#""jetstream":true"#),
        "{greeting}"
    );
    end(service);
}

#[test]
fn what_does_not_start_says_its_last_lines_and_the_way_around() {
    let folder = folder();
    let script = "seq 50; echo the roof leaks >&2; exit 3";
    let ended = launch(script, folder.path()).up("dry", 0).expect_err("it ends");
    let failed = launch(script, folder.path()).done().expect_err("it fails");
    for (failure, what) in [(ended, "ended (exit status: 3)"), (failed, "failed (exit status: 3)")]
    {
        assert!(failure.what.contains(what), "{failure}");
        assert!(failure.what.contains("    50\n    the roof leaks"), "{failure}");
        assert!(!failure.what.contains("    41\n"), "{failure}");
        assert!(failure.do_this.contains("--embedded-only"), "{failure}");
    }
}

#[test]
fn what_takes_too_long_is_given_up() {
    let folder = folder();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let up = launch("exec sleep 60", folder.path()).up("ready", port).expect_err("it never is");
    assert!(up.what.contains("is not up after 0 s. It said last:\n    nothing"), "{up}");
    let done = launch("exec sleep 60", folder.path()).done().expect_err("it never is");
    assert!(done.what.contains("is not done after 0 s"), "{done}");
}

#[test]
fn a_word_in_the_log_is_not_enough_without_a_port() {
    let folder = folder();
    let mut server = launch("echo ready; exec sleep 60", folder.path());
    assert!(server.up("ready", free_port().expect("a port")).is_err());
}

#[test]
fn what_ends_on_its_own_is_noticed() {
    let folder = folder();
    let mut server = launch("read nothing; exit 4", folder.path());
    let failure = look(ENDS_WITHIN, || server.still_up().err());
    let failure = failure.expect("it ends");
    assert!(failure.what.contains("ended (exit status: 4) while it was needed"), "{failure}");
}

#[test]
fn what_does_not_listen_to_signals_is_killed() {
    let folder = folder();
    let script = "trap '' INT TERM; echo $$; while :; do sleep 0.01; done";
    let server = launch(script, folder.path());
    let said = || fs::read_to_string(folder.path().join("log")).ok();
    let id = look(ENDS_WITHIN, || said()?.trim().parse().ok());
    let id = id.and_then(Pid::from_raw).expect("it says its number");
    assert!(test_kill_process(id).is_ok());
    drop(server);
    assert!(test_kill_process(id).is_err(), "it is still there");
}

#[test]
fn in_place_of_root_the_database_runs_as_its_own_user_or_as_nobody() {
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
    assert!(everybody_may_enter(Path::new("/")));
    assert!(!everybody_may_enter(&inner));
    assert!(!everybody_may_enter(Path::new("/no/such/folder")));
}

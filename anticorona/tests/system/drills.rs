//! Every drill passes, and fails against a system without the protection that it tests.
//!
//! Short versions with debug builds; the defaults of `anticorona drill …` are longer.

use std::process::{Command, Output};

use drill::ServiceProcess;
use platform_store::{Database, database};
use serde_json::Value;
use tempfile::TempDir;
use vaccine::store::MIGRATIONS;

use crate::{
    oversell::{Mutant, UNCHECKED},
    requests::{book, cancel, register_vaccine, send},
    start::anticorona,
    test_system::TestSystem,
};

/// A finished drill.
struct FinishedDrill {
    output: Output,
    folder: TempDir,
}

fn drill(arguments: &[&str]) -> FinishedDrill {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_anticorona"))
        .arg("drill")
        .args(arguments)
        .arg("--report")
        .arg(folder.path().join("report.html"))
        .arg("--json")
        .arg(folder.path().join("figures.json"))
        .output()
        .unwrap();
    FinishedDrill { output, folder }
}

impl FinishedDrill {
    fn printed(&self) -> String {
        let printed = [&self.output.stdout[..], &self.output.stderr[..]].concat();
        String::from_utf8_lossy(&printed).into_owned()
    }

    fn figures(&self) -> Value {
        let text = std::fs::read(self.folder.path().join("figures.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The exit code, the page and the figures show that it passed.
    fn assert_passed(&self) {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.printed());
        assert_eq!(self.figures()["passed"], true);
        let page = std::fs::read_to_string(self.folder.path().join("report.html")).unwrap();
        assert!(page.contains("<svg") && page.contains("class=\"verdict good\""));
    }

    /// Likewise that it failed, and this check among others.
    fn assert_failed(&self, check: &str) {
        assert_eq!(self.output.status.code(), Some(1), "{}", self.printed());
        assert_eq!(self.figures()["passed"], false);
        let printed = self.printed();
        let mut failures = printed.lines().filter(|line| line.contains("FAIL"));
        assert!(failures.any(|line| line.contains(check)), "{printed}");
    }
}

const OVERSELL: [&str; 5] = ["oversell", "--clients", "600", "--doses", "250"];

#[test]
fn oversell_passes() {
    drill(&OVERSELL).assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn oversell_fails_against_a_ledger_without_its_guards() {
    let mutant = Mutant::start(UNCHECKED).await;
    let [booking, vaccine] = [mutant.booking().to_string(), mutant.vaccine().to_string()];
    let finished = tokio::task::spawn_blocking(move || {
        let targets = ["--target", &booking, "--vaccine", &vaccine];
        drill(&[&OVERSELL[..], &targets].concat())
    });
    finished.await.unwrap().assert_failed("exactly 250 clients have a booking: 600");
}

const CRASH: [&str; 3] = ["crash", "--rounds", "2"];

#[test]
fn crash_passes() {
    drill(&CRASH).assert_passed();
}

#[test]
fn crash_fails_if_the_data_is_lost_with_the_process() {
    drill(&[&CRASH[..], &["--without-protection"]].concat())
        .assert_failed("the ledgers of all services agree");
}

const BREAKER: [&str; 3] = ["breaker", "--seconds", "20"];

#[test]
fn breaker_passes() {
    drill(&BREAKER).assert_passed();
}

#[test]
fn breaker_fails_if_the_circuit_breaker_is_disabled() {
    let finished = drill(&[&BREAKER[..], &["--without-protection"]].concat());
    finished.assert_failed(
        "the breaker opens within 3.00 s of the last booking when vaccine is slow: it does not",
    );
}

const DEPLOY: [&str; 5] = ["deploy", "--seconds", "7", "--replicas", "2"];

#[test]
fn deploy_passes() {
    drill(&DEPLOY).assert_passed();
}

#[test]
fn deploy_fails_if_processes_are_killed_instead_of_terminated() {
    drill(&[&DEPLOY[..], &["--without-protection"]].concat())
        .assert_failed("100 % of the requests are served");
}

/// Their addresses are cached for 750 ms.
#[test]
fn deploy_fails_if_processes_end_while_their_addresses_are_still_known() {
    drill(&[&DEPLOY[..], &["--pre-stop", "0"]].concat())
        .assert_failed("100 % of the requests are served");
}

const SELF_HEAL: [&str; 3] = ["self-heal", "--seconds", "18"];

#[test]
fn self_heal_passes() {
    drill(&SELF_HEAL).assert_passed();
}

#[test]
fn self_heal_fails_without_liveness_probes() {
    drill(&[&SELF_HEAL[..], &["--without-protection"]].concat()).assert_failed("it is restarted");
}

const OPENING_DAY: [&str; 7] =
    ["opening-day", "--clients", "400", "--doses", "300", "--seconds", "4"];

#[test]
fn opening_day_is_go() {
    drill(&OPENING_DAY).assert_passed();
}

#[test]
fn opening_day_is_no_go_without_deadlines() {
    let finished = drill(&[&OPENING_DAY[..], &["--without-protection"]].concat());
    finished.assert_failed("no response takes longer than 3.50 s");
}

/// The drill starts a PostgreSQL of its own.
const AUTOSCALE: [&str; 9] =
    ["autoscale", "--seconds", "10", "--users", "50", "--max-replicas", "4", "--speedup", "30"];

#[test]
fn autoscale_on_postgres_passes() {
    drill(&AUTOSCALE).assert_passed();
}

#[test]
fn autoscale_on_postgres_fails_without_an_autoscaler() {
    let finished = drill(&[&AUTOSCALE[..], &["--without-protection"]].concat());
    finished.assert_failed("booking scales up under the load: from 1 to 1");
}

#[test]
fn a_drill_against_another_machine_requires_the_consent_of_its_owner() {
    let finished = drill(&["deploy", "--target", "http://192.0.2.7:8088"]);
    assert_eq!(finished.output.status.code(), Some(2), "{}", finished.printed());
    assert!(finished.printed().contains("--i-own-this-target"), "{}", finished.printed());
}

/// Of a running system, and of its data after it was stopped.
#[tokio::test]
async fn an_audit_finds_nothing_in_a_healthy_system_and_finds_a_leaked_dose() {
    let mut system = TestSystem::in_one_process().await;
    let id = register_vaccine(&system.vaccine(), 5).await;
    for _ in 0..7 {
        send(&system.gateway(), book(id)).await;
    }
    assert_eq!(send(&system.gateway(), cancel(1)).await.status, 200);
    let clean = "oversold 0, leaked 0, lost 0, double 0, overcommitted 0, in 1 vaccines and 5 \
                 bookings\n";
    let audit = |arguments: &[&str]| {
        let output = anticorona(&[&["audit"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let running = audit(&["--port-offset", &system.port_offset().to_string()]);
    assert_eq!(running, (Some(0), clean.to_owned()));

    assert_eq!(system.terminate(ServiceProcess::ALL).await, Some(0));
    let data = system.data(ServiceProcess::ALL);
    let folder = data.to_str().unwrap();
    assert_eq!(audit(&["--data", folder]), (Some(0), clean.to_owned()));

    let file = Database::Sqlite(data.join("vaccine.sqlite"));
    let change = async |sql: &str| {
        let opened = database::open(&file, vaccine::SERVICE.name, MIGRATIONS).await;
        opened.unwrap().0.transaction(|tx| tx.run_script(sql)).unwrap();
    };
    change("UPDATE pools SET taken = taken + 1").await;
    let (code, printed) = audit(&["--data", folder]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("leaked 1, lost 0"), "{printed}");

    change("UPDATE pools SET stock = 4, taken = taken - 1, overcommitted = 1").await;
    let (code, printed) = audit(&["--data", folder]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("without a dose: bookings [5]"), "{printed}");
}

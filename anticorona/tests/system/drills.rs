//! Every drill in both directions: it passes, and it fails against a system that lacks what it is about.
//!
//! Short versions, in debug builds; `anticorona drill …` with its defaults is the real thing.

use std::process::{Command, Output};

use serde_json::Value;
use storage::database::{Database, open};
use tempfile::TempDir;
use vaccine::store::MIGRATIONS;

use crate::{
    oversell::{Mutant, UNCHECKED},
    start::anticorona,
    town::{Part, Town, ask, book, cancel, register},
};

/// A finished drill.
struct Drilled {
    output: Output,
    folder: TempDir,
}

fn drill(arguments: &[&str]) -> Drilled {
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
    Drilled { output, folder }
}

impl Drilled {
    fn said(&self) -> String {
        let said = [&self.output.stdout[..], &self.output.stderr[..]].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn figures(&self) -> Value {
        let text = std::fs::read(self.folder.path().join("figures.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The verdict, its exit code, the page and the figures say the same.
    fn passed(&self) {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.said());
        assert_eq!(self.figures()["passed"], true);
        let page = std::fs::read_to_string(self.folder.path().join("report.html")).unwrap();
        assert!(page.contains("<svg") && page.contains("class=\"verdict good\""));
    }

    /// Likewise, and for this reason among others.
    fn failed(&self, reason: &str) {
        assert_eq!(self.output.status.code(), Some(1), "{}", self.said());
        assert_eq!(self.figures()["passed"], false);
        let said = self.said();
        let failures: Vec<&str> = said.lines().filter(|line| line.contains("FAIL")).collect();
        assert!(failures.iter().any(|line| line.contains(reason)), "{said}");
    }
}

const OVERSELL: [&str; 5] = ["oversell", "--people", "600", "--doses", "250"];

#[test]
fn oversell_passes() {
    drill(&OVERSELL).passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn oversell_fails_against_a_ledger_without_its_guards() {
    let mutant = Mutant::start(UNCHECKED).await;
    let [entry, vaccine] = [mutant.booking.to_string(), mutant.vaccine.to_string()];
    let drilled = tokio::task::spawn_blocking(move || {
        let site = ["--target", &entry, "--vaccine", &vaccine];
        drill(&[&OVERSELL[..], &site].concat())
    });
    drilled.await.unwrap().failed("exactly 250 people have a booking: 600");
}

const CRASH: [&str; 3] = ["crash", "--rounds", "2"];

#[test]
fn crash_passes() {
    drill(&CRASH).passed();
}

#[test]
fn crash_fails_when_data_is_gone_with_the_process() {
    drill(&[&CRASH[..], &["--without-protection"]].concat())
        .failed("the ledgers of all parts agree");
}

const BREAKER: [&str; 3] = ["breaker", "--seconds", "20"];

#[test]
fn breaker_passes() {
    drill(&BREAKER).passed();
}

#[test]
fn breaker_fails_when_the_breaker_is_switched_off() {
    let drilled = drill(&[&BREAKER[..], &["--without-protection"]].concat());
    drilled.failed("the breaker opens within 3.00 s when vaccine is slow: it does not");
}

const DEPLOY: [&str; 5] = ["deploy", "--seconds", "7", "--replicas", "2"];

#[test]
fn deploy_passes() {
    drill(&DEPLOY).passed();
}

#[test]
fn deploy_fails_when_processes_are_killed_instead_of_asked_to_end() {
    drill(&[&DEPLOY[..], &["--without-protection"]].concat()).failed("100 % of the requests");
}

const SELF_HEAL: [&str; 3] = ["self-heal", "--seconds", "18"];

#[test]
fn self_heal_passes() {
    drill(&SELF_HEAL).passed();
}

#[test]
fn self_heal_fails_when_nobody_looks_after_the_parts() {
    drill(&[&SELF_HEAL[..], &["--without-protection"]].concat()).failed("it is started anew");
}

const OPENING_DAY: [&str; 7] =
    ["opening-day", "--people", "400", "--stock", "300", "--seconds", "4"];

#[test]
fn opening_day_is_go() {
    drill(&OPENING_DAY).passed();
}

#[test]
fn opening_day_is_no_go_when_everybody_is_let_wait() {
    let drilled = drill(&[&OPENING_DAY[..], &["--without-protection"]].concat());
    drilled.failed("no answer takes longer than 3.50 s");
}

/// The parts' own PostgreSQL: the drill starts one, as an operator's would.
const AUTOSCALE: [&str; 9] =
    ["autoscale", "--seconds", "10", "--users", "50", "--max", "4", "--faster", "30"];

#[test]
fn autoscale_on_postgres_passes() {
    drill(&AUTOSCALE).passed();
}

#[test]
fn autoscale_on_postgres_fails_without_an_autoscaler() {
    let drilled = drill(&[&AUTOSCALE[..], &["--without-protection"]].concat());
    drilled.failed("booking grows under the load: to 1");
}

#[test]
fn no_drill_goes_to_somebody_elses_machine() {
    let drilled = drill(&["deploy", "--target", "http://192.0.2.7:8088"]);
    assert_eq!(drilled.output.status.code(), Some(2), "{}", drilled.said());
    assert!(drilled.said().contains("--i-own-this-target"), "{}", drilled.said());
}

/// Of a running system, and of what it leaves behind.
#[tokio::test]
async fn an_audit_counts_nothing_in_a_healthy_system_and_finds_a_dose_that_is_gone() {
    let mut town = Town::together().await;
    let id = register(&town.vaccine(), "FIZER", 5).await;
    for _ in 0..7 {
        ask(&town.gateway(), book(id)).await;
    }
    assert_eq!(ask(&town.gateway(), cancel(1)).await.status, 200);
    let agreed = "oversold 0, leaked 0, lost 0, double 0, in 1 vaccines and 5 bookings\n";
    let audit = |arguments: &[&str]| {
        let output = anticorona(&[&["audit"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let running = audit(&["--port-offset", &town.offset().to_string()]);
    assert_eq!(running, (Some(0), agreed.to_owned()));

    assert_eq!(town.terminate(Part::Together).await, Some(0));
    let data = town.data(Part::Together);
    let folder = data.to_str().unwrap();
    assert_eq!(audit(&["--data", folder]), (Some(0), agreed.to_owned()));

    let database = Database::Sqlite(data.join("vaccine.sqlite"));
    let (mut ledger, _) = open(&database, "vaccine", MIGRATIONS).await.unwrap();
    ledger.transaction(|tx| tx.run("UPDATE pools SET taken = taken + 1")).unwrap();
    drop(ledger);
    let (code, said) = audit(&["--data", folder]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("leaked 1, lost 0"), "{said}");
}

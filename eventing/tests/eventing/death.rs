//! A part whose writer died cannot keep anything any more: it ends, and its process with it, so
//! that nobody takes it for alive.

use std::time::{Duration, Instant};

use axum::Router;
use chassis::{client::Client, listen::Listener, process::Process};
use contracts::event::{BATCH_MEDIA_TYPE, CloudEvent};
use eventing::{Hears, Part};
use serde_json::Value;
use storage::{
    database::Database,
    outbox::Event,
    sql::{SqlError, Tx},
    store::Model,
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::toy::said;

/// Breaks as soon as it has to decide anything.
struct Brittle;

impl Model for Brittle {
    type Command = ();
    type Outcome = ();
    type Rows = ();

    fn load(_: &Tx<'_>, _: &[&()]) -> Result<(), SqlError> {
        Ok(())
    }

    fn decide(&self, (): &mut (), (): &()) {
        panic!("this model breaks");
    }

    fn save(_: &Tx<'_>, (): &()) -> Result<(), SqlError> {
        Ok(())
    }

    fn event((): &(), (): &()) -> serde_json::Result<Option<Event>> {
        Ok(None)
    }
}

impl Hears for Brittle {
    fn command(_: &CloudEvent) -> serde_json::Result<Option<()>> {
        Ok(Some(()))
    }

    fn without_effect((): &()) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn a_part_whose_writer_died_ends() {
    let folder = TempDir::new().unwrap();
    let database = Database::Sqlite(folder.path().join("brittle.sqlite"));
    let process = Process::new(CancellationToken::new());
    let part = Part::open("brittle", &database, &[], Brittle, &process).await.unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = Client::new(format!("http://{}", listener.address()).parse().unwrap());
    let within = Duration::from_secs(2);
    let mut serving = JoinSet::new();
    serving.spawn(part.serve(listener, Router::new(), within));
    let alive = async || client.get::<Value>("/actuator/health/liveness", within).await;
    assert_eq!(alive().await.unwrap()["status"], "UP");

    let event = [said(1, "\"any\"")];
    let told = client.post::<_, Value>("/events", BATCH_MEDIA_TYPE, &event, within).await;
    assert!(told.is_err(), "nobody keeps it");
    let asked = Instant::now();
    let ended = serving.join_next().await.unwrap().unwrap().unwrap_err().to_string();
    assert_eq!(ended, "the writer of brittle has died; the log says why");
    assert!(asked.elapsed() < Duration::from_secs(1), "it does not linger");
}

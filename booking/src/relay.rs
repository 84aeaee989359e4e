//! Telling `vaccine` what is in the outbox, in order, until it has heard it.
//!
//! How far it heard is kept over there, in the commit of the effect. So there is nothing to keep
//! here, and whoever is restored from an older copy is told again what it forgot.

use std::{sync::Arc, time::Duration};

use chassis::{
    client::{CallError, Client},
    process::Process,
    telemetry::causes,
};
use contracts::{
    event::{BATCH_MEDIA_TYPE, CloudEvent, EVENTS_MAX, Heard},
    ids::HolderId,
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use storage::{outbox::Entry, sqlite::Unreadable};
use thiserror::Error;
use tokio::{select, time::sleep};
use tracing::{info, warn};

use crate::{bookings::Bookings, store::sqlite::event_type};

/// How long one request may take.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// Pause between two requests. Each ends in a commit over there that citizens' holds wait behind,
/// and nobody waits for what it says: fewer and larger ones cost everybody less.
const PAUSE_BETWEEN: Duration = Duration::from_millis(10);

/// The first pause after a failure; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Tells one listener.
#[derive(Debug)]
pub struct Relay {
    /// Has the outbox.
    pub bookings: Arc<Bookings>,
    /// Who listens.
    pub vaccine: Client,
}

/// Why telling failed.
#[derive(Debug, Error)]
enum NotTold {
    #[error("vaccine does not hear")]
    Call(#[from] CallError),
    #[error(transparent)]
    Outbox(#[from] Unreadable),
    #[error("outbox entry {sequence} is unreadable")]
    Entry { sequence: u64 },
    #[error("vaccine keeps nothing after {sequence}")]
    Stuck { sequence: u64 },
}

impl Relay {
    /// Tells until the process stops. What is not told by then is told after the next start.
    pub async fn run(self, process: Process) {
        select! {
            () = process.stopping() => {}
            () = self.tell_all() => {}
        }
    }

    async fn tell_all(&self) {
        let mut heard = None;
        let mut pause = PAUSE_MIN;
        loop {
            match self.tell_next(&mut heard).await {
                Ok(told) => {
                    if pause > PAUSE_MIN {
                        info!("vaccine hears again");
                    }
                    pause = PAUSE_MIN;
                    match told {
                        0 => self.bookings.told.notified().await,
                        _ => sleep(PAUSE_BETWEEN).await,
                    }
                }
                Err(error) => {
                    let cause = causes(&error);
                    warn!(%cause, pause_ms = pause.as_millis(), "will tell vaccine again");
                    heard = None;
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Tells the next few entries; answers how many.
    async fn tell_next(&self, heard: &mut Option<u64>) -> Result<usize, NotTold> {
        let source = self.bookings.holder;
        let after = match *heard {
            Some(sequence) => sequence,
            None => self.ask_heard(source).await?,
        };
        let limit = u32::try_from(EVENTS_MAX).unwrap_or(u32::MAX);
        let entries = self.bookings.reads.told_after(after, limit).await?;
        *heard = Some(after);
        if entries.is_empty() {
            return Ok(0);
        }
        let events =
            entries.into_iter().map(|entry| event(source, entry)).collect::<Result<Vec<_>, _>>()?;
        let answer: Heard =
            self.vaccine.post("/events", BATCH_MEDIA_TYPE, &events, TELL_WITHIN).await?;
        *heard = Some(answer.sequence);
        if answer.sequence == after {
            return Err(NotTold::Stuck { sequence: after });
        }
        Ok(events.len())
    }

    async fn ask_heard(&self, source: HolderId) -> Result<u64, NotTold> {
        let path = format!("/events/heard?source={source}");
        let Heard { sequence } = self.vaccine.get(&path, TELL_WITHIN).await?;
        Ok(sequence)
    }
}

fn event(source: HolderId, entry: Entry) -> Result<CloudEvent, NotTold> {
    let sequence = entry.sequence;
    let unreadable = || NotTold::Entry { sequence };
    Ok(CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{source}/{sequence}"),
        source,
        sequence,
        r#type: event_type(&entry.r#type).ok_or_else(unreadable)?,
        time: Timestamp::from_millisecond(entry.at_ms).map_err(|_| unreadable())?,
        data: RawValue::from_string(entry.data).map_err(|_| unreadable())?,
    })
}

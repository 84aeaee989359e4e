//! Telling what is in an outbox, in order, until it was heard.
//!
//! How far it was heard is kept at the other end. So there is nothing to keep here, and whoever is
//! restored from an older copy is told again what it forgot.

use std::time::{Duration, Instant};

use chassis::{process::Process, telemetry::causes};
use contracts::{
    event::{CloudEvent, EVENTS_MAX, EventType},
    ids::HolderId,
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use storage::{
    database::Readers,
    outbox::{self, Entry},
};
use tokio::{
    select,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    bell::Ear,
    bus::{Bus, NotTold},
};

/// Pause between two batches. Each ends in a commit over there that people wait behind, and nobody
/// waits for what it says: fewer and larger ones cost everybody less. Measured with 100 clients on
/// two cores: 10 ms cost one booking in fifteen.
const PAUSE_BETWEEN: Duration = Duration::from_millis(25);

/// How many times as long as its work a patient relay rests in a rush. Measured with 200 clients on
/// two cores: a third of the time for each follower cost a fifth of the bookings.
const REST: u32 = 9;

/// The first pause after a failure; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long the outbox is left alone though nobody rang: another process may write into it too.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the other end is asked how far it heard: it may have lost its data meanwhile.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The largest text of all events in one batch, so that it fits where it goes.
const TEXT_MAX: usize = 768 * 1024;

/// How much of the time a relay may take for itself, while it has something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As much as it needs: people wait behind it.
    Prompt,
    /// A tenth in a rush: as long as others write, it rests after each batch nine times as long as
    /// that took. It falls behind rather than slowing down what people wait for, and catches up as
    /// soon as they have what they came for.
    Patient,
}

/// Tells one listener, or one bus.
#[derive(Debug)]
pub struct Relay<B> {
    /// The way there.
    pub bus: B,
    /// The store with the outbox.
    pub source: HolderId,
    /// Reads it.
    pub outbox: Readers,
    /// Rings when there may be something new in it.
    pub told: Ear,
    /// How much of the time it may take.
    pub pace: Pace,
}

impl<B: Bus> Relay<B> {
    /// Tells until the process stops. What is not told by then is told after the next start.
    pub async fn run(mut self, process: Process) {
        select! {
            () = process.stopping() => {}
            () = self.tell_all() => {}
        }
    }

    async fn tell_all(&mut self) {
        let mut heard = None;
        let mut pause = PAUSE_MIN;
        loop {
            let start = Instant::now();
            self.told.heed();
            match self.tell_next(&mut heard).await {
                Ok(told) => {
                    if pause > PAUSE_MIN {
                        info!("{} hears again", self.bus.to());
                    }
                    pause = PAUSE_MIN;
                    match told {
                        0 => self.wait(&mut heard).await,
                        told => self.rest(start.elapsed(), told == EVENTS_MAX).await,
                    }
                }
                Err(error) => {
                    let cause = causes(&error);
                    let pause_ms = pause.as_millis();
                    warn!(%cause, pause_ms, "will tell {} again", self.bus.to());
                    heard = None;
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// A patient relay rests longer if somebody wrote meanwhile: then people are waiting for the same
    /// machine. After a full batch nothing is won by waiting for a larger one.
    async fn rest(&self, took: Duration, was_full: bool) {
        if self.pace == Pace::Patient && self.told.has_rung() {
            sleep((took * REST).max(PAUSE_BETWEEN)).await;
        } else if !was_full {
            sleep(PAUSE_BETWEEN).await;
        }
    }

    /// Until there may be something new. After a long silence the other end is asked again.
    async fn wait(&mut self, heard: &mut Option<u64>) {
        let looks = ASK_EVERY.as_secs() / LOOK_EVERY.as_secs();
        for _ in 0..looks {
            if timeout(LOOK_EVERY, self.told.rung()).await.is_ok() {
                return;
            }
            let last = self.outbox.read(outbox::last).await;
            if last.is_ok_and(|last| Some(last) != *heard) {
                return;
            }
        }
        *heard = None;
    }

    /// Tells the next few entries; answers how many.
    async fn tell_next(&self, heard: &mut Option<u64>) -> Result<usize, NotTold> {
        let after = match *heard {
            Some(sequence) => sequence,
            None => self.bus.heard(self.source).await?,
        };
        let limit = u32::try_from(EVENTS_MAX).unwrap_or(u32::MAX);
        let entries = self.outbox.read(move |tx| outbox::after(tx, after, limit)).await?;
        *heard = Some(after);
        if entries.is_empty() {
            let last = self.outbox.read(outbox::last).await?;
            return if last < after { Err(NotTold::Ahead { heard: after, last }) } else { Ok(0) };
        }
        let events = self.events(entries)?;
        let now = self.bus.tell(&events).await?;
        *heard = Some(now);
        if now == after {
            return Err(NotTold::Stuck { sequence: after });
        }
        Ok(events.len())
    }

    /// As many as fit into one batch, at least one.
    fn events(&self, entries: Vec<Entry>) -> Result<Vec<CloudEvent>, NotTold> {
        let mut text = 0;
        let fits = |entry: &Entry| {
            let first = text == 0;
            text += entry.data.len() + OVERHEAD;
            first || text <= TEXT_MAX
        };
        entries.into_iter().take_while(fits).map(|entry| event(self.source, entry)).collect()
    }
}

/// What an event's envelope adds to its text, at the most.
const OVERHEAD: usize = 512;

fn event(source: HolderId, entry: Entry) -> Result<CloudEvent, NotTold> {
    let sequence = entry.sequence;
    let unreadable = || NotTold::Entry { sequence };
    Ok(CloudEvent {
        specversion: "1.0".to_owned(),
        id: format!("{source}/{sequence}"),
        source,
        sequence,
        r#type: EventType::named(&entry.r#type),
        time: Timestamp::from_millisecond(entry.at_ms).map_err(|_| unreadable())?,
        data: RawValue::from_string(entry.data).map_err(|_| unreadable())?,
    })
}

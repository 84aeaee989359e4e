//! What every part that owns data does alike: opening its store, telling and hearing events,
//! answering requests.

use std::{str::FromStr, time::Duration};

use axum::Router;
use chassis::{
    client::{BaseUrl, Client},
    fault::Faults,
    health::StoreHealth,
    listen::Listener,
    process::{Fatal, Process},
};
use contracts::ids::HolderId;
use storage::{
    database::{self, Database, OpenError, Readers},
    migrate::Migration,
    slowed::Slowed,
    store::{Desk, Model, Stored},
};
use thiserror::Error;
use tokio::{select, task::JoinHandle};
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::{
    bell::Bell,
    bus::{Direct, Nats, NatsUrl, NotANatsUrl, NotTold},
    hearing::{Hearing, Hears},
    relay::{Pace, Relay},
};

/// How events travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EventsUrl {
    /// Every listener is told directly: `in-process`, the default.
    #[default]
    Direct,
    /// Over NATS JetStream: `nats://…`.
    Nats(NatsUrl),
}

impl FromStr for EventsUrl {
    type Err = NotANatsUrl;

    fn from_str(text: &str) -> Result<Self, NotANatsUrl> {
        match text {
            "in-process" => Ok(Self::Direct),
            nats => nats.parse().map(Self::Nats),
        }
    }
}

fn or_nobody(names: &[&str]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// A part that owns data: its store is open, its writer runs, its events find their way.
#[derive(Debug)]
pub struct Part<M: Model> {
    /// Its name: in the log, as a schema, and on the bus.
    pub name: &'static str,
    /// Takes commands.
    pub desk: Desk<M>,
    /// Shows the last commit.
    pub readers: Readers,
    /// Its store, as others know it.
    pub store: HolderId,
    /// Rings when there may be something new in its outbox.
    pub told: Bell,
    /// Hears events.
    pub hearing: Hearing<M>,
    process: Process,
    writer_ended: JoinHandle<()>,
}

/// The writer stopped though nobody asked for it.
#[derive(Debug, Error)]
#[error("the writer of {0} has died; the log says why")]
struct WriterDied(&'static str);

impl<M: Hears> Part<M> {
    /// Opens the store and starts its writer.
    pub async fn open(
        name: &'static str,
        database: &Database,
        migrations: &'static [Migration],
        model: M,
        process: &Process,
    ) -> Result<Self, OpenError> {
        let (writable, readers) = database::open(database, name, migrations).await?;
        let store = HolderId(writable.store_id);
        let delay_us = process.faults().map(Faults::store_delay_us).unwrap_or_default();
        let stored = Slowed::new(Stored::new(writable, model), delay_us);
        let (desk, ended) = Desk::start(name, stored);
        let told = Bell::default();
        let hearing = Hearing::new(desk.clone(), told.clone());
        let (process, writer_ended) = (process.clone(), TaskTracker::new().spawn(ended));
        Ok(Self { name, desk, readers, store, told, hearing, process, writer_ended })
    }

    /// Tells what the store has to say: to these listeners, or to NATS for whoever follows.
    pub async fn tell(
        &self,
        events: &EventsUrl,
        listeners: Vec<(&'static str, BaseUrl, Pace)>,
    ) -> Result<(), NotTold> {
        match events {
            EventsUrl::Direct => {
                let told: Vec<_> = listeners.iter().map(|(name, ..)| *name).collect();
                info!("{} tells {}", self.name, or_nobody(&told));
                for (name, url, pace) in listeners {
                    let bus = Direct { name, listener: Client::new(url) };
                    self.process.spawn(self.relay(bus, pace).run(self.process.clone()));
                }
            }
            EventsUrl::Nats(url) => {
                let nats = Nats::connect(url, self.name).await?;
                self.process.spawn(self.relay(nats, Pace::Prompt).run(self.process.clone()));
            }
        }
        Ok(())
    }

    /// Hears what these parts say. Directly there is nothing to do: they tell us.
    pub async fn hear(&self, events: &EventsUrl, others: &[&'static str]) -> Result<(), NotTold> {
        let EventsUrl::Nats(url) = events else { return Ok(()) };
        let nats = Nats::connect(url, self.name).await?;
        for other in others {
            let following = nats.clone().follow(other, self.store, self.hearing.clone());
            let process = self.process.clone();
            self.process.spawn(async move {
                select! {
                    () = process.stopping() => {}
                    () = following => {}
                }
            });
        }
        Ok(())
    }

    fn relay<B>(&self, bus: B, pace: Pace) -> Relay<B> {
        let (outbox, told) = (self.readers.clone(), self.told.ear());
        Relay { bus, source: self.store, outbox, told, pace }
    }

    /// Answers requests, also those of tellers and of operators; returns when everything is
    /// drained.
    pub async fn serve(
        self,
        listener: Listener,
        router: Router,
        answer_within: Duration,
    ) -> Result<(), Fatal> {
        let Self { name, desk, readers, hearing, process, mut writer_ended, .. } = self;
        let watched = readers.clone();
        process.needs(StoreHealth::new(move || {
            let watched = watched.clone();
            async move { watched.answers().await }
        }));
        crate::metrics::register(process.metrics(), readers.clone());
        let app = router
            .merge(crate::api::router(hearing, readers))
            .merge(chassis::actuator::router(name, &process));
        select! {
            served = listener.serve(name, app, answer_within, &process) => served?,
            _ = &mut writer_ended => return Err(WriterDied(name).into()),
        }
        process.finish().await;
        desk.close().await;
        writer_ended.await?;
        Ok(())
    }
}

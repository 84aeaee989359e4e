//! Connecting a part: who is told what it says, and whom it hears.

use std::str::FromStr;

use chassis::{
    client::{BaseUrl, Client},
    process::Process,
};
use contracts::ids::HolderId;
use storage::database::Readers;
use tokio::select;

use crate::{
    bell::Bell,
    bus::{Direct, Nats, NatsUrl, NotANatsUrl, NotTold},
    hearing::{Hearing, Hears},
    relay::Relay,
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

/// One part's store, and how events get to it and from it.
#[derive(Debug)]
pub struct Wiring {
    /// The part.
    pub part: &'static str,
    /// Its store.
    pub source: HolderId,
    /// Reads its outbox.
    pub outbox: Readers,
    /// Rings when there may be something new in it.
    pub told: Bell,
    /// Runs the relays and followers.
    pub process: Process,
}

impl Wiring {
    /// Tells what the store has to say: to these listeners, or to NATS for whoever follows.
    pub async fn tell(
        &self,
        events: &EventsUrl,
        listeners: Vec<(&'static str, BaseUrl)>,
    ) -> Result<(), NotTold> {
        match events {
            EventsUrl::Direct => {
                for (name, url) in listeners {
                    let bus = Direct { name, listener: Client::new(url) };
                    self.process.spawn(self.relay(bus).run(self.process.clone()));
                }
            }
            EventsUrl::Nats(url) => {
                let nats = Nats::connect(url, self.part).await?;
                self.process.spawn(self.relay(nats).run(self.process.clone()));
            }
        }
        Ok(())
    }

    /// Hears what these parts say. Directly there is nothing to do: they tell us.
    pub async fn hear<M: Hears>(
        &self,
        events: &EventsUrl,
        others: &[&'static str],
        hearing: &Hearing<M>,
    ) -> Result<(), NotTold> {
        let EventsUrl::Nats(url) = events else { return Ok(()) };
        let nats = Nats::connect(url, self.part).await?;
        for other in others {
            let following = nats.clone().follow(other, self.source, hearing.clone());
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

    fn relay<B>(&self, bus: B) -> Relay<B> {
        Relay { bus, source: self.source, outbox: self.outbox.clone(), told: self.told.ear() }
    }
}

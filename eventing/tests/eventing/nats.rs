//! Over NATS: whatever a store tells, every listening store hears once.
//!
//! `cargo xtask test` starts a server for these; every test has a stream of its own there.

use std::time::Duration;

use chassis::process::Process;
use eventing::{
    bus::{Nats, NatsUrl},
    relay::{Pace, Relay},
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::toy::Part;

/// How long a test waits for something that must happen. A message that was under way to a
/// listener that went away is delivered again after 10 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "where the server is, only its starter knows")]
fn server() -> String {
    std::env::var("ANTICORONA_TEST_NATS").expect("the address of NATS; run `cargo xtask test`")
}

/// A teller, and the way to it.
struct Town {
    server: String,
    stream: String,
    teller: Part,
}

impl Town {
    fn open() -> Self {
        let stream = format!("test-{}", Uuid::now_v7());
        Self { server: server(), stream, teller: Part::open() }
    }

    fn url(&self) -> NatsUrl {
        format!("{}/{}", self.server, self.stream).parse().unwrap()
    }

    /// Tells until it is dropped, then stops in the middle of whatever it does.
    async fn relay(&self) -> JoinSet<()> {
        let relay = Relay {
            bus: Nats::connect(&self.url(), "teller").await.unwrap(),
            source: self.teller.id,
            outbox: self.teller.readers.clone(),
            told: self.teller.bell.ear(),
            pace: Pace::Prompt,
        };
        let mut relaying = JoinSet::new();
        relaying.spawn(relay.run(Process::new(CancellationToken::new())));
        relaying
    }

    /// Listens until it is dropped, in the same way.
    async fn follow(&self, listener: &Part) -> JoinSet<()> {
        let nats = Nats::connect(&self.url(), "listener").await.unwrap();
        let mut following = JoinSet::new();
        following.spawn(nats.follow("teller", listener.id, listener.hearing.clone()));
        following
    }
}

/// All that it noted, as soon as this is the last.
async fn noted_up_to(listener: &Part, last: &str) -> Vec<String> {
    let mut ear = listener.bell.ear();
    let noted = timeout(PATIENCE, async {
        loop {
            let notes = listener.notes().await;
            if notes.last().is_some_and(|note| note == last) {
                return notes;
            }
            ear.rung().await;
        }
    });
    noted.await.expect("it is not heard")
}

#[tokio::test]
async fn what_is_told_is_heard_by_every_listening_store_once() {
    let town = Town::open();
    let (early, late) = (Part::open(), Part::open());
    let _following = town.follow(&early).await;
    let _relaying = town.relay().await;
    let texts: Vec<_> = (1..=1_300).map(|number| number.to_string()).collect();
    town.teller.say(&texts).await;
    assert_eq!(noted_up_to(&early, "1300").await, texts);
    let _following_late = town.follow(&late).await;
    assert_eq!(noted_up_to(&late, "1300").await, texts);
}

#[tokio::test]
async fn a_listener_goes_on_after_a_restart() {
    let town = Town::open();
    let listener = Part::open();
    let _relaying = town.relay().await;
    let following = town.follow(&listener).await;
    town.teller.say(["a", "b"]).await;
    noted_up_to(&listener, "b").await;
    drop(following);
    town.teller.say(["c", "d"]).await;
    let _following = town.follow(&listener).await;
    town.teller.say(["e"]).await;
    assert_eq!(noted_up_to(&listener, "e").await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_relay_goes_on_after_a_restart() {
    let town = Town::open();
    let listener = Part::open();
    let _following = town.follow(&listener).await;
    let relaying = town.relay().await;
    town.teller.say(["a", "b"]).await;
    noted_up_to(&listener, "b").await;
    drop(relaying);
    town.teller.say(["c", "d"]).await;
    let _relaying = town.relay().await;
    assert_eq!(noted_up_to(&listener, "d").await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn two_relays_of_one_store_are_heard_as_one() {
    let town = Town::open();
    let listener = Part::open();
    let _following = town.follow(&listener).await;
    let _relaying = (town.relay().await, town.relay().await);
    let texts: Vec<_> = (1..=400).map(|number| number.to_string()).collect();
    for some in texts.chunks(20) {
        town.teller.say(some).await;
        noted_up_to(&listener, some.last().unwrap()).await;
    }
    assert_eq!(listener.notes().await, texts);
    assert_eq!(listener.position(town.teller.id).await, 400);
}

/// Two processes on one database.
#[tokio::test]
async fn two_followers_of_one_store_hear_as_one() {
    let town = Town::open();
    let listener = Part::open();
    let _following = (town.follow(&listener).await, town.follow(&listener).await);
    let _relaying = town.relay().await;
    let texts: Vec<_> = (1..=100).map(|number| number.to_string()).collect();
    for some in texts.chunks(10) {
        town.teller.say(some).await;
        noted_up_to(&listener, some.last().unwrap()).await;
    }
    assert_eq!(listener.notes().await, texts);
}

#[tokio::test]
async fn two_tellers_are_heard_each_in_its_order() {
    let north = Town::open();
    let south = Town { server: server(), stream: north.stream.clone(), teller: Part::open() };
    let listener = Part::open();
    let _following = north.follow(&listener).await;
    let _relaying = (north.relay().await, south.relay().await);
    north.teller.say(["n1", "n2"]).await;
    noted_up_to(&listener, "n2").await;
    south.teller.say(["s1", "s2"]).await;
    noted_up_to(&listener, "s2").await;
    north.teller.say(["n3"]).await;
    assert_eq!(noted_up_to(&listener, "n3").await, ["n1", "n2", "s1", "s2", "n3"]);
}

#[tokio::test]
async fn a_listener_that_lost_its_data_hears_everything_again_with_what_is_new() {
    let town = Town::open();
    let listener = Part::open();
    let _relaying = town.relay().await;
    let _following = town.follow(&listener).await;
    town.teller.say(["a", "b"]).await;
    noted_up_to(&listener, "b").await;
    town.teller.say(["c"]).await;
    noted_up_to(&listener, "c").await;
    listener.forget();
    town.teller.say(["d"]).await;
    assert_eq!(noted_up_to(&listener, "d").await, ["a", "b", "c", "d"]);
}

/// Nobody may say anything for hours.
#[tokio::test]
async fn a_listener_that_lost_its_data_hears_everything_again_when_it_starts() {
    let town = Town::open();
    let listener = Part::open();
    let _relaying = town.relay().await;
    let following = town.follow(&listener).await;
    for text in ["a", "b", "c"] {
        town.teller.say([text]).await;
        noted_up_to(&listener, text).await;
    }
    drop(following);
    listener.forget();
    let _following = town.follow(&listener).await;
    assert_eq!(noted_up_to(&listener, "c").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_message_that_is_no_batch_is_left_out() {
    let town = Town::open();
    let listener = Part::open();
    let _relaying = town.relay().await;
    let _following = town.follow(&listener).await;
    town.teller.say(["a"]).await;
    noted_up_to(&listener, "a").await;
    let client = async_nats::connect(&town.server).await.unwrap();
    for no_batch in ["garbage", "[]", "{}"] {
        let subject = format!("{}.teller.{}", town.stream, Uuid::nil());
        client.publish(subject, no_batch.into()).await.unwrap();
    }
    client.flush().await.unwrap();
    town.teller.say(["b"]).await;
    assert_eq!(noted_up_to(&listener, "b").await, ["a", "b"]);
}

#[tokio::test]
async fn a_nats_that_lost_its_data_is_told_everything_again() {
    let town = Town::open();
    let (listener, late) = (Part::open(), Part::open());
    let _relaying = town.relay().await;
    let _following = town.follow(&listener).await;
    town.teller.say(["a", "b"]).await;
    noted_up_to(&listener, "b").await;
    let client = async_nats::connect(&town.server).await.unwrap();
    async_nats::jetstream::new(client).delete_stream(&town.stream).await.unwrap();
    town.teller.say(["c"]).await;
    assert_eq!(noted_up_to(&listener, "c").await, ["a", "b", "c"]);
    let _following_late = town.follow(&late).await;
    assert_eq!(noted_up_to(&late, "c").await, ["a", "b", "c"]);
}

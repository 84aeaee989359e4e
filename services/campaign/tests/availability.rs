//! What is kept of the answers of `vaccine`, by a clock that the tests set.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use campaign::{
    availability::{
        ANSWER_TIMEOUT, ANSWERS_MAX, Answers, KEPT_COUNTS_MAX, KEPT_FOR, NotKnown, REQUESTS_MAX,
        STALE_MAX, SiteDates, WAITING_MAX,
    },
    domain::FreeAtSite,
};
use contracts::{
    ids::{CampaignId, SiteId, SlotId},
    vaccine::availability::{SiteAvailability, SlotAvailability},
};
use jiff::{Timestamp, civil::date};
use platform_rest::runtime::Runtime;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, advance, sleep},
};
use tokio_util::sync::CancellationToken;

const MILLISECOND: Duration = Duration::from_millis(1);
const DOWN: NotKnown = NotKnown::Unavailable { retry_after: Duration::from_secs(3) };

/// What comes of a request.
struct Requested(Result<FreeAtSite, NotKnown>);

impl From<FreeAtSite> for Requested {
    fn from(free: FreeAtSite) -> Self {
        Self(Ok(free))
    }
}

impl From<NotKnown> for Requested {
    fn from(reason: NotKnown) -> Self {
        Self(Err(reason))
    }
}

/// A ledger that counts its requests.
#[derive(Clone, Debug)]
struct Ledger {
    answers: Arc<Answers>,
    requests: Arc<AtomicUsize>,
}

impl Ledger {
    fn new() -> Self {
        let runtime = Runtime::new("campaign", CancellationToken::new());
        Self { answers: Arc::new(Answers::new(&runtime)), requests: Arc::default() }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Since when the answer is true that a citizen gets, if the ledger would answer this after a time.
    async fn ask(
        &self,
        key: SiteDates,
        after: Duration,
        answer: impl Into<Requested>,
    ) -> Result<i64, NotKnown> {
        let requests = Arc::clone(&self.requests);
        let Requested(answer) = answer.into();
        let request = async move {
            requests.fetch_add(1, Ordering::Relaxed);
            sleep(after).await; // tidy: paced, because the clock is paused
            answer
        };
        Ok(self.answers.get(key, request).await?.as_of.as_second())
    }
}

fn site(number: i64) -> SiteDates {
    (SiteId(number), [date(2026, 12, 1), date(2026, 12, 7)])
}

/// An answer of that second, with so many slots.
fn free_of(second: i64, slots: i64) -> FreeAtSite {
    let as_of = Timestamp::from_second(second).unwrap();
    let slot = |number| SlotAvailability {
        slot_id: SlotId(number),
        campaign_id: CampaignId(1),
        starts_at: as_of,
        date: date(2026, 12, 1),
        free: 1,
    };
    SiteAvailability { as_of, slots: (0..slots).map(slot).collect(), doses: Vec::new() }.into()
}

fn free(second: i64) -> FreeAtSite {
    free_of(second, 1)
}

/// A little less than a time.
fn just_before(time: Duration) -> Duration {
    time.saturating_sub(MILLISECOND)
}

#[tokio::test(start_paused = true)]
async fn within_a_second_the_ledger_is_asked_once() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(1)).await, Ok(1));
    advance(just_before(KEPT_FOR)).await;
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(2)).await, Ok(1));
    assert_eq!(ledger.ask(site(2), MILLISECOND, free(3)).await, Ok(3), "another site");
    advance(MILLISECOND).await;
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(4)).await, Ok(4));
    assert_eq!(ledger.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_meanwhile_get_the_answer_of_one_request() {
    let ledger = Ledger::new();
    let mut asking = JoinSet::new();
    for number in 0..100 {
        let ledger = ledger.clone();
        asking.spawn(
            async move { ledger.ask(site(1), 100 * MILLISECOND, free(number)).await.unwrap() },
        );
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(ledger.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_finished_for_the_others_when_its_client_is_gone() {
    let ledger = Ledger::new();
    let mut first = JoinSet::new();
    let asking = ledger.clone();
    first.spawn(async move { asking.ask(site(1), 100 * MILLISECOND, free(1)).await });
    tokio::task::yield_now().await;
    first.shutdown().await;
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(2)).await, Ok(1));
    assert_eq!(ledger.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_the_ledger_is_down_an_answer_is_given_for_a_minute() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(1)).await, Ok(1));
    advance(KEPT_FOR).await;
    for _ in 0..10 {
        assert_eq!(ledger.ask(site(1), MILLISECOND, DOWN).await, Ok(1));
    }
    assert_eq!(ledger.requests(), 2, "that it is down is known for a second");
    advance(just_before(just_before(STALE_MAX.saturating_sub(KEPT_FOR)))).await;
    assert_eq!(ledger.ask(site(1), Duration::ZERO, DOWN).await, Ok(1));
    advance(KEPT_FOR).await;
    assert_eq!(ledger.ask(site(1), MILLISECOND, DOWN).await, Err(DOWN));
    assert_eq!(ledger.ask(site(2), MILLISECOND, DOWN).await, Err(DOWN));
    advance(KEPT_FOR).await;
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(9)).await, Ok(9), "it is up again");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_half_a_second_and_the_answer_is_kept_all_the_same() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ask(site(1), MILLISECOND, free(1)).await, Ok(1));
    advance(KEPT_FOR).await;
    let began = Instant::now();
    let slow = ANSWER_TIMEOUT + 100 * MILLISECOND;
    assert_eq!(ledger.ask(site(1), slow, free(2)).await, Ok(1), "the last one");
    assert!(began.elapsed() <= ANSWER_TIMEOUT + MILLISECOND);
    assert_eq!(ledger.ask(site(1), slow, free(3)).await, Ok(2), "of the same request");
    assert_eq!(ledger.requests(), 2);
    assert!(matches!(ledger.ask(site(2), slow, free(4)).await, Err(NotKnown::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn few_requests_are_under_way_and_few_wait() {
    let (ledger, release) = (Ledger::new(), Arc::new(Notify::new()));
    let mut asking = JoinSet::new();
    for number in 0..400 {
        let (answers, requests) = (Arc::clone(&ledger.answers), Arc::clone(&ledger.requests));
        let release = Arc::clone(&release);
        asking.spawn(async move {
            let request = async move {
                requests.fetch_add(1, Ordering::Relaxed);
                release.notified().await;
                Ok(free(1))
            };
            answers.get(site(number), request).await.is_ok()
        });
    }
    tokio::task::yield_now().await;
    sleep(MILLISECOND).await; // tidy: paced, because the clock is paused
    assert_eq!(ledger.requests(), REQUESTS_MAX);
    let mut refused = 0;
    while let Some(answered) = asking.try_join_next() {
        assert!(!answered.unwrap());
        refused += 1;
    }
    assert_eq!(refused, 400 - WAITING_MAX);
    while !asking.is_empty() {
        release.notify_waiters();
        while asking.try_join_next().is_some() {}
        sleep(MILLISECOND).await; // tidy: paced, because the clock is paused
    }
    assert_eq!(ledger.requests(), WAITING_MAX);
}

#[tokio::test(start_paused = true)]
async fn few_answers_are_kept_the_last_ones() {
    let ledger = Ledger::new();
    let count = i64::try_from(ANSWERS_MAX).unwrap();
    for number in 0..=count {
        ledger.ask(site(number), MILLISECOND, free(1)).await.unwrap();
        advance(KEPT_FOR).await;
    }
    assert_eq!(ledger.answers.size(), (ANSWERS_MAX, ANSWERS_MAX));
    assert_eq!(ledger.ask(site(count), MILLISECOND, DOWN).await, Ok(1));
    assert_eq!(ledger.ask(site(0), MILLISECOND, DOWN).await, Err(DOWN), "it is forgotten");
}

#[tokio::test(start_paused = true)]
async fn large_answers_are_fewer() {
    let ledger = Ledger::new();
    let slots = i64::try_from(KEPT_COUNTS_MAX / 4).unwrap();
    for number in 0..6 {
        ledger.ask(site(number), MILLISECOND, free_of(1, slots)).await.unwrap();
        advance(MILLISECOND).await;
    }
    assert_eq!(ledger.answers.size(), (4, KEPT_COUNTS_MAX));
    ledger.ask(site(9), MILLISECOND, DOWN).await.unwrap_err();
    advance(KEPT_FOR).await;
    ledger.ask(site(5), MILLISECOND, free_of(2, 7)).await.unwrap();
    assert_eq!(ledger.answers.size(), (5, KEPT_COUNTS_MAX / 4 * 3 + 7));
}

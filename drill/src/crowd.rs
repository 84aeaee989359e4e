//! People, not requests: each wants one booking, comes back when told to, and has patience.
//!
//! A person has one `Idempotency-Key`, so that asking again continues the same attempt. Who is told
//! "come back in …" does so, and whoever gets no answer or a broken one asks again after a moment,
//! as people do. It is over for somebody with "booked", "sold out", or the end of their patience.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    audit::Promised,
    client::{
        Connection, Error,
        reply::Reply,
        request::{Reconnect, Request},
        target::Target,
    },
    open::{IDLE_MAX, schedule::Schedule},
    progress::Progress,
    seen::{Answers, Seen},
};

/// How many people ask at the same moment at most; the others wait for their turn, which counts.
const ASKING_MAX: usize = 4_096;

/// No crowd is larger.
pub(crate) const PEOPLE_MAX: u32 = 1_000_000;

/// After no answer, or one that makes no sense, somebody asks again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// People who were told the same moment do not all come at once: spread over this.
const SPREAD_MS: u64 = 500;

/// A crowd.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    /// When each person comes; the crowd is as many as the schedule makes.
    pub(crate) schedule: Schedule,
    /// How long after that somebody gives up.
    pub(crate) patience: Duration,
    /// Whether everybody asks twice at the same time, with the same key.
    pub(crate) twice: bool,
    /// What they want.
    pub(crate) vaccine: i64,
}

/// What became of them.
#[derive(Debug)]
pub(crate) struct Served {
    /// Who came.
    pub(crate) people: u64,
    /// Who was told of a booking.
    pub(crate) booked: u64,
    /// Who was told that there is nothing left.
    pub(crate) sold_out: u64,
    /// Who gave up without a definite answer.
    pub(crate) gave_up: u64,
    /// The bookings they were told of.
    pub(crate) promised: Promised,
    /// The longest that anybody waited for a definite answer.
    pub(crate) longest_wait: Duration,
    /// When the last one had a definite answer, from the beginning.
    pub(crate) last_after: Duration,
    /// When each had a definite answer, in order.
    pub(crate) ended_at: Vec<Duration>,
    /// When each came, in order.
    pub(crate) came_at: Vec<Duration>,
    /// Every single answer.
    pub(crate) seen: Seen,
}

/// What one person was told at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Booked(i64),
    SoldOut,
    Nothing,
}

impl Crowd {
    /// Lets them come. Person n goes to the n-th of the entries, in turn, and back to the same.
    pub(crate) async fn run(self, entries: &[Target], progress: &Progress) -> Served {
        let run = uuid::Uuid::now_v7().simple().to_string();
        let place = Arc::new(Place {
            doors: entries.iter().map(Door::to).collect(),
            answers: Answers::begin(),
            turns: Semaphore::new(ASKING_MAX),
            tally: Mutex::new(Tally::default()),
            progress: progress.clone(),
        });
        let began = Instant::now();
        let mut people = JoinSet::new();
        let mut came_at = Vec::new();
        let arrivals = self.schedule.arrivals().take(usize::try_from(PEOPLE_MAX).unwrap_or(0));
        for (number, at) in (0_u64..).zip(arrivals) {
            sleep_until(began + at).await;
            came_at.push(at);
            let place = Arc::clone(&place);
            let person =
                Person { number, since: began + at, began, key: format!("{run}-{number}") };
            let (vaccine, patience, twice) = (self.vaccine, self.patience, self.twice);
            people.spawn(async move { person.wants(vaccine, patience, twice, &place).await });
            while people.try_join_next().is_some() {}
        }
        people.join_all().await;
        let tally = std::mem::take(&mut *place.tally());
        tally.served(came_at, place.answers.seen())
    }
}

/// What the people share.
struct Place {
    doors: Vec<Door>,
    answers: Answers,
    turns: Semaphore,
    tally: Mutex<Tally>,
    progress: Progress,
}

impl Place {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way in, with the connections that nobody uses at the moment.
struct Door {
    target: Target,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Door {
    fn to(target: &Target) -> Self {
        Self { target: target.clone(), idle: Mutex::default() }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, Error> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match kept {
            Some((connection, since)) if since.elapsed() < IDLE_MAX => connection,
            Some(_) | None => Connection::new(&self.target),
        };
        let prepared = request.prepare(&self.target, Reconnect::Never);
        let reply = connection.exchange(&prepared).await.cloned()?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((connection, Instant::now()));
        Ok(reply)
    }
}

struct Person {
    number: u64,
    /// When they came.
    since: Instant,
    began: Instant,
    key: String,
}

impl Person {
    async fn wants(self, vaccine: i64, patience: Duration, twice: bool, place: &Place) {
        let body = json!({"vaccineId": vaccine, "userId": self.number + 1});
        let request = Request::post_json("/bookings", &body).header("idempotency-key", &self.key);
        let until = self.since + patience;
        let told = if twice {
            let (one, other) =
                tokio::join!(self.ask(&request, until, place), self.ask(&request, until, place));
            self.agree(one, other, place)
        } else {
            self.ask(&request, until, place).await
        };
        let mut tally = place.tally();
        tally.people += 1;
        match told {
            Told::Booked(booking) => {
                tally.booked += 1;
                tally.promised.note(self.number, self.door(place), booking);
            }
            Told::SoldOut => tally.sold_out += 1,
            Told::Nothing => {
                tally.gave_up += 1;
                return;
            }
        }
        tally.longest_wait = tally.longest_wait.max(self.since.elapsed());
        tally.ended_at.push(self.began.elapsed());
    }

    /// Both answers to the same question are the same.
    fn agree(&self, one: Told, other: Told, place: &Place) -> Told {
        if one != other && one != Told::Nothing && other != Told::Nothing {
            let what = format!("person {} was told {one:?} and {other:?}", self.number);
            place.tally().promised.contradicted(what);
        }
        if one == Told::Nothing { other } else { one }
    }

    async fn ask(&self, request: &Request, until: Instant, place: &Place) -> Told {
        let door = &place.doors[self.door(place)];
        loop {
            let ended = {
                // It is never closed, and without a turn there would still be one in time.
                let _turn = place.turns.acquire().await;
                door.ask(request).await
            };
            place.answers.note(ended.as_ref());
            place.progress.answered();
            let pause = match &ended {
                Ok(reply) => match (reply.status, reply.retry_after_seconds) {
                    (201, _) => {
                        let booking = reply.json().ok().and_then(|it| it["bookingId"].as_i64());
                        return booking.map_or(Told::Nothing, Told::Booked);
                    }
                    (409, _) => return Told::SoldOut,
                    (_, Some(seconds)) => Duration::from_secs(seconds) + self.spread(),
                    (_, None) => AGAIN_AFTER,
                },
                Err(_) => AGAIN_AFTER,
            };
            if Instant::now() + pause > until {
                return Told::Nothing;
            }
            sleep(pause).await;
        }
    }

    fn door(&self, place: &Place) -> usize {
        usize::try_from(self.number).unwrap_or(0) % place.doors.len()
    }

    fn spread(&self) -> Duration {
        // Fibonacci hashing: neighbours come at quite different moments.
        let mixed = self.number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Duration::from_millis(mixed % SPREAD_MS)
    }
}

#[derive(Default)]
struct Tally {
    people: u64,
    booked: u64,
    sold_out: u64,
    gave_up: u64,
    promised: Promised,
    longest_wait: Duration,
    ended_at: Vec<Duration>,
}

impl Tally {
    fn served(self, came_at: Vec<Duration>, seen: Seen) -> Served {
        let Self { people, booked, sold_out, gave_up, promised, longest_wait, ended_at } = self;
        Served {
            people,
            booked,
            sold_out,
            gave_up,
            promised,
            longest_wait,
            last_after: ended_at.last().copied().unwrap_or_default(),
            ended_at,
            came_at,
            seen,
        }
    }
}

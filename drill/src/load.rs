//! A closed loop: each user sends, waits for the answer, and sends again.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::{
    hook::Hook,
    stop::{Gate, Stop},
    summary::{Outcome, Summary, Tally},
};
use crate::client::{
    Connection, Error,
    reply::Reply,
    request::{Prepared, Reconnect, Request},
    target::Target,
};

mod hook;
pub(crate) mod stop;
pub(crate) mod summary;

/// How long a user waits after a socket error: a server that is down must not make the loop spin.
pub const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// A load to run.
#[derive(Debug, Clone)]
pub struct Load {
    /// How many users send at the same time, each on a connection of its own.
    pub users: u16,
    /// Whether a user keeps its connection.
    pub reconnect: Reconnect,
    /// When it is over.
    pub stop: Stop,
    /// What is sent.
    pub request: Requests,
}

/// Which user sends, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct User(pub u16);

/// What the users send.
#[derive(Debug, Clone)]
pub struct Requests(Choice);

#[derive(Debug, Clone)]
enum Choice {
    Fixed(Request),
    Made(Maker),
}

type Maker = Hook<dyn Fn(User, u64) -> Request + Send + Sync>;

impl Requests {
    /// Always the same bytes, rendered once: this path allocates nothing per request.
    pub fn fixed(request: Request) -> Self {
        Self(Choice::Fixed(request))
    }

    /// Asks `make` for each request, with who sends it and its number, counted from 0 over all
    /// users.
    pub fn made(make: impl Fn(User, u64) -> Request + Send + Sync + 'static) -> Self {
        Self(Choice::Made(Hook(Arc::new(make))))
    }
}

impl From<Request> for Requests {
    fn from(request: Request) -> Self {
        Self::fixed(request)
    }
}

impl Load {
    /// Runs until [`Stop`] says so; requests under way are still answered, or time out.
    ///
    /// Every user is a task of the current runtime; dropping the future ends them.
    pub async fn run(self, target: &Target) -> Summary {
        self.run_watched(target, |_| {}).await
    }

    /// As [`Self::run`], and shows each reply to `on_reply`, in the task of its user. A panic in
    /// there ends the run and goes on to the caller, so that a test may assert on each reply.
    pub async fn run_watched(
        self,
        target: &Target,
        on_reply: impl Fn(&Reply) + Send + Sync + 'static,
    ) -> Summary {
        let on_end = move |ended: Result<&Reply, &Error>| {
            if let Ok(reply) = ended {
                on_reply(reply);
            }
        };
        self.run_observed(target, on_end).await
    }

    /// As [`Self::run_watched`], and shows what ended without a reply too.
    pub async fn run_observed(
        self,
        target: &Target,
        on_end: impl Fn(Result<&Reply, &Error>) + Send + Sync + 'static,
    ) -> Summary {
        let began = Instant::now();
        let run = Arc::new(Run {
            source: Source::new(self.request, target, self.reconnect),
            target: target.clone(),
            reconnect: self.reconnect,
            gate: Gate::open(self.stop, began),
            tally: Mutex::default(),
            on_end,
        });
        let mut users = JoinSet::new();
        for number in 0..self.users {
            let run = Arc::clone(&run);
            users.spawn(async move { run.user(User(number)).await });
        }
        users.join_all().await;
        let tally = std::mem::take(&mut *run.tally());
        tally.summary(began.elapsed())
    }
}

/// What the users of a running load share.
struct Run<OnEnd> {
    target: Target,
    reconnect: Reconnect,
    source: Source,
    gate: Gate,
    /// One for all: a histogram for each user would fill the cache that the server needs, while
    /// this lock is held for some nanoseconds and hardly ever waited for.
    tally: Mutex<Tally>,
    on_end: OnEnd,
}

/// [`Requests`], rendered where that is possible.
pub(crate) struct Source(Rendered);

enum Rendered {
    Fixed(Prepared),
    Made(Maker),
}

impl Source {
    pub(crate) fn new(requests: Requests, target: &Target, reconnect: Reconnect) -> Self {
        Self(match requests.0 {
            Choice::Fixed(request) => Rendered::Fixed(request.prepare(target, reconnect)),
            Choice::Made(maker) => Rendered::Made(maker),
        })
    }

    /// The request of that number.
    pub(crate) fn request(
        &self,
        user: User,
        number: u64,
        target: &Target,
        reconnect: Reconnect,
    ) -> Cow<'_, Prepared> {
        match &self.0 {
            Rendered::Fixed(prepared) => Cow::Borrowed(prepared),
            Rendered::Made(Hook(maker)) => {
                Cow::Owned(maker(user, number).prepare(target, reconnect))
            }
        }
    }
}

impl<OnEnd: Fn(Result<&Reply, &Error>)> Run<OnEnd> {
    async fn user(&self, user: User) {
        let mut connection = Connection::new(&self.target);
        while let Some(number) = self.gate.pass() {
            let request = self.source.request(user, number, &self.target, self.reconnect);
            match connection.exchange(&request).await {
                Ok(reply) => {
                    self.tally().replied(Outcome::of(reply), reply.took);
                    (self.on_end)(Ok(reply));
                }
                Err(error) => {
                    (self.on_end)(Err(&error));
                    self.tally().failed(error);
                    sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A closed loop: each user sends, waits for the response, and sends again.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::{
    hook::Hook,
    stop::{Gate, Stop},
    summary::{Outcome, Summary},
};
use crate::{
    connection::HttpConnection,
    request::{Prepared, Reconnect, Request},
    response::{RequestError, Response},
    target::Target,
};

mod hook;
pub(crate) mod stop;
pub(crate) mod summary;

/// How long a user pauses after an error: without it, a server that is down makes the loop spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

/// A load to run.
#[derive(Debug, Clone)]
pub struct Load {
    /// How many users send at the same time, each on a connection of its own.
    pub users: u16,
    /// Whether a user keeps its connection.
    pub reconnect: Reconnect,
    /// When it ends.
    pub stop: Stop,
    /// What is sent.
    pub request: Requests,
}

/// What the users send.
#[derive(Debug, Clone)]
pub struct Requests(Choice);

#[derive(Debug, Clone)]
enum Choice {
    Fixed(Request),
    Made(Hook<dyn Fn(u64) -> Request + Send + Sync>),
}

/// The bytes of the request of that number.
pub(crate) type Source = Box<dyn Fn(u64) -> Arc<Prepared> + Send + Sync>;

impl Requests {
    /// Calls `make` for each request, with its number, counted from 0 over all users.
    pub fn made(make: impl Fn(u64) -> Request + Send + Sync + 'static) -> Self {
        Self(Choice::Made(Hook(Arc::new(make))))
    }

    /// A fixed request is rendered once, and allocates nothing when it is sent.
    pub(crate) fn prepare(self, target: &Target, reconnect: Reconnect) -> Source {
        match self.0 {
            Choice::Fixed(request) => {
                let prepared = Arc::new(request.prepare(target, reconnect));
                Box::new(move |_| Arc::clone(&prepared))
            }
            Choice::Made(Hook(make)) => {
                let target = target.clone();
                Box::new(move |number| Arc::new(make(number).prepare(&target, reconnect)))
            }
        }
    }
}

impl From<Request> for Requests {
    fn from(request: Request) -> Self {
        Self(Choice::Fixed(request))
    }
}

impl Load {
    /// Runs until [`Stop`]; requests in flight are completed, or time out.
    ///
    /// Every user is a task of the current runtime; dropping the future ends them.
    pub async fn run(self, target: &Target) -> Summary {
        self.run_watched(target, |_| {}).await
    }

    /// As [`Self::run`], and passes each response to `on_response`, in the task of its user. A panic
    /// in it ends the run and reaches the caller, so that a test may assert on each response.
    pub async fn run_watched(
        self,
        target: &Target,
        on_response: impl Fn(&Response) + Send + Sync + 'static,
    ) -> Summary {
        let on_end = move |ended: Result<&Response, &RequestError>| {
            if let Ok(response) = ended {
                on_response(response);
            }
        };
        self.run_observed(target, on_end).await
    }

    /// As [`Self::run_watched`], and passes requests that ended without a response too.
    pub async fn run_observed(
        self,
        target: &Target,
        on_end: impl Fn(Result<&Response, &RequestError>) + Send + Sync + 'static,
    ) -> Summary {
        let began = Instant::now();
        let run = Arc::new(Run {
            source: self.request.prepare(target, self.reconnect),
            target: target.clone(),
            gate: Gate::open(self.stop, began),
            summary: Mutex::default(),
            on_end,
        });
        let mut users = JoinSet::new();
        for _ in 0..self.users {
            let run = Arc::clone(&run);
            users.spawn(async move { run.user().await });
        }
        users.join_all().await;
        let summary = std::mem::take(&mut *run.summary.lock());
        Summary { elapsed: began.elapsed(), ..summary }
    }
}

/// What the users of a running load share.
struct Run<OnEnd> {
    target: Target,
    source: Source,
    gate: Gate,
    /// One for all: a histogram for each user would fill the cache that the server needs, while
    /// this lock is held for some nanoseconds and hardly ever contended.
    summary: Mutex<Summary>,
    on_end: OnEnd,
}

impl<OnEnd: Fn(Result<&Response, &RequestError>)> Run<OnEnd> {
    async fn user(&self) {
        let mut connection = HttpConnection::new(&self.target);
        while let Some(number) = self.gate.pass() {
            let request = (self.source)(number);
            match connection.exchange(&request).await {
                Ok(response) => {
                    let outcome = Outcome::of(response);
                    self.summary.lock().record_response(outcome, response.took);
                    (self.on_end)(Ok(response));
                }
                Err(error) => {
                    (self.on_end)(Err(&error));
                    self.summary.lock().record_error(error);
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }
}

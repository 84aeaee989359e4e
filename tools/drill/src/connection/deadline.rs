//! One deadline for each response at the price of one timer for each connection.
//!
//! `tokio::time::timeout` enters a timer into the wheel and removes it again for every read that
//! has to wait, which in a closed loop is every read. Here the timer stays where it is when the
//! deadline moves on: it fires at most once in a timeout, and is reset if it was early. A response in
//! time touches no timer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::response::RequestError;

/// When the current response must be complete.
#[derive(Debug)]
pub(super) struct Deadline {
    within: Duration,
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(super) fn new(now: Instant, within: Duration) -> Self {
        let at = now + within;
        Self { within, at, timer: Box::pin(sleep_until(at)) }
    }

    pub(super) fn restart(&mut self, now: Instant) {
        self.at = now + self.within;
    }

    /// The output of `io`, unless the deadline passes first.
    pub(super) async fn within<T>(
        &mut self,
        io: impl Future<Output = T>,
    ) -> Result<T, RequestError> {
        let mut io = pin!(io);
        poll_fn(|context| match io.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_passed(context).map(Err),
        })
        .await
    }

    fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<RequestError> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline() >= self.at {
                return Poll::Ready(RequestError::TimedOut { within: self.within });
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

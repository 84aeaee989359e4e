//! One deadline for each answer at the price of one timer for each connection.
//!
//! `tokio::time::timeout` enters a timer into the wheel and takes it out again for every read that
//! has to wait, which in a closed loop is every read. Here the alarm stays where it is when the
//! deadline moves on: it goes off at most once in a timeout, sees that it was early, and is set
//! again. An answer in time touches no timer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::Error;

/// When the current answer must be complete.
#[derive(Debug)]
pub(super) struct Deadline {
    within: Duration,
    at: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(super) fn new(now: Instant, within: Duration) -> Self {
        let at = now + within;
        Self { within, at, alarm: Box::pin(sleep_until(at)) }
    }

    pub(super) fn restart(&mut self, now: Instant) {
        self.at = now + self.within;
    }

    /// What `io` yields, unless the deadline passes while it waits.
    pub(super) async fn within<T>(&mut self, io: impl Future<Output = T>) -> Result<T, Error> {
        let mut io = pin!(io);
        poll_fn(|context| match io.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_passed(context).map(Err),
        })
        .await
    }

    fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            if self.alarm.deadline() >= self.at {
                return Poll::Ready(Error::TimedOut { within: self.within });
            }
            self.alarm.as_mut().reset(self.at);
        }
    }
}

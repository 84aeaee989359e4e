//! The permission for one call.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use crate::time::Moment;

use super::{Answer, Breaker};

/// One call that was let through. [`Permit::record`] says what came of it; a permit that is
/// dropped counts as [`Answer::Cancelled`] and gives its place back.
#[must_use = "a permit that is dropped counts as a cancelled call"]
pub struct Permit<B: Deref<Target = Breaker> = Arc<Breaker>> {
    breaker: B,
    pass: Pass,
    open: bool,
}

/// What the breaker must know of a call when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) generation: u32,
    pub(super) probe: bool,
    pub(super) started: Moment,
}

impl<B: Deref<Target = Breaker>> Permit<B> {
    #[inline]
    pub(super) const fn new(breaker: B, pass: Pass) -> Self {
        Self { breaker, pass, open: true }
    }

    /// Says what came of the call; `retry_after` is what the answer asked for, if it did.
    #[inline]
    pub fn record(mut self, answer: Answer, retry_after: Option<Duration>, now: Moment) {
        self.open = false;
        self.breaker.settle(self.pass, answer, retry_after, now);
    }

    /// The breaker that let the call through.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Whether this call decides if the breaker closes again.
    pub const fn is_probe(&self) -> bool {
        self.pass.probe
    }

    /// When the call was let through.
    pub const fn started(&self) -> Moment {
        self.pass.started
    }
}

impl<B: Deref<Target = Breaker>> Drop for Permit<B> {
    #[inline]
    fn drop(&mut self) {
        if self.open {
            self.breaker.cancel(self.pass);
        }
    }
}

impl<B: Deref<Target = Breaker>> fmt::Debug for Permit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("pass", &self.pass).finish_non_exhaustive()
    }
}

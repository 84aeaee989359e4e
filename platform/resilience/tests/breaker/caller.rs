//! Calls through a breaker, on a clock that the test moves.

use std::{sync::Arc, time::Duration};

use platform_resilience::{
    breaker::{
        Breaker, BreakerConfig, CallOutcome, Cause, Change, CircuitOpenError, Permit, State,
    },
    time::Moment,
};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) struct Caller {
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) now: Moment,
}

impl Caller {
    pub(crate) fn new() -> Self {
        Self::with(BreakerConfig::default())
    }

    /// An hour after the clock's origin, as real clocks are.
    pub(crate) fn with(config: BreakerConfig) -> Self {
        let breaker = Arc::new(Breaker::new(config).unwrap());
        Self { breaker, now: Moment::default().after(Duration::from_hours(1)) }
    }

    pub(crate) fn wait(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
    }

    pub(crate) fn enter(&self) -> Result<Permit, CircuitOpenError> {
        self.breaker.enter(self.now)
    }

    /// A call that ends at once; whether it was permitted.
    pub(crate) fn call(&self, outcome: CallOutcome) -> bool {
        self.enter().map(|permit| permit.record(outcome, None, self.now)).is_ok()
    }

    pub(crate) fn calls(&self, outcome: CallOutcome, count: usize) -> usize {
        (0..count).filter(|_| self.call(outcome)).count()
    }

    /// A call that takes that long.
    pub(crate) fn slow_call(&mut self, outcome: CallOutcome, took: Duration) {
        let permit = self.enter().unwrap();
        self.wait(took);
        permit.record(outcome, None, self.now);
    }

    pub(crate) fn state(&self) -> State {
        self.breaker.state(self.now)
    }

    /// Opens it by failures in a row.
    pub(crate) fn open(&self) {
        self.calls(CallOutcome::Failure, 5);
        assert_eq!(self.state(), State::Open);
    }

    /// Waits until half-open; says how long that was.
    pub(crate) fn wait_open(&mut self) -> Duration {
        let wait = self.enter().unwrap_err().retry_after;
        self.wait(wait);
        assert_eq!(self.state(), State::HalfOpen);
        wait
    }

    /// From open to closed, without a failure.
    pub(crate) fn close(&mut self) {
        self.wait_open();
        assert_eq!(self.calls(CallOutcome::Success, 5), 5);
        self.wait(self.breaker.config().ramp);
        assert!(self.call(CallOutcome::Success));
        assert_eq!(self.state(), State::Closed);
    }

    /// Why the state changed, oldest first.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        let events = self.breaker.events().into_iter();
        events
            .filter_map(|event| match event.change {
                Change::State { cause, .. } => Some(cause),
                Change::Mode { .. } => None,
            })
            .collect()
    }
}

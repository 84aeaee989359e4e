//! Requests and answers of the suite, and what the layers are told about them.

use std::time::Duration;

use resilience::{
    breaker::Answer,
    deadline::Deadline,
    layer::{
        Refusal, Refuse, admission::Admittable, breaker::Breakable, deadline::Timed,
        retry::Retryable,
    },
    limiter::Sample,
    line::Priority,
    time::Moment,
};
use tower::BoxError;

/// What every request has.
pub(crate) const TIME: Duration = Duration::from_secs(1);

/// Refuses with an error, as where calls go out.
#[derive(Clone, Debug)]
pub(crate) struct Policy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) what: &'static str,
    pub(crate) deadline: Option<Deadline>,
    /// Asked again, of somebody else.
    pub(crate) elsewhere: bool,
}

impl Request {
    /// One that may be asked twice is a "put".
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, deadline: None, elsewhere: false }
    }

    fn deadline(&self, now: Moment) -> Deadline {
        let left = if self.what == "late" { Duration::ZERO } else { TIME };
        self.deadline.unwrap_or_else(|| Deadline::within(left, now))
    }
}

pub(crate) type Answered = Result<&'static str, BoxError>;

impl Refuse<&'static str, BoxError> for Policy {
    fn refuse(&self, refusal: Refusal) -> Answered {
        Err(refusal.into())
    }
}

impl Timed<Request> for Policy {
    fn deadline(&self, request: &Request, now: Moment) -> Deadline {
        request.deadline(now)
    }

    fn stamp(&self, request: &mut Request, deadline: Deadline, _: Moment) {
        request.deadline = Some(deadline);
    }
}

impl Admittable<Request, &'static str, BoxError> for Policy {
    fn priority(&self, _: &Request) -> Priority {
        Priority::Settle
    }

    fn items(&self, _: &Request) -> u32 {
        1
    }

    fn deadline(&self, request: &Request, now: Moment) -> Deadline {
        request.deadline(now)
    }

    fn sample(&self, answer: &Answered) -> Sample {
        if answer.is_ok() { Sample::Answered } else { Sample::Ignored }
    }
}

impl Breakable<Request, &'static str, BoxError> for Policy {
    fn deadline(&self, request: &Request, now: Moment) -> Deadline {
        request.deadline(now)
    }

    fn judge(&self, answer: &Answered) -> (Answer, Option<Duration>) {
        (if answer.is_ok() { Answer::Success } else { Answer::Failure }, None)
    }
}

impl Retryable<Request, &'static str, BoxError> for Policy {
    fn copy(&self, request: &Request) -> Option<Request> {
        (request.what == "put").then(|| request.clone())
    }

    fn deadline(&self, request: &Request, now: Moment) -> Deadline {
        request.deadline(now)
    }

    fn again(&self, answer: &Answered, copy: &mut Request) -> bool {
        copy.elsewhere = true;
        answer.is_err()
    }
}

/// The refusal that an answer is.
#[track_caller]
pub(crate) fn refusal(answer: Answered) -> Refusal {
    *answer.unwrap_err().downcast::<Refusal>().unwrap()
}

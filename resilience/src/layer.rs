//! Thin tower layers around the cores.
//!
//! What they must know about requests and answers, a policy tells them: one small trait a layer,
//! which one type can implement for a whole stack. None decides in `poll_ready`: that a service is
//! not ready may mean anything (a task that has used up its turn, for one), and readiness that was
//! reserved for a request that is refused would be lost to others. Readiness is the inner service's
//! own, and is used by the very service that was ready.

pub mod admission;
pub mod breaker;
pub mod deadline;
pub mod retry;

use std::{mem, time::Duration};

use thiserror::Error;

use crate::admission::Shed;

/// Why a layer answers instead of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No time was left. Nothing was begun.
    #[error("the deadline has passed")]
    Expired,
    /// No answer came in time. What was begun may have happened.
    #[error("no answer within the time that was left")]
    TimedOut,
    /// There is too much to do. Nothing was begun.
    #[error(transparent)]
    Shed(#[from] Shed),
    /// The circuit breaker lets nothing through. Nothing was begun.
    #[error("the circuit is open; come back in {} s", retry_after.as_secs())]
    Open {
        /// When it may let something through again.
        retry_after: Duration,
    },
}

/// Says a refusal in the words of a service: an answer (503) or an error.
pub trait Refuse<Response, Error> {
    /// What the caller gets.
    fn refuse(&self, refusal: Refusal) -> Result<Response, Error>;
}

/// The service that was found ready, and leaves a clone, not ready yet, in its place.
fn take_ready<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    mem::replace(service, clone)
}

//! What tower expects of a layer, asked of each of ours: readiness is the inner service's and is
//! used once, what is dropped frees all that it held, errors pass, and clones share one state.

#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "an answer that should be there fails the test")]

#[path = "contract/admission.rs"]
mod admission;
#[path = "contract/breaker.rs"]
mod breaker;
#[path = "contract/deadline.rs"]
mod deadline;
#[path = "contract/policy.rs"]
mod policy;
#[path = "contract/retry.rs"]
mod retry;
#[path = "contract/stack.rs"]
mod stack;
#[path = "contract/suite.rs"]
mod suite;

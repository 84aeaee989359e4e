//! What keeps trouble apart, for Prometheus: breakers under the names of resilience4j, admission
//! and repeats under our own.

use std::{sync::Arc, time::Duration};

use resilience::{
    admission::{Admission, Reason, Snapshot, WAIT_BOUNDS},
    breaker::Breaker,
    budget::Budget,
    line::Priority,
    time::{Clock, Coarse},
};

use super::breakers::Shown;
use crate::{
    isolation::Isolation,
    metrics::{histogram::Buckets, reading::Reading},
};

/// Everything, as it is now.
pub(super) fn of(isolation: &Isolation) -> Vec<Reading> {
    let mut readings = Vec::new();
    let breakers = isolation.breakers();
    if !breakers.is_empty() {
        readings.extend(of_breakers(&breakers));
    }
    let budgets = isolation.budgets();
    if !budgets.is_empty() {
        readings.extend(of_budgets(&budgets));
    }
    readings.extend(isolation.admission().map(Admission::snapshot).iter().flat_map(of_admission));
    readings
}

fn of_breakers(breakers: &[(String, Arc<Breaker>)]) -> [Reading; 7] {
    let mut state = Reading::gauge(
        "resilience4j_circuitbreaker_state",
        "The state of a circuit breaker, in truth (1 for the one it is in, else 0)",
    );
    let mut failure_rate = Reading::gauge(
        "resilience4j_circuitbreaker_failure_rate",
        "Calls in the window that failed, in percent, -1 below the minimum of calls",
    );
    let mut slow_call_rate = Reading::gauge(
        "resilience4j_circuitbreaker_slow_call_rate",
        "Calls in the window that were slow, in percent, -1 below the minimum of calls",
    );
    let mut buffered = Reading::gauge(
        "resilience4j_circuitbreaker_buffered_calls",
        "Calls in the window, in calls",
    );
    let mut slow = Reading::gauge(
        "resilience4j_circuitbreaker_slow_calls",
        "Calls in the window that were slow, in calls",
    );
    let mut not_permitted = Reading::counter(
        "resilience4j_circuitbreaker_not_permitted_calls_total",
        "Calls that a circuit breaker has not let through, in calls",
    );
    let mut calls = Reading::counter(
        "resilience4j_circuitbreaker_calls_total",
        "Calls by what came of them (ignored: given up by the caller), in calls",
    );
    for (name, breaker) in breakers {
        let now = breaker.snapshot(Coarse.now());
        let shown = Shown::of(now.mode, now.state);
        for one in Shown::ALL {
            let labels = [("name", &**name), ("state", one.name())];
            state = state.value(labels, u64::from(one == shown));
        }
        failure_rate = failure_rate.value([("name", name)], now.failure_rate.unwrap_or(-1.0));
        slow_call_rate = slow_call_rate.value([("name", name)], now.slow_call_rate.unwrap_or(-1.0));
        let of_kind = |reading: Reading, all: u32, failed: u32| {
            let successful = u64::from(all.saturating_sub(failed));
            reading
                .value([("name", name), ("kind", "successful")], successful)
                .value([("name", name), ("kind", "failed")], u64::from(failed))
        };
        buffered = of_kind(buffered, now.buffered_calls, now.failed_calls);
        slow = of_kind(slow, now.slow_calls, now.slow_failed_calls);
        let labels = [("name", &**name), ("kind", "not_permitted")];
        not_permitted = not_permitted.value(labels, now.totals.refused);
        for (kind, count) in [
            ("successful", now.totals.success),
            ("failed", now.totals.failure),
            ("timeout", now.totals.timeout),
            ("overload", now.totals.overload),
            ("ignored", now.totals.cancelled),
        ] {
            calls = calls.value([("name", name), ("kind", kind)], count);
        }
    }
    [state, failure_rate, slow_call_rate, buffered, slow, not_permitted, calls]
}

fn of_budgets(budgets: &[(&'static str, Arc<Budget>)]) -> [Reading; 3] {
    let mut retries = Reading::counter(
        "anticorona_retries_total",
        "Calls that were made once more, by the part that is called, in calls",
    );
    let mut refused = Reading::counter(
        "anticorona_retries_refused_total",
        "Calls that were not made once more because the budget was used up, in calls",
    );
    let mut left = Reading::gauge(
        "anticorona_retry_budget",
        "How many calls could be made once more now, in calls",
    );
    for (part, budget) in budgets {
        retries = retries.value([("name", part)], budget.retried());
        refused = refused.value([("name", part)], budget.refused());
        left = left.value([("name", part)], budget.balance(Coarse.now()));
    }
    [retries, refused, left]
}

fn of_admission(now: &Snapshot) -> [Reading; 8] {
    let limit = Reading::gauge("anticorona_admission_limit", "Items allowed in flight, in items");
    let in_flight = Reading::gauge("anticorona_admission_in_flight", "Items in flight, in items");
    let mut waiting = Reading::gauge(
        "anticorona_admission_waiting",
        "Requests in the line, by priority, in requests",
    );
    let mut admitted = Reading::counter(
        "anticorona_admission_admitted_total",
        "Requests that were let in, by priority, in requests",
    );
    for ((priority, in_line), let_in) in Priority::ALL.iter().zip(now.waiting).zip(now.admitted) {
        let in_line = u64::try_from(in_line).unwrap_or(u64::MAX);
        waiting = waiting.value([("priority", name_of(*priority))], in_line);
        admitted = admitted.value([("priority", name_of(*priority))], let_in);
    }
    let mut shed = Reading::counter(
        "anticorona_admission_shed_total",
        "Requests that were refused, by reason, in requests",
    );
    for (reason, count) in Reason::ALL.iter().zip(now.shed) {
        shed = shed.value([("reason", reason.name())], count);
    }
    let wait = Reading::histogram(
        "anticorona_admission_wait_seconds",
        "How long requests were in the line that had to wait, in seconds",
    );
    let bounds = WAIT_BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    let waits = Buckets { sum: now.waited, counts: bounds.zip(now.waits).collect() };
    let drain = Reading::gauge(
        "anticorona_admission_drain_per_second",
        "How fast work is done while there is any, in items per second",
    );
    let expected = Reading::gauge(
        "anticorona_admission_expected_wait_seconds",
        "What a request that comes now would take, line and work together, in seconds",
    );
    [
        limit.value([], u64::from(now.limit)),
        in_flight.value([], u64::from(now.in_flight)),
        waiting,
        admitted,
        shed,
        wait.value([], waits),
        drain.value([], now.drain_rate),
        expected.value([], now.expected_wait.as_secs_f64()),
    ]
}

fn name_of(priority: Priority) -> &'static str {
    match priority {
        Priority::Operator => "operator",
        Priority::Settle => "settle",
        Priority::Book => "book",
        Priority::Read => "read",
    }
}

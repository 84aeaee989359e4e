//! Metrics of circuit breakers (under the names of resilience4j), of retries and of admission.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use platform_resilience::{
    admission::{Admission, AdmissionSnapshot, ShedReason, WAIT_BOUNDS_MS},
    breaker::Breaker,
    retry_budget::RetryBudget,
    time::Coarse,
    wait_queue::Priority,
};
use platform_rest::breaker_registry::BreakerRegistry;
use platform_telemetry::metrics::family::MetricFamily;

use super::breakers::{STATES, shown_state};

/// All families, as they are now.
pub(super) fn of(registry: &BreakerRegistry) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    let breakers = registry.breakers();
    if !breakers.is_empty() {
        families.extend(of_breakers(&breakers));
    }
    let budgets = registry.budgets();
    if !budgets.is_empty() {
        families.extend(of_budgets(&budgets));
    }
    families.extend(registry.admission().map(Admission::snapshot).iter().flat_map(of_admission));
    families
}

fn of_breakers(breakers: &BTreeMap<String, Arc<Breaker>>) -> [MetricFamily; 7] {
    let mut state = MetricFamily::gauge(
        "resilience4j_circuitbreaker_state",
        "The state of a circuit breaker: 1 for the current one, 0 for the others",
    );
    let mut failure_rate = MetricFamily::gauge(
        "resilience4j_circuitbreaker_failure_rate",
        "Calls in the window that failed, in percent, -1 below the minimum of calls",
    );
    let mut slow_call_rate = MetricFamily::gauge(
        "resilience4j_circuitbreaker_slow_call_rate",
        "Calls in the window that were slow, in percent, -1 below the minimum of calls",
    );
    let mut buffered = MetricFamily::gauge(
        "resilience4j_circuitbreaker_buffered_calls",
        "Calls in the window, in calls",
    );
    let mut slow = MetricFamily::gauge(
        "resilience4j_circuitbreaker_slow_calls",
        "Calls in the window that were slow, in calls",
    );
    let mut not_permitted = MetricFamily::counter(
        "resilience4j_circuitbreaker_not_permitted_calls_total",
        "Calls that a circuit breaker has rejected, in calls",
    );
    let mut calls = MetricFamily::counter(
        "resilience4j_circuitbreaker_calls_total",
        "Calls by outcome (ignored: cancelled by the caller), in calls",
    );
    for (name, breaker) in breakers {
        let now = breaker.snapshot(Coarse.now());
        let shown = shown_state(now.mode, now.state);
        for one in STATES {
            let label = one.to_lowercase();
            let labels = [("name", &**name), ("state", &*label)];
            state = state.sample(labels, u64::from(one == shown));
        }
        failure_rate = failure_rate.sample([("name", name)], now.failure_rate.unwrap_or(-1.0));
        slow_call_rate =
            slow_call_rate.sample([("name", name)], now.slow_call_rate.unwrap_or(-1.0));
        let of_kind = |family: MetricFamily, all: u32, failed: u32| {
            let successful = u64::from(all.saturating_sub(failed));
            family
                .sample([("name", name), ("kind", "successful")], successful)
                .sample([("name", name), ("kind", "failed")], u64::from(failed))
        };
        buffered = of_kind(buffered, now.buffered_calls, now.failed_calls);
        slow = of_kind(slow, now.slow_calls, now.slow_failed_calls);
        let labels = [("name", &**name), ("kind", "not_permitted")];
        not_permitted = not_permitted.sample(labels, now.totals.refused);
        for (kind, count) in [
            ("successful", now.totals.success),
            ("failed", now.totals.failure),
            ("timeout", now.totals.timeout),
            ("overload", now.totals.overload),
            ("ignored", now.totals.cancelled),
        ] {
            calls = calls.sample([("name", name), ("kind", kind)], count);
        }
    }
    [state, failure_rate, slow_call_rate, buffered, slow, not_permitted, calls]
}

fn of_budgets(budgets: &BTreeMap<&'static str, Arc<RetryBudget>>) -> [MetricFamily; 3] {
    let mut retries = MetricFamily::counter(
        "anticorona_retries_total",
        "Calls that were retried, by the service that is called, in calls",
    );
    let mut refused = MetricFamily::counter(
        "anticorona_retries_refused_total",
        "Calls that were not retried because the retry budget was empty, in calls",
    );
    let mut left =
        MetricFamily::gauge("anticorona_retry_budget", "Calls that may be retried now, in calls");
    for (service, budget) in budgets {
        retries = retries.sample([("name", service)], budget.retried());
        refused = refused.sample([("name", service)], budget.refused());
        left = left.sample([("name", service)], budget.balance(Coarse.now()));
    }
    [retries, refused, left]
}

fn of_admission(now: &AdmissionSnapshot) -> [MetricFamily; 8] {
    let limit =
        MetricFamily::gauge("anticorona_admission_limit", "Items allowed in flight, in items");
    let in_flight =
        MetricFamily::gauge("anticorona_admission_in_flight", "Items in flight, in items");
    let mut waiting = MetricFamily::gauge(
        "anticorona_admission_waiting",
        "Requests in the wait queue, by priority, in requests",
    );
    let mut admitted = MetricFamily::counter(
        "anticorona_admission_admitted_total",
        "Requests that were admitted, by priority, in requests",
    );
    for ((priority, queued), passed) in Priority::ALL.iter().zip(now.waiting).zip(now.admitted) {
        let queued = u64::try_from(queued).unwrap_or(u64::MAX);
        waiting = waiting.sample([("priority", name_of(*priority))], queued);
        admitted = admitted.sample([("priority", name_of(*priority))], passed);
    }
    let mut shed = MetricFamily::counter(
        "anticorona_admission_shed_total",
        "Requests that were shed, by reason, in requests",
    );
    for (reason, count) in ShedReason::ALL.iter().zip(now.shed) {
        shed = shed.sample([("reason", reason.name())], count);
    }
    let wait = MetricFamily::histogram(
        "anticorona_admission_wait_seconds",
        "Time in the wait queue of requests that had to wait, in seconds",
    );
    let drain = MetricFamily::gauge(
        "anticorona_admission_throughput_per_second",
        "Throughput while there is work, in items per second",
    );
    let expected = MetricFamily::gauge(
        "anticorona_admission_expected_wait_seconds",
        "Expected time of a request that arrives now, waiting and work together, in seconds",
    );
    [
        limit.sample([], u64::from(now.limit)),
        in_flight.sample([], u64::from(now.in_flight)),
        waiting,
        admitted,
        shed,
        wait.buckets([], &WAIT_BOUNDS_MS.map(Duration::from_millis), &now.waits, now.waited),
        drain.sample([], now.throughput),
        expected.sample([], now.expected_wait.as_secs_f64()),
    ]
}

fn name_of(priority: Priority) -> &'static str {
    match priority {
        Priority::Operator => "operator",
        Priority::Cancel => "cancel",
        Priority::Book => "book",
        Priority::Read => "read",
    }
}

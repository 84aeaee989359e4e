//! What must hold in every simulation.

use std::time::Duration;

use platform_resilience::{
    breaker::{Change, State},
    time::Moment,
};

use super::{
    model::{Model, Outcome, TIME_LIMIT},
    scenario::{OPEN_MAX, ms},
};

/// After a load spike, how soon every request must be served again.
const RECOVERY_MAX: Duration = ms(2_000);

/// How long the limits may take to adapt, before goodput is measured.
const ADAPTATION_MAX: Duration = ms(500);

/// How much of the peak goodput must remain under any load.
const GOODPUT_PERCENT: u128 = 90;

/// The invariants that do not hold.
pub(crate) fn violations(model: &Model) -> Vec<String> {
    let mut violations = model.violations.clone();
    for invariant in [
        nothing_is_left_over,
        no_request_lasts_beyond_its_deadline,
        retries_stay_within_the_budget,
        an_overload_costs_little_goodput,
        every_request_is_served_soon_after_a_load_spike,
        the_circuit_closes,
    ] {
        violations.extend(invariant(model));
    }
    violations
}

fn moment(at: Duration) -> Moment {
    Moment::default().after(at)
}

fn nothing_is_left_over(model: &Model) -> Option<String> {
    let [service, server] = [model.service.snapshot(), model.server.snapshot()];
    let probes = model.breaker.snapshot(model.finished_at).probes_out;
    let ended = u64::try_from(model.ended.len()).unwrap();
    let clean = service.in_flight == 0
        && server.in_flight == 0
        && service.waiting.iter().chain(&server.waiting).all(|waiting| *waiting == 0)
        && probes == 0
        && model.left_over() == 0
        && ended == model.arrived;
    (!clean).then(|| {
        format!(
            "left over: service {} + {:?}, server {} + {:?}, {probes} probes, {ended} of {} ended",
            service.in_flight, service.waiting, server.in_flight, server.waiting, model.arrived,
        )
    })
}

fn no_request_lasts_beyond_its_deadline(model: &Model) -> Option<String> {
    let longest = TIME_LIMIT + model.scenario.jump + ms(5);
    let late = model.ended.iter().find(|ended| ended.at.since(ended.arrived_at) > longest)?;
    Some(format!("answered after {:?}: {:?}", late.at.since(late.arrived_at), late.outcome))
}

fn retries_stay_within_the_budget(model: &Model) -> Option<String> {
    if !model.scenario.retries.within_budget {
        return None;
    }
    // Both are in order of time.
    let within = |moments: &[Moment], now: Moment, back: Duration| {
        let until = moments.partition_point(|at| *at <= now);
        until - moments[..until].partition_point(|at| now.since(*at) >= back)
    };
    let over = model.retries.iter().find(|now| {
        let calls = within(&model.calls, **now, ms(10_000));
        // The budget counts in tenths of its ten seconds.
        within(&model.retries, **now, ms(9_000)) > calls / 10 + 100
    })?;
    Some(format!("too many retries before {over:?}"))
}

fn an_overload_costs_little_goodput(model: &Model) -> Option<String> {
    let scenario = &model.scenario;
    if !scenario.is_overload() || scenario.load_percent < 110 {
        return None;
    }
    let (from, to) = (moment(scenario.onset + ADAPTATION_MAX), moment(scenario.end));
    let served = model
        .ended
        .iter()
        .filter(|ended| ended.outcome == Outcome::Served && (from..to).contains(&ended.at))
        .count();
    let peak = to.since(from).as_nanos() / scenario.server.pace().as_nanos();
    let percent = u128::try_from(served).unwrap() * 100 / peak;
    (percent < GOODPUT_PERCENT).then(|| format!("goodput fell to {percent} % of the peak"))
}

fn every_request_is_served_soon_after_a_load_spike(model: &Model) -> Option<String> {
    let scenario = &model.scenario;
    // After a fault the circuit may stay open for a while: see `the_circuit_closes`.
    if scenario.fault.is_some() || !scenario.jump.is_zero() {
        return None;
    }
    let recovered = moment(scenario.end + RECOVERY_MAX);
    let rejected = model
        .ended
        .iter()
        .find(|one| one.arrived_at >= recovered && one.outcome != Outcome::Served)?;
    let late = rejected.arrived_at.since(moment(scenario.end));
    Some(format!("{:?} {late:?} after the load fell", rejected.outcome))
}

fn the_circuit_closes(model: &Model) -> Option<String> {
    let scenario = &model.scenario;
    let config = model.breaker.config();
    // A call from just before the end may fail for as long as it has time; then the circuit is open
    // for the longest time, half-open, and ramps.
    let bound = TIME_LIMIT + OPEN_MAX * 12 / 10 + config.ramp + ms(500);
    let events = model.breaker.events();
    let mut changes = events.iter().filter_map(|event| match event.change {
        Change::State { to, .. } => Some((event.at, to)),
        Change::Mode { .. } => None,
    });
    let late = moment(scenario.end + bound);
    if model.breaker.state(late) != State::Closed {
        return Some("it never closed".to_owned());
    }
    match changes.next_back() {
        Some((at, _)) if at > late => {
            Some(format!("it closed {:?} after the end", at.since(moment(scenario.end))))
        }
        _ => None,
    }
}

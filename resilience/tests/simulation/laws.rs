//! What must hold in every world.

use std::time::Duration;

use resilience::{
    breaker::{Change, State},
    time::Moment,
};

use super::{
    scenario::ms,
    world::{OPEN_MAX, Outcome, TIME_LIMIT, World},
};

/// How long all may take to be well after a load that was too much.
const RECOVERY_MAX: Duration = ms(2_000);

/// How long the limits may take to adapt, before goodput is looked at.
const ADAPTATION_MAX: Duration = ms(500);

/// Of the goodput at the peak, how much must remain under any load.
const GOODPUT_PERCENT: u128 = 90;

/// What does not hold.
pub(crate) fn broken(world: &World) -> Vec<String> {
    let mut broken = world.wrong.clone();
    for law in [
        nothing_is_left_over,
        nobody_waits_beyond_the_deadline,
        retries_stay_within_the_budget,
        an_overload_costs_little_goodput,
        all_is_well_soon_after,
        the_circuit_closes,
    ] {
        broken.extend(law(world));
    }
    broken
}

fn moment(at: Duration) -> Moment {
    Moment::default().after(at)
}

fn nothing_is_left_over(world: &World) -> Option<String> {
    let [service, server] = [world.service.snapshot(), world.server.snapshot()];
    let probes = world.breaker.snapshot(world.over).probes_out;
    let ended = u64::try_from(world.ended.len()).unwrap();
    let clean = service.in_flight == 0
        && server.in_flight == 0
        && service.waiting.iter().chain(&server.waiting).all(|waiting| *waiting == 0)
        && probes == 0
        && world.left_over() == 0
        && ended == world.born;
    (!clean).then(|| {
        format!(
            "left over: service {} + {:?}, server {} + {:?}, {probes} probes, {ended} of {} ended",
            service.in_flight, service.waiting, server.in_flight, server.waiting, world.born,
        )
    })
}

fn nobody_waits_beyond_the_deadline(world: &World) -> Option<String> {
    let longest = TIME_LIMIT + world.scenario.jump + ms(5);
    let late = world.ended.iter().find(|ended| ended.at.since(ended.born) > longest)?;
    Some(format!("answered after {:?}: {:?}", late.at.since(late.born), late.outcome))
}

fn retries_stay_within_the_budget(world: &World) -> Option<String> {
    if !world.scenario.retries.within_budget {
        return None;
    }
    // Both are in order of time.
    let within = |moments: &[Moment], now: Moment, back: Duration| {
        let until = moments.partition_point(|at| *at <= now);
        until - moments[..until].partition_point(|at| now.since(*at) >= back)
    };
    let over = world.retries.iter().find(|now| {
        let calls = within(&world.calls, **now, ms(10_000));
        // The budget counts in tenths of its ten seconds.
        within(&world.retries, **now, ms(9_000)) > calls / 10 + 100
    })?;
    Some(format!("too many retries before {over:?}"))
}

fn an_overload_costs_little_goodput(world: &World) -> Option<String> {
    let scenario = &world.scenario;
    if !scenario.is_overload() || scenario.load_percent < 110 {
        return None;
    }
    let (from, to) = (moment(scenario.onset + ADAPTATION_MAX), moment(scenario.end));
    let served = world
        .ended
        .iter()
        .filter(|ended| ended.outcome == Outcome::Served && (from..to).contains(&ended.at))
        .count();
    let peak = to.since(from).as_nanos() / scenario.server.pace().as_nanos();
    let percent = u128::try_from(served).unwrap() * 100 / peak;
    (percent < GOODPUT_PERCENT).then(|| format!("goodput fell to {percent} % of the peak"))
}

fn all_is_well_soon_after(world: &World) -> Option<String> {
    let scenario = &world.scenario;
    // After a fault the circuit may stay open for a while: see `the_circuit_closes`.
    if scenario.fault.is_some() || !scenario.jump.is_zero() {
        return None;
    }
    let well = moment(scenario.end + RECOVERY_MAX);
    let turned_away =
        world.ended.iter().find(|one| one.born >= well && one.outcome != Outcome::Served)?;
    let late = turned_away.born.since(moment(scenario.end));
    Some(format!("{:?} {late:?} after the load fell", turned_away.outcome))
}

fn the_circuit_closes(world: &World) -> Option<String> {
    let scenario = &world.scenario;
    let config = world.breaker.config();
    // Whoever was asked just before the end may fail for as long as it has time; then it is open
    // for the longest at most, asks, and ramps.
    let bound = TIME_LIMIT + OPEN_MAX * 12 / 10 + config.ramp + ms(500);
    let events = world.breaker.events(0);
    let mut changes = events.iter().filter_map(|event| match event.change {
        Change::State { to, .. } => Some((event.at, to)),
        Change::Mode { .. } => None,
    });
    let late = moment(scenario.end + bound);
    if world.breaker.state(late) != State::Closed {
        return Some("it never closed".to_owned());
    }
    match changes.next_back() {
        Some((at, _)) if at > late => {
            Some(format!("it closed {:?} after the end", at.since(moment(scenario.end))))
        }
        _ => None,
    }
}

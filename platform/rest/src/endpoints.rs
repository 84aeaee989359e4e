//! The endpoints of one service: resolved by DNS, each with its own breaker, the less loaded of two
//! is called.
//!
//! A name may resolve to many addresses (in Kubernetes, a headless Service). A single kept connection
//! would send the whole load to one process of the service, and scaling that service out would change
//! nothing. So every address is an endpoint, and names are resolved periodically.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::http::uri::Authority;
#[cfg(test)]
use platform_resilience::time::nanos;
use platform_resilience::{
    balance::{self, EndpointLoad, FAILURE_MEMORY, InFlight},
    breaker::{Breaker, BreakerConfig, CallOutcome, Mode, Permit, State},
    retry_budget::RetryBudget,
    time::{Coarse, Moment},
};
use tokio::{net::lookup_host, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::{base_url::BaseUrl, call::CallError};

/// How long after a lookup, failed or not, a name is resolved again: a new process is called within this
/// time after DNS lists it.
pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(5);

/// The same while an endpoint cannot be reached: another may have replaced it. No shorter than
/// [`RESOLVE_TIMEOUT`], so that there is one lookup at a time.
const RESOLVE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How long a DNS lookup may take.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Endpoints that were looked up so long ago are not called before the name is resolved again. While there
/// are calls, they are never that old: a lookup has begun and ended before.
const STALE_AFTER: Duration = RESOLVE_INTERVAL.saturating_add(RESOLVE_TIMEOUT);

/// Endpoints of one service at most; further addresses are not called.
const ENDPOINTS_MAX: usize = 64;

/// Whether calls to a service are sent now; the best state first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CircuitState {
    /// All calls are sent.
    Closed,
    /// A few calls are sent as probes.
    HalfOpen,
    /// No call is sent.
    Open {
        /// When a call may be sent again.
        retry_after: Duration,
    },
}

/// All endpoints of one service, and the guards of the calls to it.
#[derive(Debug)]
pub(crate) struct Endpoints {
    pub(crate) service: &'static str,
    pub(crate) base: BaseUrl,
    pub(crate) retry_budget: Arc<RetryBudget>,
    config: BreakerConfig,
    /// [`Mode::ForcedClosed`] for calls without a breaker.
    mode: Mode,
    current: ArcSwap<Vec<Arc<Endpoint>>>,
    /// When the last lookup of the name began, in nanoseconds; `None` if the host is an IP address.
    lookup_at: Option<AtomicU64>,
}

/// One address of a service.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) authority: Authority,
    address: SocketAddr,
    load: Arc<EndpointLoad>,
    breaker: Arc<Breaker>,
    /// When a connection to it failed, in nanoseconds; 0 once it has answered.
    unreachable_at: AtomicU64,
}

/// An endpoint that was chosen for an attempt. The attempt counts as in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct ChosenEndpoint {
    pub(crate) endpoint: Arc<Endpoint>,
    in_flight: InFlight,
    permit: Permit,
}

impl Endpoints {
    /// The configuration must be valid.
    pub(crate) fn new(
        service: &'static str,
        base: BaseUrl,
        config: BreakerConfig,
        mode: Mode,
    ) -> Self {
        let address = base.address();
        let endpoints = Self {
            service,
            base,
            retry_budget: Arc::default(),
            config,
            mode,
            current: ArcSwap::default(),
            lookup_at: address.is_none().then(AtomicU64::default),
        };
        endpoints.update(address.into_iter());
        endpoints
    }

    /// Chooses the less loaded of two endpoints whose breakers admit a call, `previous` excluded. Those that
    /// were unreachable a moment ago are the last choice.
    pub(crate) async fn choose(
        self: &Arc<Self>,
        previous: Option<&Arc<Endpoint>>,
    ) -> Result<ChosenEndpoint, CallError> {
        self.refresh().await?;
        let current = self.current.load();
        let now = Coarse.now();
        let is_previous = |one: &Arc<Endpoint>| previous.is_some_and(|it| Arc::ptr_eq(it, one));
        let excluded = current.iter().position(is_previous);
        let admitting =
            |one: &Arc<Endpoint>| one.breaker.check(now).is_ok().then(|| one.load.weight(now));
        let reachable =
            |one: &Arc<Endpoint>| admitting(one).filter(|_| !one.is_unreachable_lately(now));
        let index = balance::pick(&current, excluded, fastrand::u64(..), reachable)
            .or_else(|| balance::pick(&current, excluded, fastrand::u64(..), admitting));
        let open_for = |one: &&Arc<Endpoint>| one.breaker.check(now).err().map(|it| it.retry_after);
        // If no breaker admits a call, the one that will be the first to do so refuses and counts it.
        let first = || current.iter().filter(|one| !is_previous(one)).min_by_key(open_for);
        match index.and_then(|index| current.get(index)).or_else(first) {
            Some(endpoint) => ChosenEndpoint::new(Arc::clone(endpoint), now),
            // The name resolves to no address, or only to one that was already called.
            None => Err(CallError::unreachable("there is no other endpoint")),
        }
    }

    /// Whether there may be several endpoints, now or after the next lookup.
    pub(crate) const fn may_be_several(&self) -> bool {
        self.lookup_at.is_some()
    }

    /// The best state of all endpoints; closed before the first lookup.
    pub(crate) fn circuit_state(&self) -> CircuitState {
        let now = Coarse.now();
        let state = |one: &Arc<Endpoint>| match (one.breaker.check(now), one.breaker.state(now)) {
            (Err(refused), _) => CircuitState::Open { retry_after: refused.retry_after },
            (Ok(()), State::HalfOpen) => CircuitState::HalfOpen,
            (Ok(()), State::Closed | State::Open | State::Ramping) => CircuitState::Closed,
        };
        self.current.load().iter().map(state).min().unwrap_or(CircuitState::Closed)
    }

    /// Resolves the name if that is due. Lookups run beside the calls, unless the known endpoints are of no
    /// use: a call waits for its lookup if it is the first for a long time, or if none of them can be
    /// reached. Before the first lookup has succeeded, each call waits for its own.
    async fn refresh(self: &Arc<Self>) -> Result<(), CallError> {
        let Some(lookup_at) = &self.lookup_at else { return Ok(()) };
        let now = Coarse.now();
        let current = self.current.load_full();
        if current.is_empty() {
            lookup_at.store(now.as_nanos(), Ordering::Relaxed);
            return self.resolve().await.map_err(CallError::unreachable);
        }
        let unreachable = current.iter().filter(|one| one.is_unreachable()).count();
        let interval = if unreachable > 0 { RESOLVE_INTERVAL_MIN } else { RESOLVE_INTERVAL };
        let Some(age) = begin_lookup(lookup_at, interval, now) else { return Ok(()) };
        if unreachable == current.len() || age >= STALE_AFTER {
            self.resolve_or_keep().await;
        } else {
            let this = Arc::clone(self);
            TaskTracker::new().spawn(async move { this.resolve_or_keep().await });
        }
        Ok(())
    }

    async fn resolve_or_keep(&self) {
        if let Err(cause) = self.resolve().await {
            let base = &self.base;
            warn!(%cause, "DNS lookup of {base} failed; keeping the known endpoints");
        }
    }

    async fn resolve(&self) -> io::Result<()> {
        let lookup = lookup_host((self.base.host().to_owned(), self.base.port()));
        let addresses = timeout(RESOLVE_TIMEOUT, lookup)
            .await
            .unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)))?;
        self.update(addresses.take(ENDPOINTS_MAX));
        Ok(())
    }

    /// Endpoints whose address is still there keep their load and breaker. An empty answer is ignored.
    fn update(&self, addresses: impl Iterator<Item = SocketAddr>) {
        let current = self.current.load();
        let known = |address| current.iter().find(|one| one.address == address).cloned();
        let endpoint = |address| known(address).unwrap_or_else(|| self.endpoint(address));
        let updated: Vec<_> = addresses.map(endpoint).collect();
        if !updated.is_empty() {
            self.current.store(Arc::new(updated));
        }
    }

    /// Each breaker has its own seed, so that breakers that opened together, in this process and in
    /// others, do not all send their probes at the same moment.
    fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        let config = BreakerConfig { seed: fastrand::u64(..), ..self.config };
        #[expect(clippy::expect_used, reason = "`Client` has validated it")]
        let breaker = Breaker::new(config).expect("a valid configuration");
        breaker.set_mode(self.mode, Coarse.now());
        let authority = Authority::try_from(address.to_string());
        let authority = authority.unwrap_or_else(|_| self.base.authority().clone());
        Arc::new(Endpoint {
            authority,
            address,
            load: Arc::default(),
            breaker: Arc::new(breaker),
            unreachable_at: AtomicU64::default(),
        })
    }

    /// The breakers, each by the name of the service, with the address where there may be several.
    pub(crate) fn breakers(&self) -> Vec<(String, Arc<Breaker>)> {
        let name = |address| match self.lookup_at {
            Some(_) => format!("{}-{address}", self.service),
            None => self.service.to_owned(),
        };
        let current = self.current.load();
        current.iter().map(|one| (name(one.address), Arc::clone(&one.breaker))).collect()
    }
}

/// How long ago the last lookup began, if the next one is due; only one caller gets that, and makes it.
fn begin_lookup(lookup_at: &AtomicU64, interval: Duration, now: Moment) -> Option<Duration> {
    let last = lookup_at.load(Ordering::Relaxed);
    let age = now.since(Moment::from_nanos(last));
    let begin =
        || lookup_at.compare_exchange(last, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed);
    (age >= interval && begin().is_ok()).then_some(age)
}

impl Endpoint {
    /// Records whether it could be connected to.
    pub(crate) fn set_reachable(&self, is_reachable: bool) {
        let at = if is_reachable { 0 } else { Coarse.now().as_nanos() };
        self.unreachable_at.store(at, Ordering::Relaxed);
    }

    fn is_unreachable(&self) -> bool {
        self.unreachable_at.load(Ordering::Relaxed) > 0
    }

    /// After [`FAILURE_MEMORY`] it is tried again: it may have been restarted at the same address.
    fn is_unreachable_lately(&self, now: Moment) -> bool {
        let at = Moment::from_nanos(self.unreachable_at.load(Ordering::Relaxed));
        self.is_unreachable() && now.since(at) < FAILURE_MEMORY
    }
}

impl ChosenEndpoint {
    fn new(endpoint: Arc<Endpoint>, now: Moment) -> Result<Self, CallError> {
        let permit = endpoint.breaker.enter(now);
        let permit = permit.map_err(|it| CallError::CircuitOpen { retry_after: it.retry_after })?;
        let in_flight = endpoint.load.begin();
        Ok(Self { endpoint, in_flight, permit })
    }

    /// Records what came of the attempt; without it, the attempt counts as cancelled.
    pub(crate) fn record(self, outcome: CallOutcome, open_for: Option<Duration>) {
        let now = Coarse.now();
        if matches!(outcome, CallOutcome::Failure | CallOutcome::Timeout) {
            self.in_flight.failed(now);
        }
        self.permit.record(outcome, open_for, now);
    }
}

#[cfg(test)]
impl Endpoints {
    /// As if the name had been resolved that long ago, to these addresses.
    pub(crate) fn set_lookup(&self, ago: Duration, addresses: &[SocketAddr]) {
        self.update(addresses.iter().copied());
        let at = Coarse.now().as_nanos().saturating_sub(nanos(ago));
        self.lookup_at.as_ref().unwrap().store(at, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        net::{IpAddr, Ipv4Addr},
    };

    use tokio::{runtime::Handle, task::yield_now};

    use super::*;

    const PORT: u16 = 81;
    const GONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), PORT);
    const ALSO_GONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)), PORT);
    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

    fn endpoints(base: &str) -> Endpoints {
        let base = base.parse().unwrap();
        Endpoints::new("vaccine", base, BreakerConfig::default(), Mode::Auto)
    }

    /// Those of `localhost`.
    fn looked_up(ago: Duration, addresses: &[SocketAddr]) -> Arc<Endpoints> {
        let endpoints = Arc::new(endpoints(&format!("http://localhost:{PORT}")));
        endpoints.set_lookup(ago, addresses);
        endpoints
    }

    fn lookups() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    #[test]
    fn breakers_that_open_together_do_not_close_together() {
        let endpoints = endpoints("http://127.0.0.1:8081");
        let now = Coarse.now();
        let open_for: BTreeSet<_> = (1..=8)
            .map(|port| {
                let endpoint = endpoints.endpoint(SocketAddr::from(([127, 0, 0, 1], port)));
                while let Ok(chosen) = ChosenEndpoint::new(Arc::clone(&endpoint), now) {
                    chosen.permit.record(CallOutcome::Failure, None, now);
                }
                endpoint.breaker.check(now).unwrap_err().retry_after
            })
            .collect();
        assert!(open_for.len() > 1, "all of them {open_for:?}");
    }

    #[tokio::test]
    async fn a_refused_call_counts_once_and_asking_for_the_state_does_not() {
        let endpoints = Arc::new(endpoints("http://127.0.0.1:81"));
        let addresses = [1, 2, 3].map(|host| SocketAddr::from(([127, 0, 0, host], 81)));
        endpoints.update(addresses.into_iter());
        let breakers: Vec<_> =
            endpoints.current.load().iter().map(|one| Arc::clone(&one.breaker)).collect();
        for breaker in &breakers {
            breaker.set_mode(Mode::ForcedOpen, Coarse.now());
        }
        let refused = || -> u64 {
            breakers.iter().map(|one| one.snapshot(Coarse.now()).totals.refused).sum()
        };
        assert!(matches!(endpoints.circuit_state(), CircuitState::Open { .. }));
        assert_eq!(refused(), 0);
        endpoints.choose(None).await.unwrap_err();
        assert_eq!(refused(), 1);
    }

    #[tokio::test]
    async fn a_failed_lookup_is_not_repeated_with_the_next_call() {
        let no_name = "x".repeat(64); // Longer than a label may be.
        let endpoints = Arc::new(endpoints(&format!("http://{no_name}:81")));
        endpoints.set_lookup(RESOLVE_INTERVAL, &[HERE]);
        endpoints.refresh().await.unwrap();
        assert_eq!(lookups(), 1);
        while lookups() > 0 {
            yield_now().await;
        }
        endpoints.refresh().await.unwrap();
        assert_eq!(lookups(), 0);
    }

    #[test]
    fn a_lookup_is_due_once_in_its_interval() {
        let (lookup_at, now) = (AtomicU64::default(), Moment::default().after(RESOLVE_INTERVAL));
        let just_before = now.after(RESOLVE_INTERVAL.saturating_sub(Duration::from_nanos(1)));
        let begin = |now| begin_lookup(&lookup_at, RESOLVE_INTERVAL, now).is_some();
        assert_eq!([now, just_before, now.after(RESOLVE_INTERVAL)].map(begin), [true, false, true]);
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_is_not_called_while_there_is_another() {
        let endpoints = looked_up(Duration::ZERO, &[GONE, ALSO_GONE, HERE]);
        for one in &endpoints.current.load()[..2] {
            one.set_reachable(false);
        }
        for _ in 0..100 {
            assert_eq!(endpoints.choose(None).await.unwrap().endpoint.address, HERE);
        }
        let here = Arc::clone(&endpoints.current.load()[2]);
        let last_choice = endpoints.choose(Some(&here)).await.unwrap();
        assert_ne!(last_choice.endpoint.address, HERE);
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_is_tried_again_after_a_while() {
        let endpoints = looked_up(Duration::ZERO, &[GONE, HERE]);
        let gone = Arc::clone(&endpoints.current.load()[0]);
        gone.set_reachable(false);
        let now = Coarse.now();
        assert!(gone.is_unreachable_lately(now));
        assert!(!gone.is_unreachable_lately(now.after(FAILURE_MEMORY)));
        assert!(gone.is_unreachable(), "lookups stay frequent until it answers");
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_makes_lookups_frequent_and_not_more_than_that() {
        let endpoints = looked_up(RESOLVE_INTERVAL_MIN, &[GONE, HERE]);
        endpoints.choose(None).await.unwrap();
        assert_eq!(lookups(), 0);
        endpoints.current.load()[0].set_reachable(false);
        endpoints.choose(None).await.unwrap();
        assert_eq!(lookups(), 1, "one beside the calls, as there is another endpoint");
        for _ in 0..10 {
            endpoints.choose(None).await.unwrap();
        }
        assert_eq!(lookups(), 1);
    }

    #[tokio::test]
    async fn calls_to_endpoints_that_are_all_unreachable_wait_for_the_lookup() {
        let endpoints = looked_up(RESOLVE_INTERVAL_MIN, &[GONE]);
        endpoints.current.load()[0].set_reachable(false);
        assert_ne!(endpoints.choose(None).await.unwrap().endpoint.address, GONE);
    }

    #[tokio::test]
    async fn the_first_call_for_a_long_time_waits_for_the_lookup() {
        let endpoints = looked_up(STALE_AFTER, &[GONE]);
        assert_ne!(endpoints.choose(None).await.unwrap().endpoint.address, GONE);
    }

    #[test]
    fn an_endpoint_that_is_still_resolved_keeps_its_breaker_and_a_removed_one_loses_it() {
        let endpoints = endpoints("http://vaccine:81");
        let [one, two, three] = [1, 2, 3].map(|host| SocketAddr::from(([10, 0, 0, host], 81)));
        endpoints.update([one, two].into_iter());
        let (name, kept) = endpoints.breakers().remove(1);
        endpoints.update([two, three].into_iter());
        endpoints.update([].into_iter());
        let breakers = endpoints.breakers();
        let names = breakers.iter().map(|(name, _)| &**name).collect::<Vec<_>>();
        assert_eq!(names, [&*name, "vaccine-10.0.0.3:81"]);
        assert_eq!(name, "vaccine-10.0.0.2:81");
        assert!(Arc::ptr_eq(&kept, &breakers[0].1));
    }
}

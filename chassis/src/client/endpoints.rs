//! The processes of one other part: found by name, each with a breaker of its own, the less busy
//! of two asked.
//!
//! A name may stand for many addresses (in Kubernetes, a headless Service). One kept connection to
//! a single address for all of them would pin the whole load to one process, and growing that part
//! would change nothing. So every address is an endpoint, and names are looked up again and again.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::http::uri::Authority;
use resilience::{
    balance::{self, Busy, Load},
    breaker::{Answer, Breaker, BreakerConfig, Permit, State},
    dice::Dice,
    time::{Clock, Coarse, Moment},
};
use tokio::{net::lookup_host, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::{BaseUrl, CallError, Passage};
use crate::process::Process;

/// How old a name's addresses may be: a process that was added is found within this time.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);

/// How long a look-up may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(1);

/// Processes of one part that are asked; further ones are left out.
pub const ENDPOINTS_MAX: usize = 64;

/// HTTP's own port.
pub(super) const PORT: u16 = 80;

/// Whoever is called is watched, so that its trouble stays its own.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The other part's name.
    pub(super) part: &'static str,
    pub(super) config: BreakerConfig,
    pub(super) process: Process,
}

/// Every process of one part.
#[derive(Debug)]
pub(super) struct Endpoints {
    base: BaseUrl,
    guard: Option<Guard>,
    known: ArcSwap<Vec<Arc<Endpoint>>>,
    /// When `known` was looked up; never again where the address is no name.
    looked_up: Option<AtomicU64>,
    looking: AtomicBool,
    dice: Dice,
}

/// One process of a part.
#[derive(Debug)]
pub(super) struct Endpoint {
    authority: Authority,
    load: Arc<Load>,
    breaker: Option<Arc<Breaker>>,
}

/// A call that is about to be made: counted as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) endpoint: Arc<Endpoint>,
    busy: Busy,
    permit: Option<Permit>,
}

impl Endpoints {
    pub(super) fn of(base: BaseUrl, guard: Option<Guard>) -> Self {
        let address = base.address();
        let mut endpoints = Self {
            base,
            guard,
            known: ArcSwap::default(),
            looked_up: address.is_none().then(AtomicU64::default),
            looking: AtomicBool::new(false),
            dice: Dice::new(Coarse.now().as_nanos()),
        };
        if let Some(address) = address {
            let only = endpoints.endpoint(address);
            endpoints.known = ArcSwap::from_pointee(vec![only]);
        }
        endpoints
    }

    /// The less busy of two whose breakers let a call through, but not `previous`.
    pub(super) async fn choose(
        self: &Arc<Self>,
        previous: Option<&Arc<Endpoint>>,
    ) -> Result<Chosen, CallError> {
        self.keep_fresh().await?;
        let known = self.known.load();
        let now = Coarse.now();
        let previous = previous.and_then(|it| known.iter().position(|one| Arc::ptr_eq(it, one)));
        let load = |one: &Arc<Endpoint>| {
            let open = one.breaker.as_ref().is_none_or(|breaker| breaker.admits(now));
            open.then(|| one.load.weight(now))
        };
        let picked = balance::pick(&known, previous, self.dice.roll(), load);
        match picked.and_then(|place| known.get(place)) {
            Some(one) => Chosen::of(Arc::clone(one), now),
            None => match shut_for(&known, now) {
                Some(after) => Err(CallError::Isolated { after }),
                None => Err(CallError::unreachable(NoEndpoint)),
            },
        }
    }

    /// Whether there is anybody else to ask.
    pub(super) fn are_several(&self) -> bool {
        self.known.load().len() > 1
    }

    /// Whether anybody may be called now.
    pub(super) fn passage(&self) -> Passage {
        let now = Coarse.now();
        let known = self.known.load();
        let mut probe = false;
        for one in known.iter() {
            match &one.breaker {
                Some(breaker) if !breaker.admits(now) => {}
                Some(breaker) if breaker.state(now) == State::HalfOpen => probe = true,
                Some(_) | None => return Passage::Free,
            }
        }
        match shut_for(&known, now) {
            _ if probe => Passage::Probe,
            Some(after) => Passage::Shut { after },
            None => Passage::Free, // Nobody was looked up yet.
        }
    }

    /// Looks the name up: at first the caller waits for it, later it is done beside the calls.
    async fn keep_fresh(self: &Arc<Self>) -> Result<(), CallError> {
        let Some(looked_up) = &self.looked_up else { return Ok(()) };
        if self.known.load().is_empty() {
            return self.look_up().await.map_err(CallError::unreachable);
        }
        let since = Moment::from_nanos(looked_up.load(Ordering::Relaxed));
        let is_old = Coarse.now().since(since) >= LOOK_UP_EVERY;
        if is_old && !self.looking.swap(true, Ordering::Relaxed) {
            let this = Arc::clone(self);
            TaskTracker::new().spawn(async move {
                if let Err(cause) = this.look_up().await {
                    warn!(%cause, "cannot look {} up; those known are asked on", this.base);
                }
                this.looking.store(false, Ordering::Relaxed);
            });
        }
        Ok(())
    }

    async fn look_up(&self) -> io::Result<()> {
        let looking = lookup_host((self.base.host().to_owned(), self.base.port().unwrap_or(PORT)));
        let addresses = timeout(LOOK_UP_WITHIN, looking)
            .await
            .unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)))?;
        self.update(addresses.take(ENDPOINTS_MAX));
        if let Some(looked_up) = &self.looked_up {
            looked_up.store(Coarse.now().as_nanos(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Who stays keeps its breaker; who is gone is forgotten once its calls have ended.
    fn update(&self, addresses: impl Iterator<Item = SocketAddr>) {
        let known = self.known.load();
        let mut by_address: BTreeMap<String, Arc<Endpoint>> =
            known.iter().map(|one| (one.authority.to_string(), Arc::clone(one))).collect();
        let now: Vec<_> = addresses
            .map(|address| {
                by_address.remove(&address.to_string()).unwrap_or_else(|| self.endpoint(address))
            })
            .collect();
        if now.is_empty() {
            return; // Better old ones than none.
        }
        if let Some(guard) = &self.guard {
            for gone in by_address.keys() {
                guard.process.isolation().remove_breaker(&self.name(guard.part, gone));
            }
        }
        self.known.store(Arc::new(now));
    }

    fn endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        let breaker = self.guard.as_ref().and_then(|guard| self.breaker(guard, address));
        let authority = Authority::try_from(address.to_string());
        let authority = authority.unwrap_or_else(|_| self.base.authority().clone());
        Arc::new(Endpoint { authority, load: Arc::default(), breaker })
    }

    /// A breaker is named after its part, and where there may be several, after its address too.
    fn name(&self, part: &str, address: &impl fmt::Display) -> String {
        match self.looked_up {
            Some(_) => format!("{part}-{address}"),
            None => part.to_owned(),
        }
    }

    fn breaker(&self, guard: &Guard, address: SocketAddr) -> Option<Arc<Breaker>> {
        let Guard { part, config, process } = guard;
        let name = self.name(part, &address);
        // Those that opened together, here and in other processes, must not all try at once again.
        match Breaker::new(BreakerConfig { seed: self.dice.roll(), ..*config }) {
            Ok(breaker) => {
                let breaker = Arc::new(breaker);
                process.isolation().add_breaker(name, &breaker);
                Some(breaker)
            }
            Err(cause) => {
                warn!(%cause, "{part} is called without a breaker");
                None
            }
        }
    }
}

/// When the first of them may be asked again, which counts as a refusal of each; nothing, if one
/// may be asked now.
fn shut_for(known: &[Arc<Endpoint>], now: Moment) -> Option<Duration> {
    let after = |one: &Arc<Endpoint>| {
        let refused = one.breaker.as_ref().and_then(|breaker| breaker.check(now).err());
        refused.map(|refused| refused.retry_after)
    };
    known.iter().filter_map(after).min()
}

impl Endpoint {
    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl Chosen {
    fn of(endpoint: Arc<Endpoint>, now: Moment) -> Result<Self, CallError> {
        let permit = match &endpoint.breaker {
            None => None,
            Some(breaker) => Some(
                breaker
                    .enter(now)
                    .map_err(|refused| CallError::Isolated { after: refused.retry_after })?,
            ),
        };
        let busy = endpoint.load.begin();
        Ok(Self { endpoint, busy, permit })
    }

    /// What the endpoint said, or did not.
    pub(super) fn record(self, answer: Answer, retry_after: Option<Duration>) {
        let Self { busy, permit, .. } = self;
        let now = Coarse.now();
        if matches!(answer, Answer::Failure | Answer::Timeout) {
            busy.failed(now);
        }
        if let Some(permit) = permit {
            permit.record(answer, retry_after, now);
        }
    }
}

/// The name stands for no address, or only for one that was asked already.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is nobody else to ask")]
struct NoEndpoint;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn breakers_that_open_together_do_not_close_together() {
        let process = Process::new(CancellationToken::new());
        let guard = Guard { part: "vaccine", config: BreakerConfig::default(), process };
        let base: BaseUrl = "http://127.0.0.1:8081".parse().expect("a URL");
        let endpoints = Endpoints::of(base, Some(guard));
        let now = Coarse.now();
        let shut_for: BTreeSet<_> = (1..=8)
            .map(|port| {
                let one = endpoints.endpoint(SocketAddr::from(([127, 0, 0, 1], port)));
                while let Ok(chosen) = Chosen::of(Arc::clone(&one), now) {
                    chosen.permit.expect("it is watched").record(Answer::Failure, None, now);
                }
                one.breaker.as_ref().and_then(|breaker| breaker.check(now).err())
            })
            .map(|refused| refused.expect("it is open").retry_after)
            .collect();
        assert!(shut_for.len() > 1, "all of them {shut_for:?}");
    }
}

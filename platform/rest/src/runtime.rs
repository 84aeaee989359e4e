//! What the tasks of one running service share: its stop token, metrics, tracer and breakers.

use std::time::Duration;

use platform_telemetry::{
    metrics::Metrics,
    trace::{Tracer, export},
};
use tokio::{select, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{breaker_registry::BreakerRegistry, fault_injection::FaultInjection};

/// The runtime of one service. Services that share a process have one each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    stop: CancellationToken,
    tasks: TaskTracker,
    metrics: Metrics,
    tracer: Tracer,
    breakers: BreakerRegistry,
    faults: Option<FaultInjection>,
}

impl Runtime {
    /// The runtime of a service that stops when the token is cancelled, with the tracer that the
    /// process has for it.
    pub fn new(service: &'static str, stop: CancellationToken) -> Self {
        Self {
            stop,
            tasks: TaskTracker::new(),
            metrics: Metrics::default(),
            tracer: export::tracer(service),
            breakers: BreakerRegistry::default(),
            faults: None,
        }
    }

    /// With fault injection, if it is enabled.
    #[must_use]
    pub fn with_faults(self, enabled: bool) -> Self {
        Self { faults: enabled.then(FaultInjection::default), ..self }
    }

    /// With another tracer.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The faults that are injected, if that is enabled.
    pub fn faults(&self) -> Option<&FaultInjection> {
        self.faults.as_ref()
    }

    /// Makes the spans of the service.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The metrics of the service.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The circuit breakers, retry budgets and the admission of the service.
    pub fn breakers(&self) -> &BreakerRegistry {
        &self.breakers
    }

    /// Resolves when the service must accept no new work.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the service must accept no new work.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The token that stops the service.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that [`Runtime::finish`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Starts a task that ends, wherever it waits, when the service stops.
    pub fn spawn_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(async move {
            select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Runs a task again and again, with a pause before each run, until the service stops.
    pub fn every<F>(&self, pause: Duration, mut task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.spawn(async move {
            loop {
                select! {
                    () = stop.cancelled() => return,
                    () = sleep(pause) => task().await,
                }
            }
        });
    }

    /// Waits for every task that was started.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

//! What the tasks of one running service share: its stop token, metrics, tracer and breakers.

use std::time::Duration;

use platform_telemetry::{
    metrics::Metrics,
    trace::{Tracer, export},
};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{breaker_registry::BreakerRegistry, fault_injection::FaultInjection};

/// The runtime of one service. Services that share a process have one each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Cancelled when the service must accept no new work.
    pub stop: CancellationToken,
    tasks: TaskTracker,
    /// The metrics of the service.
    pub metrics: Metrics,
    /// Makes the spans of the service.
    pub tracer: Tracer,
    /// The circuit breakers, retry budgets and the admission of the service.
    pub breakers: BreakerRegistry,
    /// The faults that are injected, if that is enabled.
    pub faults: Option<FaultInjection>,
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

    /// Starts a task that [`Runtime::finish`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Starts a task that ends, wherever it waits, when the service stops.
    pub fn spawn_until_stop(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }

    /// Runs a task again and again, with a pause before each run, until the service stops.
    pub fn every<F>(&self, pause: Duration, mut task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.spawn(async move {
            while stop.run_until_cancelled(sleep(pause)).await.is_some() {
                task().await;
            }
        });
    }

    /// Waits for every task that was started.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

//! All services in one process, each on its own port, calling each other over real sockets.

use platform_rest::{listener::Listener, runtime::Runtime};
use platform_service::{Env, ServiceArgs, Settings};
use platform_telemetry::BoxError;
use tokio::{select, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::services::SERVICES;

/// Runs all services until the token is cancelled.
pub(crate) async fn serve(args: ServiceArgs, stop: CancellationToken) -> Result<(), BoxError> {
    Running::start(&args, Env::of_process())?.until(stop).await
}

/// All services of this process, in the order of [`SERVICES`].
pub(crate) struct Running {
    services: Vec<RunningService>,
    /// Cancelled as soon as one of them has ended by itself.
    one_ended: CancellationToken,
}

struct RunningService {
    stop: CancellationToken,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Running {
    /// Starts all services.
    pub(crate) fn start(args: &ServiceArgs, env: Env) -> Result<Self, BoxError> {
        let env = with_local_urls(args, env);
        let mut bound = Vec::new();
        for service in SERVICES {
            let settings = Settings { service, services: SERVICES, args, env: &env };
            let configured = (service.configure)(&settings)?;
            // All ports first: a call to a service that still starts waits in its accept queue.
            bound.push((*service, Listener::bind(settings.address())?, configured));
        }
        let one_ended = CancellationToken::new();
        let start = |(service, listener, configured)| {
            let stop = CancellationToken::new();
            let service: &'static platform_service::Service = service;
            let configured: platform_service::Configured = configured;
            let runtime = Runtime::new(service.name, stop.clone()).with_faults(args.listen.faults);
            let ended = one_ended.clone().drop_guard();
            let task = TaskTracker::new().spawn(async move {
                let _ended = ended; // Also when it panics.
                let app = configured.start(runtime.clone()).await?;
                app.serve(service.name, listener, runtime).await
            });
            RunningService { stop, task }
        };
        let services = bound.into_iter().map(start).collect();
        Ok(Self { services, one_ended })
    }

    /// Waits for the token, or for a service that ends by itself; then stops all of them, callers before
    /// the services that they call, so that everything that was accepted is done.
    pub(crate) async fn until(self, stop: CancellationToken) -> Result<(), BoxError> {
        select! {
            () = stop.cancelled() => {}
            () = self.one_ended.cancelled() => {}
        }
        let mut result = Ok(());
        for service in self.services.into_iter().rev() {
            service.stop.cancel();
            // Every service is drained, even after one has failed.
            let ended = service.task.await.unwrap_or_else(|panicked| Err(panicked.into()));
            result = result.and(ended);
        }
        result
    }
}

/// The environment, with the URLs of the services of this process.
pub(crate) fn with_local_urls(args: &ServiceArgs, env: Env) -> Env {
    let url = |service: &&platform_service::Service| {
        (service.url_variable(), args.listen.local_url(service.port))
    };
    env.with(SERVICES.iter().map(url).collect())
}

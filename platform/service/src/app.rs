//! A started service: its routes and its store, and serving them until it stops.

use std::{fmt, pin::Pin, time::Duration};

use axum::Router;
use platform_rest::{TrustedProxies, listener::Listener, runtime::Runtime};
use platform_store::{ReadPool, WriterHealth};
use platform_telemetry::BoxError;
use tokio::{select, task::JoinHandle};

use crate::{actuator, health::StoreHealth};

/// A started service.
#[derive(Debug)]
pub struct App {
    pub(crate) router: Router,
    pub(crate) response_timeout: Duration,
    pub(crate) store: Option<OpenStore>,
    pub(crate) is_edge: bool,
    pub(crate) trusted_proxies: TrustedProxies,
}

/// The store of a started service.
pub(crate) struct OpenStore {
    pub(crate) reads: ReadPool,
    pub(crate) health: WriterHealth,
    /// Ends when the writer has ended.
    pub(crate) writer: JoinHandle<()>,
    /// Closes the writer.
    pub(crate) close: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStore").finish_non_exhaustive()
    }
}

impl App {
    /// A service without a store, at the public edge: its actuator is read-only.
    pub fn edge(router: Router, response_timeout: Duration) -> Self {
        Self {
            router,
            response_timeout,
            store: None,
            is_edge: true,
            trusted_proxies: TrustedProxies::default(),
        }
    }

    /// At the edge, behind proxies that are believed what they say of their clients; without this, none is.
    #[must_use]
    pub fn behind(self, trusted_proxies: TrustedProxies) -> Self {
        Self { trusted_proxies, ..self }
    }

    /// Answers requests, also those of publishers and operators; returns when the service has stopped and
    /// everything that it accepted is done.
    pub async fn serve(
        self,
        name: &'static str,
        listener: Listener,
        runtime: Runtime,
    ) -> Result<(), BoxError> {
        let Self { router, response_timeout, store, is_edge, trusted_proxies } = self;
        let health =
            store.as_ref().map(|store| StoreHealth::of(store.reads.clone(), store.health.clone()));
        let actuator = actuator::router(name, &runtime, health, is_edge);
        let listener = if is_edge { listener.behind(trusted_proxies) } else { listener };
        let serving = listener.serve(name, router.merge(actuator), response_timeout, &runtime);
        let Some(OpenStore { mut writer, close, .. }) = store else {
            serving.await?;
            runtime.finish().await;
            return Ok(());
        };
        select! {
            served = serving => served?,
            _ = &mut writer => return Err(format!("the writer of {name} has died; the log says why").into()),
        }
        runtime.finish().await;
        close.await;
        writer.await?;
        Ok(())
    }
}

//! A started service: its routes and its store, and serving them until it stops.

use std::{fmt, pin::Pin, time::Duration};

use axum::Router;
use platform_rest::{CountItems, TrustedProxies, listener::Listener, runtime::Runtime};
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
    pub(crate) count_items: CountItems,
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
    /// A service without a store, at the public edge: its actuator is read-only, and no header between
    /// services is believed.
    pub fn edge(router: Router, response_timeout: Duration) -> Self {
        Self {
            router,
            response_timeout,
            store: None,
            is_edge: true,
            trusted_proxies: TrustedProxies::default(),
            count_items: |_, _, _| 1,
        }
    }

    /// At the edge, behind proxies that are believed what they say of their clients; without this, none is.
    #[must_use]
    pub fn behind(self, trusted_proxies: TrustedProxies) -> Self {
        Self { trusted_proxies, ..self }
    }

    /// Admits requests by the items in their bodies; without this, each counts as one.
    #[must_use]
    pub fn counting_items(self, count_items: CountItems) -> Self {
        Self { count_items, ..self }
    }

    /// Answers requests, also those of publishers and operators; returns when the service has stopped and
    /// everything that it accepted is done.
    pub async fn serve(
        self,
        name: &'static str,
        listener: Listener,
        runtime: Runtime,
    ) -> Result<(), BoxError> {
        let Self { router, response_timeout, store, is_edge, trusted_proxies, count_items } = self;
        let health =
            store.as_ref().map(|store| StoreHealth::of(store.reads.clone(), store.health.clone()));
        let actuator = actuator::router(name, &runtime, health, is_edge);
        let listener = if is_edge { listener.behind(trusted_proxies) } else { listener };
        let listener = listener.counting_items(count_items);
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

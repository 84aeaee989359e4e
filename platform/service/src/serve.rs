//! Serving a started service until it stops.

use platform_rest::{listener::Listener, runtime::Runtime};
use platform_telemetry::BoxError;
use thiserror::Error;
use tokio::select;

use crate::{
    actuator,
    app::{App, OpenStore},
    health::StoreHealth,
    service::Service,
};

/// The writer ended while the service was running.
#[derive(Debug, Error)]
#[error("the writer of {0} has died; the log says why")]
struct WriterDied(&'static str);

impl App {
    /// Answers requests, also those of publishers and operators; returns when the service has stopped and
    /// everything that it accepted is done.
    pub async fn serve(
        self,
        service: &Service,
        listener: Listener,
        runtime: Runtime,
    ) -> Result<(), BoxError> {
        let Self { router, response_timeout, store, is_edge } = self;
        let name = service.name;
        let health =
            store.as_ref().map(|store| StoreHealth::of(store.reads.clone(), store.health.clone()));
        let actuator = actuator::router(name, &runtime, health, is_edge);
        let serving = listener.serve(name, router.merge(actuator), response_timeout, &runtime);
        let Some(OpenStore { mut writer, close, .. }) = store else {
            serving.await?;
            runtime.finish().await;
            return Ok(());
        };
        select! {
            served = serving => served?,
            _ = &mut writer => return Err(WriterDied(name).into()),
        }
        runtime.finish().await;
        close.await;
        writer.await?;
        Ok(())
    }
}

//! `anticorona demo`: all services in a temporary folder, with a fictional city to try.

use clap::Args;
use platform_rest::client::Client;
use platform_service::{Env, ListenArgs, ServiceArgs};
use platform_telemetry::{BoxError, clock};
use serde_json::Value;
use tokio::select;
use tokio_util::sync::CancellationToken;

use crate::{serve::Running, services::SERVICES};

mod city;
mod registration;
mod welcome;

use self::{
    registration::{Registration, wait_for},
    welcome::Urls,
};

/// The options of the demo.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Without vaccines, sites and campaigns
    #[arg(long)]
    empty: bool,
}

/// Runs the demo until the token is cancelled.
pub(crate) async fn serve(demo: DemoArgs, stop: CancellationToken) -> Result<(), BoxError> {
    let folder = tempfile::Builder::new().prefix("anticorona-demo-").tempdir()?;
    let args = ServiceArgs { data: folder.path().to_owned(), listen: demo.listen };
    // Without the environment: a demo leaves nothing behind, whatever DATABASE_URL says.
    let running = Running::start(&args, Env::of(vec![]))?.until(stop);
    tokio::pin!(running);
    select! {
        ended = &mut running => return ended,
        ready = prepare(&args.listen, demo.empty) => ready?,
    }
    running.await?;
    folder.close()?;
    Ok(())
}

async fn prepare(listen: &ListenArgs, is_empty: bool) -> Result<(), BoxError> {
    let client =
        |port| -> Result<Client, BoxError> { Ok(Client::new(listen.local_url(port).parse()?)) };
    for service in SERVICES {
        wait_for::<Value>(&client(service.port)?, "/actuator/health", |_| true).await?;
    }
    let urls = Urls {
        vaccine: listen.local_url(vaccine::SERVICE.port),
        booking: listen.local_url(booking::SERVICE.port),
        gateway: listen.local_url(gateway::SERVICE.port),
    };
    if is_empty {
        return Ok(welcome::print(&urls, None)?);
    }
    let (vaccine, campaign) = (client(vaccine::SERVICE.port)?, client(campaign::SERVICE.port)?);
    let examples = Registration::new(vaccine, campaign, clock::now())?.run().await?;
    Ok(welcome::print(&urls, Some(&examples))?)
}

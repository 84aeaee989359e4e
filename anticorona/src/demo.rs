//! `anticorona demo`: all services in a temporary folder, with sample vaccines.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use contracts::vaccine::Vaccine;
use platform_rest::client::Client;
use platform_service::{Env, ListenArgs, ServiceArgs};
use platform_telemetry::BoxError;
use serde_json::json;
use tokio::{select, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{serve::Running, services::SERVICES};

/// The sample vaccines; their ids follow from their order.
const SAMPLES: [(&str, i64); 3] = [("FIZER", 1_000_000), ("MODERNA", 500_000), ("NOVAVAX", 100)];

/// How long the services may take to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two checks whether a service is ready.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

pub(crate) async fn serve(listen: ListenArgs, stop: CancellationToken) -> Result<(), BoxError> {
    let folder = tempfile::Builder::new().prefix("anticorona-demo-").tempdir()?;
    let args = ServiceArgs { data: folder.path().to_owned(), listen };
    // Without the environment: a demo leaves nothing behind, whatever DATABASE_URL says.
    let running = Running::start(&args, Env::of(vec![]))?.until(stop);
    tokio::pin!(running);
    select! {
        ended = &mut running => return ended,
        ready = prepare(&args) => ready?,
    }
    running.await?;
    folder.close()?;
    Ok(())
}

async fn prepare(args: &ServiceArgs) -> Result<(), BoxError> {
    let urls = Urls {
        vaccine: args.listen.local_url(vaccine::SERVICE.port),
        booking: args.listen.local_url(booking::SERVICE.port),
        gateway: args.listen.local_url(gateway::SERVICE.port),
    };
    for service in SERVICES {
        wait_until_ready(&args.listen.local_url(service.port)).await?;
    }
    let vaccine = Client::new(urls.vaccine.parse()?);
    for (name, stock) in SAMPLES {
        let body = json!({"vcName": name, "stock": stock});
        let _: Vaccine =
            vaccine.post("/vaccines", "application/json", &body, START_TIMEOUT).await?;
    }
    print(&urls)?;
    Ok(())
}

async fn wait_until_ready(url: &str) -> Result<(), BoxError> {
    let client = Client::new(url.parse()?);
    let start = Instant::now();
    loop {
        match client.get::<serde_json::Value>("/actuator/health", START_TIMEOUT).await {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > START_TIMEOUT => return Err(error.into()),
            Err(_) => sleep(CHECK_PAUSE).await,
        }
    }
}

struct Urls {
    vaccine: String,
    booking: String,
    gateway: String,
}

fn print(urls: &Urls) -> io::Result<()> {
    let Urls { vaccine, booking, gateway } = urls;
    let mut out = io::stdout().lock();
    writeln!(out, "\nanticorona is ready.\n")?;
    writeln!(out, "  Open      {gateway}/             everything, through the gateway")?;
    writeln!(out, "            {gateway}/vaccines     the sample vaccines below")?;
    writeln!(out, "            {gateway}/swagger-ui/  every request, to try in the browser")?;
    writeln!(out, "            {booking}/bookings     bookings, newest last")?;
    writeln!(out, "            {gateway}/mypages      what citizens see of them")?;
    writeln!(out, "            {gateway}/injections   who is expected at the injection desk\n")?;
    for (id, (name, stock)) in (1..).zip(SAMPLES) {
        writeln!(out, "  Vaccine {id}  {name:<8} {stock:>9} doses   {vaccine}/vaccines/{id}")?;
    }
    writeln!(out, "\n  Book one:")?;
    writeln!(
        out,
        "    curl -i {gateway}/bookings -H 'Content-Type: application/json' \\\n      \
         -d '{{\"vaccineId\":1, \"userId\":5}}'"
    )?;
    writeln!(out, "\n  The load spike of the reference (siege is a Debian package):")?;
    writeln!(
        out,
        "    siege -c100 -t10S -v --content-type \"application/json\" '{booking}/bookings POST \
         {{\"vaccineId\":1, \"vcName\":\"FIZER\", \"userId\":5, \"status\":\"BOOCKED\"}}'"
    )?;
    writeln!(out, "\n  Ctrl-C ends it and removes its data.\n")?;
    out.flush()
}

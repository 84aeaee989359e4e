//! Everything in a temporary folder, with sample vaccines, for somebody who wants to see it.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use chassis::{
    client::Client,
    config::Env,
    process::{Fatal, NetArgs, PartArgs},
};
use contracts::vaccine::Vaccine;
use serde_json::json;
use tokio::{select, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::together;

/// The sample vaccines; their ids follow from their order.
const SAMPLES: [(&str, i64); 3] = [("FIZER", 1_000_000), ("MODERNA", 500_000), ("NOVAVAX", 100)];

/// How long the parts may take to come up.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Pause between two looks whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) async fn serve(net: NetArgs, stop: CancellationToken) -> Result<(), Fatal> {
    let folder = tempfile::Builder::new().prefix("anticorona-demo-").tempdir()?;
    let args = PartArgs { data: folder.path().to_owned(), net };
    // Without the environment: whatever DATABASE_URL says, a demo leaves nothing behind.
    let parts = together::start(&args, Env::of(vec![]))?;
    let running = together::run(parts, stop);
    tokio::pin!(running);
    select! {
        ended = &mut running => return ended,
        ready = prepare(&args) => ready?,
    }
    running.await?;
    folder.close()?;
    Ok(())
}

async fn prepare(args: &PartArgs) -> Result<(), Fatal> {
    let urls = Urls {
        vaccine: args.net.neighbour(vaccine::config::PORT),
        booking: args.net.neighbour(booking::config::PORT),
        gateway: args.net.neighbour(gateway::config::PORT),
    };
    let others =
        [mypage::config::PORT, injection::config::PORT].map(|port| args.net.neighbour(port));
    for url in [&urls.vaccine, &urls.booking, &urls.gateway].into_iter().chain(&others) {
        up(url).await?;
    }
    let vaccine = Client::new(urls.vaccine.parse()?);
    for (name, stock) in SAMPLES {
        let body = json!({"vcName": name, "stock": stock});
        let _: Vaccine = vaccine.create("/vaccines", &body, START_WITHIN).await?;
    }
    print(&urls)?;
    Ok(())
}

/// Waits until a part answers.
async fn up(url: &str) -> Result<(), Fatal> {
    let client = Client::new(url.parse()?);
    let start = Instant::now();
    loop {
        match client.get::<serde_json::Value>("/actuator/health", START_WITHIN).await {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > START_WITHIN => return Err(error.into()),
            Err(_) => sleep(LOOK_EVERY).await,
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
    writeln!(out, "\n  The rush (siege is a Debian package):")?;
    writeln!(
        out,
        "    siege -c100 -t10S -v --content-type \"application/json\" '{booking}/bookings POST \
         {{\"vaccineId\":1, \"vcName\":\"FIZER\", \"userId\":5, \"status\":\"BOOCKED\"}}'"
    )?;
    writeln!(out, "\n  Ctrl-C ends it and removes its data.\n")?;
    out.flush()
}

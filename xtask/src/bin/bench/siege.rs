//! Our generator beside the real siege, in turns: both must count the same, and see about the same
//! rate.
//!
//! The store of vaccine is slowed, so that it limits the rate. Else siege would, which takes more of
//! the cores that it shares with what it loads.

use std::time::Duration;

use clap::Args;
use drill::{Besieged, Broken, Load, Reconnect, Siege, Stop, Summary, Target, Until};
use serde_json::json;

use crate::server::{self, Server};

/// As many as the smaller siege has.
const USERS: u16 = 100;

/// Requests of each user where counts are compared, and how many of all there are doses for.
const EACH: u32 = 20;
const DOSES: i64 = 1_200;

/// How much longer each command takes in the store of vaccine, in microseconds.
const STORE_DELAY_US: u32 = 500;

/// How far the rates may be apart.
const APART_MAX: f64 = 0.10;

/// What `cargo xtask bench siege` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..=60))]
    seconds: u64,
    /// Runs of each, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    turns: u32,
}

/// Measures and reports; an error if they differ.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    server::build(&[server::ANTICORONA])?;
    crate::on_one_thread(compare(options))?
}

async fn compare(options: &Options) -> Result<(), Broken> {
    let vaccine = Server::vaccine().await?;
    drill::set_faults(&vaccine.entry, &json!({"storeDelayUs": STORE_DELAY_US})).await?;
    let booking = Server::booking(&vaccine.entry.to_string()).await?;
    let pair = Pair { booking: booking.entry.clone(), vaccine: vaccine.entry.clone() };
    let (theirs, ours) = pair.counts().await?;
    println!(
        "\n| {USERS} users, {EACH} requests each, {DOSES} doses | siege | ours |\n|---|---|---|"
    );
    for (name, theirs, ours) in [
        ("transactions", theirs.transactions, ours[0]),
        ("successful", theirs.successful, ours[1]),
        ("failed", theirs.failed, ours[2]),
    ] {
        println!("| {name} | {theirs} | {ours} |");
        if theirs != ours {
            return Err(format!("{name}: siege counts {theirs}, we count {ours}").into());
        }
    }
    let [theirs, ours] = pair.rates(options).await?;
    let apart = ours / theirs - 1.0;
    println!("| rate, median of {} turns | {theirs:.0}/s | {ours:.0}/s |", options.turns);
    println!("\nThe rates are {:.1} % apart.", 100.0 * apart);
    if apart.abs() > APART_MAX { Err("that is too much".into()) } else { Ok(()) }
}

/// Who is loaded, and where doses come from.
struct Pair {
    booking: Target,
    vaccine: Target,
}

impl Pair {
    /// The same number of requests for the same number of doses.
    async fn counts(&self) -> Result<(Besieged, [i64; 3]), Broken> {
        let id = drill::register(&self.vaccine, DOSES).await?;
        let until = Until::Each(EACH);
        let theirs = self.besiege(Siege { until, ..Siege::of_the_seed(USERS, id) }).await?;
        let id = drill::register(&self.vaccine, DOSES).await?;
        let all = u64::from(EACH) * u64::from(USERS);
        let ours = self.load(id, Stop::requests(all)).await;
        let counts = [ours.transactions(), ours.successful(), ours.failed()];
        let [transactions, successful, failed] = counts.map(i64::try_from);
        Ok((theirs, [transactions?, successful?, failed?]))
    }

    /// Transactions per second of each, in the middle.
    async fn rates(&self, options: &Options) -> Result<[f64; 2], Broken> {
        let id = server::stock(&self.vaccine).await?;
        let lasting = Duration::from_secs(options.seconds);
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..options.turns {
            let until = Until::Lasting(lasting);
            let siege = Siege { until, ..Siege::of_the_seed(USERS, id) };
            theirs.push(self.besiege(siege).await?.rate);
            ours.push(self.load(id, Stop::after(lasting)).await.rate_per_second(201));
        }
        eprintln!("siege: {theirs:.0?}, ours: {ours:.0?}");
        Ok([theirs, ours].map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        }))
    }

    async fn besiege(&self, siege: Siege) -> Result<Besieged, Broken> {
        let booking = self.booking.clone();
        tokio::task::spawn_blocking(move || siege.run(&booking)).await?
    }

    async fn load(&self, id: i64, stop: Stop) -> Summary {
        let request = drill::book(id).into();
        let load = Load { users: USERS, reconnect: Reconnect::EachRequest, stop, request };
        load.run(&self.booking).await
    }
}

//! Our load generator beside the real siege, in turns: both must count the same and measure about the
//! same rate.
//!
//! The store of vaccine is delayed so that it limits the rate; otherwise siege would, which takes more
//! of the cores that it shares with the system.

use std::time::Duration;

use clap::Args;
use drill::{DrillError, Load, Reconnect, Siege, SiegeLimit, SiegeSummary, Stop, Summary, Target};

use crate::{
    performance::median,
    system::{self, STOCK, TestSystem},
};

/// As many as the smaller siege has.
const USERS: u16 = 100;

/// When counts are compared: requests per user, and doses in stock.
const EACH: u32 = 20;
const DOSES: i64 = 1_200;

/// Added to each command in the store of vaccine, in microseconds.
const STORE_DELAY_US: u32 = 500;

/// The largest relative difference between the rates.
const DIFFERENCE_MAX: f64 = 0.10;

/// The arguments of `cargo xtask bench siege`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..=60))]
    seconds: u64,
    /// Runs of each, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    turns: u32,
}

/// Measures and reports; an error if the two differ.
pub(crate) async fn run(options: &Options) -> Result<(), DrillError> {
    system::build(&system::PROGRAM)?;
    let (booking, vaccine) = TestSystem::pair(STORE_DELAY_US).await?;
    // The same number of requests for the same number of doses.
    let id = vaccine.register(DOSES).await?;
    let theirs = siege(&booking.entry, id, SiegeLimit::RequestsPerUser(EACH)).await?;
    let id = vaccine.register(DOSES).await?;
    let all = u64::from(EACH) * u64::from(USERS);
    let ours = load(&booking.entry, id, Stop::requests(all)).await;
    println!(
        "\n| {USERS} users, {EACH} requests each, {DOSES} doses | siege | ours |\n|---|---|---|"
    );
    for (name, theirs, ours) in [
        ("transactions", theirs.transactions, ours.transactions()),
        ("successful", theirs.successful, ours.successful()),
        ("failed", theirs.failed, ours.failed()),
    ] {
        println!("| {name} | {theirs} | {ours} |");
        if u64::try_from(theirs)? != ours {
            return Err(format!("{name}: siege counts {theirs}, we count {ours}").into());
        }
    }
    let id = vaccine.register(STOCK).await?;
    let lasting = Duration::from_secs(options.seconds);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..options.turns {
        theirs.push(siege(&booking.entry, id, SiegeLimit::Time(lasting)).await?.rate);
        ours.push(load(&booking.entry, id, Stop::after(lasting)).await.rate_per_second(201));
    }
    eprintln!("siege: {theirs:.0?}, ours: {ours:.0?}");
    let [theirs, ours] = [theirs, ours].map(|rates| median(&rates).unwrap_or(f64::NAN));
    let difference = ours / theirs - 1.0;
    println!("| rate, median of {} turns | {theirs:.0}/s | {ours:.0}/s |", options.turns);
    println!("\nThe rates differ by {:.1} %.", 100.0 * difference);
    if difference.abs() > DIFFERENCE_MAX { Err("that is too much".into()) } else { Ok(()) }
}

async fn siege(booking: &Target, id: i64, limit: SiegeLimit) -> Result<SiegeSummary, DrillError> {
    Siege { limit, ..Siege::reference(USERS, id) }.run_again_if_hung(booking).await
}

async fn load(booking: &Target, id: i64, stop: Stop) -> Summary {
    let request = drill::booking_request(id).into();
    Load { users: USERS, reconnect: Reconnect::EachRequest, stop, request }.run(booking).await
}

//! Vaccine in trouble under the seed's load: how long the longest answer takes, how fast people are
//! told to come back, and how soon it is over when the trouble is.

mod network;

use std::{fmt::Write, ops::Range, path::PathBuf, time::Duration};

use clap::Args;
use drill::{Answers, Broken, Load, Outcome, Reconnect, Seen, Stop, Summary};
use serde_json::{Value, json};

use self::network::Network;
use crate::{
    machine,
    server::{self, Server},
};

/// As many as the smaller siege has.
const USERS: u16 = 100;

/// How long it goes well before the trouble, and how long it goes on after it.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(6);

/// The first moments of a load, which are not like the rest.
const WARM_UP: Duration = Duration::from_secs(1);

/// What part of the earlier rate counts as back.
const BACK_SHARE: f64 = 0.95;

/// What `cargo xtask bench outage` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds that each trouble lasts
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(4..=60))]
    seconds: u64,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is wrong with vaccine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Killed,
    Slow,
    Flapping,
    Silent,
    BlackHoled,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::Killed, Trouble::Slow, Trouble::Flapping, Trouble::Silent, Trouble::BlackHoled];

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed, and started again",
            Self::Slow => "slow: every answer after 5 s",
            Self::Flapping => "flapping: fails half of every second",
            Self::Silent => "silent: takes requests, never answers",
            Self::BlackHoled => "black-holed: packets dropped",
        }
    }

    fn fault(self) -> Option<Value> {
        match self {
            Self::Slow => Some(json!({"mode": "slow", "delayMs": 5_000})),
            Self::Flapping => Some(json!({"mode": "bursts", "everyMs": 1_000, "forMs": 500})),
            Self::Silent => Some(json!({"mode": "silent"})),
            Self::Killed | Self::BlackHoled => None,
        }
    }
}

/// Measures and reports.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    server::build(&[server::ANTICORONA])?;
    let lasting = Duration::from_secs(options.seconds);
    let mut rows = Vec::new();
    for trouble in TROUBLES {
        eprintln!("{}", trouble.name());
        rows.push((trouble, crate::on_one_thread(measure(trouble, lasting))??));
    }
    println!("{}", table(&rows, options.seconds)?);
    if let Some(file) = &options.json {
        std::fs::write(file, figures(&rows)?)?;
        println!("Every figure is in {}.", file.display());
    }
    Ok(())
}

async fn measure(trouble: Trouble, lasting: Duration) -> Result<Outage, Broken> {
    let mut vaccine = Server::vaccine().await?;
    let id = server::stock(&vaccine.entry).await?;
    let network = match trouble {
        Trouble::BlackHoled => Some(Network::around(&mut vaccine).await?),
        Trouble::Killed | Trouble::Slow | Trouble::Flapping | Trouble::Silent => None,
    };
    let url = match &network {
        Some(_) => Network::url(&vaccine.entry)?,
        None => vaccine.entry.to_string(),
    };
    let booking = Server::booking(&url).await?;
    let load = Load {
        users: USERS,
        reconnect: Reconnect::EachRequest,
        stop: Stop::after(BEFORE + lasting + AFTER),
        request: drill::book(id).into(),
    };
    let answers = Answers::begin();
    let noted = answers.clone();
    let running = load.run_observed(&booking.entry, move |ended| noted.note(ended));
    let control = async {
        tokio::time::sleep(BEFORE).await;
        let from = answers.elapsed();
        begin(trouble, &mut vaccine, network.as_ref()).await?;
        tokio::time::sleep(lasting).await;
        end(trouble, &mut vaccine, network.as_ref()).await?;
        Ok::<_, Broken>(from..answers.elapsed())
    };
    let (summary, trouble) = tokio::join!(running, control);
    Ok(Outage { seen: answers.seen(), summary, trouble: trouble? })
}

/// What users saw of it.
struct Outage {
    seen: Seen,
    summary: Summary,
    /// When vaccine was in trouble.
    trouble: Range<Duration>,
}

impl Outage {
    /// Booked, promised later, answered in another way, not answered.
    fn counts(&self) -> [u64; 4] {
        let booked = self.summary.count(201);
        let promised = self.summary.promised_later();
        let unanswered = self.summary.count(Outcome::Socket);
        [booked, promised, self.summary.sent - booked - promised - unanswered, unanswered]
    }

    fn opened_after(&self) -> Option<Duration> {
        self.seen.opened_after(&self.trouble)
    }

    fn p99_of_refusals(&self) -> Option<Duration> {
        self.seen.p99_of_refusals(&self.trouble)
    }

    fn rate_before(&self) -> f64 {
        self.seen.rate(WARM_UP..self.trouble.start)
    }

    /// How long after the end of the trouble bookings were made as before.
    fn back_after(&self) -> Option<Duration> {
        let enough = self.rate_before() * BACK_SHARE;
        self.seen.back_after(self.trouble.end, enough, Duration::MAX)
    }
}

async fn begin(
    trouble: Trouble,
    vaccine: &mut Server,
    network: Option<&Network>,
) -> Result<(), Broken> {
    if let Some(fault) = trouble.fault() {
        return drill::set_faults(&vaccine.entry, &fault).await;
    }
    match network {
        Some(network) => network.drop_packets(),
        None => vaccine.kill(),
    }
}

async fn end(
    trouble: Trouble,
    vaccine: &mut Server,
    network: Option<&Network>,
) -> Result<(), Broken> {
    if trouble.fault().is_some() {
        return drill::set_faults(&vaccine.entry, &json!({"mode": "none"})).await;
    }
    match network {
        Some(network) => network.pass_packets(),
        None => vaccine.start_again().await,
    }
}

fn table(rows: &[(Trouble, Outage)], seconds: u64) -> Result<String, Broken> {
    let mut text = format!(
        "\n{USERS} users who reconnect for every request; {seconds} s of trouble; {}; {}\n\n\
         | vaccine is | answered 201, 503 with Retry-After, anything else, not | longest answer \
         (≤ 3,200 ms) | told first after | p99 of 503 once open (≤ 20 ms) | bookings before | \
         95 % of that after (≤ 2 s) |\n|---|---|---|---|---|---|---|\n",
        machine::describe()?,
        machine::today()?
    );
    for (trouble, outage) in rows {
        let [booked, promised, other, none] = outage.counts();
        let seconds = |time: Option<Duration>| {
            time.map_or_else(|| "not".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
        };
        let ms = |time: Option<Duration>| {
            time.map_or_else(|| "–".to_owned(), |time| format!("{:.1} ms", millis(time)))
        };
        writeln!(
            text,
            "| {} | {booked}, {promised}, {other}, {none} | {} | {} | {} | {:.0}/s | {} |",
            trouble.name(),
            ms(Some(outage.seen.longest())),
            seconds(outage.opened_after()),
            ms(outage.p99_of_refusals()),
            outage.rate_before(),
            seconds(outage.back_after()),
        )?;
    }
    Ok(text)
}

fn figures(rows: &[(Trouble, Outage)]) -> Result<String, Broken> {
    let rows = rows.iter().map(|(trouble, outage)| {
        let [booked, promised, other, none] = outage.counts();
        json!({
            "trouble": trouble.name(),
            "booked": booked,
            "promised_later": promised,
            "other": other,
            "unanswered": none,
            "longest_ms": millis(outage.seen.longest()),
            "opened_after_ms": outage.opened_after().map(millis),
            "refused_p99_ms": outage.p99_of_refusals().map(millis),
            "bookings_per_second_before": outage.rate_before(),
            "back_after_ms": outage.back_after().map(millis),
        })
    });
    let rows: Vec<Value> = rows.collect();
    let (machine, date) = (machine::describe()?, machine::today()?);
    Ok(format!("{:#}\n", json!({"machine": machine, "date": date, "troubles": rows})))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

//! The seed's second experiment: 200 users, and as many processes of booking as its autoscaler wants.
//!
//! It is a rehearsal of the manifest: the autoscaler's published algorithm, its settings, and a
//! balancer in the place of the Service; processes instead of pods, and shorter times. `--kubectl`
//! watches a real one instead.

use std::{process::Command, time::Duration};

use clap::Args;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Stage, Users};
use crate::{
    ask::register,
    audit::{Audit, Ledgers, Promised, SETTLE_WITHIN},
    balancer::Balancer,
    chart::{Chart, Mark, Series, Style, steps},
    client::target::Target,
    cpu::{Limit, Meter},
    hpa::{Autoscaler, Hpa},
    load::summary::Outcome,
    report::{Report, seconds},
    seen::{Answers, Seen},
    system::{Broken, Part, System},
};

const DOSES: i64 = 1_000_000_000;

/// What each process of booking requests and may use at most, in cores: 250m and 500m.
const REQUESTED: f64 = 0.25;
const LIMIT: f64 = 0.5;

/// `kubectl autoscale deploy booking --min=1 --max=10 --cpu-percent=15`
const TARGET_PERCENT: f64 = 15.0;

/// The controller looks every 15 s.
const SYNC: Duration = Duration::from_secs(15);

/// From "no new connections" to SIGTERM.
const PRE_STOP: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of load
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(10..=3_600))]
    seconds: u64,
    /// Users who reconnect for each request
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    users: u16,
    /// Processes of booking at most
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=20))]
    max: u32,
    /// How many times faster than in a cluster the autoscaler looks, grows and shrinks
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=30))]
    faster: u32,
    /// The PostgreSQL that all bookings share, with an empty database; unless given, one is started
    #[arg(long, value_name = "postgres://…")]
    database: Option<String>,
    /// Watches the deployment `booking` of this namespace in the current cluster, which --target leads
    /// to, instead of a system of its own
    #[arg(long, value_name = "NAMESPACE", num_args = 0..=1, default_missing_value = "anticorona")]
    kubectl: Option<String>,
}

impl Options {
    pub(super) fn takes(&self) -> Duration {
        Duration::from_secs(self.seconds) + self.quiet_max() + Duration::from_secs(10)
    }

    /// Until it has shrunk again: the window of five minutes, once more for what is done in the
    /// background meanwhile, and some looks.
    fn quiet_max(&self) -> Duration {
        (2 * Duration::from_mins(5) + 4 * SYNC) / self.faster
    }
}

/// What was seen of the autoscaler at one look.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    replicas: u32,
    /// Of what is requested, on average; none where the cluster does not say.
    percent: Option<f64>,
}

/// What came of it.
struct Scaled {
    seen: Seen,
    looks: Vec<Look>,
    /// When the load was over.
    quiet: Duration,
    audit: Audit,
    /// Why processes were not held to their limit.
    not_held: Option<String>,
    with: &'static str,
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    if let Some(namespace) = &options.kubectl {
        return of_a_cluster(options, stage, namespace).await;
    }
    stage.own("or, in a cluster, add --kubectl")?;
    // Held until the end: whoever it serves ends before it.
    let (_server, database) = if let Some(url) = &options.database {
        (None, url.clone())
    } else {
        stage.progress.say("starting PostgreSQL");
        let server = tokio::task::spawn_blocking(|| servers::postgres(servers::Durability::None))
            .await?
            .map_err(|failure| missing(&failure))?;
        let address = server.address().to_owned();
        (Some(server), address)
    };
    let ground = stage.ground.clone().with("DATABASE_URL", &database);
    stage.progress.say("starting vaccine and booking");
    let mut fleet = Fleet::start(ground).await?;
    let vaccine = fleet.system.vaccine(0)?;
    let id = register(&vaccine, DOSES).await?;
    let answers = Answers::begin();
    let entry = fleet.balancer.target().clone();
    let (looks, quiet) = tokio::join!(
        scale(options, stage, &mut fleet, &answers),
        users(options, stage, &entry, id, &answers)
    );
    let looks = looks?;
    stage.progress.say("comparing the ledgers");
    let ledgers = Ledgers::of_vaccine(&vaccine, &[fleet.system.booking(0)?], id);
    let audit = ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?;
    let not_held = fleet.not_held.clone();
    let with = "The published algorithm";
    Ok(report(options, &Scaled { seen: answers.seen(), looks, quiet, audit, not_held, with }))
}

fn missing(failure: &servers::Failure) -> Broken {
    format!(
        "{failure}\n  This drill needs PostgreSQL: several bookings share one database. Install it (on Debian: \
         `apt-get install postgresql` as root), or name one with --database"
    )
    .into()
}

/// Processes of booking behind one address.
struct Fleet {
    balancer: Balancer,
    /// From the oldest on: process n is the n-th.
    meters: Vec<Meter>,
    limit: Limit,
    not_held: Option<String>,
    system: System,
}

impl Fleet {
    async fn start(ground: crate::Ground) -> Result<Self, Broken> {
        let system = System::start(ground, &[Part::Vaccine(0)]).await?;
        let (balancer, limit) = (Balancer::start().await?, Limit::of(LIMIT));
        let mut fleet = Self { balancer, meters: Vec::new(), limit, not_held: None, system };
        fleet.grow().await?;
        Ok(fleet)
    }

    fn size(&self) -> u32 {
        u32::try_from(self.meters.len()).unwrap_or(u32::MAX)
    }

    async fn grow(&mut self) -> Result<(), Broken> {
        let number = u16::try_from(self.meters.len())?;
        let part = Part::Booking(number);
        self.system.start_part(part).await?;
        let pid = self.system.pid(part)?;
        if let Err(why) = self.limit.hold(pid) {
            self.not_held = Some(why.to_string());
        }
        self.meters.push(Meter::of(pid)?);
        self.balancer.add(&self.system.booking(number)?);
        Ok(())
    }

    /// The youngest leaves, in order.
    async fn shrink(&mut self) -> Result<(), Broken> {
        if self.meters.pop().is_none() {
            return Ok(());
        }
        let number = u16::try_from(self.meters.len())?;
        self.balancer.remove(&self.system.booking(number)?);
        sleep(PRE_STOP).await;
        match self.system.terminate(Part::Booking(number)).await? {
            Some(0) => Ok(()),
            code => Err(format!("booking {number} ended with {code:?}, not with 0").into()),
        }
    }

    /// Of what each requests, on average.
    fn percent(&mut self) -> Result<f64, Broken> {
        let mut cores = 0.0;
        for meter in &mut self.meters {
            cores += meter.cores()?;
        }
        Ok(100.0 * cores / REQUESTED / f64::from(self.size()))
    }
}

/// Looks and scales, as the controller does, until the load is over and it has shrunk again.
async fn scale(
    options: &Options,
    stage: &Stage,
    fleet: &mut Fleet,
    answers: &Answers,
) -> Result<Vec<Look>, Broken> {
    let max = if stage.without_protection { 1 } else { options.max };
    let mut autoscaler = Autoscaler::new(Hpa::of(1, max, TARGET_PERCENT).faster(options.faster));
    let mut looks = Vec::new();
    let mut ticks = interval(SYNC / options.faster);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await; // The first one is at once, and there is nothing to see yet.
    let loaded = Duration::from_secs(options.seconds);
    loop {
        ticks.tick().await;
        let (at, percent) = (answers.elapsed(), fleet.percent()?);
        let replicas = fleet.size();
        looks.push(Look { at, replicas, percent: Some(percent) });
        if at > loaded && (replicas == 1 || at > loaded + options.quiet_max()) {
            return Ok(looks);
        }
        let wanted = autoscaler.look(at, replicas, percent);
        stage
            .progress
            .say(format!("{percent:.0} % of what is requested: {replicas} → {wanted} bookings"));
        while fleet.size() < wanted {
            fleet.grow().await?;
        }
        while fleet.size() > wanted {
            fleet.shrink().await?;
        }
    }
}

/// When they were done.
async fn users(
    options: &Options,
    stage: &Stage,
    entry: &Target,
    vaccine: i64,
    answers: &Answers,
) -> Duration {
    let lasting = Duration::from_secs(options.seconds);
    Users { count: options.users, lasting, vaccine }.book(entry, stage, answers).await;
    answers.elapsed()
}

/// The same load against the current cluster, and what the real autoscaler made of it.
async fn of_a_cluster(options: &Options, stage: &Stage, namespace: &str) -> Result<Report, Broken> {
    let site =
        stage.site.as_ref().ok_or("--kubectl needs --target: where the cluster takes bookings")?;
    replicas(namespace).await?; // Before anything is loaded.
    let id = register(&site.vaccine, DOSES).await?;
    let answers = Answers::begin();
    let loaded = Duration::from_secs(options.seconds);
    let watching = async {
        let mut looks = Vec::new();
        let mut ticks = interval(Duration::from_secs(1));
        while answers.elapsed() < loaded {
            ticks.tick().await;
            let replicas = replicas(namespace).await?;
            looks.push(Look { at: answers.elapsed(), replicas, percent: None });
            stage.progress.say(format!("{replicas} bookings"));
        }
        Ok::<_, Broken>(looks)
    };
    let (looks, quiet) = tokio::join!(watching, users(options, stage, &site.entry, id, &answers));
    let ledgers = Ledgers::of_vaccine(&site.vaccine, std::slice::from_ref(&site.entry), id);
    let audit = ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?;
    let (seen, looks, with) = (answers.seen(), looks?, "The cluster's own autoscaler");
    Ok(report(options, &Scaled { seen, looks, quiet, audit, not_held: None, with }))
}

/// How many pods of booking are ready.
async fn replicas(namespace: &str) -> Result<u32, Broken> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["--namespace", namespace, "get", "deployment", "booking", "--output"]);
    kubectl.arg("jsonpath={.status.readyReplicas}");
    let output = tokio::task::spawn_blocking(move || kubectl.output()).await?;
    let output = output.map_err(|error| format!("`kubectl` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("kubectl: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(if said.trim().is_empty() { 0 } else { said.trim().parse()? })
}

fn report(options: &Options, scaled: &Scaled) -> Report {
    let Scaled { seen, looks, quiet, audit, not_held, with } = scaled;
    let mut report = Report::of(
        "autoscale",
        format!(
            "{} users book for {} s. {with} decides how many processes of booking there are, from 1 to {}, at \
             {TARGET_PERCENT} % of 250m.",
            options.users, options.seconds, options.max
        ),
    );
    let most = looks.iter().map(|look| look.replicas).max().unwrap_or(0);
    report.check(most >= 2, "booking grows under the load", format!("to {most}"));
    if options.kubectl.is_none() {
        let last = looks.last().map_or(0, |look| look.replicas);
        report.check(last == 1, "and shrinks to 1 when it is over", format!("to {last}"));
    }
    let (booked, all) =
        (seen.count(|outcome| outcome == Outcome::Status(201)), seen.answers().len());
    let share = 100.0 * fraction(booked, u64::try_from(all).unwrap_or(u64::MAX));
    report.answered(seen);
    report.audited(audit);
    let half = *quiet / 2;
    report.fact("booked, of all requests", format!("{share:.2} %"));
    report
        .fact("bookings per second, first half", format!("{:.0}", seen.rate(Duration::ZERO..half)));
    report.fact("second half", format!("{:.0}", seen.rate(half..*quiet)));
    for (name, count) in seen.outcomes() {
        report.fact(name, count.to_string());
    }
    if options.kubectl.is_none() {
        report.note(format!(
            "A rehearsal of the manifest on one machine: processes instead of pods, a balancer of the drill's \
             instead of the Service, and every time of the autoscaler divided by {} (it looks every {}).",
            options.faster,
            seconds(SYNC / options.faster)
        ));
        report.note(match not_held {
            None => "Each process was held to half a core by a control group.".to_owned(),
            Some(why) => format!(
                "Not held: the limit of half a core for each process ({why}). All of them share its cores, so that more processes do not make it faster."
            ),
        });
    }
    let marks = [Mark { x: quiet.as_secs_f64(), name: "load ends".to_owned() }];
    report.charts =
        vec![replica_chart(looks, &marks), seen.outcome_chart(&marks), seen.latency_chart(&marks)];
    if looks.iter().any(|look| look.percent.is_some()) {
        report.charts.insert(1, cpu_chart(looks, &marks));
    }
    report.figures = json!({
        "users": options.users,
        "seconds": options.seconds,
        "booked_percent": share,
        "replicas_at_most": most,
        "limit_held": options.kubectl.is_none() && not_held.is_none(),
        "looks": looks.iter().map(|look| json!({
            "at_ms": look.at.as_millis(), "replicas": look.replicas, "percent": look.percent,
        })).collect::<Vec<_>>(),
        "audit": audit.json(),
    });
    report
}

fn replica_chart(looks: &[Look], marks: &[Mark]) -> Chart {
    let looks = looks.iter().map(|look| (look.at.as_secs_f64(), f64::from(look.replicas)));
    let points = steps(looks);
    Chart {
        title: "Processes of booking".to_owned(),
        x_label: "time (s)".to_owned(),
        y_label: "processes".to_owned(),
        series: vec![Series { name: "ready".to_owned(), style: Style::Area, points }],
        marks: marks.to_vec(),
        ..Chart::default()
    }
}

fn cpu_chart(looks: &[Look], marks: &[Mark]) -> Chart {
    let line = |name: &str, value: fn(&Look) -> f64| {
        let points = looks.iter().map(|look| (look.at.as_secs_f64(), value(look)));
        Series { name: name.to_owned(), style: Style::Line, points: points.collect() }
    };
    Chart {
        title: "What the autoscaler sees".to_owned(),
        x_label: "time (s)".to_owned(),
        y_label: "CPU (% of 250m)".to_owned(),
        series: vec![
            line("used, on average", |look| look.percent.unwrap_or(f64::NAN)),
            line("target", |_| TARGET_PERCENT),
        ],
        marks: marks.to_vec(),
        ..Chart::default()
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

//! The reference's second experiment: 200 users, and as many booking processes as its autoscaler
//! requests.
//!
//! It emulates the manifest: the autoscaler's published algorithm, its settings, and a balancer in the
//! place of the Service; processes instead of pods, and shorter times. `--kubectl` watches a real one
//! instead.

use std::{process::Command, time::Duration};

use clap::Args;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    context::{Context, Entries, Trial},
    deploy::take_out,
};
use crate::{
    audit::Acknowledged,
    balancer::Balancer,
    chart::{Chart, Mark, Series, Style, steps},
    cpu::{Limit, Meter},
    error::DrillError,
    hpa::Autoscaler,
    load::summary::{Outcome, float, ratio},
    observations::{LostSyns, Observations},
    report::{Report, seconds},
    service::{ServiceProcess, TestEnvironment},
    system::System,
    target::Target,
};

/// The CPU request and limit of each booking process, in cores: 250m and 500m.
const REQUESTED: f64 = 0.25;
const LIMIT: f64 = 0.5;

/// `kubectl autoscale deploy booking --min=1 --max=10 --cpu-percent=15`
const TARGET_PERCENT: f64 = 15.0;

/// From "no new connections" to SIGTERM: on one machine the balancer knows at once.
const PRE_STOP: Duration = Duration::from_millis(300);

/// The sync period of the controller.
const SYNC: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of load
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(10..=3_600))]
    seconds: u64,
    /// Users who reconnect for each request
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    users: u16,
    /// The most booking processes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=20))]
    max_replicas: u32,
    /// How many times faster than in a cluster the autoscaler works
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=30))]
    speedup: u32,
    /// The PostgreSQL that all booking processes share, with an empty database; by default one is started
    #[arg(long, value_name = "postgres://…")]
    database: Option<String>,
    /// Watches the deployment `booking` of this namespace in the current cluster, at --target,
    /// instead of a system of the drill's own
    #[arg(long, value_name = "NAMESPACE", num_args = 0..=1, default_missing_value = "anticorona")]
    kubectl: Option<String>,
}

impl Options {
    fn load_duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Until it has scaled down again: the stabilization window of five minutes, the same again for
    /// background work, and some sync periods.
    fn idle_max(&self) -> Duration {
        (2 * Duration::from_mins(5) + 4 * SYNC) / self.speedup
    }
}

/// One sync of the autoscaler.
#[derive(Clone, Copy, Debug)]
struct Sync {
    at: Duration,
    replicas: u32,
    /// Of the CPU request, on average; none where the cluster does not tell.
    percent: Option<f64>,
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    if let Some(namespace) = &options.kubectl {
        return watch_cluster(options, context, namespace).await;
    }
    context.require_own_system("or, in a cluster, add --kubectl")?;
    // Kept until the end: its clients end before it.
    let (_server, database) = if let Some(url) = &options.database {
        (None, url.clone())
    } else {
        context.show("starting PostgreSQL");
        let server = tokio::task::spawn_blocking(|| servers::postgres(servers::Durability::None))
            .await?
            .map_err(|failure| missing(&failure))?;
        let address = server.address().to_owned();
        (Some(server), address)
    };
    let environment = context.environment.clone().with_setting("DATABASE_URL", &database);
    context.show("starting vaccine and booking");
    let mut fleet = Fleet::start(environment).await?;
    let trial = Trial::unlimited(context, Entries::of(&fleet.system, 1)?).await?;
    let entry = fleet.balancer.target().clone();
    let before = fleet.size();
    let (syncs, load_end) =
        tokio::join!(scale(options, context, &mut fleet, &trial), load(options, &trial, &entry));
    verdict(options, &trial, (before, &syncs?, load_end), fleet.unlimited.as_deref()).await
}

fn missing(failure: &servers::Failure) -> DrillError {
    format!(
        "{failure}\n  This drill needs PostgreSQL: the booking processes share one database. Install it (on \
         Debian: `apt-get install postgresql` as root), or name one with --database"
    )
    .into()
}

/// Booking processes behind one address.
struct Fleet {
    balancer: Balancer,
    /// One for each replica, in order.
    meters: Vec<Meter>,
    limit: Limit,
    unlimited: Option<String>,
    system: System,
}

impl Fleet {
    async fn start(environment: TestEnvironment) -> Result<Self, DrillError> {
        let system = System::start(environment, &[ServiceProcess::vaccine(0)]).await?;
        let (balancer, limit) = (Balancer::start().await?, Limit::new(LIMIT));
        let mut fleet = Self { balancer, meters: Vec::new(), limit, unlimited: None, system };
        fleet.scale_up().await?;
        Ok(fleet)
    }

    fn size(&self) -> u32 {
        u32::try_from(self.meters.len()).unwrap_or(u32::MAX)
    }

    async fn scale_up(&mut self) -> Result<(), DrillError> {
        let service = ServiceProcess::booking(u16::try_from(self.meters.len())?);
        self.system.start_service(service).await?;
        let pid = self.system.pid(service)?;
        if let Err(error) = self.limit.apply(pid) {
            self.unlimited = Some(error.to_string());
        }
        self.meters.push(Meter::new(pid)?);
        self.balancer.add(&self.system.target(service)?);
        Ok(())
    }

    /// Terminates the newest process.
    async fn scale_down(&mut self) -> Result<(), DrillError> {
        self.meters.pop();
        let service = ServiceProcess::booking(u16::try_from(self.meters.len())?);
        let target = self.system.target(service)?;
        take_out(&mut self.system, &self.balancer, (service, &target), PRE_STOP).await
    }

    /// CPU usage of the CPU request, on average.
    fn percent(&mut self) -> Result<f64, DrillError> {
        let mut cores = 0.0;
        for meter in &mut self.meters {
            cores += meter.cores()?;
        }
        Ok(100.0 * cores / REQUESTED / f64::from(self.size()))
    }
}

/// Scales as the controller does, until the load has ended and one process is left.
async fn scale(
    options: &Options,
    context: &Context,
    fleet: &mut Fleet,
    trial: &Trial<'_>,
) -> Result<Vec<Sync>, DrillError> {
    let max = if context.without_protection { 1 } else { options.max_replicas };
    let mut autoscaler = Autoscaler::new(1, max, TARGET_PERCENT, options.speedup);
    let mut syncs = Vec::new();
    let mut ticks = interval(SYNC / options.speedup);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await; // The first tick is immediate, before anything is measured.
    let load_duration = options.load_duration();
    loop {
        ticks.tick().await;
        let (at, percent, replicas) = (trial.recorder.elapsed(), fleet.percent()?, fleet.size());
        syncs.push(Sync { at, replicas, percent: Some(percent) });
        let is_over = replicas == 1 || at > load_duration + options.idle_max();
        if at > load_duration && is_over {
            return Ok(syncs);
        }
        let desired = autoscaler.sync(at, replicas, percent);
        context
            .show(format!("{percent:.0} % of the CPU request: {replicas} → {desired} processes"));
        while fleet.size() < desired {
            fleet.scale_up().await?;
        }
        while fleet.size() > desired {
            fleet.scale_down().await?;
        }
    }
}

/// When the load ended.
async fn load(options: &Options, trial: &Trial<'_>, entry: &Target) -> Duration {
    trial.book(entry, options.users, options.load_duration()).await;
    trial.recorder.elapsed()
}

/// The same load against the current cluster, with its own autoscaler.
async fn watch_cluster(
    options: &Options,
    context: &Context,
    namespace: &str,
) -> Result<Report, DrillError> {
    let external = context.external.as_ref();
    let external = external.ok_or("--kubectl needs --target: where the cluster takes bookings")?;
    let before = Replicas::of_booking(namespace).await?.all_ready()?;
    let trial = Trial::unlimited(context, external.clone()).await?;
    let watch = async {
        let mut syncs = Vec::new();
        let mut ticks = interval(Duration::from_secs(1));
        while trial.recorder.elapsed() < options.load_duration() {
            ticks.tick().await;
            let replicas = Replicas::of_booking(namespace).await?.ready;
            syncs.push(Sync { at: trial.recorder.elapsed(), replicas, percent: None });
            context.show(format!("{replicas} processes"));
        }
        Ok::<_, DrillError>(syncs)
    };
    let (syncs, load_end) = tokio::join!(watch, load(options, &trial, trial.entry()));
    verdict(options, &trial, (before, &syncs?, load_end), None).await
}

/// The pods of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replicas {
    desired: u32,
    ready: u32,
}

impl Replicas {
    async fn of_booking(namespace: &str) -> Result<Self, DrillError> {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--namespace", namespace, "get", "deployment", "booking", "--output"]);
        kubectl.arg("jsonpath={.spec.replicas} {.status.readyReplicas}");
        let output = tokio::task::spawn_blocking(move || kubectl.output()).await?;
        let output = output.map_err(|error| format!("`kubectl` could not be started: {error}"))?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("kubectl: {}", error.trim()).into());
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// The second number is absent while none is ready.
    fn parse(printed: &str) -> Result<Self, DrillError> {
        let mut numbers = printed.split_whitespace().map(str::parse);
        let desired = numbers.next().ok_or("kubectl printed no number of replicas")??;
        Ok(Self { desired, ready: numbers.next().transpose()?.unwrap_or(0) })
    }

    /// How many there are, unless they are still being started or stopped.
    fn all_ready(self) -> Result<u32, DrillError> {
        let Self { desired, ready } = self;
        if desired == 0 || ready != desired {
            return Err(format!(
                "{ready} of {desired} pods of booking are ready: start the drill when all of them are, so that \
                 it sees which ones its load adds"
            )
            .into());
        }
        Ok(desired)
    }
}

/// More pods than before the load.
fn check_growth(report: &mut Report, before: u32, syncs: &[Sync]) {
    let most = syncs.iter().map(|sync| sync.replicas).max().unwrap_or(0);
    let found = format!("from {before} to {most}");
    report.check(most > before, "booking scales up under the load", found);
}

/// Checks the responses of a cluster. Between it and this machine is a network that is not under test.
fn check_cluster_responses(report: &mut Report, observations: &Observations) {
    report.check_responses(&observations.once_connected());
    let LostSyns { connected, timed_out } = observations.lost_syns();
    report.fact("connected after a second or later", connected.to_string());
    report.fact("not connected", timed_out.to_string());
    if connected + timed_out > 0 {
        report.note(format!(
            "{connected} requests waited a second or longer until they were connected, and {timed_out} were not \
             connected at all: SYNs got lost on the way to booking, for instance in the node's NAT. The checks \
             leave that out, and count response times from the connection. If it happens inside the cluster too \
             (deploy/kubernetes/siege), `nstat TcpExtListenDrops` in booking's network namespace counts those that \
             a full accept queue dropped."
        ));
    }
}

/// `unlimited` is why processes had no CPU limit.
async fn verdict(
    options: &Options,
    trial: &Trial<'_>,
    (before, syncs, load_end): (u32, &[Sync], Duration),
    unlimited: Option<&str>,
) -> Result<Report, DrillError> {
    let Options { users, seconds: load_seconds, max_replicas, .. } = options;
    let is_emulated = options.kubectl.is_none();
    let autoscaler =
        if is_emulated { "The published algorithm" } else { "The cluster's own autoscaler" };
    let audit = trial.audit(&Acknowledged::default()).await?;
    let observations = trial.recorder.take();
    let mut report = Report::new(
        "autoscale",
        format!(
            "{users} users book for {load_seconds} s. {autoscaler} decides how many booking processes there are, \
             from 1 to {max_replicas}, at {TARGET_PERCENT} % of 250m."
        ),
    );
    check_growth(&mut report, before, syncs);
    if is_emulated {
        let last = syncs.last().map_or(0, |sync| sync.replicas);
        report.check(last == 1, "booking scales down to 1 after it", format!("to {last}"));
    }
    if is_emulated {
        report.check_responses(&observations);
    } else {
        check_cluster_responses(&mut report, &observations);
    }
    let half = load_end / 2;
    let booked = observations.count(|outcome| outcome == Outcome::Status(201));
    let share = 100.0 * ratio(booked, float(observations.count(|_| true)));
    let [first, second] = [Duration::ZERO..half, half..load_end].map(|it| observations.rate(it));
    report.fact("booked, of all requests", format!("{share:.2} %"));
    report.fact("bookings per second, first half", format!("{first:.0}"));
    report.fact("bookings per second, second half", format!("{second:.0}"));
    if is_emulated {
        emulation_notes(&mut report, options, unlimited);
    }
    let marks = [Mark::new(load_end, "load ends")];
    report.charts.push(replica_chart(syncs, &marks));
    if syncs.iter().any(|sync| sync.percent.is_some()) {
        report.charts.push(cpu_chart(syncs, &marks));
    }
    let looks = syncs.iter().map(|Sync { at, replicas, percent }| {
        json!({"at_ms": at.as_millis(), "replicas": replicas, "percent": percent})
    });
    let figures = json!({
        "users": users,
        "seconds": load_seconds,
        "booked_percent": share,
        "replicas_before": before,
        "replicas_at_most": syncs.iter().map(|sync| sync.replicas).max(),
        "has_cpu_limit": is_emulated && unlimited.is_none(),
        "syncs": looks.collect::<Vec<_>>(),
    });
    report.conclude(&observations, Some(&audit), &marks, figures);
    Ok(report)
}

fn emulation_notes(report: &mut Report, options: &Options, unlimited: Option<&str>) {
    report.note(format!(
        "The manifest is emulated on one machine: processes instead of pods, a balancer of the drill's instead of \
         the Service, and every time of the autoscaler divided by {} (it syncs every {}).",
        options.speedup,
        seconds(SYNC / options.speedup)
    ));
    report.note(match unlimited {
        None => "A control group limited each process to half a core.".to_owned(),
        Some(error) => format!(
            "The processes had no limit of half a core ({error}). They share the cores of this machine, so that \
             more processes are not faster."
        ),
    });
}

fn replica_chart(syncs: &[Sync], marks: &[Mark]) -> Chart {
    let points = steps(syncs.iter().map(|it| (it.at.as_secs_f64(), f64::from(it.replicas))));
    let series = vec![Series::new("ready", Style::Area, points)];
    Chart::over_time("Booking processes", "processes", series, marks)
}

fn cpu_chart(syncs: &[Sync], marks: &[Mark]) -> Chart {
    let line = |name: &str, value: fn(&Sync) -> f64| {
        let points = syncs.iter().map(|sync| (sync.at.as_secs_f64(), value(sync)));
        Series::new(name, Style::Line, points.collect())
    };
    let series = vec![
        line("used, on average", |sync| sync.percent.unwrap_or(f64::NAN)),
        line("target", |_| TARGET_PERCENT),
    ];
    Chart::over_time("The autoscaler's metric", "CPU (% of 250m)", series, marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grows(before: u32, replicas: &[u32]) -> bool {
        let sync = |&replicas: &u32| Sync { at: Duration::ZERO, replicas, percent: None };
        let syncs: Vec<_> = replicas.iter().map(sync).collect();
        let mut report = Report::new("autoscale", "");
        check_growth(&mut report, before, &syncs);
        report.passed()
    }

    #[test]
    fn replicas_that_were_there_before_the_load_are_no_growth() {
        assert!(grows(1, &[1, 5, 10]));
        assert!(grows(9, &[9, 10]));
        assert!(!grows(10, &[10, 10]));
        assert!(!grows(1, &[]));
    }

    #[test]
    fn the_drill_starts_once_every_pod_is_ready() {
        let all_ready = |printed: &str| Replicas::parse(printed)?.all_ready();
        assert_eq!(all_ready("10 10").ok(), Some(10));
        for not_ready in ["10 3", "1 ", "0 ", "1 2"] {
            let error = all_ready(not_ready).expect_err("pods start or stop").to_string();
            assert!(error.contains("pods of booking are ready"), "{error}");
        }
        assert!(Replicas::parse("").is_err());
    }
}

//! One process: its arguments, its signals, its tasks, and how it ends.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use clap::{Args, Parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    config::{self, ConfigError, Env},
    fault::Faults,
    health::StoreHealth,
    isolation::Isolation,
    metrics::Metrics,
    telemetry::{self, LogFormat},
    trace::{Tracer, export::Exporter, settings::Settings},
};

/// How long a process may take to finish what it accepted, from the first signal on.
/// Shorter than the 30 s after which Kubernetes kills.
pub const DRAIN_MAX: Duration = Duration::from_secs(15);

/// The exit code for settings that cannot work (`EX_USAGE` of BSD's sysexits).
pub const EXIT_USAGE: u8 = 64;

/// Whatever keeps a process from running. It is printed with its causes, and the process ends.
pub type Fatal = Box<dyn Error + Send + Sync>;

/// Where a process listens and what it logs.
#[derive(Clone, Debug, Args)]
pub struct NetArgs {
    /// Address to listen on; anything but a loopback address is reachable for others
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDR")]
    pub bind: IpAddr,
    /// Added to every port, so that several systems can run side by side
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=50_000))]
    pub port_offset: u16,
    /// How the log looks
    #[arg(long, value_enum, default_value_t = LogFormat::Pretty)]
    pub log: LogFormat,
    /// For rehearsals, never in production: whoever reaches a part can make it fail, at
    /// /actuator/faults
    #[arg(long)]
    pub faults: bool,
}

impl NetArgs {
    /// The address of a port, offset included.
    pub fn listen(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.bind, port.saturating_add(self.port_offset))
    }

    /// The URL at which a neighbour in the same process reaches that port.
    pub fn neighbour(&self, port: u16) -> String {
        let address = match self.listen(port) {
            SocketAddr::V4(address) if address.ip().is_unspecified() => {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
            }
            SocketAddr::V6(address) if address.ip().is_unspecified() => {
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port())
            }
            address => address,
        };
        format!("http://{address}")
    }
}

/// The arguments of a part that runs alone.
#[derive(Clone, Debug, Args)]
pub struct PartArgs {
    /// Folder for this process's data; made if it is not there
    #[arg(long, default_value = "anticorona-data", value_name = "DIR")]
    pub data: PathBuf,
    /// Where it listens and what it logs
    #[command(flatten)]
    pub net: NetArgs,
}

/// Whether this process takes requests.
#[derive(Clone, Debug)]
pub struct Readiness {
    stop: CancellationToken,
    store: Arc<OnceLock<StoreHealth>>,
}

impl Readiness {
    /// True until draining begins.
    pub fn is_ready(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// The store that it cannot take requests without, if there is one.
    pub fn store(&self) -> Option<&StoreHealth> {
        self.store.get()
    }
}

/// A running part's hold on its process: when to stop, and what to wait for.
#[derive(Clone, Debug)]
pub struct Process {
    stop: CancellationToken,
    tasks: TaskTracker,
    metrics: Metrics,
    tracer: Tracer,
    isolation: Isolation,
    faults: Option<Faults>,
    store: Arc<OnceLock<StoreHealth>>,
}

impl Process {
    /// A part that stops when the token is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            tasks: TaskTracker::new(),
            metrics: Metrics::default(),
            tracer: Tracer::of_process(),
            isolation: Isolation::default(),
            faults: None,
            store: Arc::default(),
        }
    }

    /// The same for a part that can be made to fail, if that was asked for at the start.
    #[must_use]
    pub fn with_faults(self, asked_for: bool) -> Self {
        Self { faults: asked_for.then(Faults::default), ..self }
    }

    /// The switch that makes the part fail, if there is one.
    pub fn faults(&self) -> Option<&Faults> {
        self.faults.as_ref()
    }

    /// The same, with a tracer of its own.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Who makes the part's spans.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Resolves when the part must take no new work.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// For whoever must stop at the same moment.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether it still takes requests.
    pub fn readiness(&self) -> Readiness {
        Readiness { stop: self.stop.clone(), store: Arc::clone(&self.store) }
    }

    /// Takes requests only while this store answers. A part has one; a second one is not looked at.
    pub fn needs(&self, store: StoreHealth) {
        drop(self.store.set(store));
    }

    /// What the part counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What keeps trouble apart in this part.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Starts a task that [`Process::finish`] waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs a task again and again, with a pause between, until the part stops.
    pub fn every<F>(&self, pause: Duration, mut task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stop.clone();
        self.spawn(async move {
            loop {
                select! {
                    () = stop.cancelled() => return,
                    () = sleep(pause) => task().await,
                }
            }
        });
    }

    /// Waits for every task that was started.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The `main` of a part's own binary.
pub fn main<C, S, F>(
    part: &'static str,
    config: fn(&PartArgs, &Env) -> Result<C, ConfigError>,
    serve: S,
) -> ExitCode
where
    S: FnOnce(C, Process) -> F,
    F: Future<Output = Result<(), Fatal>>,
{
    /// One part of anticorona, alone in its process.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        #[command(flatten)]
        args: PartArgs,
    }
    let Cli { args } = Cli::parse();
    run_part(part, &args, config, serve)
}

/// Runs one part until a signal ends it.
pub fn run_part<C, S, F>(
    part: &'static str,
    args: &PartArgs,
    config: fn(&PartArgs, &Env) -> Result<C, ConfigError>,
    serve: S,
) -> ExitCode
where
    S: FnOnce(C, Process) -> F,
    F: Future<Output = Result<(), Fatal>>,
{
    telemetry::start(args.net.log);
    match config(args, &Env::of_process()) {
        Ok(config) => run(|stop| serve(config, Process::new(stop).with_faults(args.net.faults))),
        Err(wrong) => {
            error!("{part} cannot start: {wrong}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs until the work ends by itself or a signal ends it.
///
/// The first SIGTERM or SIGINT asks for a drain; a second one, or [`DRAIN_MAX`], ends it at once.
pub fn run<S, F>(serve: S) -> ExitCode
where
    S: FnOnce(CancellationToken) -> F,
    F: Future<Output = Result<(), Fatal>>,
{
    allow_open_files();
    let traces = match config::traces(&Env::of_process()) {
        Ok(traces) => traces,
        Err(wrong) => {
            error!("cannot start: {wrong}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            error!(%cause, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let stop = CancellationToken::new();
        select! {
            ended = traced(traces, serve, stop.clone()) => report(ended),
            () = drain_on_signal(stop) => ExitCode::FAILURE,
        }
    });
    // A read that hangs on a broken disk must not keep the process from ending.
    runtime.shutdown_background();
    code
}

/// Serves, and tells a collector of traces about it if there is one, to the last span.
async fn traced<S, F>(
    settings: Option<Settings>,
    serve: S,
    stop: CancellationToken,
) -> Result<(), Fatal>
where
    S: FnOnce(CancellationToken) -> F,
    F: Future<Output = Result<(), Fatal>>,
{
    let Some(settings) = settings else { return serve(stop).await };
    let (tracer, exporter) = Exporter::start(settings);
    tracer.install(); // Every part of this process that begins from now on.
    let ended = serve(stop).await;
    exporter.finish().await;
    ended
}

/// As many open files as the system lets us have; the usual default is far fewer.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Fails only where the system forbids what it says is allowed: then the default has to do.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

fn report(ended: Result<(), Fatal>) -> ExitCode {
    let Err(fatal) = ended else {
        info!("stopped");
        return ExitCode::SUCCESS;
    };
    error!("{}", telemetry::causes(&*fatal));
    ExitCode::FAILURE
}

/// Asks for a drain at the first signal; resolves when there is no more patience.
async fn drain_on_signal(stop: CancellationToken) {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        warn!("cannot hear signals; only a kill will end this process");
        return std::future::pending().await;
    };
    select! {
        _ = terminate.recv() => info!("SIGTERM: finishing what was accepted"),
        _ = interrupt.recv() => info!("SIGINT: finishing what was accepted"),
    }
    stop.cancel();
    select! {
        _ = terminate.recv() => warn!("second signal: ending at once"),
        _ = interrupt.recv() => warn!("second signal: ending at once"),
        () = sleep(DRAIN_MAX) => warn!("not drained after {} s: ending", DRAIN_MAX.as_secs()),
    }
}

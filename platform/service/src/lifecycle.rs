//! The lifecycle of a process: start, signals, drain, exit code.

use std::{process::ExitCode, time::Duration};

use platform_rest::{listener::Listener, runtime::Runtime};
use platform_telemetry::{
    BoxError, error_chain, logs,
    trace::{export::Exporter, settings::TraceSettings},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime, select,
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    args::ServiceArgs,
    config::Env,
    service::{Service, Settings},
};

/// How long a process may drain after the first signal. Shorter than the time after which Kubernetes
/// kills it.
pub const DRAIN_MAX: Duration = Duration::from_secs(15);

/// The exit code for wrong settings (`EX_USAGE` of BSD's sysexits).
pub const EXIT_USAGE: u8 = 64;

/// Runs one service alone in this process until a signal stops it.
pub fn run_service(
    service: &'static Service,
    services: &'static [&'static Service],
    args: &ServiceArgs,
) -> ExitCode {
    logs::start(args.listen.log);
    let env = Env::of_process();
    let settings = Settings { service, services, args, env: &env };
    let configured = match (service.configure)(&settings) {
        Ok(configured) => configured,
        Err(error) => {
            error!("{} cannot start: {error}", service.name);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let (address, faults) = (settings.address(), args.listen.faults);
    run(async move |stop| {
        let listener = Listener::bind(address)?;
        let runtime = Runtime::new(service.name, stop).with_faults(faults);
        let app = configured.start(runtime.clone()).await?;
        app.serve(service.name, listener, runtime).await
    })
}

/// Runs until `work` ends by itself or a signal stops it.
///
/// The first SIGTERM or SIGINT cancels the token of `work`, which drains; the second one, or
/// [`DRAIN_MAX`], ends the process at once.
pub fn run<F>(work: impl FnOnce(CancellationToken) -> F) -> ExitCode
where
    F: Future<Output = Result<(), BoxError>>,
{
    raise_open_files_limit();
    let env = Env::of_process();
    let traces = match TraceSettings::read(|name| env.get(name)) {
        Ok(traces) => traces,
        Err(error) => {
            error!("cannot start: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            error!(%cause, "cannot start the tokio runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let stop = CancellationToken::new();
        select! {
            ended = traced(traces, work, stop.clone()) => exit_code(ended),
            () = drain_on_signal(stop) => ExitCode::FAILURE,
        }
    });
    // A read that hangs on a broken disk must not keep the process from ending.
    runtime.shutdown_background();
    code
}

/// Works, and exports spans if that is configured, to the last one.
async fn traced<F>(
    settings: Option<TraceSettings>,
    work: impl FnOnce(CancellationToken) -> F,
    stop: CancellationToken,
) -> Result<(), BoxError>
where
    F: Future<Output = Result<(), BoxError>>,
{
    let Some(settings) = settings else { return work(stop).await };
    let exporter = Exporter::start(settings)?.install();
    let ended = work(stop).await;
    exporter.shutdown().await;
    ended
}

/// Raises the limit of open files as far as the system allows; the usual default is far lower.
fn raise_open_files_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, the default limit stays.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

fn exit_code(ended: Result<(), BoxError>) -> ExitCode {
    let Err(error) = ended else {
        info!("stopped");
        return ExitCode::SUCCESS;
    };
    error!("{}", error_chain(&*error));
    ExitCode::FAILURE
}

/// Stops the work at the first signal; resolves when the process has to end at once.
async fn drain_on_signal(stop: CancellationToken) {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        warn!("cannot install signal handlers; only SIGKILL will end this process");
        return std::future::pending().await;
    };
    select! {
        _ = terminate.recv() => info!("SIGTERM: draining"),
        _ = interrupt.recv() => info!("SIGINT: draining"),
    }
    stop.cancel();
    select! {
        _ = terminate.recv() => warn!("second signal: ending at once"),
        _ = interrupt.recv() => warn!("second signal: ending at once"),
        () = sleep(DRAIN_MAX) => warn!("not drained after {} s: ending", DRAIN_MAX.as_secs()),
    }
}

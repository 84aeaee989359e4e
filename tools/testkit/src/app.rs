//! A service on a loopback port of its own, with a SQLite file in a temporary folder.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::{body::Bytes, http::Request};
use platform_events::RelayPriority;
use platform_rest::{
    client::{Call, Client},
    listener::Listener,
    runtime::Runtime,
};
use platform_service::{
    App, Configured, Consumes, Env, ListenArgs, Service, ServiceArgs, Settings,
};
use platform_telemetry::{BoxError, logs::LogFormat};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::reply::Reply;

/// How long a test waits for something that must happen.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A running service.
#[derive(Debug)]
pub struct TestApp {
    client: Client,
    service: &'static Service,
    env: Vec<(String, String)>,
    faults: bool,
    configure: Configure,
    stop: CancellationToken,
    serving: JoinSet<Result<(), BoxError>>,
    folder: TempDir,
}

/// How a test starts a service in another way than its `SERVICE` value does.
pub type Configure = fn(&Settings<'_>) -> Configured;

impl TestApp {
    /// Starts a service with an empty store and these settings.
    pub fn start(service: &'static Service, env: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().expect("a folder"), service, env)
    }

    /// Starts a service with the store in this folder.
    pub fn start_in(folder: TempDir, service: &'static Service, env: &[(&str, &str)]) -> Self {
        Self::start_with(folder, service, env, false, configured)
    }

    /// Starts a service with fault injection.
    pub fn start_with_faults(service: &'static Service, env: &[(&str, &str)]) -> Self {
        Self::start_with(TempDir::new().expect("a folder"), service, env, true, configured)
    }

    /// Starts a service in another way.
    pub fn start_with(
        folder: TempDir,
        service: &'static Service,
        env: &[(&str, &str)],
        faults: bool,
        configure: Configure,
    ) -> Self {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let env: Vec<_> = env.collect();
        let (client, stop, serving) = spawn(&folder, service, &env, faults, configure);
        Self { client, service, env, faults, configure, stop, serving, folder }
    }

    /// Stops the service and waits until it is drained.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        let ended = timeout(TEST_TIMEOUT, self.serving.join_next()).await.expect("drains in time");
        ended.expect("was running").expect("did not panic").expect("ends well");
    }

    /// The service accepts no new work, and goes on with what it has.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the service and starts it again with the same store, in the same way.
    pub async fn restart(&mut self) {
        self.stop().await;
        (self.client, self.stop, self.serving) =
            spawn(&self.folder, self.service, &self.env, self.faults, self.configure);
    }

    /// Stops the service and returns the folder with its store.
    pub async fn into_folder(mut self) -> TempDir {
        self.stop().await;
        self.folder
    }

    /// The SQLite file of its store.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join(format!("{}.sqlite", self.service.name))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.client.base().to_string()
    }

    /// Sends a request as in `request("GET /bookings/1", "")`; a body is JSON.
    pub async fn request(&self, line: &str, body: impl Into<Vec<u8>>) -> Reply {
        self.request_with(&[("content-type", "application/json")], line, body).await
    }

    /// Sends a request with these headers and no others. Its host is `NAME.test`.
    pub async fn request_with(
        &self,
        headers: &[(&str, &str)],
        line: &str,
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        let (method, path) = line.split_once(' ').expect("METHOD PATH");
        let host = format!("{}.test", self.service.name);
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.into())).expect("a request");
        let sent = self.client.send(Call::of(request), Instant::now() + TEST_TIMEOUT).await;
        Reply::new(sent.expect("a response"), self.service.name)
    }

    /// Publishes events to the service, in one batch.
    pub async fn publish(&self, events: &[Value]) -> Reply {
        let headers = [("content-type", contracts::event::BATCH_MEDIA_TYPE)];
        self.request_with(&headers, "POST /events", Value::from(events).to_string()).await
    }

    /// Sends requests one after the other; a line each with the request and its reply in short.
    pub async fn transcript(&self, lines: &[(&str, &str)]) -> String {
        let mut transcript = Vec::new();
        for (line, body) in lines {
            let (request, reply) = (format!("{line} {body}"), self.request(line, *body).await);
            transcript.push(format!("{}: {}\n", request.trim_end(), reply.in_short()));
        }
        transcript.concat()
    }
}

/// As the `SERVICE` value does.
fn configured(settings: &Settings<'_>) -> Configured {
    (settings.service.configure)(settings).expect("valid settings")
}

fn spawn(
    folder: &TempDir,
    service: &'static Service,
    env: &[(String, String)],
    faults: bool,
    configure: Configure,
) -> (Client, CancellationToken, JoinSet<Result<(), BoxError>>) {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let client = Client::new(format!("http://{}", listener.address()).parse().expect("a URL"));
    let args = ServiceArgs {
        data: folder.path().to_owned(),
        listen: ListenArgs {
            bind: listener.address().ip(),
            port_offset: 0,
            log: LogFormat::Pretty,
            faults,
        },
    };
    let env = Env::of(env.to_vec());
    let configured =
        configure(&Settings { service, services: &NEIGHBOURS, args: &args, env: &env });
    let stop = CancellationToken::new();
    let runtime = Runtime::new(service.name, stop.clone()).with_faults(faults);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let app: App = configured.start(runtime.clone()).await?;
        app.serve(service.name, listener, runtime).await
    });
    (client, stop, serving)
}

/// Consumers under the names of the real services, each of every publisher: a test that sets `VACCINE_URL`
/// and the like receives the events.
static NEIGHBOURS: [&Service; 4] =
    [&neighbour("vaccine"), &neighbour("booking"), &neighbour("injection"), &neighbour("mypage")];

const fn neighbour(name: &'static str) -> Service {
    Service {
        name,
        summary: "a consumer of the test",
        port: 0,
        consumes: &[
            Consumes { publisher: "vaccine", priority: RelayPriority::Foreground },
            Consumes { publisher: "booking", priority: RelayPriority::Foreground },
            Consumes { publisher: "injection", priority: RelayPriority::Foreground },
        ],
        collections: &[],
        routes: &[],
        recognises_attempts: false,
        migrations: &[],
        openapi: None,
        configure: |_| Ok(Configured::new(Vec::new(), async |_| Err("never started".into()))),
    }
}

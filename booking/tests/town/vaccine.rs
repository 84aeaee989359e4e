//! A vaccine that remembers what it was asked, and answers as the test says.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    time::Duration,
};

use axum::body::{Body, Bytes};
use contracts::{
    event::{CloudEvent, Heard},
    vaccine::{HoldBatch, HoldOutcome, HoldReply, UnsettledHolds},
};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};

/// Asks for doses.
pub(crate) const HOLDS: &str = "POST /holds";
/// Asks for holds that nobody settled.
pub(crate) const OLD_HOLDS: &str = "GET /holds";
/// Tells events.
pub(crate) const EVENTS: &str = "POST /events";

/// Asks how far it has heard.
pub(crate) const HEARD: &str = "GET /events/heard";

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that the test decides on.
pub(crate) enum Reply {
    /// This one.
    Answer(u16, String),
    /// Whatever will be sent here; nothing if the sender is dropped.
    Later(oneshot::Receiver<Self>),
    /// The connection is closed without an answer.
    Nothing,
}

impl Reply {
    pub(crate) fn json(body: &impl Serialize) -> Self {
        Self::Answer(200, serde_json::to_string(body).unwrap())
    }

    pub(crate) fn outcomes(outcomes: impl Into<Vec<HoldOutcome>>) -> Self {
        Self::json(&HoldReply { outcomes: outcomes.into() })
    }
}

pub(crate) fn held() -> HoldOutcome {
    HoldOutcome::Held { vc_name: "FIZER".to_owned() }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method, path, query, media type.
    pub(crate) line: String,
    pub(crate) body: Bytes,
}

#[derive(Default)]
struct Memory {
    asked: Vec<Asked>,
    script: BTreeMap<&'static str, VecDeque<Reply>>,
    told: Vec<CloudEvent>,
}

pub(crate) struct Vaccine {
    address: SocketAddr,
    /// Bound, so that the port is ours, but not listening yet.
    closed: Option<TcpSocket>,
    memory: watch::Sender<Memory>,
    serving: JoinSet<()>,
}

impl Vaccine {
    /// Nobody listens at its address.
    pub(crate) fn closed() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let memory = watch::Sender::new(Memory::default());
        Self { address, closed: Some(socket), memory, serving: JoinSet::new() }
    }

    /// Holds every dose and hears every event, unless told otherwise.
    pub(crate) fn open() -> Self {
        let mut vaccine = Self::closed();
        vaccine.listen();
        vaccine
    }

    /// From now on it can be reached.
    pub(crate) fn listen(&mut self) {
        let socket = self.closed.take().unwrap();
        let listener = socket.listen(1_024).unwrap();
        self.serving.spawn(serve(listener, self.memory.clone()));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request of that route that is not spoken for gets this answer.
    pub(crate) fn will_answer(&self, route: &'static str, reply: Reply) {
        self.memory.send_modify(|memory| memory.script.entry(route).or_default().push_back(reply));
    }

    /// The next request of that route waits for what is sent here.
    pub(crate) fn will_wait(&self, route: &'static str) -> oneshot::Sender<Reply> {
        let (decide, decided) = oneshot::channel();
        self.will_answer(route, Reply::Later(decided));
        decide
    }

    /// What came at a route so far.
    pub(crate) fn asked(&self, route: &str) -> Vec<Asked> {
        self.memory.borrow().asked_at(route)
    }

    /// The same, as soon as so many came.
    pub(crate) async fn asked_times(&self, times: usize, route: &str) -> Vec<Asked> {
        self.until(|memory| memory.asked_at(route).len() >= times).await;
        self.asked(route)
    }

    /// The batches of holds that it was asked for, as soon as there are so many.
    pub(crate) async fn batches(&self, many: usize) -> Vec<HoldBatch> {
        let asked = self.asked_times(many, HOLDS).await;
        asked.iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
    }

    /// The events that it was told, each once and in order, as soon as there are so many.
    pub(crate) async fn told(&self, many: usize) -> Vec<CloudEvent> {
        self.until(|memory| memory.told.len() >= many).await;
        self.memory.borrow().told.clone()
    }

    async fn until(&self, happened: impl FnMut(&Memory) -> bool) {
        let mut memory = self.memory.subscribe();
        let waited = timeout(PATIENCE, memory.wait_for(happened)).await;
        drop(waited.expect("it does not happen").unwrap());
    }
}

async fn serve(listener: TcpListener, memory: watch::Sender<Memory>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, memory.clone()));
    }
}

async fn connection(stream: TcpStream, memory: watch::Sender<Memory>) {
    let service = service_fn(|request| answer(request, &memory));
    // An error is a connection that the test, or booking, wanted to end.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// An error closes the connection.
async fn answer(
    request: Request<Incoming>,
    memory: &watch::Sender<Memory>,
) -> Result<Response<Body>, io::Error> {
    let asked = Asked::read(request).await;
    let mut reply = None;
    memory.send_modify(|memory| reply = Some(memory.hear(asked)));
    let mut reply = reply.unwrap();
    loop {
        match reply {
            Reply::Answer(status, body) => {
                return Ok(Response::builder().status(status).body(body.into()).unwrap());
            }
            Reply::Later(decided) => reply = decided.await.unwrap_or(Reply::Nothing),
            Reply::Nothing => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Asked {
    async fn read(request: Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        let media_type = head.headers.get("content-type").map(|value| value.to_str().unwrap());
        let words = [
            head.method.as_str(),
            head.uri.path(),
            head.uri.query().unwrap_or_default(),
            media_type.unwrap_or_default(),
        ];
        Self { line: words.join(" "), body: body.collect().await.unwrap().to_bytes() }
    }

    fn is_at(&self, route: &str) -> bool {
        self.line.strip_prefix(route).is_some_and(|rest| rest.starts_with(' '))
    }
}

impl Memory {
    fn asked_at(&self, route: &str) -> Vec<Asked> {
        self.asked.iter().filter(|asked| asked.is_at(route)).cloned().collect()
    }

    fn hear(&mut self, asked: Asked) -> Reply {
        let scripted = self.script.iter_mut().find(|(route, _)| asked.is_at(route));
        let reply = scripted.and_then(|(_, replies)| replies.pop_front());
        let reply = reply.unwrap_or_else(|| self.usual(&asked));
        self.asked.push(asked);
        reply
    }

    fn usual(&mut self, asked: &Asked) -> Reply {
        if asked.is_at(HOLDS) {
            let batch: HoldBatch = serde_json::from_slice(&asked.body).unwrap();
            Reply::outcomes(vec![held(); batch.holds.len()])
        } else if asked.is_at(OLD_HOLDS) {
            Reply::json(&UnsettledHolds { reservation_ids: Vec::new() })
        } else if asked.is_at(EVENTS) {
            self.listen(serde_json::from_slice(&asked.body).unwrap());
            Reply::json(&Heard { sequence: self.heard() })
        } else if asked.is_at(HEARD) {
            Reply::json(&Heard { sequence: self.heard() })
        } else {
            Reply::Answer(404, asked.line.clone())
        }
    }

    /// What was heard before counts once, and what comes after a gap is not heard.
    fn listen(&mut self, batch: Vec<CloudEvent>) {
        for event in batch {
            if event.sequence == self.heard() + 1 {
                self.told.push(event);
            }
        }
    }

    fn heard(&self) -> u64 {
        self.told.last().map_or(0, |event| event.sequence)
    }
}

//! An upstream whose every byte the test decides, and which records every byte that it receives.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What an upstream does with a request.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Sends this response.
    Responds(&'static str),
    /// Sends this and closes the connection.
    Closes(&'static str),
    /// Sends this and then nothing more.
    Hangs(&'static str),
    /// Closes the first connection without a response; then sends this response.
    ClosesFirst(&'static str),
}

pub(crate) struct Upstream {
    address: SocketAddr,
    requests: watch::Receiver<Vec<String>>,
    /// Bound, so that no other process gets the port, but not listening.
    _closed: Option<TcpSocket>,
    _serving: JoinSet<()>,
}

impl Upstream {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let socket = socket();
        let address = socket.local_addr().unwrap();
        let (record, requests) = watch::channel(Vec::new());
        let mut serving = JoinSet::new();
        serving.spawn(serve(socket.listen(1_024).unwrap(), Arc::new(record), behaviour));
        Self { address, requests, _closed: None, _serving: serving }
    }

    pub(crate) fn down() -> Self {
        let socket = socket();
        let address = socket.local_addr().unwrap();
        let (_, requests) = watch::channel(Vec::new());
        Self { address, requests, _closed: Some(socket), _serving: JoinSet::new() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, without the headers with its remaining time and its attempt.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.borrow();
        let lines = |request: &String| -> String {
            let is_constant = |line: &&str| {
                !line.starts_with("x-request-deadline-ms") && !line.starts_with("x-attempt")
            };
            request.split_inclusive('\n').filter(is_constant).collect()
        };
        requests.iter().map(lines).collect()
    }

    /// The attempts of all requests so far.
    pub(crate) fn attempts(&self) -> Vec<Option<String>> {
        let attempt = |request: &String| {
            request.lines().find_map(|line| Some(line.strip_prefix("x-attempt: ")?.to_owned()))
        };
        self.requests.borrow().iter().map(attempt).collect()
    }

    /// The remaining time of the first request, in milliseconds.
    pub(crate) fn time_left_ms(&self) -> u64 {
        let requests = self.requests.borrow();
        let mut lines = requests.iter().flat_map(|request| request.lines());
        let left = lines.find_map(|line| line.strip_prefix("x-request-deadline-ms: "));
        left.unwrap().trim().parse().unwrap()
    }

    /// Waits for the first request.
    pub(crate) async fn first_request(&self) {
        drop(self.requests.clone().wait_for(|requests| !requests.is_empty()).await.unwrap());
    }
}

fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

async fn serve(
    listener: TcpListener,
    record: Arc<watch::Sender<Vec<String>>>,
    behaviour: Behaviour,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, Arc::clone(&record), behaviour));
    }
}

async fn connection(
    mut stream: TcpStream,
    record: Arc<watch::Sender<Vec<String>>>,
    behaviour: Behaviour,
) {
    while let Some(request) = read(&mut stream).await {
        record.send_modify(|requests| requests.push(request));
        let bytes = match behaviour {
            Behaviour::ClosesFirst(_) if record.borrow().len() == 1 => return,
            Behaviour::Responds(bytes)
            | Behaviour::Closes(bytes)
            | Behaviour::Hangs(bytes)
            | Behaviour::ClosesFirst(bytes) => bytes,
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            return; // The caller does not read it to its end.
        }
        match behaviour {
            Behaviour::Responds(_) | Behaviour::ClosesFirst(_) => {}
            Behaviour::Closes(_) => return,
            Behaviour::Hangs(_) => std::future::pending().await,
        }
    }
}

/// A request with its body, if it has a length; none when the connection was closed.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length(head)
        {
            return Some(text.replace('\r', ""));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn length(head: &str) -> usize {
    let value = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    value.map_or(0, |value| value.parse().unwrap())
}

//! A part whose every byte the test decides, and which remembers every byte that it got.

use std::{net::SocketAddr, sync::Arc};

use chassis::client::BaseUrl;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What a part does with a request.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    Answers(&'static str),
    /// With nothing more than this said.
    Closes(&'static str),
    /// The same.
    Hangs(&'static str),
}

pub(crate) struct Part {
    address: SocketAddr,
    asked: watch::Receiver<Vec<String>>,
    /// Bound, so that the port is ours, but not listening.
    _closed: Option<TcpSocket>,
    _serving: JoinSet<()>,
}

impl Part {
    pub(crate) fn that(then: Then) -> Self {
        let socket = socket();
        let address = socket.local_addr().unwrap();
        let (remember, asked) = watch::channel(Vec::new());
        let mut serving = JoinSet::new();
        serving.spawn(serve(socket.listen(1_024).unwrap(), Arc::new(remember), then));
        Self { address, asked, _closed: None, _serving: serving }
    }

    pub(crate) fn that_is_down() -> Self {
        let socket = socket();
        let address = socket.local_addr().unwrap();
        let (_, asked) = watch::channel(Vec::new());
        Self { address, asked, _closed: Some(socket), _serving: JoinSet::new() }
    }

    pub(crate) fn url(&self) -> BaseUrl {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Every request so far, but for the time that it had left.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let lines = |request: &String| -> String {
            let timeless = |line: &&str| !line.starts_with("x-request-deadline-ms");
            request.split_inclusive('\n').filter(timeless).collect()
        };
        asked.iter().map(lines).collect()
    }

    /// Milliseconds that the first request had left.
    pub(crate) fn time_left_ms(&self) -> u64 {
        let asked = self.asked.borrow();
        let mut lines = asked.iter().flat_map(|request| request.lines());
        let left = lines.find_map(|line| line.strip_prefix("x-request-deadline-ms: "));
        left.unwrap().trim().parse().unwrap()
    }

    /// Resolves with the first request.
    pub(crate) async fn is_asked(&self) {
        drop(self.asked.clone().wait_for(|asked| !asked.is_empty()).await.unwrap());
    }
}

fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

async fn serve(listener: TcpListener, remember: Arc<watch::Sender<Vec<String>>>, then: Then) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, Arc::clone(&remember), then));
    }
}

async fn connection(mut stream: TcpStream, remember: Arc<watch::Sender<Vec<String>>>, then: Then) {
    while let Some(request) = read(&mut stream).await {
        remember.send_modify(|asked| asked.push(request));
        let (Then::Answers(bytes) | Then::Closes(bytes) | Then::Hangs(bytes)) = then;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        match then {
            Then::Answers(_) => {}
            Then::Closes(_) => return,
            Then::Hangs(_) => std::future::pending().await,
        }
    }
}

/// A request with its body, if it says how long that is; none when the other side has closed.
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

//! A server on a port of its own that answers with scripted bytes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use drill::Target;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) struct Server {
    pub(crate) target: Target,
    seen: Arc<Seen>,
    /// Ends with the server.
    _tasks: JoinSet<()>,
}

pub(crate) struct Answer {
    bytes: Vec<u8>,
    pieces: Pieces,
    delay: Duration,
    then: Then,
}

enum Pieces {
    Whole,
    /// Byte by byte, so that the client sees every possible beginning.
    Single,
}

enum Then {
    Keep,
    Close,
    Hang,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

pub(crate) fn answer(bytes: impl AsRef<[u8]>) -> Answer {
    Answer {
        bytes: bytes.as_ref().to_vec(),
        pieces: Pieces::Whole,
        delay: Duration::ZERO,
        then: Then::Keep,
    }
}

/// A complete answer with that status, those further header lines, and a body.
pub(crate) fn status(status: u16, headers: &str, body: &str) -> Answer {
    let length = body.len();
    answer(format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}"))
}

impl Answer {
    pub(crate) fn byte_by_byte(self) -> Self {
        Self { pieces: Pieces::Single, ..self }
    }

    pub(crate) fn delayed(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn then_close(self) -> Self {
        Self { then: Then::Close, ..self }
    }

    pub(crate) fn then_hang(self) -> Self {
        Self { then: Then::Hang, ..self }
    }
}

impl Server {
    /// Answers the request of each number, counted from 0, as `script` says.
    pub(crate) async fn start(
        script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let target = Target::parse(&format!("http://{address}")).expect("loopback");
        let seen = Arc::new(Seen::default());
        let script = Arc::new(script);
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, SeqCst);
                connections.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&script)));
            }
        });
        Self { target, seen, _tasks: tasks }
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().expect("nobody panicked").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Seen>,
    script: Arc<impl Fn(usize, &str) -> Answer>,
) {
    stream.set_nodelay(true).expect("an open socket");
    while let Some(request) = read_request(&mut stream).await {
        let number = seen.note(&request);
        let answer = script(number, &request);
        if !answer.delay.is_zero() {
            tokio::time::sleep(answer.delay).await; // tidy: paced, the clock of these tests is paused
        }
        if answer.write(&mut stream).await.is_err() {
            return;
        }
        match answer.then {
            Then::Keep => {}
            Then::Close => return,
            Then::Hang => std::future::pending().await,
        }
    }
}

impl Seen {
    fn note(&self, request: &str) -> usize {
        let mut requests = self.requests.lock().expect("nobody panicked");
        requests.push(request.to_owned());
        requests.len() - 1
    }
}

impl Answer {
    async fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self.pieces {
            Pieces::Whole => stream.write_all(&self.bytes).await,
            Pieces::Single => {
                for byte in &self.bytes {
                    stream.write_u8(*byte).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }
}

/// None when the client has closed.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            return Some(text.into_owned());
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |digits| digits.parse().expect("a length"))
}

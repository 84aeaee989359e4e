//! A Kubernetes Service: one address, and each new connection goes to the next process in its list.
//!
//! As there, it does not check whether that process accepts the connection: the list contains the processes
//! that are ready and not about to end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use drill::{Request, Target};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::requests::send;

/// It closes on drop.
pub(crate) struct KubernetesService {
    address: SocketAddr,
    endpoints: Endpoints,
    accepting: JoinHandle<()>,
}

/// The next one is the first.
#[derive(Clone, Default)]
struct Endpoints(Arc<Mutex<Vec<String>>>);

impl Endpoints {
    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn next(&self) -> Option<String> {
        let mut next = None;
        self.change(|all| {
            next = all.first().cloned();
            if !all.is_empty() {
                all.rotate_left(1);
            }
        });
        next
    }
}

impl KubernetesService {
    /// Without endpoints.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = Endpoints::default();
        let accepting = tokio::spawn(accept(listener, endpoints.clone()));
        Self { address, endpoints, accepting }
    }

    pub(crate) fn target(&self) -> Target {
        Target::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// Adds a process, which must be ready.
    pub(crate) async fn add(&self, process: &Target) {
        let ready = send(process, Request::get("/actuator/health/readiness")).await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        self.endpoints.change(|all| all.push(process.authority().to_owned()));
    }

    /// Removes a process; its connections stay.
    pub(crate) fn remove(&self, process: &Target) {
        self.endpoints.change(|all| all.retain(|endpoint| endpoint != process.authority()));
    }
}

impl Drop for KubernetesService {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, endpoints: Endpoints) {
    while let Ok((mut client, _)) = listener.accept().await {
        let Some(endpoint) = endpoints.next() else { continue };
        tokio::spawn(async move {
            // A refused connection is closed; the client sees that.
            let Ok(mut process) = TcpStream::connect(endpoint).await else { return };
            drop(copy_bidirectional(&mut client, &mut process).await);
        });
    }
}

//! What a Service of Kubernetes is to those who come: one address, and every new connection goes to the
//! next process in its list. Like there, it does not look whether that process takes it: who is in
//! the list is whoever is ready, and not about to end.

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

use crate::town::ask;

/// A Service. It closes when this goes.
pub(crate) struct Service {
    address: SocketAddr,
    endpoints: Endpoints,
    accepting: JoinHandle<()>,
}

/// Where it leads; the first is next.
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

impl Service {
    /// One that leads nowhere.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = Endpoints::default();
        let accepting = tokio::spawn(accept(listener, endpoints.clone()));
        Self { address, endpoints, accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Leads to a process as well, which must be ready.
    pub(crate) async fn add(&self, process: &Target) {
        let ready = ask(process, Request::get("/actuator/health/readiness")).await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        self.endpoints.change(|all| all.push(process.authority().to_owned()));
    }

    /// Leads to that process no more; who is connected stays.
    pub(crate) fn remove(&self, process: &Target) {
        self.endpoints.change(|all| all.retain(|endpoint| endpoint != process.authority()));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, endpoints: Endpoints) {
    while let Ok((mut near, _)) = listener.accept().await {
        let Some(endpoint) = endpoints.next() else { continue };
        tokio::spawn(async move {
            // Whoever is not taken finds their connection closed: that is what would be seen.
            let Ok(mut far) = TcpStream::connect(endpoint).await else { return };
            drop(copy_bidirectional(&mut near, &mut far).await);
        });
    }
}

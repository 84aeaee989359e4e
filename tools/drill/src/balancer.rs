//! A Kubernetes Service in small: one address for those processes that are ready.
//!
//! Each connection goes to the next of them, in turn, and stays there. Nothing is retried: a connection
//! to a process that has exited fails. Which processes are ready may be known late, as by clients of a
//! headless Service, whose name DNS caches.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use crate::{error::DrillError, target::Target};

/// One address for several processes, on loopback. It closes on drop.
#[derive(Debug)]
pub struct Balancer {
    target: Target,
    ready: Arc<Mutex<Vec<SocketAddr>>>,
    /// Ends on drop.
    _accepting: JoinSet<()>,
}

impl Balancer {
    /// Without processes.
    pub async fn start() -> Result<Self, DrillError> {
        Self::caching(Duration::ZERO).await
    }

    /// Resolves the ready processes with the next connection once that time has passed, and not before.
    pub async fn caching(ttl: Duration) -> Result<Self, DrillError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = Target::parse(&format!("http://{}", listener.local_addr()?))?;
        let ready = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&ready), ttl));
        Ok(Self { target, ready, _accepting: accepting })
    }

    /// Its own address.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// New connections go to this process too, once that is resolved.
    pub fn add(&self, process: &Target) {
        self.ready.lock().extend(process.addresses());
    }

    /// New connections no longer go to this process, once that is resolved; existing ones stay.
    pub fn remove(&self, process: &Target) {
        self.ready.lock().retain(|address| !process.addresses().contains(address));
    }
}

async fn accept(listener: TcpListener, ready: Arc<Mutex<Vec<SocketAddr>>>, ttl: Duration) {
    let (mut resolved, mut resolved_at) = (Vec::new(), None::<Instant>);
    let mut next: usize = 0;
    let mut connections = JoinSet::new();
    // Their number is limited by the load.
    while let Ok((client, _)) = listener.accept().await {
        if resolved_at.is_none_or(|at| at.elapsed() >= ttl) {
            resolved.clone_from(&*ready.lock());
            resolved_at = Some(Instant::now());
        }
        // Without a ready process the connection is closed.
        if let Some(turn) = next.checked_rem(resolved.len()) {
            connections.spawn(forward(client, resolved[turn]));
        }
        next = next.wrapping_add(1);
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut client: TcpStream, to: SocketAddr) {
    let Ok(mut process) = TcpStream::connect(to).await else { return };
    // An error closes both connections.
    drop((client.set_nodelay(true), process.set_nodelay(true)));
    drop(copy_bidirectional(&mut client, &mut process).await);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends its name on every connection, and closes it.
    async fn named(name: &'static [u8]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                client.write_all(name).await.unwrap();
            }
        });
        serving.detach_all();
        target
    }

    async fn read_name(balancer: &Balancer) -> String {
        let mut connection = TcpStream::connect(balancer.target().addresses()).await.unwrap();
        let mut name_read = String::new();
        connection.read_to_string(&mut name_read).await.unwrap();
        name_read
    }

    #[tokio::test]
    async fn connections_go_to_the_ready_processes_in_turn() {
        let (a, b) = (named(b"a").await, named(b"b").await);
        let balancer = Balancer::start().await.unwrap();
        assert_eq!(read_name(&balancer).await, "", "no process is ready");
        balancer.add(&a);
        balancer.add(&b);
        let mut both = [read_name(&balancer).await, read_name(&balancer).await];
        both.sort();
        assert_eq!(both, ["a", "b"]);
        balancer.remove(&a);
        assert_eq!([read_name(&balancer).await, read_name(&balancer).await], ["b", "b"]);
    }

    #[tokio::test]
    async fn what_is_cached_is_resolved_again_after_its_time_and_not_before() {
        const TTL: Duration = Duration::from_hours(1);
        let (a, b) = (named(b"a").await, named(b"b").await);
        let balancer = Balancer::caching(TTL).await.unwrap();
        balancer.add(&a);
        assert_eq!(read_name(&balancer).await, "a");
        balancer.add(&b);
        balancer.remove(&a);
        assert_eq!(read_name(&balancer).await, "a");
        tokio::time::pause();
        tokio::time::advance(TTL).await;
        tokio::time::resume();
        assert_eq!(read_name(&balancer).await, "b");
    }
}

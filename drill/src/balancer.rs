//! What a Kubernetes Service does: one address, and behind it those processes that are ready.
//!
//! Each connection goes to the next of them, in turn, and stays there. Nothing is tried again: who is
//! sent to a process that is gone sees that.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{client::target::Target, system::Broken};

/// One address for several processes, on loopback. It is closed when this goes.
#[derive(Debug)]
pub(crate) struct Balancer {
    target: Target,
    ready: Arc<Mutex<Vec<SocketAddr>>>,
    /// Ends with it.
    _accepting: JoinSet<()>,
}

impl Balancer {
    /// For nobody yet.
    pub(crate) async fn start() -> Result<Self, Broken> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = Target::parse(&format!("http://{}", listener.local_addr()?))?;
        let ready = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&ready)));
        Ok(Self { target, ready, _accepting: accepting })
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// New connections go there too.
    pub(crate) fn add(&self, process: &Target) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).extend(process.addresses());
    }

    /// No new connections go there; those that are there stay.
    pub(crate) fn remove(&self, process: &Target) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|address| !process.addresses().contains(address));
    }
}

async fn accept(listener: TcpListener, ready: Arc<Mutex<Vec<SocketAddr>>>) {
    let next = AtomicUsize::new(0);
    let mut connections = JoinSet::new();
    // As many as the drill opens, each of which has a limit.
    while let Ok((client, _)) = listener.accept().await {
        let to = {
            let ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = next.fetch_add(1, Relaxed).checked_rem(ready.len());
            turn.map(|turn| ready[turn])
        };
        // Without anybody behind it the connection is closed.
        if let Some(to) = to {
            connections.spawn(pass_on(client, to));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(mut client: TcpStream, to: SocketAddr) {
    let Ok(mut process) = TcpStream::connect(to).await else { return };
    // Whoever fails here closes the connection, and both sides see that.
    drop((client.set_nodelay(true), process.set_nodelay(true)));
    drop(copy_bidirectional(&mut client, &mut process).await);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers every connection with its name, and closes it.
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

    async fn ask(balancer: &Balancer) -> String {
        let mut connection = TcpStream::connect(balancer.target().addresses()).await.unwrap();
        let mut said = String::new();
        connection.read_to_string(&mut said).await.unwrap();
        said
    }

    #[tokio::test]
    async fn connections_go_to_those_that_are_ready_in_turn() {
        let (a, b) = (named(b"a").await, named(b"b").await);
        let balancer = Balancer::start().await.unwrap();
        assert_eq!(ask(&balancer).await, "", "nobody is ready");
        balancer.add(&a);
        balancer.add(&b);
        let mut both = [ask(&balancer).await, ask(&balancer).await];
        both.sort();
        assert_eq!(both, ["a", "b"]);
        balancer.remove(&a);
        assert_eq!([ask(&balancer).await, ask(&balancer).await], ["b", "b"]);
    }
}

//! The open connections of a listener, and which of them are closed when there are too many.
//!
//! A connection *waits for its client* until a request has arrived in full, and again once the response
//! is ready; in between it is served. Only a waiting one is closed, when a new one needs its slot, or when
//! what has arrived takes too much memory.
//!
//! Of the client with the most waiting connections, the one that has waited longest goes first. So who
//! opens many connections and sends little closes their own, and who sends a request at once, like a
//! probe, is served. No share is reserved for a client, and none is refused while there are free slots:
//! behind a proxy all connections have its address, and then the longest wait decides alone.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// What the connections of a listener that wait for their clients keep in memory: requests that have
/// arrived in part, and the buffers of those that were answered.
pub(crate) const BUFFERED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The share of the slots, or of the bytes, that is freed at once (1/16): choosing whom to close looks at
/// every connection.
const FREED_SHARE: usize = 16;

/// After so long without a free slot it is tried again to close a connection: meanwhile some may have
/// been answered.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The value of [`State::waiting_since`] while a connection is served.
const SERVED: u64 = 0;

/// The open connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    slots: Arc<Semaphore>,
    max: usize,
    open: Mutex<BTreeMap<u64, Arc<State>>>,
    /// Numbers the moments at which connections begin to wait.
    last_moment: AtomicU64,
    buffered_bytes: AtomicUsize,
}

/// An open connection; dropped, it has been closed.
#[derive(Debug)]
pub(crate) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    state: Arc<State>,
    _slot: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct State {
    client: IpAddr,
    /// The moment, or [`SERVED`].
    waiting_since: AtomicU64,
    /// What it keeps in memory while it waits, in bytes.
    buffered_bytes: AtomicUsize,
    /// The size of the buffer, which is kept from one request to the next: that of the largest one.
    kept_bytes: AtomicUsize,
    is_arriving: AtomicBool,
    is_evicted: AtomicBool,
    evicted: Notify,
}

impl Connections {
    /// No connections yet, and at most so many.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(max)),
            max,
            open: Mutex::default(),
            last_moment: AtomicU64::new(SERVED),
            buffered_bytes: AtomicUsize::new(0),
        })
    }

    /// Takes a slot for a new connection from this address, if need be that of another connection.
    pub(crate) async fn open(self: &Arc<Self>, address: IpAddr) -> Connection {
        let slot = loop {
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                break slot;
            }
            self.free_slots();
            let slot = timeout(RETRY_PAUSE, Arc::clone(&self.slots).acquire_owned()).await;
            if let Ok(Ok(slot)) = slot {
                break slot;
            }
        };
        let id = self.next_moment();
        let state = Arc::new(State {
            client: client(address),
            waiting_since: AtomicU64::new(id),
            buffered_bytes: AtomicUsize::new(0),
            kept_bytes: AtomicUsize::new(0),
            is_arriving: AtomicBool::new(false),
            is_evicted: AtomicBool::new(false),
            evicted: Notify::new(),
        });
        self.open.lock().insert(id, Arc::clone(&state));
        Connection { connections: Arc::clone(self), id, state, _slot: slot }
    }

    /// Never more than half of those that wait: the newest may be about to send.
    fn free_slots(&self) {
        let waiting = self.waiting(|_| true);
        let count = waiting.len().div_ceil(2).min((self.max / FREED_SHARE).max(1));
        for state in waiting.iter().take(count) {
            self.evict(state);
        }
    }

    fn free_bytes(&self) {
        let mut freed = 0;
        for state in self.waiting(|state| state.buffered_bytes.load(Relaxed) > 0) {
            if freed >= BUFFERED_BYTES_MAX / FREED_SHARE {
                return;
            }
            freed += self.evict(&state);
        }
    }

    /// The bytes that this frees.
    fn evict(&self, state: &State) -> usize {
        state.is_evicted.store(true, Relaxed);
        state.evicted.notify_one();
        self.release_bytes(state)
    }

    fn release_bytes(&self, state: &State) -> usize {
        let bytes = state.buffered_bytes.swap(0, Relaxed);
        self.buffered_bytes.fetch_sub(bytes, Relaxed);
        bytes
    }

    /// Those that wait for their clients, in the order in which they are closed.
    fn waiting(&self, filter: impl Fn(&State) -> bool) -> Vec<Arc<State>> {
        let open: Vec<_> = self.open.lock().values().cloned().collect();
        let waiting = open.into_iter().filter_map(|state| {
            let since = state.waiting_since.load(Relaxed);
            let is_open = since != SERVED && !state.is_evicted.load(Relaxed) && filter(&state);
            is_open.then_some((state.client, since, state))
        });
        in_closing_order(waiting.collect())
    }

    fn next_moment(&self) -> u64 {
        self.last_moment.fetch_add(1, Relaxed) + 1
    }
}

impl Connection {
    /// So many bytes have arrived.
    pub(crate) fn received(&self, bytes: usize) {
        self.state.is_arriving.store(true, Relaxed);
        self.keep_bytes(bytes);
    }

    /// A request has arrived in full, and is served from now on.
    pub(crate) fn request_arrived(&self) {
        self.state.waiting_since.store(SERVED, Relaxed);
        self.state.is_evicted.store(false, Relaxed);
        let bytes = self.connections.release_bytes(&self.state);
        let kept = self.state.kept_bytes.load(Relaxed);
        self.state.kept_bytes.store(bytes.saturating_sub(kept).max(kept), Relaxed);
    }

    /// Its response is ready; from now on the connection waits for its client.
    pub(crate) fn response_ready(&self) {
        self.connections.release_bytes(&self.state);
        self.keep_bytes(self.state.kept_bytes.load(Relaxed));
        self.state.is_arriving.store(false, Relaxed);
        self.state.waiting_since.store(self.connections.next_moment(), Relaxed);
    }

    fn keep_bytes(&self, bytes: usize) {
        self.state.buffered_bytes.fetch_add(bytes, Relaxed);
        let all = self.connections.buffered_bytes.fetch_add(bytes, Relaxed) + bytes;
        if all > BUFFERED_BYTES_MAX {
            self.connections.free_bytes();
        }
    }

    /// Resolves when it has to be closed, with whether a request has arrived in part.
    pub(crate) async fn evicted(&self) -> bool {
        loop {
            self.state.evicted.notified().await;
            // Meanwhile its request may have arrived.
            if self.state.waiting_since.load(Relaxed) == SERVED {
                self.state.is_evicted.store(false, Relaxed);
            } else if self.state.is_evicted.load(Relaxed) {
                return self.state.is_arriving.load(Relaxed);
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.lock().remove(&self.id);
        self.connections.release_bytes(&self.state);
    }
}

/// Whom an address belongs to: a client has one IPv4 address, or an IPv6 network of 64 bits.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// From (client, since, connection): the client with the most first, and of it the longest wait.
fn in_closing_order<T>(mut waiting: Vec<(IpAddr, u64, T)>) -> Vec<T> {
    waiting.sort_unstable_by_key(|(client, since, _)| (*client, Reverse(*since)));
    let mut newer = 0;
    let mut previous = None;
    let mut ranked: Vec<_> = waiting
        .into_iter()
        .map(|(client, since, connection)| {
            newer = if previous.replace(client) == Some(client) { newer + 1 } else { 0 };
            // As many newer ones has its client.
            (Reverse(newer), since, connection)
        })
        .collect();
    ranked.sort_unstable_by_key(|(newer, since, _)| (*newer, *since));
    ranked.into_iter().map(|(_, _, connection)| connection).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(waiting: &[(&str, u64)]) -> Vec<u64> {
        let parse = |(address, since): &(&str, u64)| {
            let address = address.parse().expect("an address");
            (client(address), *since, *since)
        };
        in_closing_order(waiting.iter().map(parse).collect())
    }

    #[tokio::test]
    async fn a_kept_connection_counts_its_buffer_however_many_requests_it_has_sent() {
        const REQUEST: usize = 60_000;

        let connections = Connections::new(4);
        let connection = connections.open([127, 0, 0, 1].into()).await;
        for _ in 0..=BUFFERED_BYTES_MAX / REQUEST {
            connection.received(REQUEST);
            connection.request_arrived();
            connection.response_ready();
        }
        assert!(!connection.state.is_evicted.load(Relaxed));
        assert_eq!(connections.buffered_bytes.load(Relaxed), REQUEST);
    }

    #[test]
    fn of_the_client_with_the_most_connections_the_longest_wait_goes_first() {
        let waiting = [("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.2", 3), ("10.0.0.2", 4)];
        assert_eq!(order(&waiting), [2, 3, 1, 4]);
    }

    #[test]
    fn of_one_address_as_behind_a_proxy_the_longest_wait_goes_first() {
        assert_eq!(order(&[("10.0.0.1", 2), ("10.0.0.1", 1), ("10.0.0.1", 3)]), [1, 2, 3]);
    }

    #[test]
    fn a_network_of_64_bits_is_one_client_as_is_an_ipv4_address_in_ipv6() {
        let waiting = [("::ffff:10.0.0.1", 1), ("2001:db8::1", 2), ("10.0.0.1", 3)];
        assert_eq!(order(&waiting), [1, 2, 3]);
        let waiting = [("10.0.0.1", 1), ("2001:db8::1", 2), ("2001:db8::2:1", 3)];
        assert_eq!(order(&waiting), [2, 1, 3]);
    }
}

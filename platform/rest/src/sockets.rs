//! Binding an address: one listening socket per core (`SO_REUSEPORT`).
//!
//! Clients that reconnect for every request make accepting the bottleneck, and one accept loop uses
//! one core. The kernel spreads new connections over the sockets.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// How long a client may leave sent data unacknowledged before the kernel closes its connection.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// Connections that the kernel queues until they are accepted, per socket.
const BACKLOG_MAX: i32 = 4_096;

/// How often a socket is bound before the address counts as in use.
const BIND_ATTEMPTS: u32 = 10;

/// Pause between two attempts.
const BIND_PAUSE: Duration = Duration::from_millis(1);

/// Binds one socket per core; the address is the given one, with the port that the system chose for
/// port 0. Fails if another process listens there.
///
/// With `SO_REUSEPORT` alone, two processes could bind the same port and would each get half of the
/// connections. So a guard socket listens without it first, which succeeds in one process only. Then
/// the guard allows sharing, the others are bound, and the guard is closed.
pub(crate) fn bind(address: SocketAddr) -> io::Result<(Vec<TcpListener>, SocketAddr)> {
    let guard = retrying(|| {
        let guard = socket(address)?;
        guard.bind(&address.into())?;
        guard.listen(1)?;
        Ok(guard)
    })?;
    guard.set_reuse_port(true)?;
    let address = guard.local_addr()?.as_socket().unwrap_or(address);
    let shared = |_| {
        let shared = socket(address)?;
        shared.set_reuse_port(true)?;
        // Accepted connections inherit it.
        shared.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
        retrying(|| shared.bind(&address.into()))?;
        shared.listen(BACKLOG_MAX)?;
        Ok(shared.into())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let sockets = (0..cores).map(shared).collect::<io::Result<_>>()?;
    Ok((sockets, address))
}

/// Retries while the address is in use: if two processes bind at the same moment, the system may
/// refuse both, and the socket of the one that fails is open for a moment more.
fn retrying<T>(mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut attempts = 1;
    loop {
        match bind() {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && attempts < BIND_ATTEMPTS => {
                attempts += 1;
                thread::sleep(BIND_PAUSE);
            }
            bound => return bound,
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

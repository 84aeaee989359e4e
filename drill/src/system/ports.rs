//! Ports that nobody uses.

use std::{
    io,
    net::TcpListener,
    ops::RangeInclusive,
    sync::atomic::{AtomicU16, Ordering},
};

/// The ports of a system, before the offset.
const PORTS: RangeInclusive<u16> = 8081..=8090;

/// How many offsets there are: 1,000 and from there on in steps.
const OFFSETS: u16 = 1_900;
const FIRST: u16 = 1_000;
const STEP: u16 = 10;

/// An offset at which every port of a system is free on loopback. No other call of this process gets
/// the same, and calls of other processes begin elsewhere.
pub fn free_offset() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % u32::from(OFFSETS)).unwrap_or_default();
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..OFFSETS)
        .map(|_| {
            FIRST + STEP * ((first + NEXT.fetch_add(1, Ordering::Relaxed) % OFFSETS) % OFFSETS)
        })
        .find(|offset| PORTS.clone().all(|port| free(port + offset)))
        .ok_or_else(|| io::Error::other("no free ports"))
}

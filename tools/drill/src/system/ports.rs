//! Free ports.

use std::{
    io,
    net::TcpListener,
    ops::RangeInclusive,
    sync::atomic::{AtomicU16, Ordering},
};

/// The ports of a system, before the offset.
const PORTS: RangeInclusive<u16> = 8081..=8090;

/// Offsets begin here and have a distance of as many as there are ports.
const FIRST: u16 = 1_000;
const STEP: u16 = 10;
const OFFSETS: u16 = 1_900;

/// By how many offsets processes with consecutive ids are apart: more than the replicas of a drill.
const PROCESS_STEP: u32 = 20;

/// An offset at which every port of a system is free on loopback. No other call of this process returns
/// the same, and other processes begin at another offset.
pub fn free_port_offset() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offsets = u32::from(OFFSETS);
    let first = std::process::id() % offsets * PROCESS_STEP % offsets;
    let first = u16::try_from(first).unwrap_or_default();
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..OFFSETS)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed) % OFFSETS)
        .map(|next| FIRST + STEP * ((first + next) % OFFSETS))
        .find(|offset| PORTS.clone().all(|port| free(port + offset)))
        .ok_or_else(|| io::Error::other("no free ports"))
}

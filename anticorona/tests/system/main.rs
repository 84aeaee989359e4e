//! The whole system as its users meet it: real processes, real sockets, real crashes.

mod cancel;
mod crash;
mod oversell;
mod shutdown;
mod siege;
mod start;
mod town;

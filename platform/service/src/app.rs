//! A started service: its routes and its store.

use std::{fmt, pin::Pin, time::Duration};

use axum::Router;
use platform_store::{ReadPool, WriterHealth};
use tokio::task::JoinHandle;

/// A started service.
#[derive(Debug)]
pub struct App {
    pub(crate) router: Router,
    pub(crate) response_timeout: Duration,
    pub(crate) store: Option<OpenStore>,
    pub(crate) is_edge: bool,
}

/// The store of a started service.
pub(crate) struct OpenStore {
    pub(crate) reads: ReadPool,
    pub(crate) health: WriterHealth,
    /// Ends when the writer has ended.
    pub(crate) writer: JoinHandle<()>,
    /// Closes the writer.
    pub(crate) close: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStore").finish_non_exhaustive()
    }
}

impl App {
    /// A service without a store, at the public edge: its actuator is read-only.
    pub fn edge(router: Router, response_timeout: Duration) -> Self {
        Self { router, response_timeout, store: None, is_edge: true }
    }
}

//! The runtime of a connection.

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use tokio::runtime::{Builder, Runtime};

/// Polls once, so that the request is sent.
pub(super) async fn begin<F: Future>(mut request: Pin<&mut F>) {
    let once = poll_fn(|context| {
        let _ = request.as_mut().poll(context);
        Poll::Ready(())
    });
    once.await;
}

/// The runtime that drives a connection, on the thread that waits for it.
pub(super) struct Driver(Option<Box<Runtime>>);

impl Driver {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Some(Box::new(Builder::new_current_thread().enable_all().build()?))))
    }

    #[expect(clippy::expect_used, reason = "it is taken only in `drop`")]
    pub(super) fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("a runtime until it is dropped")
    }

    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Dropping a runtime inside another one panics.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

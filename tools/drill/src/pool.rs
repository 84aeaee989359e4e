//! Kept connections of a load whose requests do not wait for each other.
//!
//! The connection used last is used next: so the load keeps as few connections as it needs, and their
//! memory stays in the cache.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    connection::HttpConnection,
    request::Prepared,
    response::{RequestError, Response},
    target::Target,
};

/// How long a connection may be idle before it is replaced: shorter than servers wait for the next
/// request, so that none is sent into a connection that the server is closing.
const IDLE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) target: Target,
    response_timeout: Duration,
    idle: Mutex<Vec<(HttpConnection, Instant)>>,
}

impl Pool {
    pub(crate) fn new(target: &Target, response_timeout: Duration) -> Self {
        Self { target: target.clone(), response_timeout, idle: Mutex::default() }
    }

    /// What `read` takes from the response; a connection that failed is closed.
    pub(crate) async fn exchange<T>(
        &self,
        request: &Prepared,
        read: impl FnOnce(&Response) -> T,
    ) -> Result<T, RequestError> {
        let kept = self.idle.lock().pop();
        let mut connection = match kept {
            Some((connection, since)) if since.elapsed() <= IDLE_MAX => connection,
            Some(_) | None => {
                HttpConnection::new(&self.target).response_timeout(self.response_timeout)
            }
        };
        let result = read(connection.exchange(request).await?);
        self.idle.lock().push((connection, Instant::now()));
        Ok(result)
    }
}

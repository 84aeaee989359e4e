//! Rings for everybody who waits for something new in an outbox.

use std::sync::Arc;

use tokio::sync::watch;

/// A bell, for whoever rings it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bell(Arc<watch::Sender<()>>);

/// An ear for a bell: hears that it rang since the last time, also when nobody was waiting then.
#[derive(Clone, Debug)]
pub struct Ear(watch::Receiver<()>);

impl Default for Bell {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Bell {
    /// There may be something new.
    pub fn ring(&self) {
        self.0.send_replace(());
    }

    /// An ear for it.
    pub fn ear(&self) -> Ear {
        Ear(self.0.subscribe())
    }
}

impl Ear {
    /// Whether it has rung since the last time.
    pub fn has_rung(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// What it rang so far is heeded: only what it rings from now on counts.
    pub fn heed(&mut self) {
        self.0.borrow_and_update();
    }

    /// Resolves when it has rung since the last time; never, when nobody can ring it any more.
    pub async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

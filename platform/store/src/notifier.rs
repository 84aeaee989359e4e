//! Notifies tasks of a change. Notifications are not queued: several before a task runs are one.

use std::future::pending;

use tokio::sync::watch;

/// The sending side. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier(watch::Sender<()>);

/// The receiving side of one task.
#[derive(Clone, Debug)]
pub struct Subscription(watch::Receiver<()>);

impl Notifier {
    /// Wakes every subscriber that waits; the others see the change with their next call.
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// A subscription to the notifications from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }
}

impl Subscription {
    /// Whether there was a notification since the last [`Subscription::mark_seen`] or
    /// [`Subscription::changed`].
    pub fn has_changed(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// Only later notifications count.
    pub fn mark_seen(&mut self) {
        self.0.borrow_and_update();
    }

    /// Waits for a notification; for ever once every [`Notifier`] was dropped.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

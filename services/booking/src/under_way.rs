//! One request of an attempt at a time: another one that is sent meanwhile shares its outcome.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use scopeguard::guard;
use tokio::sync::watch;

/// The requests that are under way in this process, by what they request.
#[derive(Debug)]
pub struct UnderWay<K, T>(Arc<Mutex<Requests<K, T>>>);

type Requests<K, T> = BTreeMap<K, watch::Receiver<Option<T>>>;

impl<K, T> Default for UnderWay<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord + Copy, T: Clone> UnderWay<K, T> {
    /// The outcome of `request`, or of the same one that is under way; if that is dropped, of this one after all.
    pub(crate) async fn share(&self, key: K, request: impl Future<Output = T>) -> T {
        loop {
            let (ended, mut other) = match self.0.lock().entry(key) {
                Entry::Vacant(vacant) => {
                    let (ended, outcome) = watch::channel(None);
                    vacant.insert(outcome);
                    (Some(ended), None)
                }
                Entry::Occupied(occupied) => (None, Some(occupied.get().clone())),
            };
            if let Some(ended) = ended {
                let _under_way = guard(&self.0, |requests| drop(requests.lock().remove(&key)));
                let outcome = request.await;
                ended.send_replace(Some(outcome.clone()));
                return outcome;
            }
            if let Some(other) = &mut other
                && let Ok(outcome) = other.wait_for(Option::is_some).await
                && let Some(outcome) = outcome.clone()
            {
                return outcome;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use tokio::{join, select, sync::oneshot};

    use super::*;

    #[tokio::test]
    async fn the_same_request_has_the_outcome_of_the_first() {
        let (under_way, (answer, answered)) = (UnderWay::default(), oneshot::channel());
        let first = under_way.share(1, async { answered.await.unwrap_or(0) });
        let second = under_way.share(1, pending());
        let other = async {
            assert_eq!(under_way.share(2, async { 20 }).await, 20);
            answer.send(10).ok();
        };
        assert_eq!(join!(first, second, other), (10, 10, ()));
        assert_eq!(under_way.share(1, async { 11 }).await, 11, "the first has ended");
    }

    #[tokio::test]
    async fn a_request_goes_on_if_the_first_is_dropped() {
        let under_way = UnderWay::default();
        let mut second = pin!(under_way.share(1, async { 2 }));
        select! {
            biased;
            _ = under_way.share(1, pending()) => panic!("it never ends"),
            _ = &mut second => panic!("it waits for the first"),
            () = async {} => {}
        }
        assert_eq!(second.await, 2);
    }
}

//! Answers of another service that are given to others for a moment, so that it is asked once for all who want the same.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant},
};

use crate::under_way::UnderWay;

/// How long an answer is given to others.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Answers that are kept; while there are as many, further ones are asked for each time.
const KEPT_MAX: usize = 1_024;

/// Requests at once; what else is wanted meanwhile is not known.
const REQUESTS_MAX: usize = 8;

/// Answers by what was asked. That there is none is kept too.
#[derive(Debug)]
pub(crate) struct KeptAnswers<K, V> {
    kept: Mutex<BTreeMap<K, Answer<V>>>,
    under_way: UnderWay<K, Option<V>>,
    requests: Semaphore,
}

#[derive(Clone, Debug)]
struct Answer<V> {
    asked_at: Instant,
    value: Option<V>,
}

impl<V> Answer<V> {
    fn counts(&self) -> bool {
        self.asked_at.elapsed() < KEPT_FOR
    }
}

impl<K, V> Default for KeptAnswers<K, V> {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            under_way: UnderWay::default(),
            requests: Semaphore::new(REQUESTS_MAX),
        }
    }
}

impl<K: Ord + Copy, V: Clone> KeptAnswers<K, V> {
    /// The answer of the last second, or that of this request.
    pub(crate) async fn get(&self, key: K, request: impl Future<Output = Option<V>>) -> Option<V> {
        if let Some(answer) = self.kept(key) {
            return answer.value;
        }
        self.under_way.share(key, self.request(key, request)).await
    }

    fn kept(&self, key: K) -> Option<Answer<V>> {
        self.kept.lock().get(&key).filter(|answer| answer.counts()).cloned()
    }

    async fn request(&self, key: K, request: impl Future<Output = Option<V>>) -> Option<V> {
        let _permit = self.requests.try_acquire().ok()?;
        let asked_at = Instant::now();
        let value = request.await;
        let answer = Answer { asked_at, value: value.clone() };
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, answer| answer.counts());
        }
        if kept.len() < KEPT_MAX {
            kept.insert(key, answer);
        }
        value
    }
}

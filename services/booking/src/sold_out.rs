//! What the ledger has just answered to be sold out: vaccines and slots. On opening day most requests are for one of them;
//! those of the next moment get the same answer without a request.

use std::collections::BTreeMap;

use contracts::vaccine::SOLD_OUT_FOR;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::{Choice, NotGranted};

/// As many choices are remembered; of further ones each request asks the ledger.
const CHOICES_MAX: usize = 1_024;

/// Why no dose of a choice is granted, and when the ledger was asked.
#[derive(Debug, Default)]
pub(crate) struct SoldOut(Mutex<BTreeMap<Choice, (NotGranted, Instant)>>);

impl SoldOut {
    /// The ledger has answered so to a request of then.
    pub(crate) fn insert(&self, choice: Choice, reason: NotGranted, asked_at: Instant) {
        let mut all = self.0.lock();
        if all.len() >= CHOICES_MAX {
            all.retain(|_, (_, asked_at)| counts(*asked_at));
        }
        if all.len() < CHOICES_MAX || all.contains_key(&choice) {
            all.insert(choice, (reason, asked_at));
        }
    }

    /// What it has answered, at most [`SOLD_OUT_FOR`] ago.
    pub(crate) fn get(&self, choice: Choice) -> Option<NotGranted> {
        let known = self.0.lock().get(&choice).copied();
        known.filter(|(_, asked_at)| counts(*asked_at)).map(|(reason, _)| reason)
    }
}

fn counts(asked_at: Instant) -> bool {
    asked_at.elapsed() < SOLD_OUT_FOR
}

#[cfg(test)]
mod tests {
    use contracts::ids::VaccineId;
    use tokio::time::advance;

    use super::*;

    fn choice(vaccine: i64) -> Choice {
        VaccineId(vaccine).into()
    }

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_the_request() {
        let sold_out = SoldOut::default();
        let asked_at = Instant::now();
        advance(SOLD_OUT_FOR / 2).await;
        sold_out.insert(choice(1), NotGranted::SoldOut, asked_at);
        assert_eq!(sold_out.get(choice(1)), Some(NotGranted::SoldOut));
        assert_eq!(sold_out.get(choice(2)), None);
        advance(SOLD_OUT_FOR / 4).await;
        assert_eq!(sold_out.get(choice(1)), Some(NotGranted::SoldOut));
        advance(SOLD_OUT_FOR / 4).await;
        assert_eq!(sold_out.get(choice(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_limit_and_the_old_ones_make_room() {
        let sold_out = SoldOut::default();
        let insert =
            |vaccine| sold_out.insert(choice(vaccine), NotGranted::SoldOut, Instant::now());
        (0..1_024).for_each(insert);
        insert(i64::MAX);
        assert_eq!(sold_out.get(choice(i64::MAX)), None);
        advance(SOLD_OUT_FOR).await;
        insert(i64::MAX);
        assert_eq!(sold_out.get(choice(i64::MAX)), Some(NotGranted::SoldOut));
    }
}

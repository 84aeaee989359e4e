//! The vaccines of which the ledger has just answered that they are sold out. On opening day most requests are for one
//! of them; those of the next moment get the same answer without a request.

use std::collections::BTreeMap;

use contracts::{ids::VaccineId, vaccine::SOLD_OUT_FOR};
use parking_lot::Mutex;
use tokio::time::Instant;

/// As many vaccines are remembered; of further ones each request asks the ledger.
const VACCINES_MAX: usize = 1_024;

/// The vaccines that are sold out, and when the ledger was asked.
#[derive(Debug, Default)]
pub(crate) struct SoldOut(Mutex<BTreeMap<VaccineId, Instant>>);

impl SoldOut {
    /// The ledger has answered that it is, to a request of then.
    pub(crate) fn insert(&self, vaccine: VaccineId, asked_at: Instant) {
        let mut all = self.0.lock();
        if all.len() >= VACCINES_MAX {
            all.retain(|_, asked_at| counts(*asked_at));
        }
        if all.len() < VACCINES_MAX || all.contains_key(&vaccine) {
            all.insert(vaccine, asked_at);
        }
    }

    /// Whether it was, at most [`SOLD_OUT_FOR`] ago.
    pub(crate) fn contains(&self, vaccine: VaccineId) -> bool {
        self.0.lock().get(&vaccine).is_some_and(|asked_at| counts(*asked_at))
    }
}

fn counts(asked_at: Instant) -> bool {
    asked_at.elapsed() < SOLD_OUT_FOR
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const VACCINE: VaccineId = VaccineId(1);

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_the_request() {
        let sold_out = SoldOut::default();
        let asked_at = Instant::now();
        advance(SOLD_OUT_FOR / 2).await;
        sold_out.insert(VACCINE, asked_at);
        assert!(sold_out.contains(VACCINE) && !sold_out.contains(VaccineId(2)));
        advance(SOLD_OUT_FOR / 4).await;
        assert!(sold_out.contains(VACCINE));
        advance(SOLD_OUT_FOR / 4).await;
        assert!(!sold_out.contains(VACCINE));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_limit_and_the_old_ones_make_room() {
        let sold_out = SoldOut::default();
        let last = VaccineId(i64::MAX);
        (0..1_024).for_each(|id| sold_out.insert(VaccineId(id), Instant::now()));
        sold_out.insert(last, Instant::now());
        assert!(!sold_out.contains(last));
        advance(SOLD_OUT_FOR).await;
        sold_out.insert(last, Instant::now());
        assert!(sold_out.contains(last));
    }
}

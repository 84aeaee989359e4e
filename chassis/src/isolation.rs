//! What keeps trouble apart in one part, for operators to see and to steer: the breakers of whom it
//! calls, the budgets of repeats, and the admission of its listener.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use resilience::{admission::Admission, breaker::Breaker, budget::Budget};

/// The guards of one part. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Isolation(Arc<Guards>);

#[derive(Debug, Default)]
struct Guards {
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
    budgets: Mutex<BTreeMap<&'static str, Arc<Budget>>>,
    admission: OnceLock<Admission>,
}

impl Isolation {
    /// One more process is called; a breaker of the same name is replaced.
    pub fn add_breaker(&self, name: String, breaker: &Arc<Breaker>) {
        locked(&self.0.breakers).insert(name, Arc::clone(breaker));
    }

    /// That process is called no more.
    pub fn remove_breaker(&self, name: &str) {
        locked(&self.0.breakers).remove(name);
    }

    /// Calls to that part are repeated within this budget.
    pub fn add_budget(&self, part: &'static str, budget: &Arc<Budget>) {
        locked(&self.0.budgets).insert(part, Arc::clone(budget));
    }

    /// The listener lets requests in through this one; only the first counts.
    pub fn set_admission(&self, admission: &Admission) {
        self.0.admission.set(admission.clone()).ok();
    }

    /// Every breaker, by name.
    pub fn breakers(&self) -> Vec<(String, Arc<Breaker>)> {
        let breakers = locked(&self.0.breakers);
        breakers.iter().map(|(name, breaker)| (name.clone(), Arc::clone(breaker))).collect()
    }

    /// The breaker of that name.
    pub fn breaker(&self, name: &str) -> Option<Arc<Breaker>> {
        locked(&self.0.breakers).get(name).cloned()
    }

    /// Every budget, by the part that is called.
    pub fn budgets(&self) -> Vec<(&'static str, Arc<Budget>)> {
        locked(&self.0.budgets).iter().map(|(part, budget)| (*part, Arc::clone(budget))).collect()
    }

    /// The listener's admission, once it listens.
    pub fn admission(&self) -> Option<&Admission> {
        self.0.admission.get()
    }
}

/// Whoever panicked while it held the lock has changed all or nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The guards of one service, for operators: circuit breakers and retry budgets of the services that
//! it calls, and the admission of its listener.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use platform_resilience::{admission::Admission, breaker::Breaker, retry_budget::RetryBudget};

/// The guards of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BreakerRegistry(Arc<Guards>);

#[derive(Debug, Default)]
struct Guards {
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
    budgets: Mutex<BTreeMap<&'static str, Arc<RetryBudget>>>,
    admission: OnceLock<Admission>,
}

impl BreakerRegistry {
    /// Adds the breaker of an endpoint; one of the same name is replaced.
    pub fn add_breaker(&self, name: String, breaker: &Arc<Breaker>) {
        locked(&self.0.breakers).insert(name, Arc::clone(breaker));
    }

    /// Removes the breaker of an endpoint that is not called any more.
    pub fn remove_breaker(&self, name: &str) {
        locked(&self.0.breakers).remove(name);
    }

    /// Adds the retry budget of the calls to a service.
    pub fn add_budget(&self, service: &'static str, budget: &Arc<RetryBudget>) {
        locked(&self.0.budgets).insert(service, Arc::clone(budget));
    }

    /// Sets the admission of the listener; only the first one counts.
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

    /// Every retry budget, by the service that is called.
    pub fn budgets(&self) -> Vec<(&'static str, Arc<RetryBudget>)> {
        let budgets = locked(&self.0.budgets);
        budgets.iter().map(|(service, budget)| (*service, Arc::clone(budget))).collect()
    }

    /// The admission of the listener, once it listens.
    pub fn admission(&self) -> Option<&Admission> {
        self.0.admission.get()
    }
}

/// A panic while the lock was held cannot have left a map half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

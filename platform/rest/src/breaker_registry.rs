//! The guards of one service, for operators: circuit breakers and retry budgets of the services that
//! it calls, and the admission of its listener.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use platform_resilience::{admission::Admission, breaker::Breaker, retry_budget::RetryBudget};

use crate::endpoints::Endpoints;

/// The guards of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BreakerRegistry(Arc<Guards>);

#[derive(Debug, Default)]
struct Guards {
    called: Mutex<Vec<Arc<Endpoints>>>,
    admission: OnceLock<Admission>,
}

impl BreakerRegistry {
    /// Adds the guards of the calls to a service.
    pub(crate) fn add(&self, endpoints: &Arc<Endpoints>) {
        self.0.called.lock().push(Arc::clone(endpoints));
    }

    /// Sets the admission of the listener; only the first one counts.
    pub(crate) fn set_admission(&self, admission: &Admission) {
        self.0.admission.set(admission.clone()).ok();
    }

    /// The breaker of every endpoint that is called now, by name.
    pub fn breakers(&self) -> BTreeMap<String, Arc<Breaker>> {
        self.0.called.lock().iter().flat_map(|endpoints| endpoints.breakers()).collect()
    }

    /// Every retry budget, by the service that is called.
    pub fn budgets(&self) -> BTreeMap<&'static str, Arc<RetryBudget>> {
        let called = self.0.called.lock();
        called.iter().map(|it| (it.service, Arc::clone(&it.retry_budget))).collect()
    }

    /// The admission of the listener, once it listens.
    pub fn admission(&self) -> Option<&Admission> {
        self.0.admission.get()
    }
}

//! Locking that ignores poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even after a panic under the lock: for what no panic leaves half changed, as every state machine
/// here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{panic::resume_unwind, thread};

    use super::*;

    #[test]
    fn a_panic_under_the_lock_does_not_keep_others_from_it() {
        let mutex = &Mutex::new(1);
        let panicked = thread::scope(|scope| {
            let panicking = scope.spawn(move || {
                let _locked = lock(mutex);
                resume_unwind(Box::new("on purpose"));
            });
            panicking.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned());
        assert_eq!(*lock(mutex), 1);
    }
}

//! A bounded queue with strict priorities, whose overdue entries are dropped from the front.
//!
//! Takes the time as an argument and wakes nothing. An entry that was admitted or dropped is kept,
//! not waiting any more, until its owner takes it by its [`EntryId`].

use std::{collections::BTreeMap, time::Duration};

use crate::{codel::Codel, time::Moment};

/// The order of classes. Strict: while an entry of one class waits, none of a later class is
/// admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Health checks and operators: they are needed most when the service is overloaded.
    Operator,
    /// Cancels or completes what was begun: it frees what others wait for.
    Cancel,
    /// Begins something new.
    Book,
    /// Only reads.
    Read,
}

impl Priority {
    /// All classes, the first to be admitted first.
    pub const ALL: [Self; CLASSES] = [Self::Operator, Self::Cancel, Self::Book, Self::Read];

    /// The index in [`Priority::ALL`].
    #[expect(clippy::as_conversions, reason = "ALL is in the order of the declaration")]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How many priorities there are.
pub const CLASSES: usize = 4;

/// Identifies an entry. Ids are in the order in which entries are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// The class of the request.
    pub priority: Priority,
    sequence: u64,
}

/// An entry that waits.
#[derive(Debug)]
pub struct WaitingEntry<T> {
    /// How many items are admitted together.
    pub items: u32,
    /// When it was pushed.
    pub queued_at: Moment,
    /// What wakes its owner.
    pub waker: T,
}

/// An entry that was admitted, or has waited for too long.
#[derive(Clone, Copy, Debug)]
pub struct DecidedEntry {
    /// How many items are admitted together.
    pub items: u32,
    /// When it was pushed.
    pub queued_at: Moment,
    /// `None` if it has waited for too long.
    pub admitted_at: Option<Moment>,
}

/// The queue; `T` is what wakes the owner of an entry.
#[derive(Debug)]
pub struct WaitQueue<T> {
    waiting: BTreeMap<EntryId, WaitingEntry<T>>,
    /// Entries that were admitted or dropped and not taken yet.
    decided: BTreeMap<EntryId, DecidedEntry>,
    /// Items that wait, by class.
    items: [u32; CLASSES],
    next_sequence: u64,
    codel: Codel,
    waiting_max: usize,
}

impl<T> WaitQueue<T> {
    /// An empty queue in which so many may wait. As many again may be decided and not taken yet;
    /// beyond that the queue is full too.
    pub fn new(waiting_max: usize, codel: Codel) -> Self {
        Self {
            waiting: BTreeMap::new(),
            decided: BTreeMap::new(),
            items: [0; CLASSES],
            next_sequence: 0,
            codel,
            waiting_max,
        }
    }

    /// Appends an entry to its class; `None` if the queue is full.
    pub fn push(
        &mut self,
        priority: Priority,
        items: u32,
        waker: T,
        now: Moment,
    ) -> Option<EntryId> {
        let waiting = self.waiting.len();
        if waiting >= self.waiting_max {
            return None;
        }
        if waiting == 0 {
            self.codel.record_empty(now);
        }
        if waiting + self.decided.len() >= self.waiting_max.saturating_mul(2) {
            return None;
        }
        let id = EntryId { priority, sequence: self.next_sequence };
        self.next_sequence += 1;
        self.waiting.insert(id, WaitingEntry { items, queued_at: now, waker });
        let ahead = &mut self.items[priority.index()];
        *ahead = ahead.saturating_add(items);
        Some(id)
    }

    /// The class and the items of the entry that is admitted next.
    pub fn front(&self) -> Option<(Priority, u32)> {
        self.waiting.first_key_value().map(|(id, entry)| (id.priority, entry.items))
    }

    /// Admits the front entry; says whom to wake.
    pub fn admit_front(&mut self, now: Moment) -> Option<T> {
        let (id, _) = self.waiting.first_key_value()?;
        self.decide(*id, Some(now), now)
    }

    /// Drops an entry that has waited for too long at the front of its class, the last class first;
    /// says whom to wake. To be called until there is none.
    pub fn drop_overdue(&mut self, now: Moment) -> Option<T> {
        let wait_max = self.codel.wait_max(now);
        let overdue = |priority| {
            let (id, entry) = self.waiting.range(EntryId { priority, sequence: 0 }..).next()?;
            let is_overdue = now.since(entry.queued_at) > wait_max;
            (id.priority == priority && is_overdue).then_some(*id)
        };
        let id = Priority::ALL.into_iter().rev().find_map(overdue)?;
        self.codel.record_drop(now);
        self.decide(id, None, now)
    }

    /// What wakes the owner of the entry; `None` if the entry does not wait any more.
    pub fn waker_mut(&mut self, id: EntryId) -> Option<&mut T> {
        self.waiting.get_mut(&id).map(|entry| &mut entry.waker)
    }

    /// Removes an entry, if it still waits.
    pub fn remove(&mut self, id: EntryId, now: Moment) -> Option<WaitingEntry<T>> {
        let entry = self.waiting.remove(&id)?;
        let items = &mut self.items[id.priority.index()];
        *items = items.saturating_sub(entry.items);
        if self.waiting.is_empty() {
            self.codel.record_empty(now);
        }
        Some(entry)
    }

    /// Removes an entry, if it does not wait any more.
    pub fn take_decided(&mut self, id: EntryId) -> Option<DecidedEntry> {
        self.decided.remove(&id)
    }

    /// An entry was removed because it has waited for too long.
    pub fn record_drop(&mut self, now: Moment) {
        self.codel.record_drop(now);
    }

    /// How many entries of each class wait.
    pub fn waiting_by_class(&self) -> [usize; CLASSES] {
        let waiting = |priority| self.waiting.keys().filter(|id| id.priority == priority).count();
        Priority::ALL.map(waiting)
    }

    /// Items that would be admitted before an entry that is pushed with that priority now.
    pub fn items_ahead(&self, priority: Priority) -> u32 {
        self.items[..=priority.index()].iter().fold(0, |sum, items| sum.saturating_add(*items))
    }

    /// How long an entry that is pushed now may wait.
    pub fn wait_max(&self, now: Moment) -> Duration {
        let mut codel = self.codel;
        if self.waiting.is_empty() {
            codel.record_empty(now);
        }
        codel.wait_max(now)
    }

    fn decide(&mut self, id: EntryId, admitted_at: Option<Moment>, now: Moment) -> Option<T> {
        let WaitingEntry { items, queued_at, waker } = self.remove(id, now)?;
        self.decided.insert(id, DecidedEntry { items, queued_at, admitted_at });
        Some(waker)
    }
}

#[cfg(test)]
mod tests;

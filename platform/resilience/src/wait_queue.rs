//! A bounded queue with strict priorities, whose overdue entries are dropped from the front.
//!
//! Takes the time as an argument and wakes nothing. An entry that was admitted or dropped is kept,
//! not waiting any more, until its owner removes it by its [`EntryId`].

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
    pub const fn index(self) -> usize {
        match self {
            Self::Operator => 0,
            Self::Cancel => 1,
            Self::Book => 2,
            Self::Read => 3,
        }
    }
}

/// How many priorities there are.
pub const CLASSES: usize = 4;

/// Identifies an entry until it is removed.
#[derive(Debug, PartialEq, Eq)]
pub struct EntryId {
    class: usize,
    sequence: u64,
}

/// What the queue knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The class of the request.
    pub priority: Priority,
    /// How many items are admitted together.
    pub items: u32,
    /// When it was pushed.
    pub queued_at: Moment,
    /// Whether it still waits.
    pub state: EntryState,
}

/// Whether an entry still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// It waits.
    Waiting,
    /// It was admitted.
    Admitted {
        /// When.
        at: Moment,
    },
    /// It has waited for too long.
    Dropped,
}

/// The waiting entries of one class, oldest first, with their wakers `T`.
#[derive(Debug)]
struct Class<T> {
    entries: BTreeMap<u64, (Entry, T)>,
    items: u32,
}

/// The queue; `T` is what wakes the owner of an entry.
#[derive(Debug)]
pub struct WaitQueue<T> {
    classes: [Class<T>; CLASSES],
    /// Entries that were admitted or dropped and not removed yet.
    decided: BTreeMap<u64, Entry>,
    next_sequence: u64,
    codel: Codel,
    waiting_max: usize,
}

impl<T> WaitQueue<T> {
    /// An empty queue in which so many may wait. As many again may be decided and not removed yet;
    /// beyond that the queue is full too.
    pub fn new(waiting_max: usize, codel: Codel) -> Self {
        Self {
            classes: [(); CLASSES].map(|()| Class { entries: BTreeMap::new(), items: 0 }),
            decided: BTreeMap::new(),
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
        let waiting = self.waiting();
        if waiting >= self.waiting_max {
            return None;
        }
        if waiting == 0 {
            self.codel.record_empty(now);
        }
        if waiting + self.decided.len() >= self.waiting_max.saturating_mul(2) {
            return None;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let entry = Entry { priority, items, queued_at: now, state: EntryState::Waiting };
        let class = &mut self.classes[priority.index()];
        class.entries.insert(sequence, (entry, waker));
        class.items = class.items.saturating_add(items);
        Some(EntryId { class: priority.index(), sequence })
    }

    /// The entry that is admitted next.
    pub fn front(&self) -> Option<Entry> {
        let mut classes = self.classes.iter();
        classes.find_map(|class| class.entries.values().next()).map(|(entry, _)| *entry)
    }

    /// Admits the front entry; says whom to wake.
    pub fn admit_front(&mut self, now: Moment) -> Option<T> {
        let (class, sequence) = self.classes.iter().enumerate().find_map(|(index, class)| {
            class.entries.keys().next().map(|sequence| (index, *sequence))
        })?;
        self.decide(class, sequence, EntryState::Admitted { at: now }, now)
    }

    /// Drops an entry that has waited for too long at the front of its class, the last class first;
    /// says whom to wake. To be called until there is none.
    pub fn drop_overdue(&mut self, now: Moment) -> Option<T> {
        let wait_max = self.codel.wait_max(now);
        let overdue = |(index, class): (usize, &Class<T>)| {
            let (sequence, (entry, _)) = class.entries.iter().next()?;
            (now.since(entry.queued_at) > wait_max).then_some((index, *sequence))
        };
        let (class, sequence) = self.classes.iter().enumerate().rev().find_map(overdue)?;
        self.codel.record_drop(now);
        self.decide(class, sequence, EntryState::Dropped, now)
    }

    /// What wakes the owner of the entry; `None` if the entry does not wait any more.
    pub fn waker_mut(&mut self, id: &EntryId) -> Option<&mut T> {
        self.classes[id.class].entries.get_mut(&id.sequence).map(|(_, waker)| waker)
    }

    /// Removes an entry; with its waker if it still waited.
    #[expect(clippy::needless_pass_by_value, reason = "the id is invalid from now on")]
    pub fn remove(&mut self, id: EntryId, now: Moment) -> (Entry, Option<T>) {
        if let Some((entry, waker)) = self.take(id.class, id.sequence, now) {
            return (entry, Some(waker));
        }
        let entry = self.decided.remove(&id.sequence);
        (entry.unwrap_or_else(|| unreachable!("an id is not copied, and removing takes it")), None)
    }

    /// As [`WaitQueue::remove`], for an entry that has waited for too long by its owner's timer.
    pub fn time_out(&mut self, id: EntryId, now: Moment) -> (Entry, Option<T>) {
        let (entry, waker) = self.remove(id, now);
        if entry.state == EntryState::Waiting {
            self.codel.record_drop(now);
        }
        (entry, waker)
    }

    /// How many entries wait.
    pub fn waiting(&self) -> usize {
        self.classes.iter().map(|class| class.entries.len()).sum()
    }

    /// How many entries of each class wait.
    pub fn waiting_by_class(&self) -> [usize; CLASSES] {
        Priority::ALL.map(|priority| self.classes[priority.index()].entries.len())
    }

    /// Items that would be admitted before an entry that is pushed with that priority now.
    pub fn items_ahead(&self, priority: Priority) -> u32 {
        let classes = self.classes[..=priority.index()].iter();
        classes.fold(0, |sum, class| sum.saturating_add(class.items))
    }

    /// How long an entry that is pushed now may wait.
    pub fn wait_max(&self, now: Moment) -> Duration {
        let mut codel = self.codel;
        if self.waiting() == 0 {
            codel.record_empty(now);
        }
        codel.wait_max(now)
    }

    fn decide(&mut self, class: usize, sequence: u64, state: EntryState, now: Moment) -> Option<T> {
        let (entry, waker) = self.take(class, sequence, now)?;
        self.decided.insert(sequence, Entry { state, ..entry });
        Some(waker)
    }

    /// Takes a waiting entry out of its class.
    fn take(&mut self, class: usize, sequence: u64, now: Moment) -> Option<(Entry, T)> {
        let class = &mut self.classes[class];
        let (entry, waker) = class.entries.remove(&sequence)?;
        class.items = class.items.saturating_sub(entry.items);
        if self.waiting() == 0 {
            self.codel.record_empty(now);
        }
        Some((entry, waker))
    }
}

#[cfg(test)]
mod tests;

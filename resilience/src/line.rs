//! A bounded line with priorities, cut at its head when it stands.
//!
//! Sans-IO: it neither reads clocks nor wakes anybody. A place stays in it until whoever holds the
//! [`Key`] gives it up: called or cut, it does not count as waiting any more.

use std::time::Duration;

use crate::{codel::Codel, time::Moment};

/// Who goes first. Strict: while one of a class waits, none of a later class is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Health checks and operators: they must see the most when the least goes well.
    Operator,
    /// Cancels and completes what was begun: it frees what others want.
    Settle,
    /// Begins something new.
    Book,
    /// Looks only.
    Read,
}

impl Priority {
    /// All, first come first.
    pub const ALL: [Self; CLASSES] = [Self::Operator, Self::Settle, Self::Book, Self::Read];

    /// Its place among them.
    pub const fn index(self) -> usize {
        match self {
            Self::Operator => 0,
            Self::Settle => 1,
            Self::Book => 2,
            Self::Read => 3,
        }
    }
}

/// How many priorities there are.
pub const CLASSES: usize = 4;

/// How a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Still in the line.
    Waiting,
    /// It may go, since then.
    Called(Moment),
    /// It has waited for too long.
    Cut,
}

/// Whose place.
#[derive(Debug, PartialEq, Eq)]
pub struct Key(usize);

/// A place in the line, with something of its owner's.
#[derive(Debug)]
pub struct Place<T> {
    /// Its class.
    pub priority: Priority,
    /// How many items want to go together.
    pub items: u32,
    /// When it joined.
    pub joined: Moment,
    /// How it stands.
    pub standing: Standing,
    /// What the owner left here.
    pub owner: T,
    next: Option<usize>,
    previous: Option<usize>,
}

/// A class's queue, linked through its places.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    first: Option<usize>,
    last: Option<usize>,
    waiting: usize,
    items: u32,
}

/// The line.
#[derive(Debug)]
pub struct Line<T> {
    places: Vec<Option<Place<T>>>,
    free: Vec<usize>,
    queues: [Queue; CLASSES],
    codel: Codel,
    waiting_max: usize,
}

impl<T> Line<T> {
    /// An empty line where so many may wait. As many again may be called or cut and not have
    /// noticed yet; whoever comes beyond that is refused too.
    pub fn new(waiting_max: usize, codel: Codel) -> Self {
        let places_max = waiting_max.saturating_mul(2);
        Self {
            places: Vec::with_capacity(places_max),
            free: Vec::with_capacity(places_max),
            queues: [Queue::default(); CLASSES],
            codel,
            waiting_max,
        }
    }

    /// Joins the line at the end of its class; `None` where the line is full.
    pub fn join(&mut self, priority: Priority, items: u32, owner: T, now: Moment) -> Option<Key> {
        let waiting = self.waiting();
        if waiting >= self.waiting_max {
            return None;
        }
        if waiting == 0 {
            self.codel.empty(now);
        }
        let queue = &mut self.queues[priority.index()];
        let previous = queue.last;
        let standing = Standing::Waiting;
        let place = Place { priority, items, joined: now, standing, owner, next: None, previous };
        let at = match self.free.pop() {
            Some(at) => {
                self.places[at] = Some(place);
                at
            }
            None if self.places.len() < self.waiting_max.saturating_mul(2) => {
                self.places.push(Some(place));
                self.places.len() - 1
            }
            None => return None,
        };
        queue.last = Some(at);
        queue.waiting += 1;
        queue.items = queue.items.saturating_add(items);
        match previous {
            Some(previous) => self.place_at(previous).next = Some(at),
            None => self.queues[priority.index()].first = Some(at),
        }
        Some(Key(at))
    }

    /// The class and the items of whoever goes next.
    pub fn head(&self) -> Option<(Priority, u32)> {
        let at = self.queues.iter().find_map(|queue| queue.first)?;
        self.places[at].as_ref().map(|place| (place.priority, place.items))
    }

    /// Lets the head go; its owner finds out by [`Line::place`].
    pub fn call(&mut self, now: Moment) -> Option<&mut Place<T>> {
        let at = self.queues.iter().find_map(|queue| queue.first)?;
        self.unlink(at, now);
        let place = self.place_at(at);
        place.standing = Standing::Called(now);
        Some(place)
    }

    /// Cuts whoever has waited for too long at the head of a class, the last class first. To be
    /// called until there is nobody left to cut.
    pub fn cut(&mut self, now: Moment) -> Option<&mut Place<T>> {
        let patience = self.codel.patience(now);
        let too_long = |at: &usize| {
            self.places[*at].as_ref().is_some_and(|place| now.since(place.joined) > patience)
        };
        let at = self.queues.iter().rev().filter_map(|queue| queue.first).find(too_long)?;
        self.codel.cut(now);
        self.unlink(at, now);
        let place = self.place_at(at);
        place.standing = Standing::Cut;
        Some(place)
    }

    /// The place that belongs to the key.
    pub fn place(&mut self, key: &Key) -> &mut Place<T> {
        self.place_at(key.0)
    }

    /// Gives up a place, whatever became of it.
    #[expect(clippy::needless_pass_by_value, reason = "the key has no place any more")]
    pub fn leave(&mut self, key: Key, now: Moment) -> Place<T> {
        let Key(at) = key;
        if self.place_at(at).standing == Standing::Waiting {
            self.unlink(at, now);
        }
        self.free.push(at);
        let place = self.places[at].take();
        place.unwrap_or_else(|| unreachable!("{NO_PLACE}"))
    }

    /// As [`Line::leave`], for somebody who has waited for too long by the owner's own reckoning.
    pub fn lose_patience(&mut self, key: Key, now: Moment) -> Place<T> {
        let place = self.leave(key, now);
        if place.standing == Standing::Waiting {
            self.codel.cut(now);
        }
        place
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting).sum()
    }

    /// How many of a class wait.
    pub fn waiting_of(&self, priority: Priority) -> usize {
        self.queues[priority.index()].waiting
    }

    /// Items that would go before somebody who joins with that priority now.
    pub fn items_before(&self, priority: Priority) -> u32 {
        let queues = self.queues[..=priority.index()].iter();
        queues.fold(0, |sum, queue| sum.saturating_add(queue.items))
    }

    /// How long one may wait who joins now.
    pub fn patience(&self, now: Moment) -> Duration {
        let mut codel = self.codel;
        if self.waiting() == 0 {
            codel.empty(now);
        }
        codel.patience(now)
    }

    fn place_at(&mut self, at: usize) -> &mut Place<T> {
        self.places[at].as_mut().unwrap_or_else(|| unreachable!("{NO_PLACE}"))
    }

    fn unlink(&mut self, at: usize, now: Moment) {
        let place = self.place_at(at);
        let (priority, items) = (place.priority, place.items);
        let (previous, next) = (place.previous.take(), place.next.take());
        if let Some(previous) = previous {
            self.place_at(previous).next = next;
        }
        if let Some(next) = next {
            self.place_at(next).previous = previous;
        }
        let queue = &mut self.queues[priority.index()];
        if previous.is_none() {
            queue.first = next;
        }
        if next.is_none() {
            queue.last = previous;
        }
        queue.waiting -= 1;
        queue.items = queue.items.saturating_sub(items);
        if self.waiting() == 0 {
            self.codel.empty(now);
        }
    }
}

/// Keys are neither copied nor made elsewhere, and giving one up takes it.
const NO_PLACE: &str = "a key has its place until it is given up";

#[cfg(test)]
mod tests;

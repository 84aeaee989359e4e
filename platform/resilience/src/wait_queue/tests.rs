//! The queue compared with a simple model of it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::codel::{INTERVAL, MEMORY, TARGET};

const WAITING_MAX: usize = 6;

fn ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn queue() -> WaitQueue<u32> {
    WaitQueue::new(WAITING_MAX, Codel::new(TARGET, INTERVAL))
}

#[test]
fn cancels_are_admitted_before_bookings_and_bookings_before_reads() {
    let mut queue = queue();
    for (waker, priority) in
        [Priority::Read, Priority::Book, Priority::Cancel].into_iter().enumerate()
    {
        queue.push(priority, 1, u32::try_from(waker).unwrap(), ms(0)).unwrap();
    }
    let order: Vec<_> = (0..3).map(|_| queue.admit_front(ms(1)).unwrap()).collect();
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn a_standing_queue_drops_overdue_entries_from_its_front_the_last_class_first() {
    let mut queue = queue();
    queue.push(Priority::Book, 1, 1, ms(0)).unwrap();
    queue.push(Priority::Read, 1, 2, ms(95)).unwrap();
    queue.push(Priority::Book, 1, 3, ms(95)).unwrap();
    assert!(queue.drop_overdue(ms(100)).is_none(), "a burst may wait for the interval");
    let mut drop_at = |at| queue.drop_overdue(ms(at));
    assert_eq!([drop_at(101), drop_at(101)], [Some(1), None]);
    assert_eq!([drop_at(106), drop_at(106), drop_at(106)], [Some(2), Some(3), None]);
}

#[test]
fn a_full_queue_takes_no_entry_until_one_is_removed() {
    let mut queue = queue();
    let mut ids: Vec<_> =
        (0..6).map(|waker| queue.push(Priority::Book, 1, waker, ms(0)).unwrap()).collect();
    assert_eq!(queue.push(Priority::Cancel, 1, 9, ms(0)), None);
    queue.remove(ids.pop().unwrap(), ms(0)).unwrap();
    assert!(queue.push(Priority::Cancel, 1, 9, ms(0)).is_some());
}

#[test]
fn entries_that_are_decided_and_not_taken_are_bounded_too() {
    let mut queue = queue();
    let push_and_admit = |queue: &mut WaitQueue<u32>| {
        let id = queue.push(Priority::Book, 1, 0, ms(0))?;
        queue.admit_front(ms(0)).unwrap();
        Some(id)
    };
    let ids: Vec<_> = (0..20).map_while(|_| push_and_admit(&mut queue)).collect();
    assert_eq!((ids.len(), queue.waiting_by_class()), (2 * WAITING_MAX, [0; CLASSES]));
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, u32),
    Admit,
    DropOverdue,
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        4 => (0..CLASSES, 1_u32..5).prop_map(|(class, items)| Step::Push(class, items)),
        2 => Just(Step::Admit),
        1 => Just(Step::DropOverdue),
        2 => (0_usize..12).prop_map(Step::Remove),
    ];
    prop::collection::vec((step, 0_u64..30), 1..200)
}

proptest! {
    #[test]
    fn it_does_what_four_simple_queues_do(steps in steps()) {
        let mut queue = queue();
        // Waiting entries, with items and since when; and the ids of all, by number.
        let mut classes: [VecDeque<(u32, u32, u64)>; CLASSES] = Default::default();
        let mut ids = BTreeMap::new();
        let (mut now, mut empty_at, mut dropped_at) = (0, 0, None);
        let mut next = 0;
        for (step, passes) in steps {
            now += passes;
            let waiting: usize = classes.iter().map(VecDeque::len).sum();
            match step {
                Step::Push(class, items) => {
                    let id = queue.push(Priority::ALL[class], items, next, ms(now));
                    let room = waiting < WAITING_MAX && ids.len() < 2 * WAITING_MAX;
                    prop_assert_eq!(id.is_some(), room);
                    if waiting == 0 && waiting < WAITING_MAX {
                        empty_at = now;
                    }
                    if let Some(id) = id {
                        classes[class].push_back((next, items, now));
                        ids.insert(next, id);
                        next += 1;
                    }
                }
                Step::Admit => {
                    let admitted = queue.admit_front(ms(now));
                    let class = classes.iter_mut().find(|class| !class.is_empty());
                    let first = class.and_then(VecDeque::pop_front);
                    prop_assert_eq!(admitted, first.map(|first| first.0));
                }
                Step::DropOverdue => {
                    let lately = dropped_at.is_some_and(|at| ms(now).since(ms(at)) < MEMORY);
                    let stands = ms(now).since(ms(empty_at)) > INTERVAL || lately;
                    let wait_max = if stands { TARGET } else { INTERVAL };
                    let dropped = queue.drop_overdue(ms(now));
                    let late = |class: &&mut VecDeque<(u32, u32, u64)>| {
                        class.front().is_some_and(|first| ms(now).since(ms(first.2)) > wait_max)
                    };
                    let first = classes.iter_mut().rev().find(late).and_then(VecDeque::pop_front);
                    prop_assert_eq!(dropped, first.map(|first| first.0));
                    dropped_at = if dropped.is_some() { Some(now) } else { dropped_at };
                }
                Step::Remove(nth) => {
                    let Some(number) = ids.keys().nth(nth).copied() else { continue };
                    let id = ids.remove(&number).unwrap();
                    let waited = classes.iter().flatten().any(|one| one.0 == number);
                    prop_assert_eq!(queue.take_decided(id).is_some(), !waited);
                    let waker = queue.remove(id, ms(now)).map(|entry| entry.waker);
                    prop_assert_eq!(waker, waited.then_some(number));
                    for class in &mut classes {
                        class.retain(|one| one.0 != number);
                    }
                }
            }
            let waits: usize = classes.iter().map(VecDeque::len).sum();
            if waiting > 0 && waits == 0 {
                empty_at = now;
            }
            let by_class: Vec<_> = classes.iter().map(VecDeque::len).collect();
            prop_assert_eq!(&queue.waiting_by_class()[..], by_class);
            for priority in Priority::ALL {
                let ahead = classes[..=priority.index()].iter().flatten().map(|one| one.1).sum();
                prop_assert_eq!(queue.items_ahead(priority), ahead);
            }
        }
    }
}

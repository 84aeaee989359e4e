//! The line beside a simple model of it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::codel::{INTERVAL, MEMORY, TARGET};

const WAITING_MAX: usize = 6;

fn ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn line() -> Line<u32> {
    Line::new(WAITING_MAX, Codel::new(TARGET, INTERVAL))
}

#[test]
fn whoever_settles_goes_before_those_who_book_and_they_before_those_who_look() {
    let mut line = line();
    for (owner, priority) in
        [Priority::Read, Priority::Book, Priority::Settle].into_iter().enumerate()
    {
        line.join(priority, 1, u32::try_from(owner).unwrap(), ms(0)).unwrap();
    }
    let order: Vec<_> = (0..3).map(|_| line.call(ms(1)).unwrap().owner).collect();
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn a_standing_line_is_cut_at_its_head_the_last_class_first() {
    let mut line = line();
    line.join(Priority::Book, 1, 1, ms(0)).unwrap();
    line.join(Priority::Read, 1, 2, ms(95)).unwrap();
    line.join(Priority::Book, 1, 3, ms(95)).unwrap();
    assert!(line.cut(ms(100)).is_none(), "a burst may wait for the interval");
    let mut cut = |at| line.cut(at).map(|place| place.owner);
    assert_eq!([cut(ms(101)), cut(ms(101))], [Some(1), None]);
    assert_eq!([cut(ms(106)), cut(ms(106)), cut(ms(106))], [Some(2), Some(3), None]);
}

#[test]
fn a_full_line_takes_nobody_until_somebody_leaves() {
    let mut line = line();
    let mut keys: Vec<_> =
        (0..6).map(|owner| line.join(Priority::Book, 1, owner, ms(0)).unwrap()).collect();
    assert_eq!(line.join(Priority::Settle, 1, 9, ms(0)), None);
    line.leave(keys.pop().unwrap(), ms(0));
    assert!(line.join(Priority::Settle, 1, 9, ms(0)).is_some());
}

#[test]
fn those_who_have_not_noticed_their_call_are_bounded_too() {
    let mut line = line();
    let join_and_call = |line: &mut Line<u32>| {
        let key = line.join(Priority::Book, 1, 0, ms(0))?;
        line.call(ms(0)).unwrap();
        Some(key)
    };
    let keys: Vec<_> = (0..20).map_while(|_| join_and_call(&mut line)).collect();
    assert_eq!((keys.len(), line.waiting()), (2 * WAITING_MAX, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize, u32),
    Call,
    Cut,
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        4 => (0..CLASSES, 1_u32..5).prop_map(|(class, items)| Step::Join(class, items)),
        2 => Just(Step::Call),
        1 => Just(Step::Cut),
        2 => (0_usize..12).prop_map(Step::Leave),
    ];
    prop::collection::vec((step, 0_u64..30), 1..200)
}

proptest! {
    #[test]
    fn it_does_what_four_queues_would(steps in steps()) {
        let mut line = line();
        // Who waits, with items and since when; and everybody's key, by number.
        let mut queues: [VecDeque<(u32, u32, u64)>; CLASSES] = Default::default();
        let mut keys = BTreeMap::new();
        let (mut now, mut empty_at, mut cut_at) = (0, 0, None);
        let mut next = 0;
        for (step, passes) in steps {
            now += passes;
            let waiting: usize = queues.iter().map(VecDeque::len).sum();
            match step {
                Step::Join(class, items) => {
                    let key = line.join(Priority::ALL[class], items, next, ms(now));
                    let room = waiting < WAITING_MAX && keys.len() < 2 * WAITING_MAX;
                    prop_assert_eq!(key.is_some(), room);
                    if waiting == 0 && waiting < WAITING_MAX {
                        empty_at = now;
                    }
                    if let Some(key) = key {
                        queues[class].push_back((next, items, now));
                        keys.insert(next, key);
                        next += 1;
                    }
                }
                Step::Call => {
                    let called = line.call(ms(now)).map(|place| place.owner);
                    let queue = queues.iter_mut().find(|queue| !queue.is_empty());
                    let first = queue.and_then(VecDeque::pop_front);
                    prop_assert_eq!(called, first.map(|first| first.0));
                }
                Step::Cut => {
                    let lately = cut_at.is_some_and(|at| ms(now).since(ms(at)) < MEMORY);
                    let stands = ms(now).since(ms(empty_at)) > INTERVAL || lately;
                    let patience = if stands { TARGET } else { INTERVAL };
                    let cut = line.cut(ms(now)).map(|place| place.owner);
                    let late = |queue: &&mut VecDeque<(u32, u32, u64)>| {
                        queue.front().is_some_and(|first| ms(now).since(ms(first.2)) > patience)
                    };
                    let first = queues.iter_mut().rev().find(late).and_then(VecDeque::pop_front);
                    prop_assert_eq!(cut, first.map(|first| first.0));
                    cut_at = if cut.is_some() { Some(now) } else { cut_at };
                }
                Step::Leave(nth) => {
                    let Some(who) = keys.keys().nth(nth).copied() else { continue };
                    let place = line.leave(keys.remove(&who).unwrap(), ms(now));
                    prop_assert_eq!(place.owner, who);
                    let waited = queues.iter().flatten().any(|one| one.0 == who);
                    prop_assert_eq!(place.standing == Standing::Waiting, waited);
                    for queue in &mut queues {
                        queue.retain(|one| one.0 != who);
                    }
                }
            }
            let waits: usize = queues.iter().map(VecDeque::len).sum();
            if waiting > 0 && waits == 0 {
                empty_at = now;
            }
            prop_assert_eq!(line.waiting(), waits);
            for priority in Priority::ALL {
                let before = queues[..=priority.index()].iter().flatten().map(|one| one.1).sum();
                prop_assert_eq!(line.items_before(priority), before);
            }
        }
    }
}

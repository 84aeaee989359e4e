//! Any interleaving of several processes that serve the same queue, of answers that are lost or late, of
//! resolving and of crashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use booking::{
    domain::{
        Bookings, CancelBooking, Command, Reply, ResolveAttempt, decide,
        tickets::{QueuedTicket, ServeReply, TicketEnd},
    },
    events,
};
use contracts::{
    booking::BookingStatus,
    ids::{BookingId, ReservationId, TicketId},
    vaccine::HoldOutcome,
};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::{
    AT,
    tickets::{create, enqueue_at, held, id, reservation, serve_at},
};

/// The ledger of `vaccine`, as far as booking sees it.
#[derive(Default)]
struct DoseLedger {
    free: BTreeMap<i64, i64>,
    known: BTreeMap<ReservationId, (i64, Dose)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dose {
    Held,
    Booked,
    Released,
}

impl DoseLedger {
    fn hold(&mut self, id: ReservationId, vaccine: i64) -> HoldOutcome {
        match self.known.get(&id) {
            Some((_, Dose::Released)) => HoldOutcome::Released,
            Some((of, _)) if *of == vaccine => held(),
            Some(_) => HoldOutcome::Conflict,
            None => match self.free.get_mut(&vaccine) {
                None => HoldOutcome::NoSuchVaccine,
                Some(0) => HoldOutcome::SoldOut,
                Some(free) => {
                    *free -= 1;
                    self.known.insert(id, (vaccine, Dose::Held));
                    held()
                }
            },
        }
    }

    fn consume(&mut self, r#type: &str, id: ReservationId) {
        let booked = r#type == "Booked";
        match self.known.get_mut(&id) {
            Some((_, dose)) if booked => {
                assert_ne!(*dose, Dose::Released, "{id} is booked, but its dose was released");
                *dose = Dose::Booked;
            }
            None if booked => panic!("{id} is booked without a hold"),
            None => drop(self.known.insert(id, (0, Dose::Released))),
            Some((_, Dose::Released)) => {}
            Some((vaccine, dose)) => {
                *dose = Dose::Released;
                *self.free.get_mut(vaccine).unwrap() += 1;
            }
        }
    }
}

/// The head of the queue, as one process has read it.
type Head = Vec<QueuedTicket>;

/// One queue, several processes that serve it, and a ledger. Messages between them take any time.
struct World {
    bookings: Bookings,
    ledger: DoseLedger,
    keys: BTreeMap<TicketId, u8>,
    ends: BTreeMap<TicketId, TicketEnd>,
    requested: Vec<Head>,
    answered: Vec<(Head, Vec<HoldOutcome>)>,
    events: VecDeque<(String, ReservationId)>,
}

/// What may happen next. The numbers choose among what exists.
#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        key: u8,
        vaccine: u8,
    },
    Request {
        limit: usize,
    },
    Answer {
        which: usize,
    },
    Lose {
        which: usize,
    },
    Write {
        which: usize,
    },
    /// Booking queries old holds, and resolves those whose attempts have not ended.
    Resolve,
    Consume,
    /// A booking is cancelled: its dose becomes free.
    Cancel {
        booking: i64,
    },
    /// A request with the key of a ticket, but without one, holds and books.
    Overtake {
        key: u8,
    },
    /// An operator releases a dose that is not booked, and not about to be.
    Release {
        key: u8,
    },
}

impl World {
    fn new(doses: &[i64]) -> Self {
        let free = (1..).zip(doses).map(|(vaccine, doses)| (vaccine, *doses)).collect();
        Self {
            bookings: Bookings::default(),
            ledger: DoseLedger { free, known: BTreeMap::new() },
            keys: BTreeMap::new(),
            ends: BTreeMap::new(),
            requested: Vec::new(),
            answered: Vec::new(),
            events: VecDeque::new(),
        }
    }

    fn decide(&mut self, command: &Command) -> Reply {
        let reply = decide(&mut self.bookings, command);
        if let Some(event) = events::event(command, &reply).unwrap() {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            let id = data["reservationId"].as_str().unwrap().parse().unwrap();
            self.events.push_back((event.r#type, ReservationId(id)));
        }
        for QueuedTicket { id, end, .. } in self.tickets() {
            if let Some(end) = end {
                assert_eq!(*self.ends.entry(id).or_insert(end), end, "{id} has ended twice");
            }
        }
        reply
    }

    fn tickets(&self) -> Vec<QueuedTicket> {
        let mut all: Vec<_> =
            self.keys.keys().filter_map(|id| self.bookings.tickets.get(id)).cloned().collect();
        all.sort_by_key(|ticket| ticket.number);
        all
    }

    fn waiting(&self) -> Head {
        self.tickets().into_iter().filter(|ticket| ticket.end.is_none()).collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Enqueue { key, vaccine } => {
                self.keys.insert(id(*key), *key);
                self.decide(&enqueue_at(*key, 0, *vaccine));
            }
            Step::Request { limit } => {
                let head: Head = self.waiting().into_iter().take(*limit).collect();
                if !head.is_empty() {
                    self.requested.push(head);
                }
            }
            Step::Answer { which } if !self.requested.is_empty() => {
                let head = self.requested.remove(which % self.requested.len());
                let hold =
                    |t: &QueuedTicket| self.ledger.hold(t.attempt.reservation, t.attempt.vaccine.0);
                let outcomes = head.iter().map(hold).collect();
                self.answered.push((head, outcomes));
            }
            Step::Lose { which } if !self.answered.is_empty() => {
                self.answered.remove(which % self.answered.len());
            }
            Step::Write { which } if !self.answered.is_empty() => {
                let (head, outcomes) = self.answered.remove(which % self.answered.len());
                for (ticket, outcome) in head.iter().zip(outcomes) {
                    let command = serve_at(self.keys[&ticket.id], ticket.attempt_number, outcome);
                    assert_ne!(self.decide(&command), Reply::Serve(ServeReply::NoSuchTicket));
                }
            }
            Step::Answer { .. } | Step::Lose { .. } | Step::Write { .. } => {}
            Step::Resolve => self.resolve(),
            Step::Consume => {
                if let Some((r#type, id)) = self.events.pop_front() {
                    self.ledger.consume(&r#type, id);
                }
            }
            Step::Cancel { booking } => {
                self.decide(&Command::Cancel(CancelBooking {
                    booking: BookingId(*booking),
                    at: AT,
                }));
            }
            Step::Overtake { key } => self.overtake(*key),
            Step::Release { key } => {
                let id = reservation(*key, 0);
                let mut in_flight = self.answered.iter().flat_map(|(head, _)| head);
                let is_held = matches!(self.ledger.known.get(&id), Some((_, Dose::Held)))
                    && self.bookings.attempts.get(&id).is_none();
                if is_held && !in_flight.any(|ticket| ticket.attempt.reservation == id) {
                    self.ledger.consume("released by an operator", id);
                }
            }
        }
    }

    fn resolve(&mut self) {
        let held = self.ledger.known.iter().filter(|(_, (_, dose))| *dose == Dose::Held);
        let unknown = held.map(|(id, _)| *id).filter(|id| self.bookings.attempts.get(id).is_none());
        for reservation in unknown.collect::<Vec<_>>() {
            self.decide(&Command::Resolve(ResolveAttempt { reservation, at: AT }));
        }
    }

    fn overtake(&mut self, key: u8) {
        let Some(ticket) = self.bookings.tickets.get(&id(key)).cloned() else { return };
        if self.ledger.hold(ticket.attempt.reservation, ticket.attempt.vaccine.0) == held() {
            self.decide(&create(ticket.attempt));
        }
    }

    /// One process serves the queue until it is empty; messages that were in flight arrive late.
    fn finish(&mut self) {
        let late = (std::mem::take(&mut self.requested), std::mem::take(&mut self.answered));
        for _ in 0..200 {
            if self.waiting().is_empty() {
                break;
            }
            self.step(&Step::Request { limit: 3 });
            self.step(&Step::Answer { which: 0 });
            self.step(&Step::Write { which: 0 });
        }
        assert_eq!(self.waiting(), [], "these tickets do not end");
        (self.requested, self.answered) = late;
        while !self.requested.is_empty() {
            self.step(&Step::Answer { which: 0 });
            self.step(&Step::Consume);
        }
        while !self.answered.is_empty() {
            self.step(&Step::Write { which: 0 });
        }
        self.resolve();
        while !self.events.is_empty() {
            self.step(&Step::Consume);
        }
    }

    /// Each ticket has ended (`decide` asserts: not twice), and each booking belongs to one ticket.
    fn each_has_ended_once(&self) {
        let tickets = self.tickets();
        assert!(tickets.iter().all(|ticket| ticket.end.is_some()), "{tickets:?}");
        let booked: Vec<_> = tickets.iter().filter_map(booked).collect();
        assert_eq!(booked.len(), booked.iter().collect::<BTreeSet<_>>().len(), "{booked:?}");
    }

    /// As many doses are taken as there are bookings.
    fn no_dose_is_lost(&self, doses: &[i64]) {
        let bookings = (1..=self.bookings.last_booking).map(BookingId);
        let standing = |vaccine| {
            let of_it = bookings.clone().filter(|id| {
                let booking = &self.bookings.bookings.get(id).unwrap().booking;
                booking.status == BookingStatus::Booked && booking.vaccine_id.0 == vaccine
            });
            i64::try_from(of_it.count()).unwrap()
        };
        for (vaccine, stock) in (1..).zip(doses) {
            let taken = stock - self.ledger.free[&vaccine];
            assert_eq!(taken, standing(vaccine), "doses of {vaccine} taken, and bookings");
        }
    }

    /// Of the tickets for one vaccine, the first ones are booked.
    fn first_arrivals_are_served(&self) {
        for vaccine in [1, 2] {
            let tickets =
                self.tickets().into_iter().filter(|ticket| ticket.attempt.vaccine.0 == vaccine);
            let served: Vec<_> = tickets.map(|ticket| booked(&ticket).is_some()).collect();
            let first = served.iter().take_while(|served| **served).count();
            assert!(!served[first..].contains(&true), "vaccine {vaccine}: {served:?}");
        }
    }
}

fn booked(ticket: &QueuedTicket) -> Option<BookingId> {
    match ticket.end? {
        TicketEnd::Booked(booking) => Some(booking),
        TicketEnd::SoldOut
        | TicketEnd::NoSuchVaccine
        | TicketEnd::KeyReused
        | TicketEnd::Aborted => None,
    }
}

/// Steps that release no dose: crashes, losses, several processes, and resolving.
fn orderly() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8, 1..4_u8).prop_map(|(key, vaccine)| Step::Enqueue { key, vaccine }),
        3 => (1..5_usize).prop_map(|limit| Step::Request { limit }),
        3 => (0..9_usize).prop_map(|which| Step::Answer { which }),
        2 => (0..9_usize).prop_map(|which| Step::Write { which }),
        1 => (0..9_usize).prop_map(|which| Step::Lose { which }),
        2 => Just(Step::Resolve),
        2 => Just(Step::Consume),
    ]
}

/// The same, and steps that release doses or have no ticket.
fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => orderly(),
        1 => (1..6_i64).prop_map(|booking| Step::Cancel { booking }),
        1 => (0..12_u8).prop_map(|key| Step::Overtake { key }),
        1 => (0..12_u8).prop_map(|key| Step::Release { key }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn first_arrivals_are_served_whatever_messages_are_lost(
        doses in vec(0..5_i64, 2),
        steps in vec(orderly(), 0..60),
    ) {
        let mut world = World::new(&doses);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        world.each_has_ended_once();
        world.first_arrivals_are_served();
        world.no_dose_is_lost(&doses);
    }

    #[test]
    fn each_ticket_ends_once_and_no_dose_is_lost(
        doses in vec(0..5_i64, 2),
        steps in vec(any_step(), 0..60),
    ) {
        let mut world = World::new(&doses);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        world.each_has_ended_once();
        world.no_dose_is_lost(&doses);
    }
}

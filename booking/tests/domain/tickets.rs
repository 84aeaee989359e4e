//! The decisions about tickets: rule by rule, and any interleaving of several processes that serve
//! the same line, of answers that get lost or come late, of settling and of crashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use booking::{
    domain::{
        Attempt, Book, Command, Done, Fingerprint, Outcome, Refusal, Register, decide,
        tickets::{End, Ended, Enqueue, Serve, TICKETS_WAITING_MAX, Ticket},
    },
    events,
};
use contracts::{
    booking::BookingStatus,
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use uuid::Uuid;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

/// Attempts of a key, as many as these tests need.
const ATTEMPTS: u32 = 4;

fn reservation(key: u8, attempt: u32) -> ReservationId {
    ReservationId(Uuid::from_u128(u128::from(key) << 8 | u128::from(attempt)))
}

fn id(key: u8) -> TicketId {
    TicketId(reservation(key, 0).0)
}

fn asked(what: u8) -> Fingerprint {
    Fingerprint([what; 16])
}

fn enqueue_at(key: u8, attempt: u32, what: u8) -> Command {
    Command::Enqueue(Enqueue {
        ticket: id(key),
        key: key.to_string(),
        asked: asked(what),
        vaccine: VaccineId(what.into()),
        user: UserId(5),
        attempt,
        reservation: reservation(key, attempt),
        at: AT,
    })
}

fn enqueue(key: u8) -> Command {
    enqueue_at(key, 0, 1)
}

fn serve_at(key: u8, attempt: u32, said: HoldOutcome) -> Command {
    Command::Serve(Serve {
        ticket: id(key),
        reservation: reservation(key, attempt),
        next: (attempt + 1 < ATTEMPTS).then(|| reservation(key, attempt + 1)),
        said,
        at: AT,
    })
}

fn serve(key: u8, said: HoldOutcome) -> Command {
    serve_at(key, 0, said)
}

fn held() -> HoldOutcome {
    HoldOutcome::Held { vc_name: "FIZER".to_owned() }
}

fn book(key: u8, what: u8) -> Command {
    Command::Book(Book {
        reservation: reservation(key, 0),
        vaccine: VaccineId(what.into()),
        vaccine_name: "FIZER".to_owned(),
        user: UserId(5),
        asked: Some(asked(what)),
        at: AT,
    })
}

fn settle(key: u8) -> Command {
    Command::Settle { reservation: reservation(key, 0), at: AT }
}

fn give_up(key: u8) -> Command {
    Command::GiveUp { reservation: reservation(key, 0), at: AT }
}

/// Decides one after the other, from the beginning; the last outcome, and what is kept.
fn after(commands: &[Command]) -> (Outcome, Register) {
    let mut register = Register::default();
    let outcomes: Vec<_> = commands.iter().map(|command| decide(&mut register, command)).collect();
    (outcomes.last().unwrap().clone(), register)
}

fn end_of(register: &Register, key: u8) -> Option<End> {
    register.tickets.get(&id(key)).and_then(|ticket| ticket.ended).map(|ended| ended.with)
}

/// What is told of the last outcome.
fn told(commands: &[Command]) -> Option<String> {
    let event = events::of(commands.last().unwrap(), &after(commands).0).unwrap();
    event.map(|event| event.r#type)
}

#[test]
fn tickets_are_numbered_in_the_order_of_arrival() {
    let (last, _) = after(&[enqueue(7), enqueue(3), enqueue(5)]);
    assert!(matches!(last, Ok(Done::Queued(Ticket { number: 3, ended: None, .. }))), "{last:?}");
}

#[test]
fn the_same_key_with_the_same_request_is_the_same_ticket() {
    let (last, register) = after(&[enqueue(1), enqueue(2), enqueue(1)]);
    assert!(matches!(last, Ok(Done::QueuedBefore(Ticket { number: 1, .. }))), "{last:?}");
    assert_eq!(register.last_ticket, 2);
}

#[test]
fn the_same_key_with_another_request_is_refused() {
    assert_eq!(after(&[enqueue(1), enqueue_at(1, 0, 2)]).0, Err(Refusal::KeyReused));
    assert_eq!(after(&[book(1, 1), enqueue_at(1, 0, 2)]).0, Err(Refusal::KeyReused));
}

#[test]
fn a_key_that_has_its_booking_needs_no_ticket() {
    let (last, register) = after(&[book(1, 1), enqueue(1)]);
    assert!(matches!(last, Ok(Done::BookedBefore(_))), "{last:?}");
    assert_eq!(register.last_ticket, 0);
}

#[test]
fn a_ticket_does_not_begin_with_an_attempt_that_is_over() {
    assert_eq!(after(&[settle(1), enqueue(1)]).0, Err(Refusal::Abandoned));
    assert!(after(&[settle(1), enqueue_at(1, 1, 1)]).0.is_ok());
}

#[test]
fn the_line_has_an_end() {
    let mut register = Register { last_ticket: TICKETS_WAITING_MAX, ..Register::default() };
    assert_eq!(decide(&mut register, &enqueue(1)), Err(Refusal::LineFull));
    register.last_ended = 1;
    assert!(decide(&mut register, &enqueue(1)).is_ok());
    assert_eq!(decide(&mut register, &enqueue(2)), Err(Refusal::LineFull));
    assert!(matches!(decide(&mut register, &enqueue(1)), Ok(Done::QueuedBefore(_))));
}

#[test]
fn a_ticket_turns_into_what_vaccine_says() {
    let ends = [
        (held(), Some(End::Booked(BookingId(1))), Some("Booked")),
        (HoldOutcome::SoldOut, Some(End::SoldOut), Some("ReservationAbandoned")),
        (HoldOutcome::NoSuchVaccine, Some(End::NoSuchVaccine), Some("ReservationAbandoned")),
        // What becomes of that attempt is another request's affair.
        (HoldOutcome::Conflict, Some(End::KeyReused), None),
        (HoldOutcome::Released, None, Some("ReservationAbandoned")),
        (HoldOutcome::Failed, None, None),
    ];
    for (said, end, event) in ends {
        let story = [enqueue(1), serve(1, said.clone())];
        assert_eq!(end_of(&after(&story).1, 1), end, "{said:?}");
        assert_eq!(told(&story).as_deref(), event, "{said:?}");
    }
}

#[test]
fn a_ticket_that_has_ended_stays_as_it_ended() {
    let after_all = [held(), HoldOutcome::SoldOut, HoldOutcome::Released, HoldOutcome::Conflict];
    for first in &after_all {
        for second in &after_all {
            let ended = [enqueue(1), serve(1, first.clone())];
            let (_, before) = after(&ended);
            if end_of(&before, 1).is_none() {
                continue;
            }
            let again = [&ended[..], &[serve(1, second.clone())]].concat();
            let (last, now) = after(&again);
            assert!(matches!(last, Ok(Done::Unmoved(_))), "{first:?}, {second:?}: {last:?}");
            assert_eq!((before, told(&again)), (now, None));
        }
    }
}

#[test]
fn a_dose_that_was_given_back_means_the_next_attempt_and_the_same_place() {
    let story = [enqueue(1), enqueue(2), serve(1, HoldOutcome::Released)];
    let (last, register) = after(&story);
    let Ok(Done::GoesOn { ticket, spent }) = last else { panic!("{last:?}") };
    assert_eq!((ticket.number, ticket.attempt, spent), (1, 1, reservation(1, 0)));
    assert_eq!(register.attempts.get(&spent), Some(&Attempt::Abandoned));

    let late = [&story[..], &[serve(1, held())]].concat();
    assert!(matches!(after(&late).0, Ok(Done::Unmoved(_))), "it is not at that attempt any more");
    let now = [&story[..], &[serve_at(1, 1, held())]].concat();
    assert_eq!(end_of(&after(&now).1, 1), Some(End::Booked(BookingId(1))));
}

#[test]
fn attempts_come_to_an_end() {
    let released = |attempt| serve_at(1, attempt, HoldOutcome::Released);
    let mut story = vec![enqueue(1)];
    story.extend((0..ATTEMPTS).map(released));
    assert_eq!(end_of(&after(&story).1, 1), Some(End::GivenUp));
    assert_eq!(told(&story).as_deref(), Some("ReservationAbandoned"));
}

#[test]
fn what_a_ticket_waits_with_is_not_settled() {
    for end in [settle(1), give_up(1)] {
        let (last, register) = after(&[enqueue(1), end.clone()]);
        assert_eq!(last, Err(Refusal::Waiting));
        assert_eq!(register.attempts.get(&reservation(1, 0)), None);
        let moved_on = [enqueue(1), serve(1, HoldOutcome::Released), end.clone()];
        assert!(matches!(after(&moved_on).0, Ok(Done::AbandonedBefore(_))));
        let in_its_second = Command::Settle { reservation: reservation(1, 1), at: AT };
        assert_eq!(after(&[&moved_on[..], &[in_its_second]].concat()).0, Err(Refusal::Waiting));
        let ended = [enqueue(1), serve(1, HoldOutcome::Conflict), end];
        assert!(matches!(after(&ended).0, Ok(Done::Abandoned(_))), "nobody waits with it any more");
    }
}

#[test]
fn a_request_that_did_not_wait_in_line_may_be_faster() {
    let (last, register) = after(&[enqueue(1), book(1, 1), serve(1, HoldOutcome::SoldOut)]);
    assert!(matches!(last, Ok(Done::BookedBefore(_))), "{last:?}");
    assert_eq!(end_of(&register, 1), Some(End::Booked(BookingId(1))));
    let (_, register) = after(&[enqueue(1), book(1, 2), serve(1, held())]);
    assert_eq!(end_of(&register, 1), Some(End::KeyReused));
    assert_eq!(told(&[enqueue(1), book(1, 2), serve(1, held())]), None);
}

#[test]
fn who_was_sold_out_is_not_booked_by_a_hold_that_comes_late() {
    for no_dose in [HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine, HoldOutcome::Released] {
        assert_eq!(after(&[enqueue(1), serve(1, no_dose), book(1, 1)]).0, Err(Refusal::Abandoned));
    }
}

#[test]
fn what_is_no_ticket_cannot_be_served() {
    assert_eq!(after(&[serve(1, held())]).0, Err(Refusal::NoSuchTicket));
}

/// A ledger of doses, as booking sees it from outside.
#[derive(Default)]
struct Ledger {
    free: BTreeMap<i64, i64>,
    known: BTreeMap<ReservationId, (i64, Dose)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dose {
    Held,
    Booked,
    Released,
}

impl Ledger {
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

    fn hear(&mut self, r#type: &str, id: ReservationId) {
        let booked = r#type == "Booked";
        match self.known.get_mut(&id) {
            Some((_, dose)) if booked => {
                assert_ne!(*dose, Dose::Released, "{id} is booked, but its dose was given back");
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

/// The head of the line, as a process asks for it.
type Head = Vec<Ticket>;

/// One line, several processes that serve it, and a ledger; messages between them are on their way
/// for as long as it pleases them.
struct World {
    register: Register,
    ledger: Ledger,
    keys: BTreeMap<TicketId, u8>,
    asked: Vec<Head>,
    answered: Vec<(Head, Vec<HoldOutcome>)>,
    events: VecDeque<(String, ReservationId)>,
}

/// What may happen next. The numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        key: u8,
        vaccine: u8,
    },
    Ask {
        most: usize,
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
    /// Booking asks for old holds, and settles those it knows nothing of.
    Settle,
    Hear,
    /// A dose becomes free: a booking is cancelled.
    Cancel {
        booking: i64,
    },
    /// A request with the key of a ticket, that does not wait in line, holds and books.
    Overtake {
        key: u8,
    },
    /// An operator takes a dose back that nobody has booked or is about to book.
    Release {
        key: u8,
    },
}

impl World {
    fn new(doses: &[i64]) -> Self {
        let free = (1..).zip(doses).map(|(vaccine, doses)| (vaccine, *doses)).collect();
        Self {
            register: Register::default(),
            ledger: Ledger { free, known: BTreeMap::new() },
            keys: BTreeMap::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            events: VecDeque::new(),
        }
    }

    fn decide(&mut self, command: &Command) -> Outcome {
        let outcome = decide(&mut self.register, command);
        if let Some(event) = events::of(command, &outcome).unwrap() {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            let id = data["reservationId"].as_str().unwrap().parse().unwrap();
            self.events.push_back((event.r#type, ReservationId(id)));
        }
        outcome
    }

    fn tickets(&self) -> Vec<Ticket> {
        let mut all: Vec<_> =
            self.keys.keys().filter_map(|id| self.register.tickets.get(id)).cloned().collect();
        all.sort_by_key(|ticket| ticket.number);
        all
    }

    fn waiting(&self) -> Head {
        self.tickets().into_iter().filter(|ticket| ticket.ended.is_none()).collect()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Enqueue { key, vaccine } => {
                self.keys.insert(id(*key), *key);
                drop(self.decide(&enqueue_at(*key, 0, *vaccine)));
            }
            Step::Ask { most } => {
                let head: Head = self.waiting().into_iter().take(*most).collect();
                if !head.is_empty() {
                    self.asked.push(head);
                }
            }
            Step::Answer { which } if !self.asked.is_empty() => {
                let head = self.asked.remove(which % self.asked.len());
                let hold = |t: &Ticket| self.ledger.hold(t.reservation, t.vaccine.0);
                let outcomes = head.iter().map(hold).collect();
                self.answered.push((head, outcomes));
            }
            Step::Lose { which } if !self.answered.is_empty() => {
                self.answered.remove(which % self.answered.len());
            }
            Step::Write { which } if !self.answered.is_empty() => {
                let (head, said) = self.answered.remove(which % self.answered.len());
                for (ticket, said) in head.iter().zip(said) {
                    let command = serve_at(self.keys[&ticket.id], ticket.attempt, said);
                    self.decide(&command).unwrap();
                }
            }
            Step::Answer { .. } | Step::Lose { .. } | Step::Write { .. } => {}
            Step::Settle => self.settle(),
            Step::Hear => {
                if let Some((r#type, id)) = self.events.pop_front() {
                    self.ledger.hear(&r#type, id);
                }
            }
            Step::Cancel { booking } => {
                drop(self.decide(&Command::Cancel { booking: BookingId(*booking), at: AT }));
            }
            Step::Overtake { key } => self.overtake(*key),
            Step::Release { key } => {
                let id = reservation(*key, 0);
                let mut on_their_way = self.answered.iter().flat_map(|(head, _)| head);
                let is_held = matches!(self.ledger.known.get(&id), Some((_, Dose::Held)))
                    && self.register.attempts.get(&id).is_none();
                if is_held && !on_their_way.any(|ticket| ticket.reservation == id) {
                    self.ledger.hear("Released by hand", id);
                }
            }
        }
    }

    fn settle(&mut self) {
        let held = self.ledger.known.iter().filter(|(_, (_, dose))| *dose == Dose::Held);
        let unknown = held.map(|(id, _)| *id).filter(|id| self.register.attempts.get(id).is_none());
        for reservation in unknown.collect::<Vec<_>>() {
            drop(self.decide(&Command::Settle { reservation, at: AT }));
        }
    }

    fn overtake(&mut self, key: u8) {
        let Some(ticket) = self.register.tickets.get(&id(key)).cloned() else { return };
        if self.ledger.hold(ticket.reservation, ticket.vaccine.0) == held() {
            drop(self.decide(&Command::Book(Book {
                reservation: ticket.reservation,
                vaccine: ticket.vaccine,
                vaccine_name: "FIZER".to_owned(),
                user: ticket.user,
                asked: Some(ticket.asked),
                at: AT,
            })));
        }
    }

    /// One process is left and serves the line; what was on its way comes after all, and late.
    fn finish(&mut self) {
        let late = (std::mem::take(&mut self.asked), std::mem::take(&mut self.answered));
        for _ in 0..200 {
            if self.waiting().is_empty() {
                break;
            }
            self.step(&Step::Ask { most: 3 });
            self.step(&Step::Answer { which: 0 });
            self.step(&Step::Write { which: 0 });
        }
        assert_eq!(self.waiting(), [], "these tickets never end");
        (self.asked, self.answered) = late;
        while !self.asked.is_empty() {
            self.step(&Step::Answer { which: 0 });
            self.step(&Step::Hear);
        }
        while !self.answered.is_empty() {
            self.step(&Step::Write { which: 0 });
        }
        self.settle();
        while !self.events.is_empty() {
            self.step(&Step::Hear);
        }
    }

    /// Each ticket ends once, and the ends are numbered without gaps.
    fn each_has_ended_once(&self) {
        let tickets = self.tickets();
        let places: BTreeSet<_> = tickets
            .iter()
            .map(|ticket| ticket.ended.unwrap())
            .map(|Ended { place, .. }| place)
            .collect();
        let count = i64::try_from(tickets.len()).unwrap();
        assert_eq!(places, (1..=count).collect());
        let booked: Vec<_> = tickets.iter().filter_map(booked).collect();
        assert_eq!(booked.len(), booked.iter().collect::<BTreeSet<_>>().len(), "{booked:?}");
    }

    /// What is taken of the ledger is what the bookings stand for.
    fn no_dose_is_lost(&self, doses: &[i64]) {
        let bookings = (1..=self.register.last_booking).map(BookingId);
        let standing = |vaccine| {
            let of_it = bookings.clone().filter(|id| {
                let booking = &self.register.bookings.get(id).unwrap().booking;
                booking.status == BookingStatus::Booked && booking.vaccine_id.0 == vaccine
            });
            i64::try_from(of_it.count()).unwrap()
        };
        for (vaccine, stock) in (1..).zip(doses) {
            let taken = stock - self.ledger.free[&vaccine];
            assert_eq!(taken, standing(vaccine), "doses of {vaccine} taken, and bookings");
        }
    }

    /// Of each vaccine's tickets, those that came first have the bookings.
    fn who_came_first_is_served(&self) {
        for vaccine in [1, 2] {
            let tickets = self.tickets().into_iter().filter(|ticket| ticket.vaccine.0 == vaccine);
            let served: Vec<_> = tickets.map(|ticket| booked(&ticket).is_some()).collect();
            let first = served.iter().take_while(|served| **served).count();
            assert!(!served[first..].contains(&true), "vaccine {vaccine}: {served:?}");
        }
    }
}

fn booked(ticket: &Ticket) -> Option<BookingId> {
    match ticket.ended?.with {
        End::Booked(booking) => Some(booking),
        End::SoldOut | End::NoSuchVaccine | End::KeyReused | End::GivenUp => None,
    }
}

/// Steps after which no dose comes back: crashes, losses, several processes, and settling.
fn orderly() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8, 1..4_u8).prop_map(|(key, vaccine)| Step::Enqueue { key, vaccine }),
        3 => (1..5_usize).prop_map(|most| Step::Ask { most }),
        3 => (0..9_usize).prop_map(|which| Step::Answer { which }),
        2 => (0..9_usize).prop_map(|which| Step::Write { which }),
        1 => (0..9_usize).prop_map(|which| Step::Lose { which }),
        2 => Just(Step::Settle),
        2 => Just(Step::Hear),
    ]
}

/// The same, with everything that gives doses back or does not wait in line.
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
    fn whoever_came_first_is_served_whatever_gets_lost(
        doses in vec(0..5_i64, 2),
        steps in vec(orderly(), 0..60),
    ) {
        let mut world = World::new(&doses);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        world.each_has_ended_once();
        world.who_came_first_is_served();
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

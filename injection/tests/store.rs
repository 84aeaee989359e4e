//! The store keeps what was decided, with the events in the same commit, and hears in any order.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use contracts::{
    event::Completed,
    ids::{BookingId, InjectionId, ReservationId, UserId, VaccineId},
    injection::{Injection, InjectionStatus},
};
use injection::{
    domain::{Booked, Command, Done, Outcome, Refusal},
    store::{Book, MIGRATIONS, Reads},
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use storage::{
    database::{Readers, open_in_memory},
    outbox::{self, Entry},
    store::{Input, Output, Stored},
    writer::Store,
};
use uuid::Uuid;

#[path = "store/heard.rs"]
mod heard;
#[path = "store/pages.rs"]
mod pages;
#[path = "../../storage/tests/place/place.rs"]
mod place;
#[path = "../../storage/tests/place/steps.rs"]
mod steps;

use place::{Place, on_both};

on_both!(
    a_completion_is_told_once_and_nothing_else_is,
    everything_is_still_there_after_reopening,
    all_appointments_of_a_booking_number_are_found,
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn booked(booking: u8) -> Booked {
    Booked {
        reservation: ReservationId(Uuid::from_u128(booking.into())),
        booking: BookingId(booking.into()),
        vaccine: VaccineId(1),
        user: UserId(i64::from(booking) + 100),
    }
}

fn expect(booking: u8) -> Command {
    Command::Expect(booked(booking))
}

fn call_off(booking: u8) -> Command {
    Command::CallOff(booked(booking))
}

fn complete(injection: i64) -> Command {
    Command::Complete { injection: InjectionId(injection), at: at(injection) }
}

fn injection(id: i64, booking: u8, status: InjectionStatus) -> Injection {
    let Booked { booking, vaccine, user, .. } = booked(booking);
    let injection_id = InjectionId(id);
    Injection { injection_id, booking_id: booking, vaccine_id: vaccine, user_id: user, status }
}

/// Appointments in a place of their own, and a look at it.
struct Shelf {
    store: Stored<Book>,
    readers: Readers,
    reads: Reads,
    place: Place,
}

impl Shelf {
    fn new(place: Place) -> Self {
        let (writable, readers) = place.open("injection", MIGRATIONS).unwrap();
        let (store, reads) = (Stored::new(writable, Book), Reads(readers.clone()));
        Self { store, readers, reads, place }
    }

    fn close(self) -> Place {
        let Self { store, readers, reads, place } = self;
        drop((store, readers, reads));
        place
    }

    fn reopen(self) -> Self {
        Self::new(self.close())
    }

    fn ask(&mut self, commands: &[Command]) -> Vec<Outcome> {
        ask(&mut self.store, commands)
    }

    fn all(&self) -> (Vec<Injection>, u64) {
        self.place.wait(self.reads.injections(0, 1_000)).unwrap()
    }

    fn outbox(&self) -> Vec<Entry> {
        self.place.wait(self.readers.read(|tx| outbox::after(tx, 0, 1_000))).unwrap()
    }
}

fn ask(store: &mut Stored<Book>, commands: &[Command]) -> Vec<Outcome> {
    let batch: Vec<_> = commands.iter().cloned().map(Input::Asked).collect();
    let answer = |output| match output {
        Output::Answer(outcome) => outcome,
        Output::Heard { .. } => panic!("nothing was said"),
    };
    store.apply(&batch).unwrap().into_iter().map(answer).collect()
}

/// What the outbox must hold after these outcomes: each completion, and nothing else.
fn completions(commands: &[Command], outcomes: &[Outcome]) -> Vec<(u64, i64, Completed)> {
    let told = commands.iter().zip(outcomes).filter_map(|(command, outcome)| {
        let (Command::Complete { at, .. }, Ok(Done::Completed(done))) = (command, outcome) else {
            return None;
        };
        let injection = Injection {
            injection_id: done.id,
            booking_id: done.booked.booking,
            vaccine_id: done.booked.vaccine,
            user_id: done.booked.user,
            status: InjectionStatus::InjectionCompleted,
        };
        let completed = Completed { reservation_id: done.booked.reservation, injection };
        Some((at.as_millisecond(), completed))
    });
    told.zip(1..).map(|((at_ms, completed), sequence)| (sequence, at_ms, completed)).collect()
}

fn as_told(entry: &Entry) -> (u64, i64, Completed) {
    assert_eq!(entry.r#type, "Completed");
    (entry.sequence, entry.at_ms, serde_json::from_str(&entry.data).unwrap())
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8).prop_map(expect),
        2 => (0..6_u8).prop_map(call_off),
        3 => (0..7_i64).prop_map(complete),
    ];
    vec(command, 0..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_is_the_same_as_one_by_one(commands in commands()) {
        let (mut batched, mut single) = (Shelf::new(Place::sqlite()), Shelf::new(Place::sqlite()));
        let outcomes = batched.ask(&commands);
        let one_by_one: Vec<_> =
            commands.iter().flat_map(|command| single.ask(std::slice::from_ref(command))).collect();
        prop_assert_eq!(&outcomes, &one_by_one);
        let mut in_memory = Stored::new(open_in_memory(MIGRATIONS).unwrap(), Book);
        prop_assert_eq!(&ask(&mut in_memory, &commands), &outcomes);
        prop_assert_eq!(batched.all(), single.all());
        let told: Vec<_> = batched.outbox().iter().map(as_told).collect();
        prop_assert_eq!(&told, &completions(&commands, &outcomes));
        prop_assert_eq!(batched.outbox(), single.outbox());
    }
}

fn a_completion_is_told_once_and_nothing_else_is(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    let story = [expect(1), complete(1), complete(1), expect(2), call_off(2), complete(2)];
    file.ask(&story);
    file.ask(&[complete(1), call_off(1)]);
    let told: Vec<_> = file.outbox().iter().map(as_told).collect();
    let injection = injection(1, 1, InjectionStatus::InjectionCompleted);
    let completed = Completed { reservation_id: booked(1).reservation, injection };
    assert_eq!(told, [(1, at(1).as_millisecond(), completed)]);
}

fn everything_is_still_there_after_reopening(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[expect(1), expect(2), complete(2), call_off(3)]);
    let before = (file.all(), file.outbox());

    let mut file = file.reopen();
    assert_eq!((file.all(), file.outbox()), before);
    let outcomes = file.ask(&[complete(2), complete(3), expect(4), complete(4)]);
    assert_eq!(outcomes[..2], [Err(Refusal::CompletedBefore), Err(Refusal::Cancelled)]);
    assert!(matches!(&outcomes[3], Ok(Done::Completed(done)) if done.booked == booked(4)));
    assert_eq!(file.outbox().len(), 2);
}

/// Two booking stores may both have a booking 7.
fn all_appointments_of_a_booking_number_are_found(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    let elsewhere = ReservationId(Uuid::from_u128(1 << 64));
    let other = Command::Expect(Booked { reservation: elsewhere, ..booked(7) });
    file.ask(&[expect(6), expect(7), other]);
    let found = file.place.wait(file.reads.of_booking(BookingId(7))).unwrap();
    let ready = InjectionStatus::InjectionReady;
    assert_eq!(found, [injection(2, 7, ready), injection(3, 7, ready)]);
    assert_eq!(file.place.wait(file.reads.of_booking(BookingId(8))), Ok(vec![]));
}

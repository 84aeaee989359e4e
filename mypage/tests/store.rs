//! The store keeps views as they were folded, and forgets them on demand.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use contracts::{
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::{Mypage, MypageStatus},
};
use jiff::Timestamp;
use mypage::{
    domain::{Command, View},
    store::{Book, MIGRATIONS, Reads, forget},
};
use proptest::{collection::vec, prelude::*};
use storage::{
    database::Readers,
    inbox, outbox,
    store::{Input, Meaning, Output, Stored},
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
    everything_is_still_there_after_reopening,
    nobody_is_told_what_was_heard,
    a_booking_is_found_as_it_stands,
    what_is_forgotten_is_heard_again_from_the_beginning,
);

const SOURCE: Uuid = Uuid::from_u128(1 << 100);

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap()
}

/// Every third booking is of user 0, and so on.
fn said(booking: u8, status: MypageStatus) -> Command {
    Command {
        reservation: ReservationId(Uuid::from_u128(booking.into())),
        view: View {
            booking: BookingId(booking.into()),
            vaccine: VaccineId(1),
            vaccine_name: format!("FIZER {booking}"),
            user: UserId(i64::from(booking) % 3),
            status,
            as_of: at(booking),
        },
    }
}

fn booked(booking: u8) -> Command {
    said(booking, MypageStatus::Booked)
}

fn shown(command: Command) -> Mypage {
    let View { booking, vaccine, vaccine_name, user, status, as_of } = command.view;
    Mypage {
        book_id: booking,
        vaccine_id: vaccine,
        vc_name: vaccine_name,
        user_id: user,
        status,
        as_of,
    }
}

/// Views in a place of their own, and a look at it.
struct Shelf {
    store: Stored<Book>,
    readers: Readers,
    reads: Reads,
    place: Place,
}

impl Shelf {
    fn new(place: Place) -> Self {
        let (writable, readers) = place.open("mypage", MIGRATIONS).unwrap();
        let (store, reads) = (Stored::new(writable, Book), Reads(readers.clone()));
        Self { store, readers, reads, place }
    }

    fn close(self) -> Place {
        let Self { store, readers, reads, place } = self;
        drop((store, readers, reads));
        place
    }

    fn ask(&mut self, commands: &[Command]) {
        let batch: Vec<_> = commands.iter().cloned().map(Input::Asked).collect();
        self.store.apply(&batch).unwrap();
    }

    /// Hears one event; answers how far the source is heard now.
    fn hear(&mut self, sequence: u64, command: Command) -> u64 {
        let meaning = Meaning::Command(command);
        let heard = Input::Heard { source: SOURCE, sequence, meaning };
        match self.store.apply(&[heard]).unwrap()[0] {
            Output::Heard { sequence, .. } => sequence,
            Output::Answer(()) => panic!("nobody asked"),
        }
    }

    fn all(&self) -> (Vec<Mypage>, u64) {
        self.place.wait(self.reads.all(0, 1_000)).unwrap()
    }
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    use MypageStatus::{Booked, BookingCancelled, InjectionCompleted};
    let status = proptest::sample::select(&[Booked, BookingCancelled, InjectionCompleted]);
    vec((0..6_u8, status, 0..9_u8), 0..16).prop_map(|all| {
        let command = |(booking, status, second)| {
            let mut command = said(booking, status);
            command.view.as_of = at(second);
            command
        };
        all.into_iter().map(command).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_is_the_same_as_one_by_one(commands in commands()) {
        let (mut batched, mut single) = (Shelf::new(Place::sqlite()), Shelf::new(Place::sqlite()));
        batched.ask(&commands);
        for command in &commands {
            single.ask(std::slice::from_ref(command));
        }
        prop_assert_eq!(batched.all(), single.all());
    }
}

fn everything_is_still_there_after_reopening(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    let cancelled = said(2, MypageStatus::BookingCancelled);
    let completed = said(3, MypageStatus::InjectionCompleted);
    file.ask(&[booked(1), booked(2), cancelled.clone(), completed.clone()]);
    let expected = vec![shown(booked(1)), shown(cancelled), shown(completed)];
    assert_eq!(file.all(), (expected.clone(), 3));
    let mut file = Shelf::new(file.close());
    assert_eq!(file.all(), (expected.clone(), 3));
    file.ask(&[booked(3)]);
    assert_eq!(file.all(), (expected, 3));
}

fn nobody_is_told_what_was_heard(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[booked(1), said(1, MypageStatus::InjectionCompleted)]);
    assert_eq!(file.place.wait(file.readers.read(outbox::last)), Ok(0));
}

fn a_booking_is_found_as_it_stands(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[booked(1), booked(2)]);
    assert_eq!(file.place.wait(file.reads.of_booking(BookingId(2))), Ok(Some(shown(booked(2)))));
    assert_eq!(file.place.wait(file.reads.of_booking(BookingId(3))), Ok(None));
}

fn what_is_forgotten_is_heard_again_from_the_beginning(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    assert_eq!((file.hear(1, booked(1)), file.hear(2, booked(2))), (1, 2));
    let before = file.all();

    let place = file.close();
    let (mut writable, _) = place.open("mypage", MIGRATIONS).unwrap();
    forget(&mut writable).unwrap();
    drop(writable);

    let mut file = Shelf::new(place);
    assert_eq!(file.all(), (vec![], 0));
    assert_eq!(file.place.wait(file.readers.read(|tx| inbox::heard(tx, SOURCE))), Ok(0));
    assert_eq!(file.hear(2, booked(2)), 0);
    assert_eq!((file.hear(1, booked(1)), file.hear(2, booked(2))), (1, 2));
    assert_eq!(file.all(), before);
}

//! The decisions about bookings: rule by rule, and any sequence of commands against a naive model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "domain/live.rs"]
mod live;
#[path = "domain/moves.rs"]
mod moves;
#[path = "domain/queue.rs"]
mod queue;
#[path = "domain/series.rs"]
mod series;
#[path = "domain/tickets.rs"]
mod tickets;

use std::{
    collections::{BTreeMap, BTreeSet},
    slice::from_ref,
};

use booking::domain::{
    Abort, AbortReply, Abortable, AttemptId, BookingAttempt, Bookings, CampaignDose, CancelBooking,
    CancelReply, Choice, Command, CompleteBooking, CompleteReply, CreateBooking, CreateReply,
    Fingerprint, HeldDose, HeldSlot, MOVES_MAX, MoveBooking, MoveReply, Record, Reply, ResolveHold,
    ResolveReply, decide,
};
use contracts::{
    booking::{BookedSlot, Booking, BookingStatus},
    ids::{BookingId, CampaignId, ReservationId, SiteId, SlotId, UserId, VaccineId},
};
use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};
use uuid::Uuid;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn attempt_id(number: u8) -> AttemptId {
    AttemptId(Uuid::from_u128(number.into()))
}

/// No reservation has the id of an attempt.
fn reservation(number: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(0x100 + u128::from(number)))
}

/// From the fourth on with a place of a slot, which has the number of the dose. Of its campaign a person can have one
/// booking.
fn held_dose(number: u8) -> HeldDose {
    let slot = (number >= 4).then(|| held_slot(number, 1));
    HeldDose {
        reservation: reservation(number),
        vaccine_name: "FIZER".to_owned(),
        slot,
        next: None,
    }
}

fn held_slot(number: u8, campaign: i64) -> HeldSlot {
    let campaign = CampaignId(campaign);
    HeldSlot { booked: slot(number), campaign, bookings_per_person: 1 }
}

fn slot(number: u8) -> BookedSlot {
    BookedSlot { slot_id: SlotId(number.into()), site_id: SiteId(1), starts_at: AT }
}

fn fingerprint(number: u8) -> Fingerprint {
    Fingerprint([number; 16])
}

/// An attempt that cannot be repeated.
fn once() -> BookingAttempt {
    BookingAttempt { id: None, choice: VaccineId(1).into(), user: UserId(5), fingerprint: None }
}

fn attempt(number: u8) -> BookingAttempt {
    BookingAttempt { id: Some(attempt_id(number)), ..once() }
}

fn with_key(number: u8, request: u8) -> BookingAttempt {
    BookingAttempt { fingerprint: Some(fingerprint(request)), ..attempt(number) }
}

fn create(attempt: BookingAttempt, dose: u8) -> Command {
    Command::Create(CreateBooking { attempt, dose: held_dose(dose), at: AT })
}

fn cancel(booking: i64) -> Command {
    Command::Cancel(CancelBooking { booking: BookingId(booking), at: AT })
}

fn moves(booking: i64, from: u8, dose: u8) -> Command {
    let (booking, from) = (BookingId(booking), reservation(from));
    Command::Move(MoveBooking { booking, from, dose: held_dose(dose), at: AT })
}

fn resolve(dose: u8) -> Command {
    Command::Resolve(ResolveHold { reservation: reservation(dose), at: AT })
}

fn abort(what: Abortable) -> Command {
    Command::Abort(Abort { what, at: AT })
}

fn the_attempt(number: u8) -> Abortable {
    Abortable::Attempt(attempt_id(number))
}

fn the_dose(number: u8) -> Abortable {
    Abortable::Dose(reservation(number))
}

fn complete(dose: u8) -> Command {
    Command::Complete(CompleteBooking { reservation: reservation(dose), at: AT })
}

fn booked(id: i64, attempt: BookingAttempt, dose: u8) -> Record {
    let HeldDose { reservation, vaccine_name, slot, next: _ } = held_dose(dose);
    Record {
        attempt: attempt.id,
        reservation,
        previous: Vec::new(),
        booking: Booking {
            booking_id: BookingId(id),
            vaccine_id: attempt.choice.vaccine,
            vc_name: vaccine_name,
            slot: slot.map(|slot| slot.booked),
            series: None,
            user_id: attempt.user,
            status: BookingStatus::Booked,
        },
        campaign_dose: slot.map(|slot| counts_as(slot.campaign)),
        interval: None,
        fingerprint: attempt.fingerprint,
        booked_at: AT,
        cancelled_at: None,
    }
}

/// The only booking of a dose that a person can have.
fn counts_as(campaign: CampaignId) -> CampaignDose {
    CampaignDose { campaign, dose: 1, nth: 0 }
}

fn cancelled(mut record: Record) -> Record {
    record.booking.status = BookingStatus::BookingCancelled;
    Record { cancelled_at: Some(AT), ..record }
}

fn completed(mut record: Record) -> Record {
    record.booking.status = BookingStatus::InjectionCompleted;
    record
}

/// Decides one after the other, from an empty store.
fn decide_all(commands: &[Command]) -> Vec<Reply> {
    let mut bookings = Bookings::default();
    commands.iter().map(|command| decide(&mut bookings, command)).collect()
}

/// The last reply, which is one to a create.
fn created(commands: &[Command]) -> CreateReply {
    let last = decide_all(commands).pop().unwrap();
    let Reply::Create(reply) = last else { panic!("it creates last: {last:?}") };
    reply
}

#[test]
fn the_same_attempt_books_once_whatever_dose_it_gets() {
    for attempt in [attempt(1), with_key(1, 7)] {
        for second_dose in [1, 2] {
            assert_eq!(
                decide_all(&[create(attempt, 1), create(attempt, second_dose), resolve(2)])[..2],
                [
                    Reply::Create(CreateReply::Booked(booked(1, attempt, 1))),
                    Reply::Create(CreateReply::BookedBefore(booked(1, attempt, 1)))
                ]
            );
        }
    }
}

#[test]
fn a_dose_that_its_attempt_did_not_need_is_free_for_another() {
    assert_eq!(
        created(&[create(attempt(1), 1), create(attempt(1), 2), create(attempt(2), 2)]),
        CreateReply::Booked(booked(2, attempt(2), 2))
    );
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    for other in [with_key(1, 8), attempt(1)] {
        for dose in [1, 2] {
            let reply = created(&[create(with_key(1, 7), 1), create(other, dose)]);
            assert_eq!(reply, CreateReply::KeyReused);
        }
    }
}

#[test]
fn a_dose_that_is_booked_is_taken_for_every_other_attempt() {
    let others = [
        attempt(2),
        with_key(2, 7),
        once(),
        BookingAttempt { user: UserId(6), ..once() },
        BookingAttempt { choice: VaccineId(2).into(), ..once() },
    ];
    for other in others {
        let reply = created(&[create(attempt(1), 1), create(other, 1)]);
        assert_eq!(reply, CreateReply::DoseTaken, "{other:?}");
    }
    for other in [attempt(1), others[3], others[4]] {
        let reply = created(&[create(once(), 1), create(other, 1)]);
        assert_eq!(reply, CreateReply::DoseTaken, "{other:?}");
    }
}

#[test]
fn an_attempt_without_an_id_is_recognised_by_its_dose() {
    assert_eq!(
        created(&[create(once(), 1), create(once(), 1)]),
        CreateReply::BookedBefore(booked(1, once(), 1))
    );
    assert_eq!(
        created(&[create(once(), 1), create(once(), 2)]),
        CreateReply::Booked(booked(2, once(), 2))
    );
}

#[test]
fn a_dose_that_was_taken_leaves_its_attempt_to_another_dose() {
    let refused = [create(attempt(1), 1), create(attempt(2), 1), create(attempt(2), 2)];
    assert_eq!(created(&refused), CreateReply::Booked(booked(2, attempt(2), 2)));
    let released = [resolve(1), create(attempt(2), 1), create(attempt(2), 2)];
    assert_eq!(created(&released), CreateReply::Booked(booked(1, attempt(2), 2)));
}

#[test]
fn a_booking_is_cancelled_once() {
    let record = cancelled(booked(1, attempt(1), 1));
    assert_eq!(
        decide_all(&[create(attempt(1), 1), cancel(1), cancel(1)])[1..],
        [
            Reply::Cancel(CancelReply::Cancelled(record.clone())),
            Reply::Cancel(CancelReply::CancelledBefore(record))
        ]
    );
}

#[test]
fn a_booking_that_does_not_exist_cannot_be_cancelled() {
    let refused = Reply::Cancel(CancelReply::NoSuchBooking);
    assert_eq!(decide_all(&[cancel(1)])[0], refused);
    assert_eq!(decide_all(&[create(once(), 1), cancel(0)])[1], refused);
    assert_eq!(decide_all(&[create(once(), 1), cancel(2)])[1], refused);
}

#[test]
fn a_cancelled_booking_is_still_how_its_attempt_and_its_dose_ended() {
    let record = cancelled(booked(1, attempt(1), 1));
    let then = |command| decide_all(&[create(attempt(1), 1), cancel(1), command]).pop().unwrap();
    let before = Reply::Create(CreateReply::BookedBefore(record.clone()));
    assert_eq!(then(create(attempt(1), 1)), before);
    assert_eq!(then(create(attempt(1), 2)), before);
    assert_eq!(then(create(attempt(2), 1)), Reply::Create(CreateReply::DoseTaken));
    assert_eq!(then(resolve(1)), Reply::Resolve(ResolveReply::Booked(Box::new(record))));
}

#[test]
fn a_dose_is_not_booked_after_it_was_resolved() {
    let aborted = Reply::Resolve(ResolveReply::Aborted(reservation(1)));
    for attempt in [once(), attempt(1), with_key(1, 7)] {
        assert_eq!(
            decide_all(&[resolve(1), create(attempt, 1), resolve(1)]),
            [aborted.clone(), Reply::Create(CreateReply::DoseTaken), aborted.clone()]
        );
    }
}

#[test]
fn a_dose_that_is_resolved_after_it_was_booked_stays_booked() {
    let replies = decide_all(&[create(attempt(1), 1), resolve(1), resolve(1)]);
    let stays = Reply::Resolve(ResolveReply::Booked(Box::new(booked(1, attempt(1), 1))));
    assert_eq!(replies[1..], [stays.clone(), stays]);
}

#[test]
fn an_aborted_attempt_leaves_no_booking_whatever_dose_it_gets() {
    let aborted = Reply::Abort(AbortReply::Aborted(the_attempt(1)));
    for attempt in [attempt(1), with_key(1, 7)] {
        assert_eq!(
            decide_all(&[
                abort(the_attempt(1)),
                create(attempt, 1),
                create(attempt, 2),
                abort(the_attempt(1)),
            ]),
            [
                aborted.clone(),
                Reply::Create(CreateReply::Aborted),
                Reply::Create(CreateReply::Aborted),
                aborted.clone()
            ]
        );
    }
    assert_eq!(
        created(&[abort(the_attempt(1)), create(attempt(1), 1), create(attempt(2), 1)]),
        CreateReply::Booked(booked(1, attempt(2), 1)),
        "the dose is free for another attempt"
    );
}

#[test]
fn an_aborted_dose_leaves_no_booking_whatever_attempt_gets_it() {
    let aborted = Reply::Abort(AbortReply::Aborted(the_dose(1)));
    for attempt in [once(), attempt(1), with_key(1, 7)] {
        assert_eq!(
            decide_all(&[abort(the_dose(1)), create(attempt, 1), abort(the_dose(1))]),
            [aborted.clone(), Reply::Create(CreateReply::DoseTaken), aborted.clone()]
        );
    }
}

#[test]
fn the_booking_of_what_is_aborted_is_cancelled_once() {
    let record = cancelled(booked(1, attempt(1), 1));
    for (first, second) in [
        (the_attempt(1), the_attempt(1)),
        (the_attempt(1), the_dose(1)),
        (the_dose(1), the_attempt(1)),
        (the_dose(1), the_dose(1)),
    ] {
        assert_eq!(
            decide_all(&[create(attempt(1), 1), abort(first), abort(second)])[1..],
            [
                Reply::Abort(AbortReply::Cancelled(record.clone())),
                Reply::Abort(AbortReply::CancelledBefore(record.clone()))
            ]
        );
    }
}

#[test]
fn a_booking_is_completed_however_often_the_event_arrives() {
    let record = completed(booked(1, attempt(1), 1));
    assert_eq!(
        decide_all(&[
            create(attempt(1), 1),
            complete(1),
            complete(1),
            resolve(1),
            create(attempt(1), 2),
        ])[1..],
        [
            Reply::Complete(CompleteReply::Completed(record.clone())),
            Reply::Complete(CompleteReply::Completed(record.clone())),
            Reply::Resolve(ResolveReply::Booked(Box::new(record.clone()))),
            Reply::Create(CreateReply::BookedBefore(record))
        ]
    );
}

#[test]
fn a_completed_booking_is_neither_cancelled_nor_aborted() {
    let commands = [
        create(attempt(1), 1),
        complete(1),
        cancel(1),
        abort(the_dose(1)),
        abort(the_attempt(1)),
        resolve(1),
    ];
    assert_eq!(
        decide_all(&commands)[2..],
        [
            Reply::Cancel(CancelReply::Completed),
            Reply::Abort(AbortReply::Completed),
            Reply::Abort(AbortReply::Completed),
            Reply::Resolve(ResolveReply::Booked(Box::new(completed(booked(1, attempt(1), 1)))))
        ]
    );
}

#[test]
fn a_cancelled_booking_whose_dose_was_used_is_completed() {
    let used = completed(cancelled(booked(1, attempt(1), 1)));
    assert_eq!(
        decide_all(&[create(attempt(1), 1), cancel(1), complete(1), cancel(1)])[2..],
        [Reply::Complete(CompleteReply::Completed(used)), Reply::Cancel(CancelReply::Completed)]
    );
}

#[test]
fn a_booking_that_does_not_exist_cannot_be_completed() {
    assert_eq!(
        decide_all(&[complete(1), resolve(1), complete(1), create(once(), 1)]),
        [
            Reply::Complete(CompleteReply::NoSuchBooking),
            Reply::Resolve(ResolveReply::Aborted(reservation(1))),
            Reply::Complete(CompleteReply::NoSuchBooking),
            Reply::Create(CreateReply::DoseTaken)
        ]
    );
    assert_eq!(
        created(&[complete(1), create(once(), 1)]),
        CreateReply::Booked(booked(1, once(), 1)),
        "a booking of another store leaves nothing"
    );
}

/// The same rules in their simplest form.
#[derive(Default)]
struct Model {
    bookings: Vec<Record>,
    aborted: BTreeSet<Abortable>,
    /// The booking of each person in each campaign.
    live: BTreeMap<(UserId, CampaignId), BookingId>,
}

impl Model {
    fn decide(&mut self, command: &Command) -> Reply {
        match command {
            Command::Create(create) => Reply::Create(self.create(create)),
            Command::Cancel(cancel) => Reply::Cancel(self.cancel(cancel.booking)),
            Command::Move(moved) => Reply::Move(self.move_booking(moved)),
            Command::Resolve(resolve) => Reply::Resolve(self.resolve(resolve.reservation)),
            Command::Abort(abort) => Reply::Abort(self.abort(abort.what)),
            Command::Complete(complete) => Reply::Complete(self.complete(complete.reservation)),
            Command::Enqueue(_) | Command::Serve(_) => panic!("tickets have a model of their own"),
        }
    }

    fn create(&mut self, create: &CreateBooking) -> CreateReply {
        let BookingAttempt { id, choice, user, fingerprint } = create.attempt;
        let dose = Abortable::Dose(create.dose.reservation);
        if let Some(attempt) = id.map(Abortable::Attempt) {
            match self.of(attempt) {
                Some(known) if known.fingerprint == fingerprint => {
                    return CreateReply::BookedBefore(known.clone());
                }
                Some(_) => return CreateReply::KeyReused,
                None if self.aborted.contains(&attempt) => return CreateReply::Aborted,
                None => {}
            }
        }
        if self.can_never_be_booked(dose) {
            return CreateReply::DoseTaken;
        }
        if let Some(known) = self.of(dose) {
            let is_known =
                (known.attempt, known.booking.user_id, known.choice()) == (None, user, choice);
            return if id.is_none() && is_known {
                CreateReply::BookedBefore(known.clone())
            } else {
                CreateReply::DoseTaken
            };
        }
        let id = i64::try_from(self.bookings.len() + 1).unwrap();
        let reservation = create.dose.reservation;
        let mut new = Record { reservation, ..booked(id, create.attempt, 0) };
        if let Some(HeldSlot { booked, campaign, .. }) = create.dose.slot {
            if self.live.contains_key(&(user, campaign)) {
                return CreateReply::AlreadyBooked;
            }
            self.live.insert((user, campaign), new.booking.booking_id);
            (new.booking.slot, new.campaign_dose) = (Some(booked), Some(counts_as(campaign)));
        }
        self.bookings.push(new.clone());
        CreateReply::Booked(new)
    }

    fn cancel(&mut self, id: BookingId) -> CancelReply {
        let known = self.bookings.iter_mut().find(|known| known.booking.booking_id == id);
        let Some(known) = known else { return CancelReply::NoSuchBooking };
        match known.booking.status {
            BookingStatus::InjectionCompleted => CancelReply::Completed,
            BookingStatus::BookingCancelled => CancelReply::CancelledBefore(known.clone()),
            BookingStatus::Booked => {
                *known = cancelled(known.clone());
                self.live.retain(|_, live| *live != id);
                CancelReply::Cancelled(known.clone())
            }
        }
    }

    fn move_booking(&mut self, moved: &MoveBooking) -> MoveReply {
        let is_named = |known: &&Record| known.booking.booking_id == moved.booking;
        let Some(known) = self.bookings.iter().find(is_named) else {
            return MoveReply::NoSuchBooking;
        };
        let dose = moved.dose.reservation;
        match known.booking.status {
            BookingStatus::BookingCancelled => return MoveReply::Cancelled,
            BookingStatus::InjectionCompleted => return MoveReply::Completed,
            BookingStatus::Booked => {}
        }
        if known.reservation == dose {
            return MoveReply::MovedBefore(known.clone());
        } else if known.reservation != moved.from {
            return MoveReply::Changed;
        } else if known.previous.len() == MOVES_MAX {
            return MoveReply::TooOften;
        }
        let is_booked = self.of(Abortable::Dose(dose)).is_some();
        if is_booked || self.can_never_be_booked(Abortable::Dose(dose)) {
            return MoveReply::DoseTaken;
        }
        let user = known.booking.user_id;
        if let Some(HeldSlot { campaign, .. }) = moved.dose.slot
            && *self.live.entry((user, campaign)).or_insert(moved.booking) != moved.booking
        {
            return MoveReply::AlreadyBooked;
        }
        let known = self.bookings.iter_mut().find(|known| known.reservation == moved.from).unwrap();
        replace_dose(known, dose);
        let campaign = moved.dose.slot.map(|slot| slot.campaign);
        known.campaign_dose = campaign.map(counts_as).or(known.campaign_dose);
        MoveReply::Moved(known.clone())
    }

    fn can_never_be_booked(&self, what: Abortable) -> bool {
        let is_former = |known: &Record| {
            known.previous.iter().any(|dose| Abortable::Dose(*dose) == what) && !is_of(known, what)
        };
        self.aborted.contains(&what) || self.bookings.iter().any(is_former)
    }

    fn resolve(&mut self, reservation: ReservationId) -> ResolveReply {
        let dose = Abortable::Dose(reservation);
        if let Some(known) = self.of(dose) {
            return ResolveReply::Booked(Box::new(known.clone()));
        }
        self.aborted.insert(dose);
        ResolveReply::Aborted(reservation)
    }

    fn abort(&mut self, what: Abortable) -> AbortReply {
        let Some(id) = self.of(what).map(|known| known.booking.booking_id) else {
            self.aborted.insert(what);
            return AbortReply::Aborted(what);
        };
        match self.cancel(id) {
            CancelReply::Cancelled(record) => AbortReply::Cancelled(record),
            CancelReply::CancelledBefore(record) => AbortReply::CancelledBefore(record),
            CancelReply::Completed => AbortReply::Completed,
            CancelReply::NoSuchBooking | CancelReply::CancelledBoth(_) => panic!("it was found"),
        }
    }

    fn complete(&mut self, reservation: ReservationId) -> CompleteReply {
        let had = |known: &&mut Record| {
            known.reservation == reservation || known.previous.contains(&reservation)
        };
        let Some(known) = self.bookings.iter_mut().find(had) else {
            return CompleteReply::NoSuchBooking;
        };
        let released = known.reservation;
        let is_undone =
            known.booking.status != BookingStatus::InjectionCompleted && released != reservation;
        if is_undone {
            replace_dose(known, reservation);
        }
        *known = completed(known.clone());
        let record = known.clone();
        if let Some(CampaignDose { campaign, .. }) = record.campaign_dose {
            let key = (record.booking.user_id, campaign);
            self.live.entry(key).or_insert(record.booking.booking_id);
        }
        if is_undone {
            CompleteReply::MoveUndone { record, released }
        } else {
            CompleteReply::Completed(record)
        }
    }

    fn of(&self, what: Abortable) -> Option<&Record> {
        self.bookings.iter().find(|known| is_of(known, what))
    }
}

/// The slot of a dose has its number.
fn replace_dose(record: &mut Record, dose: ReservationId) {
    record.previous.push(record.reservation);
    record.reservation = dose;
    let dose = (0..6).map(held_dose).find(|it| it.reservation == dose).unwrap();
    record.booking.slot = dose.slot.map(|slot| slot.booked);
}

fn is_of(record: &Record, what: Abortable) -> bool {
    match what {
        Abortable::Attempt(attempt) => record.attempt == Some(attempt),
        Abortable::Dose(reservation) => record.reservation == reservation,
    }
}

fn attempts() -> impl Strategy<Value = BookingAttempt> {
    let id = option::of((0..4_u8, option::of(0..2_u8)));
    let slot = select(vec![None, Some(SlotId(1)), Some(SlotId(2))]);
    let choice = (select(vec![1, 2]), slot).prop_map(|(id, slot)| Choice {
        vaccine: VaccineId(id),
        slot,
        next: None,
    });
    (id, select(vec![5, 6]), choice).prop_map(|(id, user, choice)| BookingAttempt {
        id: id.map(|(number, _)| attempt_id(number)),
        choice,
        user: UserId(user),
        fingerprint: id.and_then(|(_, request)| request.map(fingerprint)),
    })
}

fn abortable() -> impl Strategy<Value = Abortable> {
    prop_oneof![(0..4_u8).prop_map(the_attempt), (0..6_u8).prop_map(the_dose)]
}

/// Few attempts, doses and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        5 => (attempts(), 0..6_u8).prop_map(|(attempt, dose)| create(attempt, dose)),
        2 => (0..8_i64).prop_map(cancel),
        2 => (0..4_i64, 0..6_u8, 0..6_u8).prop_map(|(booking, from, to)| moves(booking, from, to)),
        1 => (0..6_u8).prop_map(resolve),
        2 => abortable().prop_map(abort),
        1 => (0..6_u8).prop_map(complete),
    ];
    vec(command, 0..40)
}

/// Whether nothing has changed.
fn is_refusal(reply: &Reply) -> bool {
    match reply {
        Reply::Create(reply) => match reply {
            CreateReply::Booked(_) | CreateReply::BookedBoth(_) => false,
            CreateReply::BookedBefore(_)
            | CreateReply::Aborted
            | CreateReply::DoseTaken
            | CreateReply::KeyReused
            | CreateReply::AlreadyBooked => true,
        },
        Reply::Cancel(reply) => match reply {
            CancelReply::Cancelled(_) | CancelReply::CancelledBoth(_) => false,
            CancelReply::CancelledBefore(_)
            | CancelReply::NoSuchBooking
            | CancelReply::Completed => true,
        },
        Reply::Move(reply) => match reply {
            MoveReply::Moved(_) | MoveReply::MovedBoth(_) => false,
            MoveReply::MovedBefore(_)
            | MoveReply::DoseTaken
            | MoveReply::Changed
            | MoveReply::TooOften
            | MoveReply::AlreadyBooked
            | MoveReply::OutsideInterval
            | MoveReply::NoSuchBooking
            | MoveReply::Cancelled
            | MoveReply::Completed => true,
        },
        Reply::Abort(reply) => match reply {
            AbortReply::Aborted(_) | AbortReply::Cancelled(_) | AbortReply::CancelledBoth(_) => {
                false
            }
            AbortReply::CancelledBefore(_) | AbortReply::Completed => true,
        },
        Reply::Complete(reply) => matches!(reply, CompleteReply::NoSuchBooking),
        Reply::Resolve(_) | Reply::Enqueue(_) | Reply::Serve(_) => false,
    }
}

/// Every booking.
fn records(bookings: &Bookings) -> Vec<&Record> {
    let ids = (1..=bookings.last_booking).map(BookingId);
    ids.map(|id| bookings.bookings.get(&id).unwrap()).collect()
}

proptest! {
    #[test]
    fn any_commands_are_decided_as_the_model_decides_them(commands in commands()) {
        let mut model = Model::default();
        let expected: Vec<_> = commands.iter().map(|command| model.decide(command)).collect();
        prop_assert_eq!(decide_all(&commands), expected);
    }

    #[test]
    fn no_attempt_and_no_dose_has_two_bookings(commands in commands()) {
        let mut bookings = Bookings::default();
        for command in &commands {
            decide(&mut bookings, command);
        }
        let (mut attempts, mut doses) = (BTreeSet::new(), BTreeSet::new());
        for record in records(&bookings) {
            prop_assert!(record.attempt.is_none_or(|attempt| attempts.insert(attempt)));
            let all: BTreeSet<_> = record.previous.iter().chain([&record.reservation]).collect();
            for dose in all {
                prop_assert!(doses.insert(*dose), "{dose}");
            }
        }
    }

    #[test]
    fn no_person_has_two_live_bookings_of_a_campaign(commands in commands()) {
        let mut bookings = Bookings::default();
        for command in &commands {
            decide(&mut bookings, command);
            let mut live = BTreeSet::new();
            for record in records(&bookings) {
                let person = record.campaign_dose.map(|it| (record.booking.user_id, it));
                if record.booking.status == BookingStatus::Booked {
                    prop_assert!(person.is_none_or(|person| live.insert(person)), "{record:?}");
                }
            }
        }
    }

    #[test]
    fn what_was_aborted_never_becomes_a_booking(commands in commands()) {
        let (mut bookings, mut aborted) = (Bookings::default(), BTreeSet::new());
        let mut ended = BTreeSet::new();
        for command in &commands {
            match decide(&mut bookings, command) {
                Reply::Resolve(ResolveReply::Aborted(reservation)) => {
                    aborted.insert(Abortable::Dose(reservation));
                }
                Reply::Abort(AbortReply::Aborted(what)) => {
                    aborted.insert(what);
                }
                Reply::Abort(
                    AbortReply::Cancelled(record) | AbortReply::CancelledBefore(record)
                ) => {
                    ended.insert(record.booking.booking_id);
                }
                _ => {}
            }
            for record in records(&bookings) {
                let id = record.booking.booking_id;
                let is_aborted = aborted.iter().any(|what| is_of(record, *what));
                // The citizen was vaccinated with the dose that the booking had before it was moved.
                let is_undone = record.previous.contains(&record.reservation);
                prop_assert!(!is_aborted || is_undone, "{record:?}");
                let stands = record.booking.status == BookingStatus::Booked;
                prop_assert!(!(stands && ended.contains(&id)), "{record:?}");
            }
        }
    }

    #[test]
    fn bookings_are_numbered_without_gaps(commands in commands()) {
        let new = decide_all(&commands).into_iter().filter_map(|reply| match reply {
            Reply::Create(CreateReply::Booked(record)) => Some(record.booking.booking_id.0),
            _ => None,
        });
        for (id, expected) in new.zip(1..) {
            prop_assert_eq!(id, expected);
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in commands()) {
        let mut bookings = Bookings::default();
        for command in &commands {
            let before = bookings.clone();
            if is_refusal(&decide(&mut bookings, command)) {
                prop_assert_eq!(&before, &bookings);
            }
        }
    }
}

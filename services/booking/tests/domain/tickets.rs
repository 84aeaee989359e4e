//! The decisions about tickets, rule by rule.

use booking::{
    domain::{
        AbortReply, AttemptId, BookingAttempt, Bookings, Command, CreateReply, NotGranted, Reply,
        decide,
        tickets::{
            Answer, EnqueueReply, EnqueueTicket, QUEUE_LENGTH_MAX, QueuedTicket, ServeReply,
            ServeTicket, TicketEnd, WAITING_PER_USER_MAX,
        },
    },
    events,
};
use contracts::ids::{BookingId, TicketId, UserId, VaccineId};

use super::{
    AT, abort, attempt, attempt_id, booked, cancel, create, decide_all, fingerprint, held_dose,
    resolve, the_attempt, the_dose, with_key,
};

/// The ticket of a key.
pub(super) fn id(key: u8) -> TicketId {
    TicketId(attempt_id(key).0)
}

/// The attempt of a key with one of several requests, each for a vaccine of its own.
pub(super) fn attempt_for(key: u8, request: u8) -> BookingAttempt {
    BookingAttempt { choice: VaccineId(request.into()).into(), ..with_key(key, request) }
}

pub(super) fn enqueue_for(key: u8, request: u8) -> Command {
    let BookingAttempt { choice, user, .. } = attempt_for(key, request);
    let fingerprint = fingerprint(request);
    Command::Enqueue(EnqueueTicket { ticket: id(key), choice, user, fingerprint, at: AT })
}

fn enqueue(key: u8) -> Command {
    enqueue_for(key, 1)
}

pub(super) fn serve_ticket(ticket: TicketId, answer: Answer) -> Command {
    Command::Serve(ServeTicket { ticket, answer, at: AT })
}

fn serve(key: u8, answer: Answer) -> Command {
    serve_ticket(id(key), answer)
}

fn held(dose: u8) -> Answer {
    Answer::Held(held_dose(dose))
}

fn create_for(key: u8, request: u8, dose: u8) -> Command {
    create(attempt_for(key, request), dose)
}

/// Decides one after the other, from an empty store.
fn after(commands: &[Command]) -> Bookings {
    let mut bookings = Bookings::default();
    for command in commands {
        decide(&mut bookings, command);
    }
    bookings
}

fn last(commands: &[Command]) -> Reply {
    decide_all(commands).pop().unwrap()
}

fn enqueued(commands: &[Command]) -> EnqueueReply {
    let Reply::Enqueue(reply) = last(commands) else { panic!("it enqueues last") };
    reply
}

fn served(commands: &[Command]) -> ServeReply {
    let Reply::Serve(reply) = last(commands) else { panic!("it serves last") };
    reply
}

fn end_of(bookings: &Bookings, key: u8) -> Option<TicketEnd> {
    bookings.tickets.get(&id(key)).and_then(|ticket| ticket.end)
}

/// The event of the last reply.
fn published(commands: &[Command]) -> Option<String> {
    let event = events::events(commands.last().unwrap(), &last(commands)).unwrap().next();
    event.map(|event| event.r#type)
}

#[test]
fn tickets_are_numbered_in_the_order_of_arrival() {
    let last = enqueued(&[enqueue(7), enqueue(3), enqueue(5)]);
    assert!(
        matches!(last, EnqueueReply::Queued(QueuedTicket { number: 3, end: None, .. })),
        "{last:?}"
    );
}

#[test]
fn the_same_key_with_the_same_request_is_the_same_ticket() {
    let commands = [enqueue(1), enqueue(2), enqueue(1)];
    let last = enqueued(&commands);
    assert!(matches!(last, EnqueueReply::QueuedBefore(QueuedTicket { number: 1, .. })), "{last:?}");
    assert_eq!(after(&commands).last_ticket, 2);
}

#[test]
fn the_same_key_with_another_request_is_refused() {
    assert_eq!(enqueued(&[enqueue(1), enqueue_for(1, 2)]), EnqueueReply::KeyReused);
    assert_eq!(enqueued(&[create_for(1, 1, 1), enqueue_for(1, 2)]), EnqueueReply::KeyReused);
    let ended = [enqueue(1), serve(1, Answer::NotGranted(NotGranted::SoldOut)), enqueue_for(1, 2)];
    assert_eq!(enqueued(&ended), EnqueueReply::KeyReused);
}

#[test]
fn a_key_that_has_its_booking_gets_no_ticket() {
    let commands = [create_for(1, 1, 1), enqueue(1)];
    assert_eq!(enqueued(&commands), EnqueueReply::BookedBefore(booked(1, attempt_for(1, 1), 1)));
    assert_eq!(after(&commands).last_ticket, 0);
}

#[test]
fn a_key_whose_attempt_was_aborted_gets_no_ticket() {
    let commands = [abort(the_attempt(1)), enqueue(1)];
    assert_eq!(enqueued(&commands), EnqueueReply::Aborted);
    assert_eq!(after(&commands).last_ticket, 0);
    let of_another = [abort(the_attempt(2)), resolve(1), enqueue(1)];
    assert!(matches!(enqueued(&of_another), EnqueueReply::Queued(_)));
}

#[test]
fn a_full_queue_refuses_tickets_until_its_first_one_has_ended() {
    let mut bookings = Bookings { last_ticket: QUEUE_LENGTH_MAX, ..Bookings::default() };
    let full = Reply::Enqueue(EnqueueReply::QueueFull);
    let enqueue = |bookings: &mut Bookings, key| decide(bookings, &enqueue(key));
    assert_eq!(enqueue(&mut bookings, 1), full);
    bookings.ended_up_to = 1;
    assert!(matches!(enqueue(&mut bookings, 1), Reply::Enqueue(EnqueueReply::Queued(_))));
    assert_eq!(enqueue(&mut bookings, 2), full);
    assert!(matches!(enqueue(&mut bookings, 1), Reply::Enqueue(EnqueueReply::QueuedBefore(_))));
}

fn of_user(command: Command, user: i64) -> Command {
    let Command::Enqueue(enqueue) = command else { panic!("it enqueues") };
    Command::Enqueue(EnqueueTicket { user: UserId(user), ..enqueue })
}

#[test]
fn a_citizen_has_eight_waiting_tickets_at_most() {
    let max = u8::try_from(WAITING_PER_USER_MAX).unwrap();
    let full: Vec<_> = (1..=max).map(enqueue).collect();
    let then = |commands: &[Command]| enqueued(&[&full[..], commands].concat());
    assert_eq!(then(&[enqueue(max + 1)]), EnqueueReply::TooManyOfUser);
    assert!(matches!(then(&[enqueue(1)]), EnqueueReply::QueuedBefore(_)), "the same ticket");
    assert!(matches!(then(&[of_user(enqueue(max + 1), 6)]), EnqueueReply::Queued(_)), "another");
    for answer in [held(1), Answer::NotGranted(NotGranted::SoldOut)] {
        let ended = [serve(3, answer), enqueue(max + 1)];
        assert!(matches!(then(&ended), EnqueueReply::Queued(_)), "one has ended");
    }
    let waits = [resolve(1), serve(3, held(1)), enqueue(max + 1)];
    assert_eq!(then(&waits), EnqueueReply::TooManyOfUser, "its dose was taken: it waits");
}

#[test]
fn positions_are_free_again_when_the_tickets_before_them_have_ended() {
    let queue = [enqueue(1), enqueue(2), enqueue(3)];
    let ended_up_to = |keys: &[u8]| {
        let served = keys.iter().map(|key| serve(*key, Answer::NotGranted(NotGranted::SoldOut)));
        after(&queue.iter().cloned().chain(served).collect::<Vec<_>>()).ended_up_to
    };
    assert_eq!([ended_up_to(&[1]), ended_up_to(&[1, 2]), ended_up_to(&[2])], [1, 2, 0]);
}

#[test]
fn a_ticket_ends_as_vaccine_answers() {
    let not_granted = |reason| {
        // Other services know nothing of it.
        (Answer::NotGranted(reason), TicketEnd::NotGranted(reason), None)
    };
    let ends = [
        (held(1), TicketEnd::Booked(BookingId(1)), Some("Booked")),
        not_granted(NotGranted::SoldOut),
        not_granted(NotGranted::NoSuchVaccine),
        not_granted(NotGranted::SlotFull),
    ];
    for (answer, end, event) in ends {
        let commands = [enqueue(1), serve(1, answer.clone())];
        assert_eq!(end_of(&after(&commands), 1), Some(end), "{answer:?}");
        assert_eq!(published(&commands).as_deref(), event, "{answer:?}");
    }
}

#[test]
fn a_ticket_becomes_the_booking_of_the_attempt_of_its_key() {
    let booking = booked(1, attempt_for(1, 2), 1);
    let commands = [enqueue_for(1, 2), serve(1, held(1))];
    assert_eq!(served(&commands), ServeReply::Booked(booking.clone()));
    let then = |command| last(&[&commands[..], &[command]].concat());
    let before = Reply::Create(CreateReply::BookedBefore(booking));
    assert_eq!(then(create_for(1, 2, 2)), before, "the same request without a ticket");
    assert_eq!(then(create_for(1, 1, 2)), Reply::Create(CreateReply::KeyReused));
    assert_eq!(then(create(attempt(2), 1)), Reply::Create(CreateReply::DoseTaken));
}

#[test]
fn a_ticket_that_has_ended_does_not_change() {
    let answers = [
        held(1),
        held(2),
        Answer::NotGranted(NotGranted::SoldOut),
        Answer::NotGranted(NotGranted::NoSuchVaccine),
    ];
    for first in &answers {
        for second in &answers {
            let ended = [enqueue(1), serve(1, first.clone())];
            let again = [&ended[..], &[serve(1, second.clone())]].concat();
            let last = served(&again);
            assert!(matches!(last, ServeReply::Unchanged(_)), "{first:?}, {second:?}: {last:?}");
            assert_eq!((after(&ended), None), (after(&again), published(&again)));
        }
    }
}

#[test]
fn a_dose_for_a_ticket_that_has_ended_is_free_for_another() {
    let ends = [
        vec![serve(1, held(1))],
        vec![serve(1, Answer::NotGranted(NotGranted::SoldOut))],
        vec![create_for(1, 1, 1), serve(1, held(2))],
        vec![abort(the_attempt(1)), serve(1, held(2))],
    ];
    for end in ends {
        let queue = [enqueue(1), enqueue(2)];
        let commands = [&queue[..], &end, &[serve(1, held(2)), serve(2, held(2))]].concat();
        let last = served(&commands);
        let ServeReply::Booked(record) = last else { panic!("{end:?}: {last:?}") };
        assert_eq!(record.attempt, Some(attempt_id(2)), "{end:?}");
    }
}

#[test]
fn a_key_whose_ticket_has_ended_without_a_booking_is_not_booked_any_more() {
    for answer in
        [Answer::NotGranted(NotGranted::SoldOut), Answer::NotGranted(NotGranted::NoSuchVaccine)]
    {
        let ended = [enqueue(1), serve(1, answer)];
        let then = |command| last(&[&ended[..], &[command]].concat());
        assert_eq!(then(create_for(1, 1, 1)), Reply::Create(CreateReply::Aborted));
        assert_eq!(then(create_for(1, 2, 1)), Reply::Create(CreateReply::KeyReused));
        let aborted = Reply::Abort(AbortReply::Aborted(the_attempt(1)));
        assert_eq!(then(abort(the_attempt(1))), aborted);
        let other = then(create_for(2, 1, 1));
        assert!(matches!(other, Reply::Create(CreateReply::Booked(_))), "another key: {other:?}");
    }
}

#[test]
fn a_request_without_a_ticket_may_be_faster() {
    let booking = booked(1, attempt_for(1, 1), 1);
    for answer in [
        Answer::NotGranted(NotGranted::SoldOut),
        Answer::NotGranted(NotGranted::NoSuchVaccine),
        held(2),
    ] {
        let commands = [enqueue(1), create_for(1, 1, 1), serve(1, answer)];
        assert_eq!(served(&commands), ServeReply::BookedBefore(booking.clone()));
        assert_eq!(end_of(&after(&commands), 1), Some(TicketEnd::Booked(BookingId(1))));
        assert_eq!(published(&commands), None);
    }
}

#[test]
fn the_booking_of_a_faster_request_is_that_of_the_ticket_also_if_it_was_cancelled() {
    let commands = [enqueue(1), create_for(1, 1, 1), cancel(1), serve(1, held(2))];
    assert!(matches!(served(&commands), ServeReply::BookedBefore(_)));
    assert_eq!(end_of(&after(&commands), 1), Some(TicketEnd::Booked(BookingId(1))));
}

#[test]
fn another_request_with_the_key_of_a_ticket_is_refused() {
    let commands = [enqueue(1), create_for(1, 2, 1)];
    assert_eq!(last(&commands), Reply::Create(CreateReply::KeyReused));
    let served = served(&[&commands[..], &[serve(1, held(1))]].concat());
    assert!(matches!(served, ServeReply::Booked(_)), "{served:?}");
}

#[test]
fn a_ticket_of_an_attempt_that_was_aborted_ends_without_a_booking() {
    for answer in [Answer::NotGranted(NotGranted::SoldOut), held(2)] {
        let commands = [enqueue(1), abort(the_attempt(1)), serve(1, answer)];
        assert!(matches!(served(&commands), ServeReply::Ended(_)));
        assert_eq!(end_of(&after(&commands), 1), Some(TicketEnd::KeyReused));
        assert_eq!(published(&commands), None);
    }
}

#[test]
fn a_ticket_whose_dose_was_taken_waits_for_another() {
    for taken in [resolve(1), abort(the_dose(1)), create_for(2, 1, 1), create(attempt(2), 1)] {
        let before = [enqueue(1), taken.clone()];
        let commands = [&before[..], &[serve(1, held(1))]].concat();
        assert_eq!(served(&commands), ServeReply::DoseTaken, "{taken:?}");
        assert_eq!((after(&commands), published(&commands)), (after(&before), None), "{taken:?}");
        let then = [&commands[..], &[serve(1, held(2))]].concat();
        let ServeReply::Booked(record) = served(&then) else { panic!("{taken:?}") };
        let AttemptId(attempt) = record.attempt.unwrap();
        assert_eq!((TicketId(attempt), record.reservation), (id(1), held_dose(2).reservation));
    }
}

#[test]
fn two_tickets_do_not_get_the_same_dose() {
    let commands = [enqueue(1), enqueue(2), serve(1, held(1)), serve(2, held(1))];
    assert_eq!(served(&commands), ServeReply::DoseTaken);
    assert_eq!(end_of(&after(&commands), 2), None);
}

#[test]
fn a_ticket_that_does_not_exist_cannot_be_served() {
    for answer in [held(1), Answer::NotGranted(NotGranted::SoldOut)] {
        let commands = [serve(1, answer)];
        assert_eq!(served(&commands), ServeReply::NoSuchTicket);
        assert_eq!(after(&commands), Bookings::default());
    }
}

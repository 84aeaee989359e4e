//! The decisions about tickets, rule by rule.

use booking::{
    domain::{
        AbortReply, AttemptEnd, BookingAttempt, Bookings, Command, CreateBooking, Fingerprint,
        Reply, ResolveAttempt, ResolveReply, decide,
        tickets::{
            EnqueueReply, EnqueueTicket, QUEUE_LENGTH_MAX, QueuedTicket, ServeReply, ServeTicket,
            TicketEnd, WAITING_PER_USER_MAX,
        },
    },
    events,
};
use contracts::{
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use uuid::Uuid;

use super::{AT, abort};

/// Attempts of a key, as many as these tests need.
pub(super) const ATTEMPTS: u32 = 4;

pub(super) fn reservation(key: u8, attempt: u32) -> ReservationId {
    ReservationId(Uuid::from_u128(u128::from(key) | u128::from(attempt) << 8))
}

pub(super) fn id(key: u8) -> TicketId {
    TicketId(reservation(key, 0).0)
}

fn attempt(key: u8, attempt: u32, request: u8) -> BookingAttempt {
    BookingAttempt {
        reservation: reservation(key, attempt),
        vaccine: VaccineId(request.into()),
        user: UserId(5),
        fingerprint: Some(Fingerprint([request; 16])),
    }
}

pub(super) fn enqueue_at(key: u8, attempt_number: u32, request: u8) -> Command {
    Command::Enqueue(EnqueueTicket {
        ticket: id(key),
        key: key.to_string(),
        attempt: attempt(key, attempt_number, request),
        attempt_number,
        at: AT,
    })
}

fn enqueue(key: u8) -> Command {
    enqueue_at(key, 0, 1)
}

pub(super) fn serve_at(key: u8, attempt: u32, outcome: HoldOutcome) -> Command {
    Command::Serve(ServeTicket {
        ticket: id(key),
        reservation: reservation(key, attempt),
        next: (attempt + 1 < ATTEMPTS).then(|| reservation(key, attempt + 1)),
        outcome,
        at: AT,
    })
}

fn serve(key: u8, outcome: HoldOutcome) -> Command {
    serve_at(key, 0, outcome)
}

pub(super) fn held() -> HoldOutcome {
    HoldOutcome::Held { vc_name: "FIZER".to_owned() }
}

pub(super) fn create(attempt: BookingAttempt) -> Command {
    Command::Create(CreateBooking { attempt, vaccine_name: "FIZER".to_owned(), at: AT })
}

fn create_for(key: u8, request: u8) -> Command {
    create(attempt(key, 0, request))
}

fn resolve_at(key: u8, attempt: u32) -> Command {
    Command::Resolve(ResolveAttempt { reservation: reservation(key, attempt), at: AT })
}

fn resolve(key: u8) -> Command {
    resolve_at(key, 0)
}

/// Decides one after the other, from an empty store; the last reply, and what is stored.
fn after(commands: &[Command]) -> (Reply, Bookings) {
    let mut bookings = Bookings::default();
    let replies: Vec<_> = commands.iter().map(|command| decide(&mut bookings, command)).collect();
    (replies.last().unwrap().clone(), bookings)
}

fn enqueued(commands: &[Command]) -> EnqueueReply {
    let (Reply::Enqueue(reply), _) = after(commands) else { panic!("enqueues last") };
    reply
}

fn served(commands: &[Command]) -> ServeReply {
    let (Reply::Serve(reply), _) = after(commands) else { panic!("serves last") };
    reply
}

fn end_of(bookings: &Bookings, key: u8) -> Option<TicketEnd> {
    bookings.tickets.get(&id(key)).and_then(|ticket| ticket.end)
}

/// The event of the last reply.
fn published(commands: &[Command]) -> Option<String> {
    let event = events::event(commands.last().unwrap(), &after(commands).0).unwrap();
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
    assert_eq!(after(&commands).1.last_ticket, 2);
}

#[test]
fn the_same_key_with_another_request_is_refused() {
    assert_eq!(enqueued(&[enqueue(1), enqueue_at(1, 0, 2)]), EnqueueReply::KeyReused);
    assert_eq!(enqueued(&[create_for(1, 1), enqueue_at(1, 0, 2)]), EnqueueReply::KeyReused);
}

#[test]
fn a_key_that_has_its_booking_gets_no_ticket() {
    let commands = [create_for(1, 1), enqueue(1)];
    let last = enqueued(&commands);
    assert!(matches!(last, EnqueueReply::BookedBefore(_)), "{last:?}");
    assert_eq!(after(&commands).1.last_ticket, 0);
}

#[test]
fn a_ticket_does_not_begin_with_an_attempt_that_has_ended() {
    assert_eq!(enqueued(&[resolve(1), enqueue(1)]), EnqueueReply::Aborted);
    assert!(matches!(enqueued(&[resolve(1), enqueue_at(1, 1, 1)]), EnqueueReply::Queued(_)));
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
    let attempt = BookingAttempt { user: UserId(user), ..enqueue.attempt };
    Command::Enqueue(EnqueueTicket { attempt, ..enqueue })
}

#[test]
fn a_citizen_has_eight_waiting_tickets_at_most() {
    let max = u8::try_from(WAITING_PER_USER_MAX).unwrap();
    let full: Vec<_> = (1..=max).map(enqueue).collect();
    let then = |commands: &[Command]| enqueued(&[&full[..], commands].concat());
    assert_eq!(then(&[enqueue(max + 1)]), EnqueueReply::TooManyOfUser);
    assert!(matches!(then(&[enqueue(1)]), EnqueueReply::QueuedBefore(_)), "the same ticket");
    assert!(matches!(then(&[of_user(enqueue(max + 1), 6)]), EnqueueReply::Queued(_)), "another");
    let ended = [serve(3, HoldOutcome::SoldOut), enqueue(max + 1)];
    assert!(matches!(then(&ended), EnqueueReply::Queued(_)), "one has ended");
    let goes_on = [serve(3, HoldOutcome::Released), enqueue(max + 1)];
    assert_eq!(then(&goes_on), EnqueueReply::TooManyOfUser, "one waits with its next attempt");
}

#[test]
fn positions_are_free_again_when_the_tickets_before_them_have_ended() {
    let queue = [enqueue(1), enqueue(2), enqueue(3)];
    let ended_up_to = |keys: &[u8]| {
        let served = keys.iter().map(|key| serve(*key, HoldOutcome::SoldOut));
        after(&queue.iter().cloned().chain(served).collect::<Vec<_>>()).1.ended_up_to
    };
    assert_eq!([ended_up_to(&[1]), ended_up_to(&[1, 2]), ended_up_to(&[2])], [1, 2, 0]);
}

#[test]
fn a_ticket_ends_as_vaccine_answers() {
    let ends = [
        (held(), Some(TicketEnd::Booked(BookingId(1))), Some("Booked")),
        (HoldOutcome::SoldOut, Some(TicketEnd::SoldOut), Some("ReservationAborted")),
        (HoldOutcome::NoSuchVaccine, Some(TicketEnd::NoSuchVaccine), Some("ReservationAborted")),
        // The other request with this key ends the attempt.
        (HoldOutcome::Conflict, Some(TicketEnd::KeyReused), None),
        (HoldOutcome::Released, None, Some("ReservationAborted")),
        (HoldOutcome::Failed, None, None),
    ];
    for (outcome, end, event) in ends {
        let commands = [enqueue(1), serve(1, outcome.clone())];
        assert_eq!(end_of(&after(&commands).1, 1), end, "{outcome:?}");
        assert_eq!(published(&commands).as_deref(), event, "{outcome:?}");
    }
}

#[test]
fn a_ticket_that_has_ended_does_not_change() {
    let outcomes = [held(), HoldOutcome::SoldOut, HoldOutcome::Released, HoldOutcome::Conflict];
    for first in &outcomes {
        for second in &outcomes {
            let ended = [enqueue(1), serve(1, first.clone())];
            let (_, before) = after(&ended);
            if end_of(&before, 1).is_none() {
                continue;
            }
            let again = [&ended[..], &[serve(1, second.clone())]].concat();
            let last = served(&again);
            assert!(matches!(last, ServeReply::Unchanged(_)), "{first:?}, {second:?}: {last:?}");
            assert_eq!((before, published(&again)), (after(&again).1, None));
        }
    }
}

#[test]
fn a_released_dose_means_the_next_attempt_at_the_same_position() {
    let commands = [enqueue(1), enqueue(2), serve(1, HoldOutcome::Released)];
    let ServeReply::NextAttempt { ticket, aborted } = served(&commands) else { panic!("goes on") };
    assert_eq!((ticket.number, ticket.attempt_number, aborted), (1, 1, reservation(1, 0)));
    assert_eq!(after(&commands).1.attempts.get(&aborted), Some(&AttemptEnd::Aborted(AT)));

    let late = [&commands[..], &[serve(1, held())]].concat();
    assert!(matches!(served(&late), ServeReply::Unchanged(_)), "it has another attempt now");
    let now = [&commands[..], &[serve_at(1, 1, held())]].concat();
    assert_eq!(end_of(&after(&now).1, 1), Some(TicketEnd::Booked(BookingId(1))));
}

#[test]
fn a_ticket_is_aborted_after_its_last_attempt() {
    let mut commands = vec![enqueue(1)];
    commands.extend((0..ATTEMPTS).map(|attempt| serve_at(1, attempt, HoldOutcome::Released)));
    assert_eq!(end_of(&after(&commands).1, 1), Some(TicketEnd::Aborted));
    assert_eq!(published(&commands).as_deref(), Some("ReservationAborted"));
}

#[test]
fn the_attempt_of_a_waiting_ticket_is_neither_resolved_nor_aborted() {
    let is_waiting = |reply: &Reply| {
        matches!(reply, Reply::Resolve(ResolveReply::Waiting) | Reply::Abort(AbortReply::Waiting))
    };
    let is_aborted = |reply: &Reply| {
        matches!(
            reply,
            Reply::Resolve(ResolveReply::Aborted(_)) | Reply::Abort(AbortReply::Aborted(_))
        )
    };
    for end in [resolve(1), abort(1)] {
        let (last, bookings) = after(&[enqueue(1), end.clone()]);
        assert!(is_waiting(&last), "{last:?}");
        assert_eq!(bookings.attempts.get(&reservation(1, 0)), None);
        let moved_on = [enqueue(1), serve(1, HoldOutcome::Released), end.clone()];
        assert!(is_aborted(&after(&moved_on).0));
        assert!(is_waiting(&after(&[&moved_on[..], &[resolve_at(1, 1)]].concat()).0));
        let ended = [enqueue(1), serve(1, HoldOutcome::Conflict), end];
        assert!(is_aborted(&after(&ended).0), "no ticket waits with it any more");
    }
}

#[test]
fn a_request_without_a_ticket_may_be_faster() {
    let commands = [enqueue(1), create_for(1, 1), serve(1, HoldOutcome::SoldOut)];
    assert!(matches!(served(&commands), ServeReply::BookedBefore(_)));
    assert_eq!(end_of(&after(&commands).1, 1), Some(TicketEnd::Booked(BookingId(1))));
    let other_request = [enqueue(1), create_for(1, 2), serve(1, held())];
    assert_eq!(end_of(&after(&other_request).1, 1), Some(TicketEnd::KeyReused));
    assert_eq!(published(&other_request), None);
}

#[test]
fn a_late_hold_does_not_book_for_a_ticket_that_got_no_dose() {
    for outcome in [HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine, HoldOutcome::Released] {
        let (last, _) = after(&[enqueue(1), serve(1, outcome), create_for(1, 1)]);
        assert_eq!(last, Reply::Create(booking::domain::CreateReply::Aborted));
    }
}

#[test]
fn a_ticket_that_does_not_exist_cannot_be_served() {
    assert_eq!(served(&[serve(1, held())]), ServeReply::NoSuchTicket);
}

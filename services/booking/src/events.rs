//! Replies as events, events of injections as commands, and the reply that belongs to each command.

use contracts::{
    booking::BookingStatus,
    event::{BookingChanged, DomainEvent, InjectionCompleted, ReservationAborted},
    ids::ReservationId,
};
use platform_events::{EventHandler, ReceivedEvent, outbox_event};
use platform_store::{Event, command_of};

use crate::domain::{
    Abort, AbortReply, Abortable, Bookings, CancelBooking, CancelReply, Command, CompleteBooking,
    CompleteReply, CreateBooking, CreateReply, MoveBooking, MoveReply, Record, Reply, ResolveHold,
    ResolveReply,
    tickets::{EnqueueReply, EnqueueTicket, ServeReply, ServeTicket},
};

/// The events that other services learn a reply by: of a series two, one for each dose.
///
/// A resolved hold is published each time that it is resolved: `vaccine` may have missed the event before.
pub fn events(
    command: &Command,
    reply: &Reply,
) -> serde_json::Result<impl Iterator<Item = Event> + use<>> {
    let at = command.at();
    let (first, second) = domain_events(reply);
    let first = first.map(|event| outbox_event(&event, at)).transpose()?;
    let second = second.map(|event| outbox_event(&event, at)).transpose()?;
    Ok(first.into_iter().chain(second))
}

fn domain_events(reply: &Reply) -> (Option<DomainEvent>, Option<DomainEvent>) {
    let event = match reply {
        Reply::Create(CreateReply::BookedBoth(both))
        | Reply::Cancel(CancelReply::CancelledBoth(both))
        | Reply::Move(MoveReply::MovedBoth(both))
        | Reply::Abort(AbortReply::CancelledBoth(both))
        | Reply::Serve(ServeReply::BookedBoth(both)) => {
            let [first, second] = (**both).each_ref().map(booking_changed);
            return (Some(first), Some(second));
        }
        Reply::Create(CreateReply::Booked(record))
        | Reply::Cancel(CancelReply::Cancelled(record))
        | Reply::Move(MoveReply::Moved(record))
        | Reply::Abort(AbortReply::Cancelled(record))
        | Reply::Serve(ServeReply::Booked(record)) => booking_changed(record),
        Reply::Resolve(ResolveReply::Booked(record)) => booking_changed(record),
        Reply::Resolve(ResolveReply::Aborted(reservation))
        | Reply::Abort(AbortReply::Aborted(Abortable::Dose(reservation)))
        | Reply::Complete(CompleteReply::MoveUndone { released: reservation, record: _ }) => {
            aborted(*reservation)
        }
        Reply::Create(
            CreateReply::BookedBefore(_)
            | CreateReply::Aborted
            | CreateReply::DoseTaken
            | CreateReply::KeyReused
            | CreateReply::AlreadyBooked,
        )
        | Reply::Cancel(
            CancelReply::CancelledBefore(_) | CancelReply::NoSuchBooking | CancelReply::Completed,
        )
        | Reply::Move(
            MoveReply::MovedBefore(_)
            | MoveReply::DoseTaken
            | MoveReply::Changed
            | MoveReply::TooOften
            | MoveReply::AlreadyBooked
            | MoveReply::OutsideInterval
            | MoveReply::NoSuchBooking
            | MoveReply::Cancelled
            | MoveReply::Completed,
        )
        | Reply::Abort(
            AbortReply::Aborted(Abortable::Attempt(_))
            | AbortReply::CancelledBefore(_)
            | AbortReply::Completed,
        )
        | Reply::Serve(
            ServeReply::BookedBefore(_)
            | ServeReply::Ended(_)
            | ServeReply::Unchanged(_)
            | ServeReply::DoseTaken
            | ServeReply::NoSuchTicket,
        )
        // `injection` has published the one; the other changes nothing for other services.
        | Reply::Complete(CompleteReply::Completed(_) | CompleteReply::NoSuchBooking)
        | Reply::Enqueue(_) => return (None, None),
    };
    (Some(event), None)
}

/// What a consumer has to learn of a booking whose events were pruned: that it was made, moved or cancelled. That its dose
/// was used it learns from `injection`.
pub(crate) fn snapshot(record: &Record) -> serde_json::Result<Event> {
    let mut record = record.clone();
    record.booking.status = match record.cancelled_at {
        Some(_) => BookingStatus::BookingCancelled,
        None => BookingStatus::Booked,
    };
    outbox_event(&booking_changed(&record), record.cancelled_at.unwrap_or(record.booked_at))
}

fn booking_changed(record: &Record) -> DomainEvent {
    let changed = BookingChanged {
        reservation_id: record.reservation,
        previous_reservation_ids: record.previous.clone(),
        booking: record.booking.clone(),
    };
    match record.booking.status {
        BookingStatus::Booked | BookingStatus::InjectionCompleted if record.previous.is_empty() => {
            DomainEvent::Booked(changed)
        }
        BookingStatus::Booked | BookingStatus::InjectionCompleted => {
            DomainEvent::BookingMoved(changed)
        }
        BookingStatus::BookingCancelled => DomainEvent::BookingCancelled(changed),
    }
}

fn aborted(reservation_id: ReservationId) -> DomainEvent {
    DomainEvent::ReservationAborted(ReservationAborted { reservation_id })
}

impl EventHandler for Bookings {
    fn command(ReceivedEvent { event, at, source: _ }: ReceivedEvent) -> Option<Command> {
        match event {
            DomainEvent::Completed(InjectionCompleted { reservation_id, .. }) => {
                Some(Command::Complete(CompleteBooking { reservation: reservation_id, at }))
            }
            DomainEvent::Registered(_)
            | DomainEvent::SlotsPlanned(_)
            | DomainEvent::SiteChanged(_)
            | DomainEvent::CampaignChanged(_)
            | DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_)
            | DomainEvent::Booked(_)
            | DomainEvent::BookingMoved(_)
            | DomainEvent::BookingCancelled(_)
            | DomainEvent::ReservationAborted(_) => None,
        }
    }

    /// Nothing is logged: a booking that is not here is in another booking store.
    fn ineffective(_: &Reply) -> Option<String> {
        None
    }
}

command_of!(Bookings: CreateBooking => Command::Create, Reply::Create(reply) -> CreateReply);
command_of!(Bookings: CancelBooking => Command::Cancel, Reply::Cancel(reply) -> CancelReply);
command_of!(Bookings: MoveBooking => Command::Move, Reply::Move(reply) -> MoveReply);
command_of!(Bookings: ResolveHold => Command::Resolve, Reply::Resolve(reply) -> ResolveReply);
command_of!(Bookings: Abort => Command::Abort, Reply::Abort(reply) -> AbortReply);
command_of!(Bookings: EnqueueTicket => Command::Enqueue, Reply::Enqueue(reply) -> EnqueueReply);
command_of!(Bookings: ServeTicket => Command::Serve, Reply::Serve(reply) -> ServeReply);

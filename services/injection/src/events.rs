//! Replies as events, and events of bookings as commands.

use contracts::{
    event::{BookingChanged, DomainEvent, InjectionCompleted},
    injection::Injection,
};
use jiff::Timestamp;
use platform_events::{EventHandler, ReceivedEvent, outbox_event};
use platform_store::{Event, command_of};

use crate::domain::{
    Appointment, Appointments, BookedDose, CheckIn, Command, CompleteInjection, Completion,
    MarkNoShow, Refusal, Reply, ReturnToReady,
};

/// The event that other services learn a reply by.
pub(crate) fn event(command: &Command, reply: &Reply) -> serde_json::Result<Option<Event>> {
    let (Command::Complete(complete), Reply::Completed(Ok(Completion::New(appointment)))) =
        (command, reply)
    else {
        return Ok(None);
    };
    completed(appointment, complete.at).map(Some)
}

/// That this appointment was completed then.
pub(crate) fn completed(appointment: &Appointment, at: Timestamp) -> serde_json::Result<Event> {
    let booked = appointment.booked;
    let completed = InjectionCompleted {
        reservation_id: booked.dose,
        first_reservation_id: (booked.dose != booked.reservation).then_some(booked.reservation),
        injection: injection(appointment),
    };
    outbox_event(&DomainEvent::Completed(completed), at)
}

/// An appointment as others see it.
pub fn injection(appointment: &Appointment) -> Injection {
    let Appointment { id, booked, status, checked_in_at, completed_at: _, record } = appointment;
    Injection {
        injection_id: *id,
        booking_id: booked.booking,
        vaccine_id: booked.vaccine,
        slot: booked.slot,
        user_id: booked.user,
        status: *status,
        checked_in_at: *checked_in_at,
        record: record.clone(),
    }
}

impl EventHandler for Appointments {
    fn command(received: ReceivedEvent) -> Option<Command> {
        match received.event {
            DomainEvent::Booked(booking) | DomainEvent::BookingMoved(booking) => {
                Some(Command::Expect(booked_dose(&booking)))
            }
            DomainEvent::BookingCancelled(booking) => Some(Command::CallOff(booked_dose(&booking))),
            DomainEvent::Registered(_)
            | DomainEvent::SlotsPlanned(_)
            | DomainEvent::SiteChanged(_)
            | DomainEvent::CampaignChanged(_)
            | DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_)
            | DomainEvent::ReservationAborted(_)
            | DomainEvent::Completed(_) => None,
        }
    }

    /// A cancellation after the injection.
    fn ineffective(reply: &Reply) -> Option<String> {
        match reply {
            Reply::CalledOff(Err(refusal)) => Some(refusal.to_string()),
            Reply::Expected(_)
            | Reply::CalledOff(Ok(_))
            | Reply::CheckedIn(_)
            | Reply::MarkedNoShow(_)
            | Reply::ReturnedToReady(_)
            | Reply::Completed(_) => None,
        }
    }
}

fn booked_dose(changed: &BookingChanged) -> BookedDose {
    let BookingChanged { reservation_id, previous_reservation_ids, booking } = changed;
    BookedDose {
        reservation: changed.first_reservation_id(),
        dose: *reservation_id,
        moves: i64::try_from(previous_reservation_ids.len()).unwrap_or(i64::MAX),
        booking: booking.booking_id,
        vaccine: booking.vaccine_id,
        user: booking.user_id,
        slot: booking.slot,
    }
}

command_of!(
    Appointments: CompleteInjection => Command::Complete,
    Reply::Completed(reply) -> Result<Completion, Refusal>
);

command_of!(
    Appointments: CheckIn => Command::CheckIn,
    Reply::CheckedIn(reply) -> Result<Appointment, Refusal>
);

command_of!(
    Appointments: MarkNoShow => Command::MarkNoShow,
    Reply::MarkedNoShow(reply) -> Result<Appointment, Refusal>
);

command_of!(
    Appointments: ReturnToReady => Command::ReturnToReady,
    Reply::ReturnedToReady(reply) -> Result<Appointment, Refusal>
);

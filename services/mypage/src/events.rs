//! Events of booking and injection as commands.

use contracts::{
    booking::BookingStatus,
    event::{BookingChanged, DomainEvent, InjectionCompleted},
    mypage::Mypage,
};
use jiff::Timestamp;
use platform_events::{EventHandler, ReceivedEvent};

use crate::domain::{Command, Views};

impl EventHandler for Views {
    fn command(ReceivedEvent { event, at, source: _ }: ReceivedEvent) -> Option<Command> {
        match event {
            // A view does not show where, nor with which dose.
            DomainEvent::Booked(booking) | DomainEvent::BookingMoved(booking) => {
                Some(of_booking(booking, BookingStatus::Booked, at))
            }
            DomainEvent::BookingCancelled(booking) => {
                Some(of_booking(booking, BookingStatus::BookingCancelled, at))
            }
            DomainEvent::Completed(completed) => Some(of_injection(&completed, at)),
            DomainEvent::Registered(_)
            | DomainEvent::SlotsPlanned(_)
            | DomainEvent::SiteChanged(_)
            | DomainEvent::CampaignChanged(_)
            | DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_)
            | DomainEvent::ReservationAborted(_) => None,
        }
    }

    fn ineffective((): &()) -> Option<String> {
        None
    }
}

fn of_booking(event: BookingChanged, status: BookingStatus, as_of: Timestamp) -> Command {
    let reservation = event.first_reservation_id();
    let booking = event.booking;
    Command {
        reservation,
        view: Mypage {
            book_id: booking.booking_id,
            vaccine_id: booking.vaccine_id,
            vc_name: booking.vc_name,
            user_id: booking.user_id,
            status,
            as_of,
        },
    }
}

fn of_injection(event: &InjectionCompleted, as_of: Timestamp) -> Command {
    let InjectionCompleted { reservation_id, first_reservation_id, injection } = event;
    Command {
        reservation: first_reservation_id.unwrap_or(*reservation_id),
        view: Mypage {
            book_id: injection.booking_id,
            vaccine_id: injection.vaccine_id,
            vc_name: String::new(),
            user_id: injection.user_id,
            status: BookingStatus::InjectionCompleted,
            as_of,
        },
    }
}

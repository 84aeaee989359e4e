//! Events of booking and injection as commands.

use contracts::{
    event::{BookingChanged, DomainEvent, InjectionCompleted},
    mypage::MypageStatus,
};
use jiff::Timestamp;
use platform_events::{EventHandler, ReceivedEvent};

use crate::domain::{Command, View, Views};

impl EventHandler for Views {
    fn command(ReceivedEvent { event, at, source: _ }: ReceivedEvent) -> Option<Command> {
        match event {
            DomainEvent::Booked(booking) => Some(of_booking(booking, MypageStatus::Booked, at)),
            DomainEvent::BookingCancelled(booking) => {
                Some(of_booking(booking, MypageStatus::BookingCancelled, at))
            }
            DomainEvent::Completed(completed) => Some(of_injection(&completed, at)),
            DomainEvent::Registered(_)
            | DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_)
            | DomainEvent::ReservationAborted(_) => None,
        }
    }

    fn ineffective((): &()) -> Option<String> {
        None
    }
}

fn of_booking(event: BookingChanged, status: MypageStatus, as_of: Timestamp) -> Command {
    let BookingChanged { reservation_id, booking } = event;
    Command {
        reservation: reservation_id,
        view: View {
            booking: booking.booking_id,
            vaccine: booking.vaccine_id,
            vaccine_name: booking.vc_name,
            user: booking.user_id,
            status,
            as_of,
        },
    }
}

fn of_injection(event: &InjectionCompleted, as_of: Timestamp) -> Command {
    let InjectionCompleted { reservation_id, injection } = event;
    Command {
        reservation: *reservation_id,
        view: View {
            booking: injection.booking_id,
            vaccine: injection.vaccine_id,
            vaccine_name: String::new(),
            user: injection.user_id,
            status: MypageStatus::InjectionCompleted,
            as_of,
        },
    }
}

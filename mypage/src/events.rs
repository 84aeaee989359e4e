//! What bookings and injections say, as commands.

use contracts::{
    event::{Booked, CloudEvent, Completed, EventType},
    mypage::MypageStatus,
};
use eventing::Hears;

use crate::{
    domain::{Command, View},
    store::Book,
};

impl Hears for Book {
    fn command(event: &CloudEvent) -> serde_json::Result<Option<Command>> {
        match event.r#type {
            EventType::Booked => booked(event, MypageStatus::Booked).map(Some),
            EventType::BookingCancelled => booked(event, MypageStatus::BookingCancelled).map(Some),
            EventType::Completed => completed(event).map(Some),
            EventType::Registered
            | EventType::StockAdded
            | EventType::StockModified
            | EventType::ReservationAbandoned
            | EventType::Other(_) => Ok(None),
        }
    }

    fn without_effect((): &()) -> Option<String> {
        None
    }
}

fn booked(event: &CloudEvent, status: MypageStatus) -> serde_json::Result<Command> {
    let Booked { reservation_id, booking } = serde_json::from_str(event.data.get())?;
    Ok(Command {
        reservation: reservation_id,
        view: View {
            booking: booking.booking_id,
            vaccine: booking.vaccine_id,
            vaccine_name: booking.vc_name,
            user: booking.user_id,
            status,
            as_of: event.time,
        },
    })
}

fn completed(event: &CloudEvent) -> serde_json::Result<Command> {
    let Completed { reservation_id, injection } = serde_json::from_str(event.data.get())?;
    Ok(Command {
        reservation: reservation_id,
        view: View {
            booking: injection.booking_id,
            vaccine: injection.vaccine_id,
            vaccine_name: String::new(),
            user: injection.user_id,
            status: MypageStatus::InjectionCompleted,
            as_of: event.time,
        },
    })
}

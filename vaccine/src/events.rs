//! What bookings say about doses, as commands to the ledger.

use chassis::problem::Problem;
use contracts::event::{BookedDose, CloudEvent, EventType, ReservationAbandoned};

use crate::domain::{Command, Hold, Said};

/// The command that an event means.
pub fn command(event: &CloudEvent) -> Result<Command, Problem> {
    let said = match event.r#type {
        EventType::Booked => {
            let BookedDose { reservation_id, vaccine_id } = data(event)?;
            Said::Booked(Hold {
                reservation: reservation_id,
                holder: Some(event.source),
                claims: vec![vaccine_id.into()],
                at: event.time,
            })
        }
        EventType::BookingCancelled | EventType::ReservationAbandoned => {
            let ReservationAbandoned { reservation_id } = data(event)?;
            Said::GivenBack { reservation: reservation_id, at: event.time }
        }
    };
    Ok(Command::Hear { source: event.source, sequence: event.sequence, said })
}

fn data<'a, T: serde::Deserialize<'a>>(event: &'a CloudEvent) -> Result<T, Problem> {
    serde_json::from_str(event.data.get())
        .map_err(|cause| Problem::invalid("data", format!("event {}: {cause}", event.id)))
}

//! What is told after a decision, and what others say about doses, as commands to the ledger.

use chassis::clock;
use contracts::{
    event::{BookedDose, CloudEvent, EventType, ReservationAbandoned, StockChanged},
    vaccine::Vaccine,
};
use eventing::Hears;
use storage::outbox::Event;

use crate::{
    domain::{Command, Done, Hold, Outcome, Pool, PoolId},
    store::Book,
};

/// What has to be told about an outcome.
pub fn of(outcome: &Outcome) -> serde_json::Result<Option<Event>> {
    let at_ms = clock::now().as_millisecond();
    let event = match outcome {
        Ok(Done::Registered(id, pool)) => {
            Event::of(EventType::Registered.name(), at_ms, &vaccine(*id, pool))
        }
        Ok(Done::Changed { id, pool, before }) => {
            let is_more = pool.stock > *before;
            let r#type = if is_more { EventType::StockAdded } else { EventType::StockModified };
            let vaccine = vaccine(*id, pool);
            let changed = StockChanged { stock_before: before.doses(), vaccine };
            Event::of(r#type.name(), at_ms, &changed)
        }
        Ok(
            Done::Removed
            | Done::Held { .. }
            | Done::Confirmed
            | Done::Released
            | Done::Administered,
        )
        | Err(_) => return Ok(None),
    };
    event.map(Some)
}

/// A pool as everybody may see it.
pub fn vaccine(id: PoolId, pool: &Pool) -> Vaccine {
    Vaccine {
        vaccine_id: id.into(),
        vc_name: pool.name.as_str().to_owned(),
        stock: pool.stock.doses(),
        book_qty: pool.taken,
    }
}

impl Hears for Book {
    fn command(event: &CloudEvent) -> serde_json::Result<Option<Command>> {
        let command = match event.r#type {
            EventType::Booked => {
                let BookedDose { reservation_id, vaccine_id } = data(event)?;
                Command::Confirm(Hold {
                    reservation: reservation_id,
                    holder: Some(event.source),
                    claims: vec![vaccine_id.into()],
                    at: event.time,
                })
            }
            EventType::BookingCancelled | EventType::ReservationAbandoned => {
                let ReservationAbandoned { reservation_id } = data(event)?;
                Command::GiveBack {
                    reservation: reservation_id,
                    holder: event.source,
                    at: event.time,
                }
            }
            EventType::Completed => {
                let BookedDose { reservation_id, vaccine_id } = data(event)?;
                Command::Administer {
                    reservation: reservation_id,
                    claims: vec![vaccine_id.into()],
                    at: event.time,
                }
            }
            EventType::Registered
            | EventType::StockAdded
            | EventType::StockModified
            | EventType::Other(_) => return Ok(None),
        };
        Ok(Some(command))
    }

    fn without_effect(outcome: &Outcome) -> Option<String> {
        outcome.as_ref().err().map(ToString::to_string)
    }
}

fn data<'a, T: serde::Deserialize<'a>>(event: &'a CloudEvent) -> serde_json::Result<T> {
    serde_json::from_str(event.data.get())
}

//! What is told after a decision, and what others say about doses, as commands to the ledger.

use chassis::clock;
use contracts::{
    event::{BookedDose, CloudEvent, EventType, ReservationAbandoned, StockChanged},
    vaccine::Vaccine,
};
use eventing::Hears;
use serde::Serialize;
use storage::outbox::Event;

use crate::{
    domain::{Command, Done, Hold, Outcome, Pool, PoolId, Stock},
    store::Book,
};

/// What has to be told about an outcome.
pub fn of(outcome: &Outcome) -> serde_json::Result<Option<Event>> {
    match outcome {
        Ok(Done::Registered(id, pool)) => event(EventType::Registered, &vaccine(*id, pool)),
        Ok(Done::Changed { id, pool, before }) => changed(*id, pool, *before),
        Ok(
            Done::Removed
            | Done::Held { .. }
            | Done::Confirmed
            | Done::Released
            | Done::Administered,
        )
        | Err(_) => Ok(None),
    }
}

fn changed(id: PoolId, pool: &Pool, before: Stock) -> serde_json::Result<Option<Event>> {
    let r#type = if pool.stock > before { EventType::StockAdded } else { EventType::StockModified };
    event(r#type, &StockChanged { stock_before: before.doses(), vaccine: vaccine(id, pool) })
}

fn event(r#type: EventType, data: &impl Serialize) -> serde_json::Result<Option<Event>> {
    let at_ms = clock::now().as_millisecond();
    let r#type = r#type.name().to_owned();
    Ok(Some(Event { r#type, at_ms, data: serde_json::to_string(data)? }))
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

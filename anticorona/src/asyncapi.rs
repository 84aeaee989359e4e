//! Prints the AsyncAPI document of the events, for `docs/asyncapi.json`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};

use contracts::{
    event::{
        BATCH_MEDIA_TYPE, Booked, Completed, EVENTS_MAX, EventType, ReservationAbandoned,
        StockChanged,
    },
    vaccine::Vaccine,
};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// Which part says what, and who acts on it.
const CHANNELS: [(&str, &[EventType], &str); 3] = [
    (
        "booking",
        &[EventType::Booked, EventType::BookingCancelled, EventType::ReservationAbandoned],
        "vaccine, injection and mypage",
    ),
    ("injection", &[EventType::Completed], "vaccine, booking and mypage"),
    (
        "vaccine",
        &[EventType::Registered, EventType::StockAdded, EventType::StockModified],
        "nobody here; they are for others",
    ),
];

pub(crate) fn print() -> ExitCode {
    let printed = document()
        .and_then(|document| serde_json::to_string_pretty(&document))
        .map_err(io::Error::other)
        .and_then(|json| writeln!(io::stdout(), "{json}"));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn document() -> serde_json::Result<Value> {
    let mut channels = BTreeMap::new();
    let mut operations = BTreeMap::new();
    let mut messages = BTreeMap::new();
    for (part, types, listeners) in CHANNELS {
        let names = types.iter().map(EventType::name);
        let link = |name: &str| json!({"$ref": format!("#/components/messages/{name}")});
        channels.insert(part, json!({
            "address": format!("anticorona.{part}.{{source}}"),
            "description": format!("What {part} says. It is heard by {listeners}."),
            "parameters": {"source": {"description": "The store that says it, a UUID."}},
            "messages": names.clone().map(|name| (name, link(name))).collect::<BTreeMap<_, _>>(),
        }));
        let link = |name: &str| json!({"$ref": format!("#/channels/{part}/messages/{name}")});
        operations.insert(
            format!("{part}-tells"),
            json!({
                "action": "send",
                "channel": {"$ref": format!("#/channels/{part}")},
                "messages": names.map(link).collect::<Vec<_>>(),
            }),
        );
        for r#type in types {
            messages.insert(r#type.name(), message(r#type)?);
        }
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "anticorona events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "CloudEvents 1.0 in structured JSON, at most {EVENTS_MAX} to a message. Each source \
                 numbers what it says from 1 without gaps (`sequence`); an event may come any number \
                 of times and counts once. Over NATS the address is the subject; directly, the same \
                 message is posted to `/events` of each listener."
            ),
        },
        "defaultContentType": BATCH_MEDIA_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas()?},
    }))
}

/// A message is a list of envelopes, of any types that its channel has.
fn message(r#type: &EventType) -> serde_json::Result<Value> {
    Ok(json!({
        "name": serde_json::to_value(r#type)?,
        "summary": summary(r#type),
        "payload": {
            "type": "array",
            "maxItems": EVENTS_MAX,
            "items": {
                "type": "object",
                "required": ["specversion", "id", "source", "sequence", "type", "time", "data"],
                "properties": {
                    "specversion": {"const": "1.0"},
                    "id": {"type": "string", "description": "`{source}/{sequence}`"},
                    "source": {"type": "string", "format": "uuid"},
                    "sequence": {"type": "string", "pattern": "^[1-9][0-9]*$"},
                    "type": {"const": serde_json::to_value(r#type)?},
                    "time": {"type": "string", "format": "date-time"},
                    "data": {"$ref": format!("#/components/schemas/{}", shape(r#type))},
                },
            },
        },
    }))
}

fn summary(r#type: &EventType) -> &'static str {
    match r#type {
        EventType::Registered => "There is a new vaccine.",
        EventType::StockAdded => "A vaccine has more doses than before.",
        EventType::StockModified => "A vaccine was changed in another way.",
        EventType::Booked => "A booking was made.",
        EventType::BookingCancelled => "A booking was cancelled.",
        EventType::ReservationAbandoned => "An attempt ended without a booking, for good.",
        EventType::Completed => "Somebody was vaccinated.",
        EventType::Other(_) => "Of another version.",
    }
}

fn shape(r#type: &EventType) -> String {
    match r#type {
        EventType::Registered => Vaccine::name().into_owned(),
        EventType::StockAdded | EventType::StockModified => StockChanged::name().into_owned(),
        EventType::Booked | EventType::BookingCancelled => Booked::name().into_owned(),
        EventType::ReservationAbandoned => ReservationAbandoned::name().into_owned(),
        EventType::Completed => Completed::name().into_owned(),
        EventType::Other(name) => name.clone(),
    }
}

fn schemas() -> serde_json::Result<BTreeMap<String, Value>> {
    let mut all: Vec<(String, RefOr<Schema>)> = Vec::new();
    add::<Vaccine>(&mut all);
    add::<StockChanged>(&mut all);
    add::<Booked>(&mut all);
    add::<ReservationAbandoned>(&mut all);
    add::<Completed>(&mut all);
    all.into_iter().map(|(name, schema)| Ok((name, serde_json::to_value(schema)?))).collect()
}

/// A shape, and every shape within it.
fn add<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}

//! `anticorona asyncapi`: prints the AsyncAPI document of the events, for docs/asyncapi.json.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};

use contracts::{
    campaign::{Campaign, SlotDays},
    event::{
        BATCH_MEDIA_TYPE, BookingChanged, EVENTS_MAX, InjectionCompleted, PublishedSite,
        ReservationAborted, SNAPSHOT_END, StockChanged, full_type,
    },
    vaccine::Vaccine,
};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::services::SERVICES;

/// An event type: its publisher, its name, what it says, and the schema of its payload.
struct EventType {
    publisher: &'static str,
    name: &'static str,
    summary: &'static str,
    payload: fn(&mut Schemas) -> String,
}

type Schemas = Vec<(String, RefOr<Schema>)>;

const EVENT_TYPES: [EventType; 11] = [
    EventType {
        publisher: "booking",
        name: "Booked",
        summary: "A booking was made.",
        payload: schema::<BookingChanged>,
    },
    EventType {
        publisher: "booking",
        name: "BookingCancelled",
        summary: "A booking was cancelled.",
        payload: schema::<BookingChanged>,
    },
    EventType {
        publisher: "booking",
        name: "BookingMoved",
        summary: "A booking was moved to another slot: the doses that it had before are released.",
        payload: schema::<BookingChanged>,
    },
    EventType {
        publisher: "booking",
        name: "ReservationAborted",
        summary: "A booking attempt ended without a booking, for good.",
        payload: schema::<ReservationAborted>,
    },
    EventType {
        publisher: "campaign",
        name: "CampaignChanged",
        summary: "A campaign was created or changed, or has another status.",
        payload: schema::<Campaign>,
    },
    EventType {
        publisher: "campaign",
        name: "SiteChanged",
        summary: "A site was created, or has another name, address, phone, time zone, position or accessibility.",
        payload: schema::<PublishedSite>,
    },
    EventType {
        publisher: "campaign",
        name: "SlotsPlanned",
        summary: "The slots of days were planned, or planned differently.",
        payload: schema::<SlotDays>,
    },
    EventType {
        publisher: "injection",
        name: "Completed",
        summary: "A citizen was vaccinated.",
        payload: schema::<InjectionCompleted>,
    },
    EventType {
        publisher: "vaccine",
        name: "Registered",
        summary: "A vaccine was registered.",
        payload: schema::<Vaccine>,
    },
    EventType {
        publisher: "vaccine",
        name: "StockAdded",
        summary: "A vaccine has more doses than before.",
        payload: schema::<StockChanged>,
    },
    EventType {
        publisher: "vaccine",
        name: "StockModified",
        summary: "A vaccine was changed in another way.",
        payload: schema::<StockChanged>,
    },
];

pub(crate) fn print() -> ExitCode {
    let printed = document()
        .and_then(|document| serde_json::to_string_pretty(&document))
        .map_err(io::Error::other)
        .and_then(|json| writeln!(io::stdout(), "{json}"));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn document() -> serde_json::Result<Value> {
    let mut schemas = Schemas::new();
    let mut messages = BTreeMap::new();
    for event in &EVENT_TYPES {
        let payload = (event.payload)(&mut schemas);
        messages.insert(event.name, message(event, &payload));
    }
    let (mut channels, mut operations) = (BTreeMap::new(), BTreeMap::new());
    for service in SERVICES {
        let name = service.name;
        let types: Vec<_> = EVENT_TYPES.iter().filter(|event| event.publisher == name).collect();
        if types.is_empty() {
            continue;
        }
        let message_links = types.iter().map(|event| {
            (event.name, json!({"$ref": format!("#/components/messages/{}", event.name)}))
        });
        channels.insert(
            name,
            json!({
                "address": format!("anticorona.{name}.{{source}}"),
                "description": format!("The events of {name}, consumed by {}.", consumers(name)),
                "parameters": {"source": {"description": "The store that published them, a UUID."}},
                "messages": message_links.collect::<BTreeMap<_, _>>(),
            }),
        );
        let channel_messages = types
            .iter()
            .map(|event| json!({"$ref": format!("#/channels/{name}/messages/{}", event.name)}));
        operations.insert(
            format!("{name}-publishes"),
            json!({
                "action": "send",
                "channel": {"$ref": format!("#/channels/{name}")},
                "messages": channel_messages.collect::<Vec<_>>(),
            }),
        );
    }
    let schemas = schemas
        .into_iter()
        .map(|(name, schema)| Ok((name, serde_json::to_value(schema)?)))
        .collect::<serde_json::Result<BTreeMap<_, _>>>()?;
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "anticorona events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "CloudEvents 1.0 in structured JSON, at most {EVENTS_MAX} in a message. Each source \
                 numbers its events from 1 without gaps (`sequence`); an event may be delivered any \
                 number of times and is applied once. Over NATS the address is the subject; over HTTP \
                 the same message is posted to `/events` of each consumer."
            ),
        },
        "defaultContentType": BATCH_MEDIA_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }))
}

fn consumers(publisher: &str) -> String {
    let consumes = |service: &&&platform_service::Service| {
        service.consumes.iter().any(|consumes| consumes.publisher == publisher)
    };
    let names: Vec<_> = SERVICES.iter().filter(consumes).map(|service| service.name).collect();
    if names.is_empty() { "no service".to_owned() } else { names.join(", ") }
}

/// A message is a list of envelopes, of any types of its channel.
fn message(event: &EventType, payload: &str) -> Value {
    json!({
        "name": full_type(event.name),
        "summary": event.summary,
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
                    "type": {"const": full_type(event.name)},
                    "time": {"type": "string", "format": "date-time"},
                    "data": {"$ref": format!("#/components/schemas/{payload}")},
                    "snapshot": {
                        "type": "string",
                        "pattern": "^(row/(-|-?[0-9]+)/-?[0-9]+|end/(-|-?[0-9]+))$",
                        "description": format!(
                            "Set in a snapshot, which stands for all events up to `sequence`: the key of the row \
                             before, and that of this row. The end, after the last row, has the type `{}`, and its \
                             payload is empty.",
                            full_type(SNAPSHOT_END)
                        ),
                    },
                },
            },
        },
    })
}

/// Adds the schema of a type, and those of the types in it; returns its name.
fn schema<T: ToSchema + PartialSchema>(schemas: &mut Schemas) -> String {
    let name = T::name().into_owned();
    schemas.push((name.clone(), T::schema()));
    T::schemas(schemas);
    name
}

#[cfg(test)]
mod tests {
    use contracts::event::DomainEvent;

    use super::*;

    #[test]
    fn every_event_type_is_described_once() {
        let mut described: Vec<_> = EVENT_TYPES.iter().map(|event| event.name).collect();
        let mut known = DomainEvent::NAMES.to_vec();
        described.sort_unstable();
        known.sort_unstable();
        assert_eq!(described, known);
    }
}

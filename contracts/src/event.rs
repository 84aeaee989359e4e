//! Events: what happened, for whoever needs to know.
//!
//! The envelope is CloudEvents 1.0 in structured JSON, many to a request in its batched form
//! (`application/cloudevents-batch+json`).
//! Every event may arrive twice, late or out of order.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    booking::Booking,
    ids::{HolderId, ReservationId, VaccineId},
    injection::Injection,
    vaccine::Vaccine,
};

/// The media type of a list of [`CloudEvent`]s (CloudEvents 1.0, HTTP binding, section 3.3).
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// The largest number of events in one request; more is refused whole.
pub const EVENTS_MAX: usize = 512;

/// The largest body of such a request, 1 MiB: [`EVENTS_MAX`] events of 2 KiB each.
pub const EVENTS_BODY_MAX: usize = 1024 * 1024;

/// An event on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: String,
    /// `{source}/{sequence}`: the same event always has the same id.
    pub id: String,
    /// The store that said it.
    pub source: HolderId,
    /// Its place among everything that this source said, from 1 (extension `sequence`).
    #[serde(with = "decimal")]
    pub sequence: u64,
    /// What happened.
    pub r#type: EventType,
    /// When.
    pub time: Timestamp,
    /// The event itself; its shape follows from `type`.
    pub data: Box<RawValue>,
}

/// The kinds of events, each with the version of its shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum EventType {
    /// Carries [`Vaccine`].
    #[serde(rename = "anticorona.Registered.v1")]
    Registered,
    /// Carries [`StockChanged`]: there is more than before.
    #[serde(rename = "anticorona.StockAdded.v1")]
    StockAdded,
    /// Carries [`StockChanged`]: changed in any other way.
    #[serde(rename = "anticorona.StockModified.v1")]
    StockModified,
    /// Carries [`Booked`].
    #[serde(rename = "anticorona.Booked.v1")]
    Booked,
    /// Carries [`Booked`], with the status changed.
    #[serde(rename = "anticorona.BookingCancelled.v1")]
    BookingCancelled,
    /// Carries [`ReservationAbandoned`].
    #[serde(rename = "anticorona.ReservationAbandoned.v1")]
    ReservationAbandoned,
    /// Carries [`Completed`].
    #[serde(rename = "anticorona.Completed.v1")]
    Completed,
    /// Of a newer version. It has its place in the order, and means nothing to us.
    #[serde(untagged)]
    Other(String),
}

impl EventType {
    /// Every kind that this version knows.
    pub const ALL: [Self; 7] = [
        Self::Registered,
        Self::StockAdded,
        Self::StockModified,
        Self::Booked,
        Self::BookingCancelled,
        Self::ReservationAbandoned,
        Self::Completed,
    ];

    /// Its name in an outbox, without prefix and version.
    pub fn name(&self) -> &str {
        match self {
            Self::Registered => "Registered",
            Self::StockAdded => "StockAdded",
            Self::StockModified => "StockModified",
            Self::Booked => "Booked",
            Self::BookingCancelled => "BookingCancelled",
            Self::ReservationAbandoned => "ReservationAbandoned",
            Self::Completed => "Completed",
            Self::Other(name) => name,
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FullName)
    }
}

/// Reads a kind from its name with prefix and version.
struct FullName;

impl Visitor<'_> for FullName {
    type Value = EventType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type of an event")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EventType, E> {
        let name = text.strip_prefix("anticorona.").and_then(|it| it.strip_suffix(".v1"));
        let known = EventType::ALL.into_iter().find(|known| Some(known.name()) == name);
        Ok(known.unwrap_or_else(|| EventType::Other(text.to_owned())))
    }
}

/// A vaccine's stock or name was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockChanged {
    /// The stock before.
    pub stock_before: i64,
    /// The vaccine as it is now.
    #[serde(flatten)]
    pub vaccine: Vaccine,
}

/// A booking was made, or cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Booked {
    /// The dose behind it.
    pub reservation_id: ReservationId,
    /// The booking as it stands.
    #[serde(flatten)]
    pub booking: Booking,
}

/// An attempt ended without a booking, and never will have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationAbandoned {
    /// The attempt.
    pub reservation_id: ReservationId,
}

/// Somebody was vaccinated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Completed {
    /// The dose that was used.
    pub reservation_id: ReservationId,
    /// The injection.
    #[serde(flatten)]
    pub injection: Injection,
}

/// All that `vaccine` needs of a [`Booked`] or [`Completed`]: which dose it is about, and of which
/// vaccine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookedDose {
    /// The dose.
    pub reservation_id: ReservationId,
    /// Its vaccine.
    pub vaccine_id: VaccineId,
}

/// The answer to a batch of events: everything up to here is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Heard {
    /// The highest sequence number kept from the asking source; 0 before the first.
    pub sequence: u64,
}

/// What a listener could not hear and put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParkedEvents {
    /// How many there are.
    pub total: u64,
    /// The oldest of them.
    pub events: Vec<ParkedEvent>,
}

/// An event that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParkedEvent {
    /// Who said it.
    pub source: HolderId,
    /// Its place among everything that this source said.
    pub sequence: u64,
    /// What kind of event.
    pub r#type: String,
    /// The event itself, JSON as text.
    pub data: String,
    /// Why it could not be heard.
    pub why: String,
    /// Since when it is put aside.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// CloudEvents has no 64-bit numbers: a sequence travels as decimal text.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in EventType::ALL.into_iter().chain([EventType::Other("Moved.v2".to_owned())]) {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<EventType>(&json).unwrap(), kind);
        }
    }

    #[test]
    fn an_event_reads_as_cloudevents_says() {
        let event = CloudEvent {
            specversion: "1.0".to_owned(),
            id: "s/7".to_owned(),
            source: HolderId(uuid::Uuid::nil()),
            sequence: 7,
            r#type: EventType::Booked,
            time: Timestamp::UNIX_EPOCH,
            data: RawValue::from_string("{\"a\":1}".to_owned()).unwrap(),
        };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            "{\"specversion\":\"1.0\",\"id\":\"s/7\",\
             \"source\":\"00000000-0000-0000-0000-000000000000\",\"sequence\":\"7\",\
             \"type\":\"anticorona.Booked.v1\",\"time\":\"1970-01-01T00:00:00Z\",\"data\":{\"a\":1}}"
        );
        let back: CloudEvent = serde_json::from_str(&json).unwrap();
        assert_eq!(back.sequence, 7);
    }
}

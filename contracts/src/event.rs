//! Domain events and their envelope.
//!
//! The envelope is CloudEvents 1.0 in structured JSON, batched (`application/cloudevents-batch+json`).
//! A consumer may receive an event any number of times.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    booking::Booking,
    campaign::{Campaign, SitePlace, SlotDays},
    ids::{ReservationId, SiteId, StoreId},
    injection::Injection,
    vaccine::Vaccine,
};

/// The media type of a list of [`CloudEvent`]s (CloudEvents 1.0, HTTP binding, section 3.3).
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// Events in one request at most; a larger request is refused.
pub const EVENTS_MAX: usize = 512;

/// The largest body of such a request, 1 MiB: [`EVENTS_MAX`] events of 2 KiB each.
pub const EVENTS_BODY_MAX: usize = 1024 * 1024;

/// Characters in the reason of a dismissal.
pub const DISMISSAL_REASON_MAX: usize = 500;

/// An event in its envelope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: String,
    /// `{source}/{sequence}`: the same event always has the same id.
    pub id: String,
    /// The store that published it.
    pub source: StoreId,
    /// Its number among the events of its source, from 1 without gaps (extension `sequence`).
    #[serde(with = "decimal")]
    pub sequence: u64,
    /// The event type, with prefix and version: `anticorona.Booked.v1`.
    pub r#type: String,
    /// When it happened.
    pub time: Timestamp,
    /// The payload; [`DomainEvent::decode`] reads it.
    pub data: Box<RawValue>,
    /// Set if it is part of a snapshot (extension `snapshot`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotPart>,
}

/// What a part of a snapshot is. A snapshot stands for the events of its source up to its `sequence`, which the
/// source does not have any more: events that say what it holds, in the order of their keys, and the end. Each part
/// names the key before it, so that none can be missed: `row/41/42`, `end/42`; `-` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SnapshotPart {
    /// Something that the source holds. It does not move the consumer offset.
    Row {
        /// The key of the row before.
        after: Option<i64>,
        /// Its key.
        key: i64,
    },
    /// The end: everything up to its `sequence` was consumed. Its type and payload say nothing.
    End {
        /// The key of the last row.
        after: Option<i64>,
    },
}

impl From<SnapshotPart> for String {
    fn from(part: SnapshotPart) -> Self {
        let text = |key: Option<i64>| key.map_or("-".to_owned(), |key| key.to_string());
        match part {
            SnapshotPart::Row { after, key } => format!("row/{}/{key}", text(after)),
            SnapshotPart::End { after } => format!("end/{}", text(after)),
        }
    }
}

impl TryFrom<String> for SnapshotPart {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let key = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a key"));
        let key_or_none = |text: &str| if text == "-" { Ok(None) } else { key(text).map(Some) };
        match text.split('/').collect::<Vec<_>>()[..] {
            ["row", after, this] => Ok(Self::Row { after: key_or_none(after)?, key: key(this)? }),
            ["end", after] => Ok(Self::End { after: key_or_none(after)? }),
            _ => Err(format!("`{text}` is not a part of a snapshot")),
        }
    }
}

/// How far a consumer has applied a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotProgress {
    /// The sequence number of the events that it stands for.
    pub up_to: u64,
    /// The key of the last row that was applied.
    pub key: i64,
}

/// The name of the event type that ends a snapshot.
pub const SNAPSHOT_END: &str = "SnapshotEnd";

/// Declares [`DomainEvent`]: the name of each event type, and its payload.
macro_rules! domain_events {
    ($($(#[$doc:meta])* $name:ident($payload:ty),)+) => {
        /// What happened. Each event type is tied to its payload; the payload is what is serialised.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum DomainEvent {
            $($(#[$doc])* $name($payload),)+
        }

        impl DomainEvent {
            /// The names of all event types, without prefix and version.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// The name of its event type, without prefix and version.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                }
            }

            /// The event in an envelope; `None` if its type is unknown here, because a newer version
            /// added it.
            pub fn decode(event: &CloudEvent) -> serde_json::Result<Option<Self>> {
                let data = event.data.get();
                match short_name(&event.r#type) {
                    $(Some(stringify!($name)) => serde_json::from_str(data).map(Self::$name).map(Some),)+
                    Some(_) | None => Ok(None),
                }
            }
        }
    };
}

domain_events! {
    /// A vaccine was registered.
    Registered(Vaccine),
    /// A vaccine has more doses than before.
    StockAdded(StockChanged),
    /// A vaccine was changed in any other way.
    StockModified(StockChanged),
    /// A booking was made.
    Booked(BookingChanged),
    /// A booking was moved to another slot.
    BookingMoved(BookingChanged),
    /// A booking was cancelled.
    BookingCancelled(BookingChanged),
    /// A booking attempt ended without a booking, for good.
    ReservationAborted(ReservationAborted),
    /// A citizen was vaccinated.
    Completed(InjectionCompleted),
    /// A campaign that is no draft was changed, or has another status.
    CampaignChanged(Campaign),
    /// The slots of days were planned, or planned differently.
    SlotsPlanned(SlotDays),
    /// A site was created, or is another place for those who have to find it: not with its opening hours.
    SiteChanged(PublishedSite),
}

/// What stands before the name of an event type, and after it: the version of its payload.
const TYPE: (&str, &str) = ("anticorona.", ".v1");

/// The event type of a name, with prefix and version.
pub fn full_type(name: &str) -> String {
    let (prefix, version) = TYPE;
    format!("{prefix}{name}{version}")
}

/// The name of an event type; `None` for one of another prefix or version.
pub fn short_name(r#type: &str) -> Option<&str> {
    let (prefix, version) = TYPE;
    r#type.strip_prefix(prefix)?.strip_suffix(version)
}

/// The stock or the name of a vaccine was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockChanged {
    /// The stock before.
    pub stock_before: i64,
    /// The vaccine after the change.
    #[serde(flatten)]
    pub vaccine: Vaccine,
}

/// A booking was made, moved or cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingChanged {
    /// The dose of the booking.
    pub reservation_id: ReservationId,
    /// The doses that it had before it was moved, in their order. They are released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 17)]
    pub previous_reservation_ids: Vec<ReservationId>,
    /// The booking after the change.
    #[serde(flatten)]
    pub booking: Booking,
}

impl BookingChanged {
    /// The reservation that the booking was made with: what it is recognised by, however often it is moved.
    pub fn first_reservation_id(&self) -> ReservationId {
        self.previous_reservation_ids.first().copied().unwrap_or(self.reservation_id)
    }
}

/// A booking attempt ended without a booking, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationAborted {
    /// The reservation id of the attempt.
    pub reservation_id: ReservationId,
}

/// A citizen was vaccinated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectionCompleted {
    /// The dose that was used.
    pub reservation_id: ReservationId,
    /// The dose that the booking was made with, if it was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first_reservation_id: Option<ReservationId>,
    /// The injection.
    #[serde(flatten)]
    pub injection: Injection,
}

/// A site without its opening hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedSite {
    /// The site.
    pub site_id: SiteId,
    /// What its visitors have to know.
    #[serde(flatten)]
    #[schema(inline)]
    pub place: SitePlace,
}

/// The response to a batch of events: the offset of this consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsumerOffset {
    /// The sequence number of the last event of the source that was consumed; 0 before the first.
    pub sequence: u64,
    /// When that event happened; only in the response to `GET`. In the outbox of a store that was restored from
    /// a backup, another event has its number.
    #[serde(default, rename = "lastEventAt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false, nullable = false)]
    pub last_event_at: Option<Timestamp>,
    /// A snapshot of which not all rows were applied yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub snapshot: Option<SnapshotProgress>,
}

/// The events that a consumer could not apply: the open ones, or those that were dismissed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetteredEvents {
    /// How many there are.
    pub total: u64,
    /// The oldest of the open ones, or those that were dismissed last.
    pub events: Vec<DeadLetteredEvent>,
}

/// An event that a consumer could not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetteredEvent {
    /// The store that published it.
    pub source: StoreId,
    /// Its number among the events of its source.
    pub sequence: u64,
    /// Its event type.
    pub r#type: String,
    /// Its payload, JSON as text.
    pub data: String,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was dead-lettered.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Set if an operator dismissed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissal: Option<DeadLetterDismissal>,
}

/// The decision of an operator that a dead letter will not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterDismissal {
    /// When it was dismissed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Dismisses a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DismissDeadLetter {
    /// Why it will not be applied, for auditors: one line of 1 to [`DISMISSAL_REASON_MAX`] characters.
    pub reason: String,
}

/// CloudEvents has no 64-bit numbers: a sequence is sent as decimal text.
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
    use crate::{
        booking::BookingStatus,
        campaign::{
            Address, CampaignStatus, GeoPosition, LocalizedName, Microdegrees, MinuteOfDay, Slot,
            SlotDay,
        },
        ids::{BookingId, CampaignId, InjectionId, SiteId, SlotId, UserId, VaccineId},
        injection::InjectionStatus,
    };

    fn envelope(event: &DomainEvent) -> CloudEvent {
        CloudEvent {
            specversion: "1.0".to_owned(),
            id: "s/7".to_owned(),
            source: StoreId(uuid::Uuid::nil()),
            sequence: 7,
            r#type: full_type(event.name()),
            time: Timestamp::UNIX_EPOCH,
            data: RawValue::from_string(serde_json::to_string(event).unwrap()).unwrap(),
            snapshot: None,
        }
    }

    fn campaign() -> Campaign {
        let details = serde_json::json!({
            "name": {"ko": "독감"}, "vaccineIds": [1], "from": "2026-12-01", "to": "2026-12-02",
            "slotMinutes": 15, "capacity": 10, "sites": [{"siteId": 1, "capacity": 4}],
        });
        Campaign {
            campaign_id: CampaignId(1),
            details: serde_json::from_value(details).unwrap(),
            status: CampaignStatus::Open,
            changes: Vec::new(),
        }
    }

    fn slot_days() -> SlotDays {
        let slot = Slot {
            slot_id: SlotId(7),
            starts_at: Timestamp::UNIX_EPOCH,
            from: MinuteOfDay::new(540).unwrap(),
            minutes: 15,
            capacity: 9,
            held_back: 1,
        };
        let day = SlotDay {
            campaign_id: CampaignId(1),
            site_id: SiteId(1),
            date: jiff::civil::date(1970, 1, 1),
            time_zone: "Asia/Seoul".to_owned(),
            slots: vec![slot],
        };
        SlotDays { days: vec![day] }
    }

    fn injection() -> Injection {
        Injection {
            injection_id: InjectionId(1),
            booking_id: BookingId(1),
            vaccine_id: VaccineId(1),
            slot: None,
            user_id: UserId(5),
            status: InjectionStatus::InjectionCompleted,
            checked_in_at: None,
            record: None,
        }
    }

    fn published_site() -> PublishedSite {
        let degrees = |degrees: f64| Microdegrees::from_degrees(degrees).unwrap();
        let place = SitePlace {
            name: LocalizedName { ko: "강남구 보건소".to_owned(), en: None },
            address: Address { line: "1 Teheran-ro".to_owned(), ..Address::default() },
            phone: "+82 2 123 4567".to_owned(),
            time_zone: "Asia/Seoul".to_owned(),
            position: Some(GeoPosition { latitude: degrees(37.5), longitude: degrees(127.0) }),
            accessibility: Some("step-free".to_owned()),
        };
        PublishedSite { site_id: SiteId(1), place }
    }

    fn one_of_each() -> [DomainEvent; 11] {
        let reservation_id = ReservationId(uuid::Uuid::nil());
        let vaccine = Vaccine {
            vaccine_id: VaccineId(1),
            vc_name: "FIZER".to_owned(),
            stock: 9,
            book_qty: 1,
            overcommitted: 0,
        };
        let changed = StockChanged { stock_before: 3, vaccine: vaccine.clone() };
        let booking = Booking {
            booking_id: BookingId(1),
            vaccine_id: VaccineId(1),
            vc_name: "FIZER".to_owned(),
            slot: None,
            series: None,
            user_id: UserId(5),
            status: BookingStatus::Booked,
        };
        let booked =
            BookingChanged { reservation_id, previous_reservation_ids: Vec::new(), booking };
        let previous_reservation_ids = vec![ReservationId(uuid::Uuid::max())];
        let moved = BookingChanged { previous_reservation_ids, ..booked.clone() };
        let first_reservation_id = moved.previous_reservation_ids.first().copied();
        let completed =
            InjectionCompleted { reservation_id, first_reservation_id, injection: injection() };
        [
            DomainEvent::Registered(vaccine),
            DomainEvent::StockAdded(changed.clone()),
            DomainEvent::StockModified(changed),
            DomainEvent::Booked(booked.clone()),
            DomainEvent::BookingMoved(moved),
            DomainEvent::BookingCancelled(booked),
            DomainEvent::ReservationAborted(ReservationAborted { reservation_id }),
            DomainEvent::Completed(completed),
            DomainEvent::CampaignChanged(campaign()),
            DomainEvent::SlotsPlanned(slot_days()),
            DomainEvent::SiteChanged(published_site()),
        ]
    }

    #[test]
    fn every_event_is_decoded_as_it_was_encoded() {
        for (event, name) in one_of_each().into_iter().zip(DomainEvent::NAMES) {
            assert_eq!(event.name(), *name);
            assert_eq!(DomainEvent::decode(&envelope(&event)).unwrap(), Some(event));
        }
    }

    #[test]
    fn a_part_of_a_snapshot_is_read_as_it_is_written() {
        for (part, text) in [
            (SnapshotPart::Row { after: None, key: 1 }, "row/-/1"),
            (SnapshotPart::Row { after: Some(1), key: i64::MAX }, "row/1/9223372036854775807"),
            (SnapshotPart::End { after: Some(7) }, "end/7"),
            (SnapshotPart::End { after: None }, "end/-"),
        ] {
            assert_eq!(String::from(part), text);
            assert_eq!(SnapshotPart::try_from(text.to_owned()), Ok(part));
        }
        for wrong in ["", "row", "row/1", "row/-/-", "end", "end/x", "row/1/2/3", "End/1"] {
            assert!(SnapshotPart::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_type_of_a_newer_version_is_no_event_and_a_wrong_payload_is_an_error() {
        let mut event = envelope(&one_of_each()[0]);
        event.r#type = "anticorona.Registered.v2".to_owned();
        assert_eq!(DomainEvent::decode(&event).unwrap(), None);
        event.r#type = full_type("Booked");
        assert!(DomainEvent::decode(&event).is_err());
    }

    #[test]
    fn an_envelope_is_serialised_as_cloudevents_specifies() {
        let aborted = ReservationAborted { reservation_id: ReservationId(uuid::Uuid::nil()) };
        let json = serde_json::to_string(&envelope(&DomainEvent::ReservationAborted(aborted)));
        let json = json.unwrap();
        assert_eq!(
            json,
            "{\"specversion\":\"1.0\",\"id\":\"s/7\",\
             \"source\":\"00000000-0000-0000-0000-000000000000\",\"sequence\":\"7\",\
             \"type\":\"anticorona.ReservationAborted.v1\",\"time\":\"1970-01-01T00:00:00Z\",\
             \"data\":{\"reservationId\":\"00000000-0000-0000-0000-000000000000\"}}"
        );
        let back: CloudEvent = serde_json::from_str(&json).unwrap();
        assert_eq!(back.sequence, 7);
    }
}

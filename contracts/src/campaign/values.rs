//! Times of the day, degrees, and what is ignored.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::{
    ids::{SiteId, VaccineId},
    number,
};

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// What only `campaign` sets: it may be sent back as it was read, and is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// A time of the day, `09:30`; `24:00` is its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinuteOfDay(u16);

impl MinuteOfDay {
    /// A time, in minutes from 0:00; none beyond 24:00.
    pub fn new(minutes: u16) -> Option<Self> {
        (minutes <= DAY_MINUTES).then_some(Self(minutes))
    }

    /// Minutes from 0:00.
    pub fn minutes(self) -> u16 {
        self.0
    }

    /// The time that a text like `09:30` says.
    pub fn parse(text: &str) -> Option<Self> {
        let (hours, minutes) = text.split_once(':')?;
        let number = |text: &str| {
            let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u16>().ok())?
        };
        let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
        Self::new(number(hours)? * 60 + minutes)
    }
}

impl fmt::Display for MinuteOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for MinuteOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MinuteOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "a time from 00:00 to 24:00";
        Self::parse(&text)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))
    }
}

impl PartialSchema for MinuteOfDay {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        RefOr::T(text.pattern(Some("^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")).into())
    }
}

impl ToSchema for MinuteOfDay {}

/// A latitude or a longitude, in millionths of a degree; in JSON a number of degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microdegrees(pub i32);

impl Microdegrees {
    /// The nearest one, up to half a turn.
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "in range")]
    pub fn from_degrees(degrees: f64) -> Option<Self> {
        (degrees.abs() <= 180.0).then(|| Self((degrees * 1e6).round() as i32))
    }

    /// In degrees.
    pub fn degrees(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Serialize for Microdegrees {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.degrees())
    }
}

impl<'de> Deserialize<'de> for Microdegrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let degrees = f64::deserialize(deserializer)?;
        let expected = "degrees from -180 to 180";
        Self::from_degrees(degrees)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Float(degrees), &expected))
    }
}

/// Reads the number of a site.
pub(super) fn site_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SiteId, D::Error> {
    number::integer(deserializer).map(SiteId)
}

/// Reads the numbers of vaccines.
pub(super) fn vaccine_ids<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<VaccineId>, D::Error> {
    #[derive(Deserialize)]
    struct Number(#[serde(deserialize_with = "number::integer")] i64);

    let numbers = Vec::<Number>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|Number(number)| VaccineId(number)).collect())
}

/// Reads degrees up to a quarter of a turn.
pub(super) fn latitude<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Microdegrees, D::Error> {
    let degrees = f64::deserialize(deserializer)?;
    let expected = "degrees from -90 to 90";
    let latitude = Some(degrees).filter(|degrees| degrees.abs() <= 90.0);
    latitude
        .and_then(Microdegrees::from_degrees)
        .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Float(degrees), &expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_is_read_as_it_is_written() {
        for (text, minutes) in [("00:00", 0), ("09:30", 570), ("23:59", 1439), ("24:00", 1440)] {
            let time = MinuteOfDay::parse(text).unwrap();
            assert_eq!((time.minutes(), time.to_string()), (minutes, text.to_owned()));
        }
        for wrong in ["", "9:30", "09:60", "24:01", "25:00", "+9:30", "09:30:00", "0930", "99:59"] {
            assert_eq!(MinuteOfDay::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn degrees_are_kept_to_a_millionth() {
        let read = |json: &str| serde_json::from_str::<Microdegrees>(json).ok();
        assert_eq!(read("37.5665351"), Some(Microdegrees(37_566_535)));
        assert_eq!(read("-180"), Some(Microdegrees(-180_000_000)));
        assert_eq!(read("180.1"), None);
        assert_eq!(read("90.0000001"), Some(Microdegrees(90_000_000)));
        let latitude = |json: &str| latitude(&mut serde_json::Deserializer::from_str(json)).ok();
        assert_eq!(latitude("-90"), Some(Microdegrees(-90_000_000)));
        assert_eq!(latitude("90.0000001"), None, "it is refused before it is rounded");
        assert_eq!(serde_json::to_string(&Microdegrees(37_566_535)).unwrap(), "37.566535");
    }
}

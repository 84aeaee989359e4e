//! Whole numbers that may arrive as a JSON number or as a numeric string.
//!
//! The reference's front end sends the text of its input fields, so `"5"` must mean `5`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, OneOfBuilder, Schema, Type},
    },
};

/// The largest whole number that every JSON reader keeps exactly: 2^53 − 1 (RFC 8259, section 6).
pub const WHOLE_MAX: i64 = 9_007_199_254_740_991;

/// The most digits of a number in a string, leading zeros aside: as many as [`WHOLE_MAX`] has, less one,
/// so that a pattern can say which strings are numbers.
const DIGITS_MAX: usize = 15;

/// A whole number; reads `5`, `5.0` and `"5"`, refuses `5.5`, `"five"` and anything beyond ±[`WHOLE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl de::Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number between -{WHOLE_MAX} and {WHOLE_MAX}")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole, E> {
        if (-WHOLE_MAX..=WHOLE_MAX).contains(&value) {
            Ok(Whole(value))
        } else {
            Err(E::invalid_value(de::Unexpected::Signed(value), &self))
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(value), &self)),
        }
    }

    /// `5.0` is the number 5, which some programs write so.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "whole and in range"
    )]
    #[expect(clippy::cast_precision_loss, reason = "exact: it is below 2^53")]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole, E> {
        if value.fract() == 0.0 && value.abs() <= WHOLE_MAX as f64 {
            Ok(Whole(value as i64))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Whole, E> {
        parse(value).map(Whole).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
    }
}

/// Digits, with spaces around them and a minus before them at most.
fn parse(text: &str) -> Option<i64> {
    let number = text.trim_matches(' ');
    let digits = number.strip_prefix('-').unwrap_or(number);
    let significant = digits.trim_start_matches('0').len();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && significant <= DIGITS_MAX).then(|| number.parse().ok())?
}

/// A field may be missing, and is not `null`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a whole number from 1.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let Whole(number) = Whole::deserialize(deserializer)?;
    if number < 1 {
        let expected = "a whole number from 1";
        return Err(de::Error::invalid_value(de::Unexpected::Signed(number), &expected));
    }
    Ok(number)
}

/// Reads a count: a whole number from 0, not a string.
pub(crate) fn count<'de, D: Deserializer<'de>, T: TryFrom<u32>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let count = deserializer.deserialize_any(CountVisitor)?;
    T::try_from(count).map_err(|_| {
        de::Error::invalid_value(de::Unexpected::Unsigned(count.into()), &"a smaller number")
    })
}

/// Reads a count that may be missing, and is not `null`.
pub(crate) fn present_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    count(deserializer).map(Some)
}

/// Reads a whole number that is not a string.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(IntegerVisitor)
}

struct IntegerVisitor;

impl de::Visitor<'_> for IntegerVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number up to {}", i64::MAX)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
        WholeVisitor.visit_f64(value).map(|Whole(number)| number)
    }
}

struct CountVisitor;

impl de::Visitor<'_> for CountVisitor {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {}", u32::MAX)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<u32, E> {
        u32::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u32, E> {
        u32::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<u32, E> {
        let Whole(number) = WholeVisitor.visit_f64(value)?;
        self.visit_i64(number)
    }
}

/// How OpenAPI describes a [`Whole`] from 1 to [`WHOLE_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct PositiveNumber;

impl PartialSchema for PositiveNumber {
    fn schema() -> RefOr<Schema> {
        schema(1, WHOLE_MAX, "0*[1-9][0-9]{0,14}")
    }
}

impl ToSchema for PositiveNumber {}

/// How OpenAPI describes a [`Whole`] from 0 to [`WHOLE_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct NaturalNumber;

impl PartialSchema for NaturalNumber {
    fn schema() -> RefOr<Schema> {
        schema(0, WHOLE_MAX, "-?0+|0*[1-9][0-9]{0,14}")
    }
}

impl ToSchema for NaturalNumber {}

/// A number in a range, or a string of it.
pub(crate) fn schema(min: i64, max: i64, text: &str) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    let number = number.minimum(Some(min)).maximum(Some(max));
    let text =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^ *({text}) *$")));
    RefOr::T(OneOfBuilder::new().item(number).item(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<i64> {
        serde_json::from_str::<Whole>(json).ok().map(|whole| whole.0)
    }

    #[test]
    fn numbers_and_numeric_strings_mean_the_same() {
        assert_eq!(read("5"), Some(5));
        assert_eq!(read("\"5\""), Some(5));
        assert_eq!(read("\" -7 \""), Some(-7));
        assert_eq!(read("5.0"), Some(5));
        assert_eq!(read("-0.0"), Some(0));
        assert_eq!(read("\"0000000000000000000000000005\""), Some(5));
        assert_eq!(read("\"999999999999999\""), Some(999_999_999_999_999));
    }

    #[test]
    fn an_integer_is_no_string() {
        let read = |json: &str| integer(&mut serde_json::Deserializer::from_str(json)).ok();
        assert_eq!((read("5"), read("5.0"), read("-5")), (Some(5), Some(5), Some(-5)));
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        for json in ["5.5", "\"5\"", "null", "9223372036854775808", "1e30"] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn a_count_is_no_string_and_fits_its_type() {
        let read = |json: &str| count::<_, u8>(&mut serde_json::Deserializer::from_str(json)).ok();
        assert_eq!((read("0"), read("255"), read("5.0")), (Some(0), Some(255), Some(5)));
        for json in ["256", "-1", "5.5", "\"5\"", "null", "4294967296"] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for json in ["5.5", "\"five\"", "\"\"", "true", "null", "[5]", "9007199254740992", "1e30"] {
            assert_eq!(read(json), None, "{json}");
        }
        for text in ["+5", "5.0", "- 5", "\\t5", "-", "1000000000000000"] {
            assert_eq!(read(&format!("\"{text}\"")), None, "{text}");
        }
    }
}

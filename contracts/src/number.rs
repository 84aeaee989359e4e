//! Whole numbers that may arrive as a JSON number or as a numeric string.
//!
//! The reference's front end sends the text of its input fields, so `"5"` must mean `5`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

/// The largest whole number that every JSON reader keeps exactly: 2^53 − 1 (RFC 8259, section 6).
pub const WHOLE_MAX: i64 = 9_007_199_254_740_991;

/// A whole number; reads `5` and `"5"`, refuses `5.5`, `"five"` and anything beyond ±[`WHOLE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
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

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Whole, E> {
        match value.trim().parse() {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
        }
    }
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
    }

    #[test]
    fn everything_else_is_refused() {
        for json in ["5.5", "\"five\"", "\"\"", "true", "null", "[5]", "9007199254740992", "1e30"] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}

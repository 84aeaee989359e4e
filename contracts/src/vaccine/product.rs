//! Product rules of vaccines.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::number;

/// The longest time to the next dose, in days.
pub const DOSE_INTERVAL_MAX: u16 = 365;

/// The highest age, in months.
pub const AGE_MONTHS_MAX: u32 = 1_800;

/// The highest CVX code.
pub const CVX_MAX: u32 = 9_999;

/// What is known of a vaccine as a product, and the body of `PUT /vaccines/{id}/product`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Product {
    /// Its CVX code, 1 to 9,999.
    #[serde(
        default,
        deserialize_with = "number::present_count",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, minimum = 1, maximum = 9_999, example = 208)]
    pub cvx: Option<u32>,
    /// Its code in another system, 1 to 32 letters, digits and `._-`.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = String, required = false, pattern = "^[A-Za-z0-9._-]{1,32}$")]
    pub local_code: Option<String>,
    /// The youngest age, in months; 0 to 1,800.
    #[serde(
        default,
        deserialize_with = "number::present_count",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, maximum = 1_800)]
    pub min_age_months: Option<u32>,
    /// The highest age, in months; 0 to 1,800, not less than the youngest.
    #[serde(
        default,
        deserialize_with = "number::present_count",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false, maximum = 1_800)]
    pub max_age_months: Option<u32>,
    /// When a second dose of the same vaccine is due; none, if one dose is enough.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub next_dose: Option<DoseInterval>,
}

/// How many days after a dose the next one may be: dates at the sites, both limits included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoseInterval {
    /// At least, 1 to 365.
    #[serde(deserialize_with = "number::count")]
    #[schema(minimum = 1, maximum = 365)]
    pub min_days: u16,
    /// At most; not less than `minDays`, up to 365.
    #[serde(deserialize_with = "number::count")]
    #[schema(minimum = 1, maximum = 365)]
    pub max_days: u16,
}

impl DoseInterval {
    /// Whether so many days are within it.
    pub fn contains(self, days: i64) -> bool {
        (i64::from(self.min_days)..=i64::from(self.max_days)).contains(&days)
    }
}

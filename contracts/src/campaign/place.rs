//! Where a site is, and how to get there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    schemas::{PostalCode, Text100, Text200},
    values::{self, Microdegrees},
};
use crate::number;

/// A site as the people see it who have to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SitePlace {
    /// Its name.
    pub name: LocalizedName,
    /// Where it is.
    pub address: Address,
    /// Where to call.
    #[schema(example = "+82 2 123 4567")]
    pub phone: String,
    /// IANA.
    #[schema(example = "Asia/Seoul")]
    pub time_zone: String,
    /// Where it is on the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub position: Option<GeoPosition>,
    /// What people with disabilities have to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub accessibility: Option<String>,
}

/// A name in Korean, and perhaps in English.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalizedName {
    /// 1 to 100 characters.
    #[schema(value_type = Text100, example = "강남구 보건소")]
    pub ko: String,
    /// 1 to 100 characters; without it, the Korean name is shown.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Text100, example = "Gangnam Health Centre")]
    pub en: Option<String>,
}

/// Where a site is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Street and number, 1 to 200 characters.
    #[schema(value_type = Text200)]
    pub line: String,
    /// 1 to 100 characters.
    #[schema(value_type = Text100)]
    pub city: String,
    /// ISO 3166-2.
    #[schema(example = "KR-11", pattern = "^[A-Z]{2}-[A-Z0-9]{1,3}$")]
    pub region: String,
    /// 1 to 16 characters.
    #[serde(
        default,
        deserialize_with = "number::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = PostalCode)]
    pub postal_code: Option<String>,
}

/// Where a site is on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GeoPosition {
    /// In degrees, kept to a millionth.
    #[serde(deserialize_with = "values::latitude")]
    #[schema(value_type = f64, minimum = -90, maximum = 90)]
    pub latitude: Microdegrees,
    /// In degrees, kept to a millionth.
    #[schema(value_type = f64, minimum = -180, maximum = 180)]
    pub longitude: Microdegrees,
}

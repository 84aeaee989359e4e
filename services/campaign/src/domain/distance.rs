//! Distances over the surface of the earth.

use contracts::campaign::GeoPosition;

/// The mean radius of the earth (IUGG).
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;

/// The length of the great circle between two positions, in whole metres.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most half of the circumference"
)]
pub fn distance_metres(from: GeoPosition, to: GeoPosition) -> u32 {
    let radians = |position: GeoPosition| {
        [position.latitude, position.longitude].map(|angle| angle.degrees().to_radians())
    };
    let ([lat_from, lon_from], [lat_to, lon_to]) = (radians(from), radians(to));
    let haversine = |angle: f64| (angle / 2.0).sin().powi(2);
    let h =
        haversine(lat_to - lat_from) + lat_from.cos() * lat_to.cos() * haversine(lon_to - lon_from);
    (2.0 * EARTH_RADIUS_METRES * h.clamp(0.0, 1.0).sqrt().asin()).round() as u32
}

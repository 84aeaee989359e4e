//! The record of an injection: what was injected, where, by whom and when.

use contracts::injection::{BodySite, InjectionRecord};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// The longest lot number, in characters.
pub const LOT_NUMBER_MAX: usize = 32;
/// The longest name of a performer, in characters.
pub const PERFORMER_MAX: usize = 100;
/// The first and the last dose of a series.
pub const DOSE_NUMBERS: [i64; 2] = [1, 9];
/// How long ago an injection may be that is recorded now: sheets are filled in offline, and uploaded later.
pub const OCCURRED_AGO_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A field of a record that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct InvalidRecord {
    /// Its name: `lotNumber`.
    pub field: &'static str,
    /// Why.
    pub reason: String,
}

/// A record as a client gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenRecord {
    /// The lot, as printed on the vial; at most [`LOT_NUMBER_MAX`] printable characters of ASCII.
    pub lot_number: Option<String>,
    /// Where on the body.
    pub body_site: Option<BodySite>,
    /// Which dose of the series, within [`DOSE_NUMBERS`].
    pub dose_number: Option<i64>,
    /// Who injected; at most [`PERFORMER_MAX`] characters.
    pub performer: Option<String>,
    /// When it was, at most [`OCCURRED_AGO_MAX`] ago; now, if it is not given.
    pub occurred_at: Option<Timestamp>,
}

/// A record whose fields are valid, without spaces around them. At least one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRecord(GivenRecord);

impl CheckedRecord {
    /// The record, if every field is valid; none, if nothing is given.
    pub fn parse(given: GivenRecord) -> Result<Option<Self>, InvalidRecord> {
        if given == GivenRecord::default() {
            return Ok(None);
        }
        let GivenRecord { lot_number, body_site, dose_number, performer, occurred_at } = given;
        Ok(Some(Self(GivenRecord {
            lot_number: lot_number.map(|text| check_lot_number(&text)).transpose()?,
            body_site,
            dose_number: dose_number.map(check_dose_number).transpose()?,
            performer: performer.map(|text| check_performer(&text)).transpose()?,
            occurred_at: occurred_at.map(whole_milliseconds),
        })))
    }

    /// When the injection was, if it is recorded at this time.
    pub(super) fn occurred_at(&self, at: Timestamp) -> Timestamp {
        self.0.occurred_at.unwrap_or(at)
    }

    /// What is stored, if it is recorded at this time.
    pub(super) fn recorded(&self, at: Timestamp) -> InjectionRecord {
        let occurred_at = self.occurred_at(at);
        let GivenRecord { lot_number, body_site, dose_number, performer, occurred_at: _ } =
            self.0.clone();
        InjectionRecord { lot_number, body_site, dose_number, performer, occurred_at }
    }
}

/// As it is stored.
fn whole_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

fn wrong<T>(field: &'static str, reason: String) -> Result<T, InvalidRecord> {
    Err(InvalidRecord { field, reason })
}

fn check_lot_number(text: &str) -> Result<String, InvalidRecord> {
    let text = text.trim();
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if is_printable && (1..=LOT_NUMBER_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let reason = format!("must have 1 to {LOT_NUMBER_MAX} printable characters of ASCII");
    wrong("lotNumber", reason)
}

fn check_performer(text: &str) -> Result<String, InvalidRecord> {
    let text = text.trim();
    let has_length = (1..=PERFORMER_MAX).contains(&text.chars().count());
    if has_length && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let reason = format!("must have 1 to {PERFORMER_MAX} characters and no control characters");
    wrong("performer", reason)
}

fn check_dose_number(number: i64) -> Result<i64, InvalidRecord> {
    let [first, last] = DOSE_NUMBERS;
    if (first..=last).contains(&number) {
        return Ok(number);
    }
    wrong("doseNumber", format!("must be a number from {first} to {last}"))
}

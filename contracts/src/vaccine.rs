//! What `vaccine` says and hears: stock, and holds on it.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use crate::{
    ids::{HolderId, ReservationId, VaccineId},
    number::Whole,
};

/// The largest number of holds in one [`HoldBatch`]; more is refused whole.
pub const HOLDS_MAX: usize = 512;

/// A vaccine as everybody may see it. Doses still free: `stock - book_qty`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vaccine {
    /// Its number, given by `vaccine`.
    pub vaccine_id: VaccineId,
    /// Its name, 1 to 100 characters.
    #[schema(example = "FIZER")]
    pub vc_name: String,
    /// Doses that exist.
    pub stock: i64,
    /// Doses held or booked; never more than `stock`.
    pub book_qty: i64,
}

/// The body of `POST`, `PUT` and `PATCH` on vaccines.
///
/// Fields that only `vaccine` sets may be sent back as they were read; they are ignored.
/// Any other unknown field is refused, so that a misspelt `stok` cannot pass for a change.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaccineBody {
    /// The name, 1 to 100 characters.
    #[schema(example = "FIZER")]
    pub vc_name: Option<String>,
    /// Doses that exist, 0 to 1,000,000,000; a number or a numeric string.
    #[schema(example = 1000)]
    pub stock: Option<Whole>,
    #[serde(default, rename = "vaccineId")]
    #[schema(ignore)]
    _vaccine_id: IgnoredAny,
    #[serde(default, rename = "bookQty")]
    #[schema(ignore)]
    _book_qty: IgnoredAny,
    #[serde(default, rename = "_links")]
    #[schema(ignore)]
    _links: IgnoredAny,
}

/// Many holds in one request; every hold is decided alone and gets its own outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldBatch {
    /// Who holds the doses, and will say what becomes of them.
    pub holder: HolderId,
    /// At most [`HOLDS_MAX`].
    pub holds: Vec<Hold>,
}

/// One dose of one vaccine, please.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The attempt; asking again with the same id repeats the answer.
    pub reservation_id: ReservationId,
    /// The vaccine wanted.
    pub vaccine_id: VaccineId,
}

/// The outcomes of a [`HoldBatch`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldReply {
    /// One outcome per hold.
    pub outcomes: Vec<HoldOutcome>,
}

/// What became of one hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case", from = "Said")]
pub enum HoldOutcome {
    /// A dose is held for this reservation.
    #[serde(rename_all = "camelCase")]
    Held {
        /// The vaccine's registered name.
        vc_name: String,
    },
    /// Every dose is held or booked.
    SoldOut,
    /// There is no such vaccine.
    NoSuchVaccine,
    /// This reservation was given back before; its id is spent.
    Released,
    /// This reservation exists, but for another vaccine or another holder.
    Conflict,
    /// The ledger could not decide; nothing is known to be held.
    Failed,
}

/// A [`HoldOutcome`] as it is read: field by field, which is several times quicker than to look
/// for the tag first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    outcome: Outcome,
    #[serde(default)]
    vc_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Held,
    SoldOut,
    NoSuchVaccine,
    Released,
    Conflict,
    Failed,
}

impl From<Said> for HoldOutcome {
    fn from(Said { outcome, vc_name }: Said) -> Self {
        match outcome {
            Outcome::Held => Self::Held { vc_name },
            Outcome::SoldOut => Self::SoldOut,
            Outcome::NoSuchVaccine => Self::NoSuchVaccine,
            Outcome::Released => Self::Released,
            Outcome::Conflict => Self::Conflict,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// Holds that nobody has confirmed or released yet, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnsettledHolds {
    /// Their reservations.
    pub reservation_ids: Vec<ReservationId>,
}

/// A reservation as `vaccine` remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The attempt.
    pub reservation_id: ReservationId,
    /// The vaccine.
    pub vaccine_id: VaccineId,
    /// Where it stands.
    pub state: ReservationState,
}

/// `held → booked → administered`, or `released`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReservationState {
    /// A dose is set aside; its holder has not said yet what becomes of it.
    Held,
    /// A booking stands behind it.
    Booked,
    /// The dose went back; the id is spent.
    Released,
    /// The dose was used.
    Administered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_read_as_it_is_written() {
        use HoldOutcome::{Conflict, Failed, Held, NoSuchVaccine, Released, SoldOut};
        let held = Held { vc_name: "FIZER".to_owned() };
        for outcome in [held, SoldOut, NoSuchVaccine, Released, Conflict, Failed] {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<HoldOutcome>(&json).unwrap(), outcome, "{json}");
        }
    }
}

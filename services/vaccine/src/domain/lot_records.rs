//! Lots as they are stored, and the commands on them.

use contracts::{
    ids::{LotId, SiteId},
    vaccine::lots::LotChangeKind,
};
use jiff::{Timestamp, civil::Date};

use super::values::{LotNumber, SiteStockId};

/// A lot of a vaccine at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotRecord {
    /// Where it is, and of what.
    pub stock: SiteStockId,
    /// As printed on the box.
    pub number: LotNumber,
    /// The last date on which its doses can be used.
    pub expires_on: Date,
    /// Doses that are there.
    pub doses: i64,
    /// Doses that were received.
    pub received: i64,
    /// Doses that were injected.
    pub used: i64,
    /// Doses that were wasted.
    pub wasted: i64,
    /// Doses that other sites got.
    pub transferred: i64,
    /// How often it was changed, without injections.
    pub changes: i64,
}

/// What happened to a lot, without its injections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotChangeRecord {
    /// What.
    pub kind: LotChangeKind,
    /// How many doses; of a count, how many there were.
    pub doses: i64,
    /// The other site of a transfer.
    pub site: Option<SiteId>,
    /// Why, and who says so.
    pub by: Accountability,
    /// When.
    pub at: Timestamp,
}

/// Why something was changed, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accountability {
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// Receives doses of a lot that the site has not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveLot {
    /// Where it is, and of what.
    pub stock: SiteStockId,
    /// As printed on the box.
    pub number: LotNumber,
    /// The last date on which its doses can be used.
    pub expires_on: Date,
    /// Doses.
    pub doses: i64,
    /// Why, and who says so.
    pub by: Accountability,
    /// When.
    pub at: Timestamp,
}

/// Changes the doses of a lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeLot {
    /// The lot.
    pub lot: LotId,
    /// What happened.
    pub kind: LotChangeKind,
    /// How many doses; of a count, how many there are.
    pub doses: i64,
    /// Of a transfer: the site that has them now.
    pub to: Option<SiteId>,
    /// Whether it happens although reservations would have no dose.
    pub overcommit: bool,
    /// Only while it was changed so often.
    pub expected: Option<i64>,
    /// Why, and who says so.
    pub by: Accountability,
    /// When.
    pub at: Timestamp,
}

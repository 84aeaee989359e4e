//! Commands to the ledger: by name, for examples, and any, for properties.

use contracts::ids::{HolderId, ReservationId};
use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;
use vaccine::domain::{Command, Hold, Name, PoolId, Stock};

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

pub(crate) fn stock(doses: i64) -> Stock {
    Stock::parse(doses).expect("a stock")
}

pub(crate) fn reservation(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(number))
}

pub(crate) fn holder(number: u128) -> HolderId {
    HolderId(Uuid::from_u128(number))
}

pub(crate) fn register(doses: i64) -> Command {
    Command::Register { name: name("FIZER"), stock: stock(doses) }
}

/// A reservation by holder 1.
pub(crate) fn of(number: u128, pools: &[i64]) -> Hold {
    Hold {
        reservation: reservation(number),
        holder: Some(holder(1)),
        claims: pools.iter().copied().map(PoolId).collect(),
        at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn hold(number: u128, pool: i64) -> Command {
    Command::Hold(of(number, &[pool]))
}

pub(crate) fn confirm(number: u128, pool: i64) -> Command {
    Command::Confirm(of(number, &[pool]))
}

pub(crate) fn release(number: u128) -> Command {
    Command::Release { reservation: reservation(number), of: None, at: Timestamp::UNIX_EPOCH }
}

/// Holder 1 says that there is no booking.
pub(crate) fn give_back(number: u128) -> Command {
    let (reservation, at) = (reservation(number), Timestamp::UNIX_EPOCH);
    Command::GiveBack { reservation, holder: holder(1), at }
}

/// Somebody used the dose.
pub(crate) fn administer(number: u128, pool: i64) -> Command {
    let Hold { reservation, claims, at, holder: _ } = of(number, &[pool]);
    Command::Administer { reservation, claims, at }
}

/// Few pools, few reservations and little stock, so that commands meet each other.
pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => (any_name(), any_stock()).prop_map(|(name, stock)| Command::Register { name, stock }),
        2 => (any_pool(), option::of(any_name()), option::of(any_stock()))
            .prop_map(|(pool, name, stock)| Command::Change { pool, name, stock }),
        1 => any_pool().prop_map(|pool| Command::Remove { pool }),
        6 => any_hold().prop_map(Command::Hold),
        3 => any_hold().prop_map(Command::Confirm),
        3 => (any_reservation(), option::of(any_pool()), any_time())
            .prop_map(|(reservation, of, at)| Command::Release { reservation, of, at }),
        3 => (any_reservation(), (1_u128..3).prop_map(holder), any_time())
            .prop_map(|(reservation, holder, at)| Command::GiveBack { reservation, holder, at }),
        3 => any_hold().prop_map(|Hold { reservation, claims, at, holder: _ }| {
            Command::Administer { reservation, claims, at }
        }),
    ]
}

/// Mostly of one or two vaccines; now and then of none, or of the same one twice.
fn any_hold() -> impl Strategy<Value = Hold> {
    let holder = option::of((1_u128..3).prop_map(holder));
    (any_reservation(), holder, vec((1_i64..4).prop_map(PoolId), 0..4), any_time())
        .prop_map(|(reservation, holder, claims, at)| Hold { reservation, holder, claims, at })
}

fn any_pool() -> impl Strategy<Value = PoolId> {
    (1_i64..5).prop_map(PoolId)
}

fn any_reservation() -> impl Strategy<Value = ReservationId> {
    (1_u128..6).prop_map(reservation)
}

fn any_name() -> impl Strategy<Value = Name> {
    prop_oneof![Just(name("FIZER")), Just(name("MODERNA"))]
}

fn any_stock() -> impl Strategy<Value = Stock> {
    (0_i64..4).prop_map(stock)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0_i64..100).prop_map(|second| Timestamp::from_second(second).expect("a time"))
}

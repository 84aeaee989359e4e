//! The rules of the ledger, each by example; then properties of any commands.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "domain/blocks.rs"]
mod blocks;
#[path = "fixture/commands.rs"]
mod commands;
#[path = "fixture/lots.rs"]
mod lot_commands;
#[path = "domain/lots.rs"]
mod lots;
#[path = "domain/model.rs"]
mod model;
#[path = "domain/moves.rs"]
mod moves;
#[path = "domain/properties.rs"]
mod properties;
#[path = "domain/series.rs"]
mod series;
#[path = "domain/slots.rs"]
mod slots;

use std::fmt::Write;

use contracts::ids::VaccineId;
use insta::assert_snapshot;
use vaccine::domain::{
    ChangedPool, Command, ConfirmHold, Doses, HeldBlock, HoldDoses, Ledger, NAME_MAX, Name, Pool,
    Reply, STOCK_MAX, decide,
};

use commands::{
    abort_by, administer, administer_doses, change_vaccine, confirm, confirm_without_owner, dose,
    hold, hold_doses, owner, pool_id, register, release, release_of, remove, rename, return_by,
    return_dose,
};

/// A ledger with vaccines of so many doses, numbered from 1.
fn ledger(stocks: &[i64]) -> Ledger {
    let mut ledger = Ledger::default();
    for stock in stocks {
        decide(&mut ledger, &register(*stock));
    }
    ledger
}

fn change_stock(pool: i64, stock: i64) -> Command {
    change_vaccine(pool, None, Some(stock)).into()
}

fn taken(ledger: &Ledger, pool: i64) -> i64 {
    ledger.pools.get(&pool_id(pool)).unwrap().taken
}

fn in_words(reply: &Reply) -> String {
    if let Some(refusal) = reply.refusal() {
        return format!("refused, {refusal}");
    }
    let shown = |id: &VaccineId, pool: &Pool| {
        format!("{}: {} of {} {}", id.0, pool.taken, pool.stock.count(), pool.name.as_str())
    };
    match reply {
        Reply::Registered(id, pool) => shown(id, pool),
        Reply::LotReceived(Ok((id, lot))) | Reply::LotChanged(Ok((id, lot))) => {
            format!("lot {id}: {}", lot.doses)
        }
        Reply::LotReceived(Err(refusal)) | Reply::LotChanged(Err(refusal)) => refusal.to_string(),
        Reply::Changed(Ok(ChangedPool { id, pool, stock_before })) => {
            format!("{}, before of {}", shown(id, pool), stock_before.count())
        }
        Reply::Held(Ok(HeldBlock { name, count: 1, .. })) => format!("held {}", name.as_str()),
        Reply::Held(Ok(HeldBlock { name, count, .. })) => format!("held {count} {}", name.as_str()),
        Reply::Removed(_) => "removed".to_owned(),
        Reply::ProductSet(_) => "product set".to_owned(),
        Reply::Confirmed(_) => "confirmed".to_owned(),
        Reply::Released(_) => "released".to_owned(),
        Reply::Returned(_) => "returned".to_owned(),
        Reply::Aborted(_) => "aborted".to_owned(),
        Reply::Moved(Ok(())) => "moved".to_owned(),
        Reply::Moved(Err(refusal)) => format!("moved, but {refusal}"),
        Reply::Administered(_) => "administered".to_owned(),
        Reply::SlotsPlanned => "planned".to_owned(),
        Reply::CampaignChanged => "campaign changed".to_owned(),
        Reply::Changed(Err(_)) | Reply::Held(Err(_)) => unreachable!("a refusal"),
    }
}

/// The reply to each command, and how many doses of vaccine 1 are taken after it.
fn replies(ledger: &mut Ledger, commands: &[Command]) -> String {
    let mut replies = String::new();
    for command in commands {
        let reply = in_words(&decide(ledger, command));
        writeln!(replies, "{reply} ({} taken)", taken(ledger, 1)).unwrap();
    }
    replies
}

/// The same, with how many doses there are.
fn replies_and_stock(ledger: &mut Ledger, commands: &[Command]) -> String {
    let mut replies = String::new();
    for command in commands {
        let reply = in_words(&decide(ledger, command));
        let Pool { taken, stock, overcommitted, .. } = ledger.pools.get(&pool_id(1)).unwrap();
        let missing = match overcommitted {
            0 => String::new(),
            missing => format!(", {missing} overcommitted"),
        };
        writeln!(replies, "{reply} ({taken} taken of {}{missing})", stock.count()).unwrap();
    }
    replies
}

#[test]
fn a_reservation_counts_once_in_any_order_of_its_commands() {
    let mut all = String::new();
    for order in [
        "hold confirm release",
        "hold release confirm",
        "confirm hold release",
        "confirm release hold",
        "release hold confirm",
        "release confirm hold",
    ] {
        let commands = order.split(' ').map(|word| match word {
            "hold" => hold(7, 1),
            "confirm" => confirm(7, 1),
            _ => release(7),
        });
        let replies = replies(&mut ledger(&[1]), &commands.collect::<Vec<_>>());
        let replies = replies.trim_end().replace('\n', "; ");
        writeln!(all, "{order}: {replies}").unwrap();
    }
    assert_snapshot!(all, @"
    hold confirm release: held FIZER (1 taken); confirmed (1 taken); released (0 taken)
    hold release confirm: held FIZER (1 taken); released (0 taken); refused, the reservation was released before (0 taken)
    confirm hold release: confirmed (1 taken); held FIZER (1 taken); released (0 taken)
    confirm release hold: confirmed (1 taken); released (0 taken); refused, the reservation was released before (0 taken)
    release hold confirm: released (0 taken); refused, the reservation was released before (0 taken); refused, the reservation was released before (0 taken)
    release confirm hold: released (0 taken); refused, the reservation was released before (0 taken); refused, the reservation was released before (0 taken)
    ");
}

#[test]
fn a_repeated_command_has_the_same_reply() {
    let mut ledger = ledger(&[1]);
    let again = [hold(7, 1), hold(7, 1), confirm(7, 1), confirm(7, 1), hold(7, 1)];
    assert_snapshot!(replies(&mut ledger, &again), @"
    held FIZER (1 taken)
    held FIZER (1 taken)
    confirmed (1 taken)
    confirmed (1 taken)
    held FIZER (1 taken)
    ");
    assert_snapshot!(replies(&mut ledger, &[release(7), release(7)]), @"
    released (0 taken)
    released (0 taken)
    ");
}

#[test]
fn a_reservation_id_belongs_to_one_owner_and_one_vaccine() {
    let mut ledger = ledger(&[5, 5]);
    let other_owner = Command::Hold(HoldDoses { owner: Some(owner(2)), ..hold_doses(7, &[1]) });
    let without_owner = Command::Hold(HoldDoses { owner: None, ..hold_doses(7, &[1]) });
    assert_snapshot!(replies(&mut ledger, &[hold(7, 1), hold(7, 2), other_owner, without_owner]), @"
    held FIZER (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    ");
    assert_eq!(taken(&ledger, 2), 0);
}

#[test]
fn the_last_dose_is_taken_once_and_again_after_its_release() {
    let mut ledger = ledger(&[1]);
    let third = Command::Confirm(confirm_without_owner(3, 1));
    let commands = [hold(1, 1), hold(2, 1), third.clone(), release(1), third, hold(4, 1)];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    held FIZER (1 taken)
    refused, every dose is held or booked (1 taken)
    refused, every dose is held or booked (1 taken)
    released (0 taken)
    confirmed (1 taken)
    refused, every dose is held or booked (1 taken)
    ");
}

#[test]
fn commands_on_an_unknown_vaccine_are_refused() {
    let mut ledger = ledger(&[1]);
    let commands = [hold(1, 2), confirm(2, 2), change_stock(2, 1), remove(2)];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    refused, there is no such vaccine (0 taken)
    refused, there is no such vaccine (0 taken)
    refused, there is no such vaccine (0 taken)
    refused, there is no such vaccine (0 taken)
    ");
}

#[test]
fn the_stock_never_falls_below_the_doses_taken() {
    let mut ledger = ledger(&[3]);
    let commands = [
        hold(1, 1),
        confirm(2, 1),
        change_stock(1, 1),
        change_stock(1, 2),
        hold(3, 1),
        change_stock(1, 9),
        rename(1, "MODERNA"),
        hold(3, 1),
    ];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    held FIZER (1 taken)
    confirmed (2 taken)
    refused, 2 doses are held or booked (2 taken)
    1: 2 of 2 FIZER, before of 3 (2 taken)
    refused, every dose is held or booked (2 taken)
    1: 2 of 9 FIZER, before of 2 (2 taken)
    1: 2 of 9 MODERNA, before of 9 (2 taken)
    held MODERNA (3 taken)
    ");
}

#[test]
fn a_vaccine_in_use_cannot_be_removed_and_its_number_is_never_given_again() {
    let mut ledger = ledger(&[1, 1]);
    let commands =
        [hold(1, 2), remove(2), release(1), remove(2), remove(2), hold(2, 2), register(4)];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    held FIZER (0 taken)
    refused, 1 doses are held or booked (0 taken)
    released (0 taken)
    removed (0 taken)
    refused, there is no such vaccine (0 taken)
    refused, there is no such vaccine (0 taken)
    3: 0 of 4 FIZER (0 taken)
    ");
}

#[test]
fn a_release_that_names_another_vaccine_is_refused() {
    let mut ledger = ledger(&[1, 1]);
    let commands = [hold(1, 1), release_of(1, 2), release_of(1, 1), release_of(1, 2)];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    held FIZER (1 taken)
    refused, there is no such reservation (1 taken)
    released (0 taken)
    refused, there is no such reservation (0 taken)
    ");
    // The vaccine of a hold that has not arrived is unknown.
    assert_snapshot!(replies(&mut ledger, &[release_of(2, 1), release_of(2, 2)]), @"
    released (0 taken)
    released (0 taken)
    ");
}

#[test]
fn an_administered_dose_leaves_the_stock_once() {
    let commands = [hold(1, 1), confirm(1, 1), administer(1, 1), administer(1, 1), hold(1, 1)];
    assert_snapshot!(replies_and_stock(&mut ledger(&[5]), &commands), @"
    held FIZER (1 taken of 5)
    confirmed (1 taken of 5)
    administered (0 taken of 4)
    administered (0 taken of 4)
    held FIZER (0 taken of 4)
    ");
    let held_only = [hold(1, 1), administer(1, 1), confirm(1, 1), return_dose(1), release(1)];
    assert_snapshot!(replies_and_stock(&mut ledger(&[5]), &held_only), @"
    held FIZER (1 taken of 5)
    administered (0 taken of 4)
    confirmed (0 taken of 4)
    refused, the dose was administered (0 taken of 4)
    refused, the dose was administered (0 taken of 4)
    ");
}

#[test]
fn an_administered_dose_leaves_the_stock_in_any_order_of_events() {
    let mut all = String::new();
    for order in [
        "confirm return administer",
        "confirm administer return",
        "return confirm administer",
        "return administer confirm",
        "administer confirm return",
        "administer return confirm",
    ] {
        let commands = order.split(' ').map(|word| match word {
            "confirm" => confirm(7, 1),
            "return" => return_dose(7),
            _ => administer(7, 1),
        });
        let replies = replies_and_stock(&mut ledger(&[2]), &commands.collect::<Vec<_>>());
        let replies = replies.trim_end().replace('\n', "; ");
        writeln!(all, "{order}: {replies}").unwrap();
    }
    assert_snapshot!(all, @"
    confirm return administer: confirmed (1 taken of 2); returned (0 taken of 2); administered (0 taken of 1)
    confirm administer return: confirmed (1 taken of 2); administered (0 taken of 1); refused, the dose was administered (0 taken of 1)
    return confirm administer: returned (0 taken of 2); refused, the reservation was released before (0 taken of 2); administered (0 taken of 1)
    return administer confirm: returned (0 taken of 2); administered (0 taken of 1); confirmed (0 taken of 1)
    administer confirm return: administered (0 taken of 1); confirmed (0 taken of 1); refused, the dose was administered (0 taken of 1)
    administer return confirm: administered (0 taken of 1); refused, the dose was administered (0 taken of 1); confirmed (0 taken of 1)
    ");
}

#[test]
fn a_dose_that_was_returned_booked_by_another_and_used_after_all_is_missing_until_one_is_free() {
    let commands = [
        hold(1, 1),
        return_dose(1),
        hold(2, 1),
        confirm(2, 1),
        administer(1, 1),
        administer(1, 1),
        hold(3, 1),
        return_dose(2),
        hold(3, 1),
        administer(3, 1),
        change_stock(1, 1),
        administer(4, 9),
    ];
    assert_snapshot!(replies_and_stock(&mut ledger(&[1]), &commands), @"
    held FIZER (1 taken of 1)
    returned (0 taken of 1)
    held FIZER (1 taken of 1)
    confirmed (1 taken of 1)
    administered (1 taken of 0, 1 overcommitted)
    administered (1 taken of 0, 1 overcommitted)
    refused, every dose is held or booked (1 taken of 0, 1 overcommitted)
    returned (0 taken of 0)
    refused, every dose is held or booked (0 taken of 0)
    administered (0 taken of 0, 1 overcommitted)
    1: 0 of 1 FIZER, before of 0 (0 taken of 1)
    refused, there is no such vaccine (0 taken of 1)
    ");
}

#[test]
fn who_booked_without_a_dose_can_use_one_that_arrives_later() {
    let mut ledger = ledger(&[1]);
    let commands = [
        confirm(1, 1),
        return_dose(1),
        confirm(2, 1),
        administer(1, 1),
        rename(1, "MODERNA"),
        change_stock(1, 0),
        change_stock(1, 2),
        hold(3, 1),
        administer(2, 1),
    ];
    assert_snapshot!(replies_and_stock(&mut ledger, &commands), @"
    confirmed (1 taken of 1)
    returned (0 taken of 1)
    confirmed (1 taken of 1)
    administered (1 taken of 0, 1 overcommitted)
    1: 1 of 0 MODERNA, before of 0 (1 taken of 0, 1 overcommitted)
    1: 1 of 0 MODERNA, before of 0 (1 taken of 0, 1 overcommitted)
    1: 1 of 2 MODERNA, before of 0 (1 taken of 2)
    held MODERNA (2 taken of 2)
    administered (1 taken of 1)
    ");
}

#[test]
fn a_booking_whose_dose_is_unknown_here_is_counted_also_where_every_dose_is_taken() {
    let nobodys = Command::Confirm(confirm_without_owner(3, 1));
    let commands =
        [hold(1, 1), confirm(2, 1), nobodys, return_dose(1), hold(4, 1), administer(2, 1)];
    assert_snapshot!(replies_and_stock(&mut ledger(&[1]), &commands), @"
    held FIZER (1 taken of 1)
    confirmed (2 taken of 1, 1 overcommitted)
    refused, every dose is held or booked (2 taken of 1, 1 overcommitted)
    returned (1 taken of 1)
    refused, every dose is held or booked (1 taken of 1)
    administered (0 taken of 0)
    ");
}

#[test]
fn several_doses_of_one_vaccine_are_administered_together() {
    let twice = |number| administer_doses(number, &[1, 1]);
    let held_twice = Command::Hold(hold_doses(3, &[1, 1]));
    let commands = [hold(1, 1), twice(2), release(1), held_twice, twice(3), twice(4)];
    assert_snapshot!(replies_and_stock(&mut ledger(&[2]), &commands), @"
    held FIZER (1 taken of 2)
    administered (1 taken of 0, 1 overcommitted)
    released (0 taken of 0)
    refused, every dose is held or booked (0 taken of 0)
    administered (0 taken of 0, 2 overcommitted)
    administered (0 taken of 0, 4 overcommitted)
    ");
}

#[test]
fn an_owner_returns_only_its_own_reservations() {
    let without_owner = Command::Hold(HoldDoses { owner: None, ..hold_doses(2, &[1]) });
    let commands = [
        hold(1, 1),
        return_by(1, 2),
        confirm(1, 1),
        return_by(1, 2),
        return_by(1, 1),
        return_by(1, 2),
        without_owner,
        return_by(2, 1),
    ];
    assert_snapshot!(replies(&mut ledger(&[5]), &commands), @"
    held FIZER (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    confirmed (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    returned (0 taken)
    returned (0 taken)
    held FIZER (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    ");
}

#[test]
fn an_aborted_attempt_gets_no_dose_and_a_booking_is_not_aborted() {
    let commands = [
        hold(1, 1),
        abort_by(1, 2),
        abort_by(1, 1),
        abort_by(1, 1),
        hold(1, 1),
        confirm(1, 1),
        return_dose(1),
        abort_by(2, 1),
        hold(2, 1),
        confirm(3, 1),
        abort_by(3, 1),
        return_dose(3),
        abort_by(3, 1),
    ];
    assert_snapshot!(replies(&mut ledger(&[5]), &commands), @"
    held FIZER (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    aborted (0 taken)
    aborted (0 taken)
    refused, the reservation was released before (0 taken)
    refused, the reservation was released before (0 taken)
    returned (0 taken)
    aborted (0 taken)
    refused, the reservation was released before (0 taken)
    confirmed (1 taken)
    refused, the reservation id is taken by another one (1 taken)
    returned (0 taken)
    aborted (0 taken)
    ");
}

#[test]
fn a_dose_that_was_used_after_its_attempt_was_aborted_leaves_the_stock() {
    let commands = [hold(1, 1), abort_by(1, 1), administer(1, 1), abort_by(1, 1)];
    assert_snapshot!(replies_and_stock(&mut ledger(&[5]), &commands), @"
    held FIZER (1 taken of 5)
    aborted (0 taken of 5)
    administered (0 taken of 4)
    aborted (0 taken of 4)
    ");
}

#[test]
fn a_reservation_that_is_returned_before_it_is_confirmed_stays_returned() {
    let commands = [return_dose(1), return_dose(1), confirm(1, 1), hold(1, 1)];
    assert_snapshot!(replies(&mut ledger(&[1]), &commands), @"
    returned (0 taken)
    returned (0 taken)
    refused, the reservation was released before (0 taken)
    refused, the reservation was released before (0 taken)
    ");
}

#[test]
fn a_claim_of_several_vaccines_takes_all_or_none() {
    let both = |number| Command::Hold(hold_doses(number, &[1, 2]));
    let mut ledger = ledger(&[5, 1]);
    let commands =
        [both(1), both(2), Command::Hold(hold_doses(3, &[1, 9])), release(1), confirm(4, 1)];
    assert_snapshot!(replies(&mut ledger, &commands), @"
    held FIZER (1 taken)
    refused, every dose is held or booked (1 taken)
    refused, there is no such vaccine (1 taken)
    released (0 taken)
    confirmed (1 taken)
    ");
    assert_eq!(taken(&ledger, 2), 0);
}

#[test]
fn a_claim_that_names_a_vaccine_twice_takes_two_doses() {
    let twice = |number| Command::Hold(hold_doses(number, &[1, 1]));
    let commands = [twice(1), hold(2, 1), release(1), hold(2, 1), twice(3)];
    assert_snapshot!(replies(&mut ledger(&[2]), &commands), @"
    held FIZER (2 taken)
    refused, every dose is held or booked (2 taken)
    released (0 taken)
    held FIZER (1 taken)
    refused, every dose is held or booked (1 taken)
    ");
}

#[test]
fn a_claim_of_no_vaccine_is_refused_and_changes_nothing() {
    for command in [Command::Hold(hold_doses(1, &[])), Command::Confirm(ConfirmHold(dose(1, &[])))]
    {
        let mut ledger = ledger(&[1]);
        let before = ledger.clone();
        assert!(decide(&mut ledger, &command).refusal().is_some());
        assert_eq!(ledger, before, "{command:?}");
    }
}

#[test]
fn a_name_is_short_and_printable_and_trimmed() {
    assert_eq!(Name::parse("  FIZER 2 ").unwrap().as_str(), "FIZER 2");
    let longest = "é".repeat(NAME_MAX);
    assert_eq!(Name::parse(&longest).unwrap().as_str(), longest);
    for wrong in ["", "  ", "FI\nZER", "FI\u{0}ZER", "FI\u{85}ZER", &format!("{longest}x")] {
        assert_eq!(Name::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn a_stock_is_from_zero_to_a_billion() {
    for doses in [0, 1, STOCK_MAX] {
        assert_eq!(Doses::parse(doses).map(Doses::count), Some(doses));
    }
    for wrong in [-1, STOCK_MAX + 1, i64::MIN, i64::MAX] {
        assert_eq!(Doses::parse(wrong), None, "{wrong}");
    }
}

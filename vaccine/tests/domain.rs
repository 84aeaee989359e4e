//! The rules of the ledger, each by example; then what holds for any commands.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::fmt::Write;

use insta::assert_snapshot;
use jiff::Timestamp;
use vaccine::domain::{
    Command, Done, Hold, Ledger, NAME_MAX, Name, Outcome, Pool, PoolId, STOCK_MAX, Stock, decide,
};

#[path = "ledger/commands.rs"]
mod commands;
#[path = "domain/model.rs"]
mod model;
#[path = "domain/properties.rs"]
mod properties;

use commands::{
    administer, confirm, give_back, hold, holder, name, of, register, release, reservation, stock,
};

/// A ledger with vaccines of so many doses, numbered from 1.
fn ledger(stocks: &[i64]) -> Ledger {
    let mut ledger = Ledger::default();
    for doses in stocks {
        decide(&mut ledger, &register(*doses)).expect("registers");
    }
    ledger
}

fn change_stock(pool: i64, doses: i64) -> Command {
    Command::Change { pool: PoolId(pool), name: None, stock: Some(stock(doses)) }
}

fn taken(ledger: &Ledger, pool: i64) -> i64 {
    ledger.pools.get(&PoolId(pool)).expect("a vaccine").taken
}

fn in_words(outcome: &Outcome) -> String {
    let shown = |id: &PoolId, pool: &Pool| {
        format!("{}: {} of {} {}", id.0, pool.taken, pool.stock.doses(), pool.name.as_str())
    };
    match outcome {
        Ok(Done::Registered(id, pool)) => shown(id, pool),
        Ok(Done::Changed { id, pool, before }) => {
            format!("{}, before of {}", shown(id, pool), before.doses())
        }
        Ok(Done::Removed) => "removed".to_owned(),
        Ok(Done::Held { name }) => format!("held {}", name.as_str()),
        Ok(Done::Confirmed) => "confirmed".to_owned(),
        Ok(Done::Released) => "released".to_owned(),
        Ok(Done::Administered) => "administered".to_owned(),
        Err(refused) => format!("no, {refused}"),
    }
}

/// What is answered to each command, and how many doses of vaccine 1 are taken then.
fn story(ledger: &mut Ledger, commands: &[Command]) -> String {
    let mut story = String::new();
    for command in commands {
        let answer = in_words(&decide(ledger, command));
        writeln!(story, "{answer} ({} taken)", taken(ledger, 1)).expect("a string takes it");
    }
    story
}

#[test]
fn a_reservation_counts_once_in_whatever_order_it_comes_about() {
    let mut stories = String::new();
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
        let story = story(&mut ledger(&[1]), &commands.collect::<Vec<_>>());
        let story = story.trim_end().replace('\n', "; ");
        writeln!(stories, "{order}: {story}").expect("a string takes it");
    }
    assert_snapshot!(stories, @"
    hold confirm release: held FIZER (1 taken); confirmed (1 taken); released (0 taken)
    hold release confirm: held FIZER (1 taken); released (0 taken); no, the reservation was released before (0 taken)
    confirm hold release: confirmed (1 taken); held FIZER (1 taken); released (0 taken)
    confirm release hold: confirmed (1 taken); released (0 taken); no, the reservation was released before (0 taken)
    release hold confirm: released (0 taken); no, the reservation was released before (0 taken); no, the reservation was released before (0 taken)
    release confirm hold: released (0 taken); no, the reservation was released before (0 taken); no, the reservation was released before (0 taken)
    ");
}

#[test]
fn asking_again_repeats_the_answer() {
    let mut ledger = ledger(&[1]);
    let again = [hold(7, 1), hold(7, 1), confirm(7, 1), confirm(7, 1), hold(7, 1)];
    assert_snapshot!(story(&mut ledger, &again), @"
    held FIZER (1 taken)
    held FIZER (1 taken)
    confirmed (1 taken)
    confirmed (1 taken)
    held FIZER (1 taken)
    ");
    assert_snapshot!(story(&mut ledger, &[release(7), release(7)]), @"
    released (0 taken)
    released (0 taken)
    ");
}

#[test]
fn an_id_belongs_to_one_holder_and_one_vaccine() {
    let mut ledger = ledger(&[5, 5]);
    let stranger = Command::Hold(Hold { holder: Some(holder(2)), ..of(7, &[1]) });
    let nobody = Command::Hold(Hold { holder: None, ..of(7, &[1]) });
    assert_snapshot!(story(&mut ledger, &[hold(7, 1), hold(7, 2), stranger, nobody]), @"
    held FIZER (1 taken)
    no, the reservation id is taken by another one (1 taken)
    no, the reservation id is taken by another one (1 taken)
    no, the reservation id is taken by another one (1 taken)
    ");
    assert_eq!(taken(&ledger, 2), 0);
}

#[test]
fn the_last_dose_is_given_once_and_comes_back() {
    let mut ledger = ledger(&[1]);
    let commands = [hold(1, 1), hold(2, 1), confirm(3, 1), release(1), confirm(3, 1), hold(4, 1)];
    assert_snapshot!(story(&mut ledger, &commands), @"
    held FIZER (1 taken)
    no, every dose is held or booked (1 taken)
    no, every dose is held or booked (1 taken)
    released (0 taken)
    confirmed (1 taken)
    no, every dose is held or booked (1 taken)
    ");
}

#[test]
fn there_is_nothing_to_hold_of_what_is_not_offered() {
    let mut ledger = ledger(&[1]);
    let commands =
        [hold(1, 2), confirm(2, 2), change_stock(2, 1), Command::Remove { pool: PoolId(2) }];
    assert_snapshot!(story(&mut ledger, &commands), @"
    no, there is no such vaccine (0 taken)
    no, there is no such vaccine (0 taken)
    no, there is no such vaccine (0 taken)
    no, there is no such vaccine (0 taken)
    ");
}

#[test]
fn stock_never_falls_below_what_is_taken() {
    let mut ledger = ledger(&[3]);
    let rename = Command::Change { pool: PoolId(1), name: Some(name("MODERNA")), stock: None };
    let commands = [
        hold(1, 1),
        confirm(2, 1),
        change_stock(1, 1),
        change_stock(1, 2),
        hold(3, 1),
        change_stock(1, 9),
        rename,
        hold(3, 1),
    ];
    assert_snapshot!(story(&mut ledger, &commands), @"
    held FIZER (1 taken)
    confirmed (2 taken)
    no, 2 doses are held or booked (2 taken)
    1: 2 of 2 FIZER, before of 3 (2 taken)
    no, every dose is held or booked (2 taken)
    1: 2 of 9 FIZER, before of 2 (2 taken)
    1: 2 of 9 MODERNA, before of 9 (2 taken)
    held MODERNA (3 taken)
    ");
}

#[test]
fn a_vaccine_in_use_stays_and_a_number_is_never_given_again() {
    let mut ledger = ledger(&[1, 1]);
    let remove = Command::Remove { pool: PoolId(2) };
    let commands =
        [hold(1, 2), remove.clone(), release(1), remove.clone(), remove, hold(2, 2), register(4)];
    assert_snapshot!(story(&mut ledger, &commands), @"
    held FIZER (0 taken)
    no, 1 doses are held or booked (0 taken)
    released (0 taken)
    removed (0 taken)
    no, there is no such vaccine (0 taken)
    no, there is no such vaccine (0 taken)
    3: 0 of 4 FIZER (0 taken)
    ");
}

#[test]
fn a_release_that_names_another_vaccine_is_not_meant() {
    let mut ledger = ledger(&[1, 1]);
    let release_of = |number, pool| Command::Release {
        reservation: reservation(number),
        of: Some(PoolId(pool)),
        at: Timestamp::UNIX_EPOCH,
    };
    let commands = [hold(1, 1), release_of(1, 2), release_of(1, 1), release_of(1, 2)];
    assert_snapshot!(story(&mut ledger, &commands), @"
    held FIZER (1 taken)
    no, there is no such reservation (1 taken)
    released (0 taken)
    no, there is no such reservation (0 taken)
    ");
    // Before the hold came, nobody knows which vaccine it is about.
    assert_snapshot!(story(&mut ledger, &[release_of(2, 1), release_of(2, 2)]), @"
    released (0 taken)
    released (0 taken)
    ");
}

/// The same, with how many doses there are.
fn story_of_doses(ledger: &mut Ledger, commands: &[Command]) -> String {
    let mut story = String::new();
    for command in commands {
        let answer = in_words(&decide(ledger, command));
        let Pool { taken, stock, .. } = ledger.pools.get(&PoolId(1)).expect("a vaccine");
        writeln!(story, "{answer} ({taken} taken of {})", stock.doses())
            .expect("a string takes it");
    }
    story
}

#[test]
fn an_administered_dose_is_gone_once() {
    let commands = [hold(1, 1), confirm(1, 1), administer(1, 1), administer(1, 1), hold(1, 1)];
    assert_snapshot!(story_of_doses(&mut ledger(&[5]), &commands), @"
    held FIZER (1 taken of 5)
    confirmed (1 taken of 5)
    administered (0 taken of 4)
    administered (0 taken of 4)
    no, the dose was administered (0 taken of 4)
    ");
    let held_only = [hold(1, 1), administer(1, 1), confirm(1, 1), give_back(1), release(1)];
    assert_snapshot!(story_of_doses(&mut ledger(&[5]), &held_only), @"
    held FIZER (1 taken of 5)
    administered (0 taken of 4)
    confirmed (0 taken of 4)
    no, the dose was administered (0 taken of 4)
    no, the dose was administered (0 taken of 4)
    ");
}

#[test]
fn a_dose_is_gone_whatever_was_said_before_and_after() {
    let mut stories = String::new();
    for order in [
        "confirm give-back administer",
        "confirm administer give-back",
        "give-back confirm administer",
        "give-back administer confirm",
        "administer confirm give-back",
        "administer give-back confirm",
    ] {
        let commands = order.split(' ').map(|word| match word {
            "confirm" => confirm(7, 1),
            "give-back" => give_back(7),
            _ => administer(7, 1),
        });
        let story = story_of_doses(&mut ledger(&[2]), &commands.collect::<Vec<_>>());
        let story = story.trim_end().replace('\n', "; ");
        writeln!(stories, "{order}: {story}").expect("a string takes it");
    }
    assert_snapshot!(stories, @"
    confirm give-back administer: confirmed (1 taken of 2); released (0 taken of 2); administered (0 taken of 1)
    confirm administer give-back: confirmed (1 taken of 2); administered (0 taken of 1); no, the dose was administered (0 taken of 1)
    give-back confirm administer: released (0 taken of 2); no, the reservation was released before (0 taken of 2); administered (0 taken of 1)
    give-back administer confirm: released (0 taken of 2); administered (0 taken of 1); confirmed (0 taken of 1)
    administer confirm give-back: administered (0 taken of 1); confirmed (0 taken of 1); no, the dose was administered (0 taken of 1)
    administer give-back confirm: administered (0 taken of 1); no, the dose was administered (0 taken of 1); confirmed (0 taken of 1)
    ");
}

#[test]
fn a_dose_that_was_given_back_and_taken_by_another_cannot_be_administered() {
    let commands = [
        hold(1, 1),
        give_back(1),
        hold(2, 1),
        administer(1, 1),
        give_back(2),
        administer(1, 1),
        administer(3, 1),
        administer(4, 9),
    ];
    assert_snapshot!(story_of_doses(&mut ledger(&[1]), &commands), @"
    held FIZER (1 taken of 1)
    released (0 taken of 1)
    held FIZER (1 taken of 1)
    no, every dose is held or booked (1 taken of 1)
    released (0 taken of 1)
    administered (0 taken of 0)
    no, every dose is held or booked (0 taken of 0)
    no, there is no such vaccine (0 taken of 0)
    ");
}

#[test]
fn several_doses_of_one_vaccine_are_administered_together_or_not_at_all() {
    let twice = |number| Command::Administer {
        reservation: reservation(number),
        claims: vec![PoolId(1), PoolId(1)],
        at: Timestamp::UNIX_EPOCH,
    };
    let held_twice = Command::Hold(of(3, &[1, 1]));
    let commands = [hold(1, 1), twice(2), release(1), held_twice, twice(3), twice(4)];
    assert_snapshot!(story_of_doses(&mut ledger(&[2]), &commands), @"
    held FIZER (1 taken of 2)
    no, every dose is held or booked (1 taken of 2)
    released (0 taken of 2)
    held FIZER (2 taken of 2)
    administered (0 taken of 0)
    no, every dose is held or booked (0 taken of 0)
    ");
}

#[test]
fn a_holder_gives_back_its_own_reservations_only() {
    let by = |number, by| match give_back(number) {
        Command::GiveBack { reservation, at, .. } => {
            Command::GiveBack { reservation, holder: holder(by), at }
        }
        command => command,
    };
    let nobodys = Command::Hold(Hold { holder: None, ..of(2, &[1]) });
    let commands =
        [hold(1, 1), by(1, 2), confirm(1, 1), by(1, 2), by(1, 1), by(1, 2), nobodys, by(2, 1)];
    assert_snapshot!(story(&mut ledger(&[5]), &commands), @"
    held FIZER (1 taken)
    no, the reservation id is taken by another one (1 taken)
    confirmed (1 taken)
    no, the reservation id is taken by another one (1 taken)
    released (0 taken)
    released (0 taken)
    held FIZER (1 taken)
    no, the reservation id is taken by another one (1 taken)
    ");
}

#[test]
fn what_is_given_back_before_it_is_confirmed_stays_given_back() {
    let commands = [give_back(1), give_back(1), confirm(1, 1), hold(1, 1)];
    assert_snapshot!(story(&mut ledger(&[1]), &commands), @"
    released (0 taken)
    released (0 taken)
    no, the reservation was released before (0 taken)
    no, the reservation was released before (0 taken)
    ");
}

#[test]
fn a_claim_of_several_vaccines_takes_all_or_none() {
    let both = |number| Command::Hold(of(number, &[1, 2]));
    let mut ledger = ledger(&[5, 1]);
    let commands = [both(1), both(2), Command::Hold(of(3, &[1, 9])), release(1), confirm(4, 1)];
    assert_snapshot!(story(&mut ledger, &commands), @"
    held FIZER (1 taken)
    no, every dose is held or booked (1 taken)
    no, there is no such vaccine (1 taken)
    released (0 taken)
    confirmed (1 taken)
    ");
    assert_eq!(taken(&ledger, 2), 0);
}

#[test]
fn a_vaccine_that_is_named_twice_needs_two_doses() {
    let twice = |number| Command::Hold(of(number, &[1, 1]));
    let commands = [twice(1), hold(2, 1), release(1), hold(2, 1), twice(3)];
    assert_snapshot!(story(&mut ledger(&[2]), &commands), @"
    held FIZER (2 taken)
    no, every dose is held or booked (2 taken)
    released (0 taken)
    held FIZER (1 taken)
    no, every dose is held or booked (1 taken)
    ");
}

#[test]
fn a_claim_of_nothing_is_refused_and_leaves_nothing() {
    for command in [Command::Hold(of(1, &[])), Command::Confirm(of(1, &[]))] {
        let mut ledger = ledger(&[1]);
        let before = ledger.clone();
        assert!(decide(&mut ledger, &command).is_err());
        assert_eq!(ledger, before, "{command:?}");
    }
}

#[test]
fn a_name_is_short_printable_and_has_no_space_around_it() {
    assert_eq!(Name::parse("  FIZER 2 ").expect("a name").as_str(), "FIZER 2");
    let longest = "é".repeat(NAME_MAX);
    assert_eq!(Name::parse(&longest).expect("a name").as_str(), longest);
    for wrong in ["", "  ", "FI\nZER", "FI\u{0}ZER", "FI\u{85}ZER", &format!("{longest}x")] {
        assert_eq!(Name::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn a_stock_is_from_nothing_to_a_billion() {
    for doses in [0, 1, STOCK_MAX] {
        assert_eq!(Stock::parse(doses).map(Stock::doses), Some(doses));
    }
    for wrong in [-1, STOCK_MAX + 1, i64::MIN, i64::MAX] {
        assert_eq!(Stock::parse(wrong), None, "{wrong}");
    }
}

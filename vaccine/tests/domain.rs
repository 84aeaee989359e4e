//! The rules of the ledger, each by example; then what holds for any commands.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::fmt::Write;

use insta::assert_snapshot;
use jiff::Timestamp;
use vaccine::domain::{
    Command, Done, Hold, Ledger, NAME_MAX, Name, Outcome, PoolId, STOCK_MAX, Said, Stock, decide,
};

#[path = "ledger/commands.rs"]
mod commands;
#[path = "domain/model.rs"]
mod model;
#[path = "domain/properties.rs"]
mod properties;

use commands::{
    confirm, hear_booked, hold, holder, name, of, register, release, reservation, stock,
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

/// Holder 1 says that there is none.
fn hear_given_back(sequence: u64, number: u128) -> Command {
    let (reservation, at) = (reservation(number), Timestamp::UNIX_EPOCH);
    Command::Hear { source: holder(1), sequence, said: Said::GivenBack { reservation, at } }
}

fn taken(ledger: &Ledger, pool: i64) -> i64 {
    ledger.pools.get(&PoolId(pool)).expect("a vaccine").taken
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Ok(Done::Vaccine(id, pool)) => {
            format!("{}: {} of {} {}", id.0, pool.taken, pool.stock.doses(), pool.name.as_str())
        }
        Ok(Done::Removed) => "removed".to_owned(),
        Ok(Done::Held { name }) => format!("held {}", name.as_str()),
        Ok(Done::Confirmed) => "confirmed".to_owned(),
        Ok(Done::Released) => "released".to_owned(),
        Ok(Done::Heard { sequence, refused: None }) => format!("heard up to {sequence}"),
        Ok(Done::Heard { sequence, refused: Some(refused) }) => {
            format!("heard up to {sequence}, but {refused}")
        }
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
    1: 2 of 2 FIZER (2 taken)
    no, every dose is held or booked (2 taken)
    1: 2 of 9 FIZER (2 taken)
    1: 2 of 9 MODERNA (2 taken)
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

#[test]
fn what_a_holder_says_counts_once_and_in_its_order() {
    let mut ledger = ledger(&[5]);
    let said = [
        hear_booked(2, 2),
        hear_booked(1, 1),
        hear_booked(1, 1),
        hear_booked(0, 3),
        hear_given_back(3, 1),
        hear_booked(2, 2),
        hear_given_back(3, 1),
        hear_given_back(3, 1),
        hear_booked(2, 2),
    ];
    assert_snapshot!(story(&mut ledger, &said), @"
    heard up to 0 (0 taken)
    heard up to 1 (1 taken)
    heard up to 1 (1 taken)
    heard up to 1 (1 taken)
    heard up to 1 (1 taken)
    heard up to 2 (2 taken)
    heard up to 3 (1 taken)
    heard up to 3 (1 taken)
    heard up to 3 (1 taken)
    ");
}

#[test]
fn a_holder_is_heard_even_if_nothing_can_come_of_it() {
    let mut ledger = ledger(&[1]);
    let said = [hear_booked(1, 1), hear_booked(2, 2), hear_given_back(3, 3), hear_booked(4, 3)];
    assert_snapshot!(story(&mut ledger, &said), @"
    heard up to 1 (1 taken)
    heard up to 2, but every dose is held or booked (1 taken)
    heard up to 3 (1 taken)
    heard up to 4, but the reservation was released before (1 taken)
    ");
}

#[test]
fn every_holder_has_its_own_count() {
    let mut ledger = ledger(&[5]);
    let other = |sequence| match hear_booked(sequence, 9) {
        Command::Hear { sequence, said, .. } => Command::Hear { source: holder(2), sequence, said },
        command => command,
    };
    assert_snapshot!(story(&mut ledger, &[hear_booked(1, 1), other(2), other(1)]), @"
    heard up to 1 (1 taken)
    heard up to 0 (1 taken)
    heard up to 1 (2 taken)
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

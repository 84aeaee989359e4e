//! Whether the ledgers of all parts agree: nothing oversold, leaked, lost or double.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Value, json};

pub use self::read::{Ledgers, SETTLE_WITHIN};

mod read;

/// How many discrepancies are named; all of them are counted.
const NAMED_MAX: usize = 20;

/// What clients were told, to be compared with what is kept.
#[derive(Clone, Debug, Default)]
pub struct Promised {
    told: Vec<Promise>,
    /// The same person was told of two bookings, in words.
    double: Vec<String>,
}

/// Somebody was told of a booking.
#[derive(Clone, Copy, Debug)]
struct Promise {
    /// One `Idempotency-Key`, or one request.
    asker: u64,
    /// Which of several processes said so.
    process: usize,
    booking: i64,
}

/// What the parts have in their books at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) vaccines: BTreeMap<i64, Pool>,
    /// As listed, so that one that is listed twice is seen; a list for each database, each with
    /// numbers of its own.
    pub(crate) bookings: Vec<Vec<Entry>>,
    /// The desk's appointments, if there is a desk.
    pub(crate) injections: Option<Vec<Entry>>,
    /// What citizens see, if there is something to see.
    pub(crate) mypages: Option<Vec<Entry>>,
    /// Doses of which nobody has said yet what becomes of them.
    pub(crate) unsettled: usize,
}

/// A vaccine's doses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) stock: i64,
    pub(crate) taken: i64,
}

/// A booking, as one of the parts sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) booking: i64,
    pub(crate) vaccine: i64,
    pub(crate) stage: Stage,
}

/// Where a booking stands, by whatever word a part has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Booked,
    Cancelled,
    Completed,
}

/// What the comparison came to. All four counts are 0 in a healthy system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Doses given away that do not exist.
    pub oversold: u64,
    /// Doses set aside that nobody has booked.
    pub leaked: u64,
    /// Bookings that somebody was told of, or that one part knows, and another does not.
    pub lost: u64,
    /// Bookings that stand twice where they should stand once.
    pub double: u64,
    /// What was compared.
    pub vaccines: u64,
    /// What was compared.
    pub bookings: u64,
    /// The first discrepancies, in words.
    pub named: Vec<String>,
}

impl Promised {
    /// `asker` was told of `booking`, by one of several processes.
    pub fn note(&mut self, asker: u64, process: usize, booking: i64) {
        self.told.push(Promise { asker, process, booking });
    }

    /// The same person was told of two bookings.
    pub fn contradicted(&mut self, what: String) {
        self.double.push(what);
    }

    /// How many times somebody was told of a booking.
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Whether nothing was promised.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

impl Audit {
    /// Whether everything agrees.
    pub fn is_clean(&self) -> bool {
        self.oversold + self.leaked + self.lost + self.double == 0
    }

    /// Everything, for programs.
    pub fn json(&self) -> Value {
        json!({
            "oversold": self.oversold,
            "leaked": self.leaked,
            "lost": self.lost,
            "double": self.double,
            "vaccines": self.vaccines,
            "bookings": self.bookings,
            "named": self.named,
        })
    }

    fn compare(books: &Books, promised: &Promised) -> Self {
        let mut audit = Self {
            vaccines: count(books.vaccines.len()),
            bookings: count(books.bookings.iter().map(Vec::len).sum()),
            ..Self::default()
        };
        audit.pools(books);
        let lists = books.bookings.iter();
        let kept: Vec<_> = lists.map(|entries| audit.once("booking", entries)).collect();
        // Numbers of several databases mean different bookings to a part that hears of all.
        if let [kept] = &kept[..] {
            for (part, entries) in [("injection", &books.injections), ("mypage", &books.mypages)] {
                if let Some(entries) = entries {
                    audit.follower(part, entries, kept);
                }
            }
        }
        audit.promises(promised, &kept);
        audit
    }

    /// What was promised is kept, once, for whoever was told of it.
    fn promises(&mut self, promised: &Promised, kept: &[BTreeMap<i64, Stage>]) {
        let mut askers: BTreeMap<(usize, i64), u64> = BTreeMap::new();
        for Promise { asker, process, booking } in &promised.told {
            // Processes on one database have one list.
            let list = (*process).min(kept.len().saturating_sub(1));
            match askers.insert((list, *booking), *asker) {
                Some(other) if other != *asker => {
                    self.double += 1;
                    self.name(format!("booking {booking} was promised to two people"));
                }
                Some(_) | None => {}
            }
        }
        for (list, booking) in askers.into_keys() {
            if !kept.get(list).is_some_and(|kept| kept.contains_key(&booking)) {
                self.lost += 1;
                self.name(format!("booking {booking} was promised, and is not kept"));
            }
        }
        for what in &promised.double {
            self.double += 1;
            self.name(what.clone());
        }
    }

    /// Doses against the bookings that stand.
    fn pools(&mut self, books: &Books) {
        let mut standing: BTreeMap<i64, i64> = BTreeMap::new();
        let bookings = books.bookings.iter().flatten();
        for entry in bookings.filter(|entry| entry.stage == Stage::Booked) {
            *standing.entry(entry.vaccine).or_default() += 1;
        }
        let ids: BTreeSet<i64> = books.vaccines.keys().chain(standing.keys()).copied().collect();
        for id in ids {
            let Pool { stock, taken } =
                books.vaccines.get(&id).copied().unwrap_or(Pool { stock: 0, taken: 0 });
            let booked = standing.get(&id).copied().unwrap_or(0);
            let found = format!("vaccine {id}: {stock} doses, {taken} taken, {booked} booked");
            let over = taken.max(booked) - stock;
            self.add(|audit| &mut audit.oversold, over, &found);
            self.add(|audit| &mut audit.leaked, taken - booked, &found);
            self.add(|audit| &mut audit.lost, booked - taken, &found);
        }
    }

    /// Each booking once; what stands more often is counted.
    fn once(&mut self, part: &str, entries: &[Entry]) -> BTreeMap<i64, Stage> {
        let mut known = BTreeMap::new();
        for entry in entries {
            if known.insert(entry.booking, entry.stage).is_some() {
                self.double += 1;
                self.name(format!("booking {} stands twice at {part}", entry.booking));
            }
        }
        known
    }

    /// A part that hears of bookings: it knows each of them, at the same stage, and no other.
    fn follower(&mut self, part: &str, entries: &[Entry], kept: &BTreeMap<i64, Stage>) {
        let known = self.once(part, entries);
        for (booking, stage) in kept {
            match known.get(booking) {
                // Whoever cancelled before the desk heard of it is not expected there.
                None if *stage == Stage::Cancelled => {}
                None => {
                    self.lost += 1;
                    self.name(format!("{part} does not know booking {booking}"));
                }
                Some(other) if other == stage => {}
                Some(other) => {
                    self.lost += 1;
                    self.name(format!("booking {booking} is {stage:?}, at {part} {other:?}"));
                }
            }
        }
        for booking in known.keys().filter(|id| !kept.contains_key(id)) {
            self.lost += 1;
            self.name(format!("{part} knows booking {booking}, which is not kept"));
        }
    }

    fn add(&mut self, field: fn(&mut Self) -> &mut u64, amount: i64, found: &str) {
        let Ok(amount @ 1..) = u64::try_from(amount) else { return };
        *field(self) += amount;
        self.name(found.to_owned());
    }

    fn name(&mut self, what: String) {
        if self.named.len() < NAMED_MAX && !self.named.contains(&what) {
            self.named.push(what);
        }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oversold, leaked, lost, double, .. } = self;
        write!(out, "oversold {oversold}, leaked {leaked}, lost {lost}, double {double}")
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKED: Stage = Stage::Booked;

    fn entry(booking: i64, stage: Stage) -> Entry {
        Entry { booking, vaccine: 1, stage }
    }

    /// Two bookings of three doses, and one that was cancelled, which everybody knows.
    fn healthy() -> Books {
        let entries = vec![entry(1, BOOKED), entry(2, Stage::Cancelled), entry(3, BOOKED)];
        Books {
            vaccines: BTreeMap::from([(1, Pool { stock: 3, taken: 2 })]),
            bookings: vec![entries.clone()],
            injections: Some(entries.clone()),
            mypages: Some(entries),
            unsettled: 0,
        }
    }

    fn counts(books: &Books) -> [u64; 4] {
        let audit = Audit::compare(books, &Promised::default());
        assert_eq!(audit.is_clean(), audit.named.is_empty(), "what is counted is named");
        [audit.oversold, audit.leaked, audit.lost, audit.double]
    }

    #[test]
    fn a_healthy_system_has_nothing_to_be_counted() {
        assert_eq!(counts(&healthy()), [0; 4]);
        let alone = Books { injections: None, mypages: None, ..healthy() };
        assert_eq!(counts(&alone), [0; 4]);
    }

    #[test]
    fn more_doses_taken_than_there_are_is_oversold() {
        let mut books = healthy();
        books.vaccines.insert(1, Pool { stock: 1, taken: 2 });
        assert_eq!(counts(&books), [1, 0, 0, 0]);
    }

    #[test]
    fn a_dose_that_nobody_booked_is_leaked_and_a_booking_without_a_dose_is_lost() {
        let mut books = healthy();
        books.vaccines.insert(1, Pool { stock: 3, taken: 3 });
        assert_eq!(counts(&books), [0, 1, 0, 0]);
        books.vaccines.insert(1, Pool { stock: 3, taken: 1 });
        assert_eq!(counts(&books), [0, 0, 1, 0]);
    }

    #[test]
    fn a_booking_of_a_vaccine_that_does_not_exist_is_oversold() {
        let books = Books { vaccines: BTreeMap::new(), ..healthy() };
        assert_eq!(counts(&books), [2, 0, 2, 0]);
    }

    #[test]
    fn a_follower_that_lacks_or_invents_a_booking_or_its_stage_lost_it() {
        for entries in [
            vec![entry(1, BOOKED), entry(2, Stage::Cancelled)],
            vec![entry(1, BOOKED), entry(3, BOOKED), entry(4, BOOKED)],
            vec![entry(1, BOOKED), entry(3, Stage::Completed)],
        ] {
            assert_eq!(counts(&Books { mypages: Some(entries), ..healthy() }), [0, 0, 1, 0]);
        }
    }

    #[test]
    fn the_desk_need_not_know_who_cancelled_before_it_heard() {
        let expected = vec![entry(1, BOOKED), entry(3, BOOKED)];
        assert_eq!(counts(&Books { injections: Some(expected), ..healthy() }), [0; 4]);
    }

    #[test]
    fn a_booking_that_stands_twice_is_double() {
        let mut books = healthy();
        books.injections.as_mut().expect("a desk").push(entry(1, BOOKED));
        assert_eq!(counts(&books), [0, 0, 0, 1]);
    }

    #[test]
    fn a_promise_is_kept_once() {
        let mut promised = Promised::default();
        for (asker, booking) in [(7, 1), (7, 1), (8, 3)] {
            promised.note(asker, 0, booking);
        }
        assert!(Audit::compare(&healthy(), &promised).is_clean());
        promised.note(9, 1, 3);
        promised.note(9, 0, 99);
        let audit = Audit::compare(&healthy(), &promised);
        assert_eq!((audit.lost, audit.double), (1, 1));
        assert_eq!(
            audit.named,
            ["booking 3 was promised to two people", "booking 99 was promised, and is not kept"]
        );
    }

    #[test]
    fn databases_of_their_own_have_numbers_of_their_own() {
        let lists = vec![vec![entry(1, BOOKED)], vec![entry(1, BOOKED)]];
        let books = Books { bookings: lists, mypages: None, injections: None, ..healthy() };
        let mut promised = Promised::default();
        promised.note(7, 0, 1);
        promised.note(8, 1, 1);
        assert!(Audit::compare(&books, &promised).is_clean());
        promised.note(8, 1, 2);
        assert_eq!(Audit::compare(&books, &promised).lost, 1);
    }

    #[test]
    fn everything_is_counted_and_a_few_are_named() {
        let many = (0..1_000).map(|n| entry(n, Stage::Completed)).collect();
        let audit = Audit::compare(
            &Books { bookings: vec![many], injections: Some(vec![]), ..Books::default() },
            &Promised::default(),
        );
        assert_eq!((audit.lost, audit.named.len()), (1_000, NAMED_MAX));
    }
}

//! Whether the ledgers of all services agree: nothing oversold, leaked, lost, double or overcommitted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::AddAssign,
};

use serde::Serialize;

/// How many findings are described; all of them are counted.
const FINDINGS_MAX: usize = 20;

/// The bookings that clients received, to be compared with the ledgers.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    bookings: Vec<Acknowledgement>,
    /// Clients that received two different final responses.
    conflicts: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Acknowledgement {
    /// One `Idempotency-Key`, or one request.
    client: u64,
    /// Which of several booking processes responded.
    process: usize,
    booking: i64,
}

/// The content of the ledgers at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) vaccines: BTreeMap<i64, Doses>,
    /// As listed, so that an item that is listed twice is found; a list for each database, whose ids
    /// are its own.
    pub(crate) bookings: Vec<Vec<Entry>>,
    /// Services that follow bookings by their events.
    pub(crate) followers: Vec<(&'static str, Vec<Entry>)>,
}

/// A vaccine's doses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doses {
    pub(crate) stock: i64,
    pub(crate) taken: i64,
    /// Used or booked although every dose was taken.
    pub(crate) overcommitted: i64,
}

impl AddAssign for Doses {
    fn add_assign(&mut self, other: Self) {
        self.stock += other.stock;
        self.taken += other.taken;
        self.overcommitted += other.overcommitted;
    }
}

/// A booking in one service's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) booking: i64,
    pub(crate) vaccine: i64,
    pub(crate) state: BookingState,
}

/// Common to all services, whatever their own names of it are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BookingState {
    Booked,
    Cancelled,
    Completed,
}

/// The result of the comparison. The first five counts are 0 in a healthy system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Doses taken or booked that do not exist.
    pub oversold: u64,
    /// Doses taken without a booking.
    pub leaked: u64,
    /// Bookings that a client received, or that one service has, and another service lacks.
    pub lost: u64,
    /// Bookings that exist twice.
    pub double: u64,
    /// Bookings whose dose was used by another citizen, after its own booking was cancelled.
    pub overcommitted: u64,
    /// Vaccines compared.
    pub vaccines: u64,
    /// Bookings compared.
    pub bookings: u64,
    /// The first discrepancies, in words.
    pub findings: Vec<String>,
}

impl Acknowledged {
    /// `client` received `booking`, from one of several processes.
    pub fn record(&mut self, client: u64, process: usize, booking: i64) {
        self.bookings.push(Acknowledgement { client, process, booking });
    }

    /// A client received two different final responses.
    pub fn record_conflict(&mut self, description: String) {
        self.conflicts.push(description);
    }

    /// How many acknowledgements were recorded.
    pub fn len(&self) -> usize {
        self.bookings.len()
    }

    /// Whether none was recorded.
    pub fn is_empty(&self) -> bool {
        self.bookings.is_empty()
    }
}

impl Audit {
    /// Whether everything agrees.
    pub fn is_clean(&self) -> bool {
        self.oversold + self.leaked + self.lost + self.double + self.overcommitted == 0
    }

    pub(crate) fn compare(snapshot: &Snapshot, acknowledged: &Acknowledged) -> Self {
        let mut audit = Self {
            vaccines: count(snapshot.vaccines.len()),
            bookings: count(snapshot.bookings.iter().map(Vec::len).sum()),
            ..Self::default()
        };
        audit.compare_doses(snapshot);
        let lists = snapshot.bookings.iter();
        let kept: Vec<_> = lists.map(|entries| audit.index("booking", entries)).collect();
        // Several databases use the same ids for different bookings.
        if let [kept] = &kept[..] {
            for (service, entries) in &snapshot.followers {
                audit.compare_follower(service, entries, kept);
            }
        }
        audit.compare_acknowledged(acknowledged, &kept);
        audit
    }

    /// An acknowledged booking exists, once, for the client that received it.
    fn compare_acknowledged(
        &mut self,
        acknowledged: &Acknowledged,
        kept: &[BTreeMap<i64, BookingState>],
    ) {
        let mut clients: BTreeMap<(usize, i64), u64> = BTreeMap::new();
        for Acknowledgement { client, process, booking } in &acknowledged.bookings {
            // Processes on one database have one list.
            let list = (*process).min(kept.len().saturating_sub(1));
            let other = clients.insert((list, *booking), *client);
            if other.is_some_and(|other| other != *client) {
                let text = format!("booking {booking} was acknowledged to two clients");
                self.add(|it| &mut it.double, 1, text);
            }
        }
        for (list, booking) in clients.into_keys() {
            if !kept.get(list).is_some_and(|kept| kept.contains_key(&booking)) {
                let text = format!("booking {booking} was acknowledged and does not exist");
                self.add(|it| &mut it.lost, 1, text);
            }
        }
        for conflict in &acknowledged.conflicts {
            self.add(|it| &mut it.double, 1, conflict.clone());
        }
    }

    /// Doses against bookings that are not cancelled.
    fn compare_doses(&mut self, snapshot: &Snapshot) {
        let mut active: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let bookings = snapshot.bookings.iter().flatten();
        for entry in bookings.filter(|entry| entry.state == BookingState::Booked) {
            active.entry(entry.vaccine).or_default().push(entry.booking);
        }
        let ids: BTreeSet<_> = snapshot.vaccines.keys().chain(active.keys()).collect();
        for id in ids {
            let doses = snapshot.vaccines.get(id).copied().unwrap_or_default();
            let Doses { stock, taken, overcommitted } = doses;
            let bookings = active.get(id).map_or(&[][..], Vec::as_slice);
            let booked = count(bookings.len()).cast_signed();
            let text = format!("vaccine {id}: {stock} doses, {taken} taken, {booked} booked");
            let known = stock + overcommitted;
            self.add(|it| &mut it.oversold, taken.max(booked) - known, text.clone());
            self.add(|it| &mut it.leaked, taken - booked, text.clone());
            self.add(|it| &mut it.lost, booked - taken, text);
            self.add(
                |it| &mut it.overcommitted,
                overcommitted,
                without_dose(*id, overcommitted, bookings),
            );
        }
    }

    /// The entries by booking; duplicates are counted.
    fn index(&mut self, service: &str, entries: &[Entry]) -> BTreeMap<i64, BookingState> {
        let mut index = BTreeMap::new();
        for entry in entries {
            if index.insert(entry.booking, entry.state).is_some() {
                let text = format!("booking {} exists twice in {service}", entry.booking);
                self.add(|it| &mut it.double, 1, text);
            }
        }
        index
    }

    /// A service that follows bookings has each of them, in the same state, and no other.
    fn compare_follower(
        &mut self,
        service: &str,
        entries: &[Entry],
        kept: &BTreeMap<i64, BookingState>,
    ) {
        let known = self.index(service, entries);
        for (booking, state) in kept {
            let text = match known.get(booking) {
                Some(other) if other == state => continue,
                // A booking that was cancelled before its event was consumed is not expected there.
                None if *state == BookingState::Cancelled => continue,
                None => format!("{service} lacks booking {booking}"),
                Some(other) => format!("booking {booking} is {state:?}, in {service} {other:?}"),
            };
            self.add(|it| &mut it.lost, 1, text);
        }
        for booking in known.keys().filter(|id| !kept.contains_key(id)) {
            let text = format!("{service} has booking {booking}, which does not exist");
            self.add(|it| &mut it.lost, 1, text);
        }
    }

    /// Counts and describes; an amount below 1 is not a discrepancy.
    fn add(&mut self, field: fn(&mut Self) -> &mut u64, amount: i64, finding: String) {
        let Ok(amount @ 1..) = u64::try_from(amount) else { return };
        *field(self) += amount;
        if self.findings.len() < FINDINGS_MAX && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oversold, leaked, lost, double, overcommitted, .. } = self;
        write!(
            out,
            "oversold {oversold}, leaked {leaked}, lost {lost}, double {double}, overcommitted \
             {overcommitted}"
        )
    }
}

/// Names the newest bookings: who has booked last has no dose.
fn without_dose(vaccine: i64, overcommitted: i64, bookings: &[i64]) -> String {
    let mut newest = bookings.to_vec();
    newest.sort_unstable_by(|one, other| other.cmp(one));
    newest.truncate(usize::try_from(overcommitted).unwrap_or(0).min(FINDINGS_MAX));
    format!(
        "vaccine {vaccine}: {overcommitted} doses too many were used; without a dose: bookings \
         {newest:?}"
    )
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKED: BookingState = BookingState::Booked;
    const CANCELLED: BookingState = BookingState::Cancelled;

    fn entry(booking: i64, state: BookingState) -> Entry {
        Entry { booking, vaccine: 1, state }
    }

    fn doses(stock: i64, taken: i64) -> Doses {
        Doses { stock, taken, overcommitted: 0 }
    }

    /// Two bookings of three doses, and a cancelled one, in every service.
    fn healthy() -> Snapshot {
        let entries = vec![entry(1, BOOKED), entry(2, CANCELLED), entry(3, BOOKED)];
        Snapshot {
            vaccines: BTreeMap::from([(1, doses(3, 2))]),
            bookings: vec![entries.clone()],
            followers: vec![("injection", entries.clone()), ("mypage", entries)],
        }
    }

    fn counts(snapshot: &Snapshot) -> [u64; 4] {
        let audit = Audit::compare(snapshot, &Acknowledged::default());
        assert_eq!(audit.is_clean(), audit.findings.is_empty(), "each count has a finding");
        [audit.oversold, audit.leaked, audit.lost, audit.double]
    }

    #[test]
    fn a_healthy_system_has_no_findings() {
        assert_eq!(counts(&healthy()), [0; 4]);
        let without_followers = Snapshot { followers: Vec::new(), ..healthy() };
        assert_eq!(counts(&without_followers), [0; 4]);
    }

    #[test]
    fn more_doses_taken_than_there_are_is_oversold() {
        let mut snapshot = healthy();
        snapshot.vaccines.insert(1, doses(1, 2));
        assert_eq!(counts(&snapshot), [1, 0, 0, 0]);
    }

    #[test]
    fn the_newest_bookings_of_an_overcommitted_vaccine_are_named() {
        let mut snapshot = healthy();
        snapshot.vaccines.insert(1, Doses { overcommitted: 1, ..doses(1, 2) });
        let audit = Audit::compare(&snapshot, &Acknowledged::default());
        assert_eq!((audit.overcommitted, audit.oversold, audit.is_clean()), (1, 0, false));
        let finding = "vaccine 1: 1 doses too many were used; without a dose: bookings [3]";
        assert_eq!(audit.findings, [finding]);
    }

    #[test]
    fn a_taken_dose_without_a_booking_is_leaked_and_a_booking_without_a_dose_is_lost() {
        let mut snapshot = healthy();
        snapshot.vaccines.insert(1, doses(3, 3));
        assert_eq!(counts(&snapshot), [0, 1, 0, 0]);
        snapshot.vaccines.insert(1, doses(3, 1));
        assert_eq!(counts(&snapshot), [0, 0, 1, 0]);
    }

    #[test]
    fn a_booking_of_a_vaccine_that_does_not_exist_is_oversold() {
        let snapshot = Snapshot { vaccines: BTreeMap::new(), ..healthy() };
        assert_eq!(counts(&snapshot), [2, 0, 2, 0]);
    }

    #[test]
    fn a_follower_that_lacks_or_adds_a_booking_or_has_another_state_lost_it() {
        for entries in [
            vec![entry(1, BOOKED), entry(2, CANCELLED)],
            vec![entry(1, BOOKED), entry(3, BOOKED), entry(4, BOOKED)],
            vec![entry(1, BOOKED), entry(3, BookingState::Completed)],
        ] {
            assert_eq!(
                counts(&Snapshot { followers: vec![("mypage", entries)], ..healthy() }),
                [0, 0, 1, 0]
            );
        }
    }

    #[test]
    fn a_follower_may_lack_a_cancelled_booking() {
        let expected = vec![entry(1, BOOKED), entry(3, BOOKED)];
        assert_eq!(
            counts(&Snapshot { followers: vec![("injection", expected)], ..healthy() }),
            [0; 4]
        );
    }

    #[test]
    fn a_booking_that_exists_twice_is_double() {
        let mut snapshot = healthy();
        snapshot.followers[0].1.push(entry(1, BOOKED));
        assert_eq!(counts(&snapshot), [0, 0, 0, 1]);
    }

    #[test]
    fn an_acknowledged_booking_exists_once() {
        let mut acknowledged = Acknowledged::default();
        for (client, booking) in [(7, 1), (7, 1), (8, 3)] {
            acknowledged.record(client, 0, booking);
        }
        assert!(Audit::compare(&healthy(), &acknowledged).is_clean());
        acknowledged.record(9, 1, 3);
        acknowledged.record(9, 0, 99);
        let audit = Audit::compare(&healthy(), &acknowledged);
        assert_eq!((audit.lost, audit.double), (1, 1));
        assert_eq!(
            audit.findings,
            [
                "booking 3 was acknowledged to two clients",
                "booking 99 was acknowledged and does not exist"
            ]
        );
    }

    #[test]
    fn the_ids_of_several_databases_are_kept_apart() {
        let lists = vec![vec![entry(1, BOOKED)], vec![entry(1, BOOKED)]];
        let snapshot = Snapshot { bookings: lists, followers: Vec::new(), ..healthy() };
        let mut acknowledged = Acknowledged::default();
        acknowledged.record(7, 0, 1);
        acknowledged.record(8, 1, 1);
        assert!(Audit::compare(&snapshot, &acknowledged).is_clean());
        acknowledged.record(8, 1, 2);
        assert_eq!(Audit::compare(&snapshot, &acknowledged).lost, 1);
    }

    #[test]
    fn all_findings_are_counted_and_a_few_described() {
        let many = (0..1_000).map(|n| entry(n, BookingState::Completed)).collect();
        let audit = Audit::compare(
            &Snapshot {
                bookings: vec![many],
                followers: vec![("injection", vec![])],
                ..Snapshot::default()
            },
            &Acknowledged::default(),
        );
        assert_eq!((audit.lost, audit.findings.len()), (1_000, FINDINGS_MAX));
    }
}

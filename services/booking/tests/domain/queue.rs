//! Any interleaving of several processes that serve the same queue, of answers that are lost or late, of
//! resolving and of crashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use booking::{
    domain::{
        Abortable, AttemptId, BookingAttempt, Bookings, Command, CreateBooking, CreateReply,
        HeldDose, NotGranted, Record, Reply, ResolveHold, decide,
        tickets::{Answer, QueuedTicket, ServeReply, TicketEnd},
    },
    events,
};
use contracts::{
    booking::BookingStatus,
    event::DomainEvent,
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
};
use platform_store::Event;
use proptest::{collection::vec, prelude::*};
use serde_json::from_str;
use uuid::Uuid;

use super::{
    AT, abort, cancel, fingerprint, records,
    tickets::{attempt_for, enqueue_for, id, serve_ticket},
};

/// The processes that serve the queue.
const PROCESSES: usize = 3;

/// The ledger of `vaccine`, as far as booking sees it.
#[derive(Default)]
struct DoseLedger {
    free: BTreeMap<VaccineId, usize>,
    known: BTreeMap<ReservationId, (VaccineId, DoseState)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DoseState {
    Held,
    Booked,
    Released,
}

impl DoseLedger {
    /// Those of a block that are held; none, if there is no such vaccine.
    fn hold(&mut self, vaccine: VaccineId, block: &[ReservationId]) -> Option<Vec<ReservationId>> {
        let free = self.free.get_mut(&vaccine)?;
        let unknown = block.iter().filter(|id| !self.known.contains_key(*id));
        let held: Vec<_> = unknown.take(*free).copied().collect();
        *free -= held.len();
        self.known.extend(held.iter().map(|id| (*id, (vaccine, DoseState::Held))));
        Some(held)
    }

    fn consume(&mut self, event: &DomainEvent) {
        match event {
            DomainEvent::Booked(booked) => {
                let dose = self.known.get_mut(&booked.reservation_id);
                let (vaccine, state) = dose.unwrap();
                assert_eq!(*vaccine, booked.booking.vaccine_id, "the dose is of another vaccine");
                assert_ne!(*state, DoseState::Released, "{booked:?}");
                *state = DoseState::Booked;
            }
            DomainEvent::BookingCancelled(cancelled) => self.release(cancelled.reservation_id),
            DomainEvent::ReservationAborted(aborted) => self.release(aborted.reservation_id),
            other => panic!("none of these commands publishes {other:?}"),
        }
    }

    /// Also a dose that is not held yet: its request may be late.
    fn release(&mut self, id: ReservationId) {
        let released = DoseState::Released;
        let (vaccine, state) = self.known.entry(id).or_insert((VaccineId(0), released));
        if *state != released {
            *state = released;
            *self.free.get_mut(vaccine).unwrap() += 1;
        }
    }

    fn held(&self) -> Vec<ReservationId> {
        let held = self.known.iter().filter(|(_, (_, state))| *state == DoseState::Held);
        held.map(|(id, _)| *id).collect()
    }
}

/// The doses that a process has in hand.
type Hand = BTreeMap<VaccineId, VecDeque<ReservationId>>;

/// A request for doses on its way to the ledger.
struct Request {
    /// None: it has crashed, or does not wait for the answer any more.
    process: Option<usize>,
    /// Tickets that get a dose in hand.
    answers: Vec<(QueuedTicket, Answer)>,
    /// The others: the head of the queue, as the process has read it.
    tickets: Vec<QueuedTicket>,
    /// The doses that are requested, with those ahead of demand.
    blocks: BTreeMap<VaccineId, Vec<ReservationId>>,
}

/// Answers that are not written yet.
struct Answered {
    /// None: it has crashed.
    process: Option<usize>,
    answers: Vec<(QueuedTicket, Answer)>,
}

/// One queue, several processes that serve it, and a ledger. Messages between them take any time.
struct World {
    bookings: Bookings,
    ledger: DoseLedger,
    hands: Vec<Hand>,
    last_dose: u128,
    keys: BTreeSet<TicketId>,
    ends: BTreeMap<TicketId, TicketEnd>,
    /// Tickets that had to wait for another dose once: others were served before them.
    had_dose_taken: BTreeSet<TicketId>,
    booked: BTreeMap<ReservationId, BookingId>,
    requested: Vec<Request>,
    answered: Vec<Answered>,
    events: VecDeque<DomainEvent>,
}

/// What may happen next. The numbers choose among what exists.
#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        key: u8,
        vaccine: u8,
    },
    /// A process requests doses for the head of the queue, unless it is waiting for some.
    Request {
        process: usize,
        limit: usize,
        ahead: usize,
    },
    Answer {
        which: usize,
    },
    Write {
        which: usize,
    },
    /// Booking queries old holds, and resolves those that nobody has.
    Resolve,
    Consume,
    /// The process does not wait any longer: it aborts the doses that its tickets would get. The ledger may still
    /// receive the request.
    AbortRequest {
        which: usize,
    },
    /// The ledger has held doses, but its answer is lost.
    LoseAnswer {
        which: usize,
    },
    /// Answers are written, but the process does not learn it.
    LoseReply {
        which: usize,
    },
    /// The same, but its reply is that they are not: the connection was lost at the end of the commit. So it goes
    /// on with doses that are booked.
    LoseConnection {
        which: usize,
    },
    Crash {
        process: usize,
    },
    /// A process gives back the doses that it has in hand.
    GiveBack {
        process: usize,
    },
    /// A slow process: its doses are resolved although it has them.
    ResolveAll,
    /// A booking is cancelled: its dose becomes free.
    Cancel {
        booking: i64,
    },
    /// A request with the key of a ticket, but without one, is booked; also another request with this key.
    Overtake {
        process: usize,
        key: u8,
        vaccine: u8,
        is_same: bool,
    },
    /// An operator releases a dose that nobody has.
    Release {
        which: usize,
    },
}

impl World {
    fn new(doses: &[usize]) -> Self {
        let free = (1..).map(VaccineId).zip(doses.iter().copied()).collect();
        Self {
            bookings: Bookings::default(),
            ledger: DoseLedger { free, known: BTreeMap::new() },
            hands: vec![Hand::new(); PROCESSES],
            last_dose: 0x1_0000,
            keys: BTreeSet::new(),
            ends: BTreeMap::new(),
            had_dose_taken: BTreeSet::new(),
            booked: BTreeMap::new(),
            requested: Vec::new(),
            answered: Vec::new(),
            events: VecDeque::new(),
        }
    }

    fn decide(&mut self, command: &Command) -> Reply {
        let reply = decide(&mut self.bookings, command);
        for event in events::events(command, &reply).unwrap() {
            let event = parse(&event);
            if let DomainEvent::Booked(booked) = &event {
                let booking = booked.booking.booking_id;
                let known = *self.booked.entry(booked.reservation_id).or_insert(booking);
                assert_eq!(known, booking, "a dose is booked twice");
            }
            self.events.push_back(event);
        }
        self.each_ends_once_and_in_order();
        reply
    }

    /// A ticket that has ended stays as it is, and none for the same vaccine was waiting before it.
    fn each_ends_once_and_in_order(&mut self) {
        let tickets = self.tickets();
        for (n, ticket) in tickets.iter().enumerate() {
            let Some(end) = ticket.end else { continue };
            if let Some(known) = self.ends.insert(ticket.id, end) {
                assert_eq!(known, end, "{ticket:?} has ended twice");
                continue;
            }
            let is_passed_over = |earlier: &QueuedTicket| {
                earlier.choice.vaccine == ticket.choice.vaccine
                    && earlier.end.is_none()
                    && !self.had_dose_taken.contains(&earlier.id)
            };
            assert!(!tickets[..n].iter().any(is_passed_over), "{ticket:?} has ended too early");
        }
    }

    fn tickets(&self) -> Vec<QueuedTicket> {
        let known = self.keys.iter().filter_map(|id| self.bookings.tickets.get(id));
        let mut all: Vec<_> = known.cloned().collect();
        all.sort_by_key(|ticket| ticket.number);
        all
    }

    fn waiting(&self) -> Vec<QueuedTicket> {
        self.tickets().into_iter().filter(|ticket| ticket.end.is_none()).collect()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Enqueue { key, vaccine } => {
                self.keys.insert(id(key));
                self.decide(&enqueue(key, vaccine));
            }
            Step::Request { process, limit, ahead } => self.request(process, limit, ahead),
            Step::Answer { which } => {
                if let Some(request) = pick(&mut self.requested, which) {
                    self.answer(request);
                }
            }
            Step::Write { which } => {
                if let Some(answered) = pick(&mut self.answered, which) {
                    self.write(answered);
                }
            }
            Step::Resolve => self.resolve(|world, id| !world.has(id)),
            Step::ResolveAll => self.resolve(|_, _| true),
            Step::Consume => {
                if let Some(event) = self.events.pop_front() {
                    self.ledger.consume(&event);
                }
            }
            Step::AbortRequest { which } => {
                if let Some(request) = pick(&mut self.requested, which) {
                    self.abort_request(request);
                }
            }
            Step::LoseAnswer { which } => {
                if let Some(Request { process, answers, tickets: _, blocks }) =
                    pick(&mut self.requested, which)
                {
                    for (vaccine, block) in blocks {
                        self.ledger.hold(vaccine, &block);
                    }
                    self.answered.push(Answered { process, answers });
                }
            }
            Step::LoseReply { which } => {
                if let Some(answered) = pick(&mut self.answered, which) {
                    self.write(Answered { process: None, ..answered });
                }
            }
            Step::LoseConnection { which } => {
                if let Some(answered) = pick(&mut self.answered, which) {
                    self.lose_connection(answered);
                }
            }
            Step::Crash { process } => self.crash(process),
            Step::GiveBack { process } => {
                for reservation in std::mem::take(&mut self.hands[process]).into_values().flatten()
                {
                    self.decide(&abort(Abortable::Dose(reservation)));
                }
            }
            Step::Cancel { booking } => drop(self.decide(&cancel(booking))),
            Step::Overtake { process, key, vaccine, is_same } => {
                self.overtake(process, key, vaccine, is_same);
            }
            Step::Release { which } => {
                let free = |id: &ReservationId| {
                    !self.booked.contains_key(id) && !self.has(*id) && !self.is_written_late(*id)
                };
                let mut unused: Vec<_> = self.ledger.held().into_iter().filter(free).collect();
                if let Some(id) = pick(&mut unused, which) {
                    self.ledger.release(id);
                }
            }
        }
    }

    /// Doses in hand go to the first tickets.
    fn request(&mut self, process: usize, limit: usize, ahead: usize) {
        let of_requests = self.requested.iter().map(|request| request.process);
        let mut busy = of_requests.chain(self.answered.iter().map(|answered| answered.process));
        if busy.any(|busy| busy == Some(process)) {
            return;
        }
        let (mut answers, mut tickets, mut blocks) = (Vec::new(), Vec::new(), BTreeMap::new());
        for ticket in self.waiting().into_iter().take(limit) {
            if let Some(dose) = self.take_in_hand(process, ticket.choice.vaccine) {
                answers.push((ticket, Answer::Held(dose)));
            } else {
                let block: &mut Vec<_> = blocks.entry(ticket.choice.vaccine).or_default();
                block.push(self.new_dose());
                tickets.push(ticket);
            }
        }
        for block in blocks.values_mut() {
            block.extend((0..ahead).map(|_| self.new_dose()));
        }
        if !(answers.is_empty() && tickets.is_empty()) {
            let process = Some(process);
            self.requested.push(Request { process, answers, tickets, blocks });
        }
    }

    fn new_dose(&mut self) -> ReservationId {
        self.last_dose += 1;
        ReservationId(Uuid::from_u128(self.last_dose))
    }

    fn take_in_hand(&mut self, process: usize, vaccine: VaccineId) -> Option<HeldDose> {
        self.hands[process].get_mut(&vaccine)?.pop_front().map(held)
    }

    fn answer(&mut self, Request { process, mut answers, tickets, blocks }: Request) {
        let hold = |(vaccine, block): (VaccineId, Vec<_>)| {
            (vaccine, self.ledger.hold(vaccine, &block).map(VecDeque::from))
        };
        let mut outcomes: BTreeMap<_, _> = blocks.into_iter().map(hold).collect();
        let Some(process) = process else { return };
        for ticket in tickets {
            let answer = match outcomes.get_mut(&ticket.choice.vaccine).unwrap() {
                None => Answer::NotGranted(NotGranted::NoSuchVaccine),
                Some(doses) => {
                    doses.pop_front().map_or(Answer::NotGranted(NotGranted::SoldOut), |dose| {
                        Answer::Held(held(dose))
                    })
                }
            };
            answers.push((ticket, answer));
        }
        for (vaccine, ahead) in outcomes {
            let doses = self.hands[process].entry(vaccine).or_default();
            doses.extend(ahead.unwrap_or_default());
        }
        answers.sort_by_key(|(ticket, _)| ticket.number);
        self.answered.push(Answered { process: Some(process), answers });
    }

    fn write(&mut self, Answered { process, answers }: Answered) {
        for (ticket, answer) in answers {
            let reply = self.decide(&serve_ticket(ticket.id, answer.clone()));
            let Reply::Serve(reply) = reply else { panic!("{reply:?}") };
            match reply {
                ServeReply::Booked(_) | ServeReply::BookedBoth(_) => {}
                ServeReply::DoseTaken => drop(self.had_dose_taken.insert(ticket.id)),
                ServeReply::BookedBefore(_) | ServeReply::Ended(_) | ServeReply::Unchanged(_) => {
                    if let Answer::Held(dose) = answer {
                        self.put_back(process, ticket.choice.vaccine, dose.reservation);
                    }
                }
                ServeReply::NoSuchTicket => panic!("{ticket:?}"),
            }
        }
    }

    fn lose_connection(&mut self, Answered { process, answers }: Answered) {
        self.write(Answered { process: None, answers: answers.clone() });
        for (ticket, answer) in answers {
            if let Answer::Held(dose) = answer {
                self.put_back(process, ticket.choice.vaccine, dose.reservation);
            }
        }
    }

    /// A process that has crashed leaves it to [`Step::Resolve`].
    fn put_back(&mut self, process: Option<usize>, vaccine: VaccineId, dose: ReservationId) {
        if let Some(process) = process {
            self.hands[process].entry(vaccine).or_default().push_front(dose);
        }
    }

    /// The tickets that got a dose in hand are served, and doses are aborted for the others.
    fn abort_request(&mut self, Request { process, answers, tickets, blocks }: Request) {
        for (vaccine, block) in &blocks {
            let count = tickets.iter().filter(|ticket| ticket.choice.vaccine == *vaccine).count();
            for reservation in &block[..count] {
                self.decide(&abort(Abortable::Dose(*reservation)));
            }
        }
        self.answered.push(Answered { process, answers });
        self.requested.push(Request { process: None, answers: Vec::new(), tickets, blocks });
    }

    fn crash(&mut self, process: usize) {
        self.hands[process].clear();
        let of_requests = self.requested.iter_mut().map(|request| &mut request.process);
        let of_answers = self.answered.iter_mut().map(|answered| &mut answered.process);
        for busy in of_requests.chain(of_answers) {
            if *busy == Some(process) {
                *busy = None;
            }
        }
    }

    /// Whether a process has a dose, in hand or for a ticket.
    fn has(&self, id: ReservationId) -> bool {
        self.hands.iter().flat_map(BTreeMap::values).flatten().any(|dose| *dose == id)
            || self.is_for_a_ticket(id, |process| process.is_some())
    }

    /// Whether a process has crashed after it began to book a dose.
    fn is_written_late(&self, id: ReservationId) -> bool {
        self.is_for_a_ticket(id, |process| process.is_none())
    }

    fn is_for_a_ticket(&self, id: ReservationId, of: fn(Option<usize>) -> bool) -> bool {
        let requests = self.requested.iter().map(|request| (request.process, &request.answers));
        let answered = self.answered.iter().map(|answered| (answered.process, &answered.answers));
        let mut all = requests.chain(answered).filter(|(process, _)| of(*process));
        all.any(|(_, answers)| answers.iter().any(|(_, answer)| *answer == Answer::Held(held(id))))
    }

    fn resolve(&mut self, is_old: impl Fn(&Self, ReservationId) -> bool) {
        for reservation in self.ledger.held() {
            if is_old(self, reservation) {
                self.decide(&Command::Resolve(ResolveHold { reservation, at: AT }));
            }
        }
    }

    fn overtake(&mut self, process: usize, key: u8, vaccine: u8, is_same: bool) {
        let Some(ticket) = self.bookings.tickets.get(&id(key)).cloned() else { return };
        let attempt = if is_same {
            attempt_of(key, u8::try_from(ticket.choice.vaccine.0).unwrap())
        } else {
            let fingerprint = Some(fingerprint(99));
            BookingAttempt { fingerprint, ..attempt_of(key, vaccine) }
        };
        let in_hand = self.take_in_hand(process, attempt.choice.vaccine);
        let requested = self.new_dose();
        let request = |world: &mut Self| {
            world.ledger.hold(attempt.choice.vaccine, &[requested])?.pop().map(held)
        };
        let Some(dose) = in_hand.or_else(|| request(self)) else { return };
        let reservation = dose.reservation;
        let create = CreateBooking { attempt, dose, at: AT };
        let reply = self.decide(&Command::Create(create));
        let Reply::Create(reply) = reply else { panic!("{reply:?}") };
        if !is_same {
            assert_eq!(reply, CreateReply::KeyReused, "after {ticket:?}");
        } else if matches!(ticket.end, Some(TicketEnd::NotGranted(_))) {
            assert_eq!(reply, CreateReply::Aborted, "after {ticket:?}");
        }
        match reply {
            CreateReply::Booked(_) | CreateReply::BookedBoth(_) | CreateReply::DoseTaken => {}
            CreateReply::BookedBefore(record) if record.reservation == reservation => {}
            CreateReply::BookedBefore(_)
            | CreateReply::Aborted
            | CreateReply::KeyReused
            | CreateReply::AlreadyBooked => {
                self.put_back(Some(process), attempt.choice.vaccine, reservation);
            }
        }
    }

    /// One process serves the queue until it is empty; messages that were in flight arrive late.
    fn finish(&mut self) {
        let late = (std::mem::take(&mut self.requested), std::mem::take(&mut self.answered));
        for _ in 0..200 {
            if self.waiting().is_empty() {
                break;
            }
            self.step(&Step::Request { process: 0, limit: 3, ahead: 0 });
            self.step(&Step::Answer { which: 0 });
            self.step(&Step::Write { which: 0 });
        }
        assert_eq!(self.waiting(), [], "these tickets do not end");
        (self.requested, self.answered) = late;
        while !self.requested.is_empty() {
            self.step(&Step::Answer { which: 0 });
            self.step(&Step::Consume);
        }
        while !self.answered.is_empty() {
            self.step(&Step::Write { which: 0 });
        }
        self.step(&Step::GiveBack { process: 0 });
        for process in 1..PROCESSES {
            self.crash(process);
        }
        self.step(&Step::Resolve);
        while !self.events.is_empty() {
            self.step(&Step::Consume);
        }
    }

    /// Each ticket has ended (`decide` asserts: not twice), and each booking belongs to one ticket: that of its key.
    fn each_has_ended_once(&self) {
        let tickets = self.tickets();
        assert!(tickets.iter().all(|ticket| ticket.end.is_some()), "{tickets:?}");
        let mut booked = BTreeSet::new();
        for ticket in &tickets {
            let Some(booking) = booked_as(ticket) else { continue };
            let Record { attempt, fingerprint, booking, .. } =
                self.bookings.bookings.get(&booking).unwrap();
            assert!(booked.insert(booking.booking_id), "{ticket:?}");
            assert_eq!(
                (*attempt, *fingerprint, booking.vaccine_id, booking.user_id),
                (
                    Some(AttemptId(ticket.id.0)),
                    Some(ticket.fingerprint),
                    ticket.choice.vaccine,
                    ticket.user
                ),
            );
        }
    }

    /// As many doses are taken as there are bookings.
    fn no_dose_is_lost(&self, doses: &[usize]) {
        let records = records(&self.bookings);
        for (vaccine, stock) in (1..).map(VaccineId).zip(doses) {
            let stands = |record: &&&Record| {
                record.booking.status == BookingStatus::Booked
                    && record.booking.vaccine_id == vaccine
            };
            let taken = stock - self.ledger.free[&vaccine];
            let standing = records.iter().filter(stands).count();
            assert_eq!(taken, standing, "doses of {vaccine} taken, and bookings");
        }
    }

    /// Of the tickets for one vaccine, the first ones are booked.
    fn first_arrivals_are_served(&self) {
        for vaccine in [1, 2].map(VaccineId) {
            let tickets =
                self.tickets().into_iter().filter(|ticket| ticket.choice.vaccine == vaccine);
            let served: Vec<_> = tickets.map(|ticket| booked_as(&ticket).is_some()).collect();
            let first = served.iter().take_while(|served| **served).count();
            assert!(!served[first..].contains(&true), "vaccine {vaccine}: {served:?}");
        }
    }
}

fn parse(event: &Event) -> DomainEvent {
    match event.r#type.as_str() {
        "Booked" => DomainEvent::Booked(from_str(&event.data).unwrap()),
        "BookingCancelled" => DomainEvent::BookingCancelled(from_str(&event.data).unwrap()),
        "ReservationAborted" => DomainEvent::ReservationAborted(from_str(&event.data).unwrap()),
        other => panic!("booking does not publish {other}"),
    }
}

fn pick<T>(from: &mut Vec<T>, which: usize) -> Option<T> {
    let which = which.checked_rem(from.len())?;
    Some(from.remove(which))
}

fn held(reservation: ReservationId) -> HeldDose {
    HeldDose { reservation, vaccine_name: "FIZER".to_owned(), slot: None, next: None }
}

/// Each key has a citizen of its own.
fn attempt_of(key: u8, vaccine: u8) -> BookingAttempt {
    BookingAttempt { user: UserId(key.into()), ..attempt_for(key, vaccine) }
}

fn enqueue(key: u8, vaccine: u8) -> Command {
    let Command::Enqueue(mut enqueue) = enqueue_for(key, vaccine) else { panic!("it enqueues") };
    enqueue.user = attempt_of(key, vaccine).user;
    Command::Enqueue(enqueue)
}

fn booked_as(ticket: &QueuedTicket) -> Option<BookingId> {
    match ticket.end? {
        TicketEnd::Booked(booking) => Some(booking),
        TicketEnd::NotGranted(_) | TicketEnd::KeyReused => None,
    }
}

/// What happens where a number of processes serve the queue, and no message is lost.
fn orderly(processes: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8, 1..4_u8).prop_map(|(key, vaccine)| Step::Enqueue { key, vaccine }),
        3 => (0..processes, 1..5_usize, 0..4_usize).prop_map(|(process, limit, ahead)| {
            Step::Request { process, limit, ahead }
        }),
        3 => (0..9_usize).prop_map(|which| Step::Answer { which }),
        3 => (0..9_usize).prop_map(|which| Step::Write { which }),
        1 => Just(Step::Resolve),
        2 => Just(Step::Consume),
    ]
}

/// The same, and all that may happen besides.
fn any_step() -> impl Strategy<Value = Step> {
    let which = || 0..9_usize;
    let process = || 0..PROCESSES;
    prop_oneof![
        16 => orderly(PROCESSES),
        1 => which().prop_map(|which| Step::AbortRequest { which }),
        1 => which().prop_map(|which| Step::LoseAnswer { which }),
        1 => which().prop_map(|which| Step::LoseReply { which }),
        1 => which().prop_map(|which| Step::LoseConnection { which }),
        1 => process().prop_map(|process| Step::Crash { process }),
        1 => process().prop_map(|process| Step::GiveBack { process }),
        1 => Just(Step::ResolveAll),
        2 => (1..6_i64).prop_map(|booking| Step::Cancel { booking }),
        2 => (process(), 0..12_u8, 1..3_u8, any::<bool>()).prop_map(
            |(process, key, vaccine, is_same)| Step::Overtake { process, key, vaccine, is_same }
        ),
        1 => which().prop_map(|which| Step::Release { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// By one process of which no message is lost. A dose that another one has, or that is released later, goes to
    /// those who wait then.
    #[test]
    fn first_arrivals_are_served(
        doses in vec(0..5_usize, 2),
        steps in vec(orderly(1), 0..80),
    ) {
        let mut world = World::new(&doses);
        for step in &steps {
            world.step(step);
        }
        // What it has begun it finishes.
        while !world.requested.is_empty() || !world.answered.is_empty() {
            world.step(&Step::Answer { which: 0 });
            world.step(&Step::Write { which: 0 });
        }
        world.finish();
        world.each_has_ended_once();
        world.first_arrivals_are_served();
        world.no_dose_is_lost(&doses);
    }

    #[test]
    fn each_ticket_ends_once_and_no_dose_is_lost(
        doses in vec(0..5_usize, 2),
        steps in vec(any_step(), 0..80),
    ) {
        let mut world = World::new(&doses);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        world.each_has_ended_once();
        world.no_dose_is_lost(&doses);
    }
}

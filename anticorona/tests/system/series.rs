//! Series of two doses, moves and cancellations at once: each series is whole or absent, nobody has a dose twice, and every
//! place and dose is booked once; on every database and transport, and when processes are killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use drill::{Load, Reconnect, Request, Requests, Response, ServiceProcess, Stop, Target};
use serde_json::{Value, json};

use crate::{
    environment,
    requests::{cancel, eventually, get, items, path, register_vaccine, send, wait_until_taken},
    slots::{campaign_of_days, open_campaign_of},
    test_system::{BOOKING, CAMPAIGN, TestSystem, VACCINE},
};

/// Days of the campaign; each has one slot, which has its number.
const DAYS: u64 = 30;

/// Places of a slot.
const PLACES: i64 = 7;

/// Fewer doses than places, so that both run out.
const DOSES: i64 = 180;

/// Clients that send without pause.
const CLIENTS: u16 = 20;

/// What the clients were answered.
#[derive(Default)]
struct Answers {
    acknowledged: BTreeSet<i64>,
    /// Bookings that a request to cancel them was sent for.
    cancelled: BTreeSet<i64>,
    statuses: BTreeMap<u16, u64>,
}

/// Of ten requests four are for a series, two for a single dose, two cancel a booking and two move one.
fn request(number: u64, vaccine: i64) -> Request {
    let slot = number * 7 % (DAYS - 1) + 1;
    let next = slot + 1 + number * 11 % (DAYS - slot);
    let booking = number / 5 + 1;
    match number % 10 {
        0 | 2 | 4 | 6 => {
            let body = json!({
                "vaccineId": vaccine, "slotId": slot, "userId": number, "plan": "series", "nextSlotId": next
            });
            Request::post_json("/bookings", &body)
        }
        1 | 5 => {
            let body = json!({"vaccineId": vaccine, "slotId": slot, "userId": number});
            Request::post_json("/bookings", &body)
        }
        3 => Request::patch_json(
            &format!("/bookings/{booking}"),
            &json!({"slotId": slot, "nextSlotId": next}),
        ),
        7 => Request::patch_json(&format!("/bookings/{booking}"), &json!({"slotId": next})),
        _ => cancel(i64::try_from(booking).unwrap()),
    }
}

/// Which booking a request cancels.
fn cancelled(number: u64) -> Option<i64> {
    matches!(number % 10, 8 | 9).then(|| i64::try_from(number / 5 + 1).unwrap())
}

struct SeriesTest {
    system: TestSystem,
    vaccine: i64,
    answers: Arc<Mutex<Answers>>,
    number: Arc<AtomicU64>,
}

impl SeriesTest {
    async fn start(system: TestSystem) -> Self {
        let ledger = system.vaccine();
        let vaccine = register_vaccine(&ledger, DOSES).await;
        let product = json!({"nextDose": {"minDays": 1, "maxDays": 365}});
        let set = Request::put_json(&format!("/vaccines/{vaccine}/product"), &product);
        assert_eq!(send(&ledger, set).await.status, 200);
        let campaign = campaign_of_days(vaccine, DAYS, PLACES);
        open_campaign_of(&system.target(CAMPAIGN), &campaign).await;
        let is_known = |slot: &Value| slot["capacity"] == PLACES;
        eventually(&ledger, &format!("/slots/{DAYS}"), is_known).await;
        Self { system, vaccine, answers: Arc::default(), number: Arc::default() }
    }

    /// Loads a booking service until so many responses have arrived, or until it is stopped.
    fn load(&self, replica: u16, requests: u64, stop: &Arc<AtomicBool>) -> (Load, Target) {
        let (number, answers) = (Arc::clone(&self.number), Arc::clone(&self.answers));
        let (vaccine, stop) = (self.vaccine, Arc::clone(stop));
        let made = move |_| {
            let number = number.fetch_add(1, Relaxed);
            answers.lock().unwrap().cancelled.extend(cancelled(number));
            request(number, vaccine)
        };
        let load = Load {
            users: CLIENTS,
            reconnect: Reconnect::Never,
            stop: Stop::after(Duration::from_mins(1))
                .or_requests(requests)
                .or_when(move || stop.load(Relaxed)),
            request: Requests::made(made),
        };
        (load, self.system.booking(replica))
    }

    fn record(&self) -> impl Fn(&Response) + Send + Sync + 'static {
        let answers = Arc::clone(&self.answers);
        move |response: &Response| {
            let mut answers = answers.lock().unwrap();
            *answers.statuses.entry(response.status).or_default() += 1;
            if response.status == 201 {
                answers
                    .acknowledged
                    .insert(response.json().unwrap()["bookingId"].as_i64().unwrap());
            }
        }
    }

    async fn run(&self, replicas: u16, requests: u64) {
        let never = Arc::new(AtomicBool::new(false));
        let loads = (0..replicas).map(|replica| {
            let (load, entry) = self.load(replica, requests, &never);
            let record = self.record();
            tokio::spawn(async move { load.run_watched(&entry, record).await })
        });
        for load in loads.collect::<Vec<_>>() {
            load.await.unwrap();
        }
    }

    /// Kills a service while there is load, and starts it again.
    async fn kill(&mut self, victim: ServiceProcess, requests: u64) {
        let stop = Arc::new(AtomicBool::new(false));
        let (load, entry) = self.load(0, u64::MAX, &stop);
        let before = self.number.load(Relaxed);
        let record = self.record();
        let load = tokio::spawn(async move { load.run_watched(&entry, record).await });
        let start = Instant::now();
        while self.number.load(Relaxed) < before + requests {
            assert!(start.elapsed() < drill::CONVERGE_WITHIN, "the load goes on");
            tokio::task::yield_now().await;
        }
        self.system.kill(victim);
        stop.store(true, Relaxed);
        load.await.unwrap();
        self.system.start_service(victim).await;
    }

    /// Everything is as the bookings say, as soon as all events are consumed and orphaned holds are resolved.
    async fn check(&self) {
        let bookings = all_bookings(&self.system.booking(0)).await;
        let by_slot = check_bookings(&bookings, &self.answers.lock().unwrap());
        let (ledger, live) = (self.system.vaccine(), by_slot.values().sum());
        wait_until_taken(&ledger, self.vaccine, live).await;
        for slot in 1..=DAYS {
            let expected = by_slot.get(&slot.try_into().unwrap()).copied().unwrap_or(0);
            assert!(expected <= PLACES, "{expected} bookings of slot {slot}");
            eventually(&ledger, &format!("/slots/{slot}"), |slot| slot["taken"] == expected).await;
        }
        let audit = self.system.audit().await;
        assert!(audit.is_clean(), "{audit}");
    }
}

/// Whether each series is whole or absent, and nobody has a dose twice: how many live bookings each slot has.
fn check_bookings(bookings: &BTreeMap<i64, Value>, answers: &Answers) -> BTreeMap<i64, i64> {
    for id in &answers.acknowledged {
        assert!(bookings.contains_key(id), "booking {id} was answered 201 and is lost");
    }
    let (mut by_slot, mut of_person) = (BTreeMap::new(), BTreeMap::<_, Vec<i64>>::new());
    let mut series = 0;
    for (id, booking) in bookings {
        let is_live = booking["status"] == "BOOKED";
        if is_live {
            *by_slot.entry(booking["slotId"].as_i64().unwrap()).or_default() += 1;
            let dose = booking["doseNumber"].as_i64().unwrap_or(1);
            of_person.entry((booking["userId"].as_i64().unwrap(), dose)).or_default().push(*id);
        }
        let Some(other_id) = booking["otherDoseBookingId"].as_i64() else { continue };
        let other = bookings.get(&other_id).expect("the other dose is there");
        assert_eq!(other["otherDoseBookingId"], *id, "{booking} and {other}");
        assert_eq!(other["userId"], booking["userId"]);
        series += 1;
        let is_other_live = other["status"] == "BOOKED";
        if booking["doseNumber"] == 2 {
            assert!(!is_live || is_other_live, "{booking} without {other}");
        } else if is_live {
            let was_cancelled = answers.cancelled.contains(&other_id);
            assert!(is_other_live || was_cancelled, "{booking} without {other}");
            let starts = [booking, other].map(|it| it["startsAt"].as_str().unwrap());
            assert!(!is_other_live || starts[0] < starts[1], "{booking} after {other}");
        }
    }
    for (person, ids) in &of_person {
        assert_eq!(ids.len(), 1, "{person:?} has {ids:?}");
    }
    println!("{:?}, {series} doses of series, {} live", answers.statuses, of_person.len());
    assert!(series > 0, "{:?}", answers.statuses);
    by_slot
}

/// Every booking by its number.
async fn all_bookings(booking: &Target) -> BTreeMap<i64, Value> {
    let mut all = BTreeMap::new();
    let mut next = Some("/bookings?size=1000".to_owned());
    while let Some(url) = next {
        let page = get(booking, &url).await;
        let entry = |item: &Value| (item["bookingId"].as_i64().unwrap(), item.clone());
        all.extend(items(&page, "bookings").iter().map(entry));
        next = page["_links"].get("next").map(path);
    }
    all
}

#[tokio::test]
async fn a_second_dose_without_a_slot_is_at_the_first_time_that_is_free_when_it_is_due() {
    let test = SeriesTest::start(TestSystem::in_processes(1).await).await;
    let (gateway, vaccine) = (&test.system.gateway(), test.vaccine);
    let product = json!({"nextDose": {"minDays": 7, "maxDays": 9}});
    let set = Request::put_json(&format!("/vaccines/{vaccine}/product"), &product);
    assert_eq!(send(gateway, set).await.status, 200);
    let mut seconds = Vec::new();
    for user in 0..2 * PLACES {
        let slot = 1 + user / PLACES;
        let body = json!({"vaccineId": vaccine, "slotId": slot, "userId": user, "plan": "series"});
        let booked = send(gateway, Request::post_json("/bookings", &body)).await;
        assert_eq!(booked.status, 201, "{}", booked.text());
        let first: Value = booked.json().unwrap();
        let second = get(gateway, &format!("/bookings/{}", first["otherDoseBookingId"])).await;
        seconds.push(second["slotId"].as_i64().unwrap());
    }
    // A week after slot 1 is slot 8; by the second seven it is full.
    let places = usize::try_from(PLACES).unwrap();
    assert_eq!(seconds, [vec![8; places], vec![9; places]].concat());
    let body = json!({"vaccineId": vaccine, "slotId": 25, "userId": 99, "plan": "series"});
    let late = send(gateway, Request::post_json("/bookings", &body)).await;
    let problem: Value = late.json().unwrap();
    assert_eq!((late.status, &problem["type"]), (409, &json!("urn:anticorona:next-slot-full")));
}

#[tokio::test]
async fn each_series_is_whole_or_absent_on_sqlite() {
    let test = SeriesTest::start(TestSystem::in_processes(1).await).await;
    test.run(1, 3_000).await;
    test.check().await;
}

#[tokio::test]
async fn each_series_is_whole_or_absent_with_three_bookings_and_two_vaccines_on_postgres() {
    let environment = environment::postgres_and_nats().await;
    let system = TestSystem::in_processes_of(environment, 2, 3).await;
    let test = SeriesTest::start(system).await;
    test.run(3, 1_500).await;
    test.check().await;
}

#[tokio::test]
async fn each_series_is_whole_or_absent_after_booking_and_vaccine_were_killed() {
    let mut test = SeriesTest::start(TestSystem::in_processes(1).await).await;
    for (victim, requests) in [(BOOKING, 300), (VACCINE, 250), (BOOKING, 350)] {
        test.kill(victim, requests).await;
    }
    test.run(1, 500).await;
    test.check().await;
}

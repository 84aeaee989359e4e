//! Dead letters are listed, retried and dismissed on the command line.

use drill::{Request, ServiceProcess};
use serde_json::{Value, json};
use testkit::event;
use tokio_postgres::Client;

use crate::{
    environment,
    requests::{get, items, send},
    start::anticorona,
    test_system::TestSystem,
};

const SOURCE: &str = "00000000-0000-0000-0000-000000000001";

/// More deliveries than it takes to dead-letter an event.
const DELIVERIES: usize = 10;

/// A defect of the store of mypage.
const BREAK: &str = "ALTER TABLE mypage.views ADD CONSTRAINT broken CHECK (user_id <> 5)";

const MEND: &str = "ALTER TABLE mypage.views DROP CONSTRAINT broken";

/// All services on PostgreSQL, and a connection to it.
struct Operated {
    system: TestSystem,
    database: Client,
}

/// What a command printed, and its exit code.
struct Printed {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Operated {
    async fn start() -> Self {
        let environment = environment::postgres().await;
        let url = environment.setting("DATABASE_URL").unwrap().to_owned();
        let system = TestSystem::start(environment, &[ServiceProcess::ALL]).await;
        let database = environment::connect(&url).await;
        Self { system, database }
    }

    /// Publishes an event to mypage until it is consumed.
    async fn publish(&self, event: Value) {
        let sequence = event["sequence"].as_str().unwrap().parse::<u64>().unwrap();
        let request = Request::post_json("/events", &json!([event]));
        for _ in 0..DELIVERIES {
            let response = send(&self.system.mypage(), request.clone()).await;
            if response.json().unwrap()["sequence"] == sequence {
                return;
            }
        }
        panic!("event {sequence} is not consumed");
    }

    fn events(&self, arguments: &[&str]) -> Printed {
        let offset = self.system.port_offset().to_string();
        let output = anticorona(&[&["events"], arguments, &["--port-offset", &offset]].concat());
        Printed {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn metric(&self, name: &str) -> String {
        let scrape = send(&self.system.mypage(), Request::get("/actuator/prometheus")).await;
        let text = scrape.text().into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
    }
}

/// The booking of a user.
fn booked(sequence: u64, user: u64) -> Value {
    let data = json!({
        "reservationId": format!("00000000-0000-0000-0000-{sequence:012}"), "bookingId": sequence,
        "vaccineId": 1, "vcName": "FIZER", "userId": user, "status": "BOOKED",
    });
    event(SOURCE, sequence, "Booked", &data)
}

#[tokio::test]
async fn an_event_that_the_store_rejects_is_retried_once_the_store_is_mended() {
    let operated = Operated::start().await;
    operated.database.batch_execute(BREAK).await.unwrap();
    for event in [booked(1, 5), booked(2, 6), booked(3, 5)] {
        operated.publish(event).await;
    }
    let id = format!("{SOURCE}/1");
    let listed = operated.events(&["dead-letters"]);
    assert!(listed.out.contains(&format!("\tBooked\t{id}\tthe store rejected it 5 times\t")));
    assert!(listed.out.ends_with("\n2 dead letters\n"), "{}", listed.out);

    let again = "the store rejected it when it was retried";
    let kept = operated.events(&["retry", "mypage", &id]);
    assert_eq!((kept.code, kept.errors), (Some(1), format!("{id}: {again}\n")));
    let kept = operated.events(&["retry", "mypage", "--all"]);
    let left = format!("{id}: {again}\n{SOURCE}/3: {again}\n0 applied, 2 dead letters left\n");
    assert_eq!((kept.code, kept.out), (Some(1), left));
    assert!(operated.events(&["dead-letters"]).out.contains(again));

    operated.database.batch_execute(MEND).await.unwrap();
    let applied = operated.events(&["retry", "mypage", &id]);
    assert_eq!((applied.code, applied.out), (Some(0), format!("{id} applied\n")));
    let rest = operated.events(&["retry", "mypage", "--all"]);
    let expected = format!("{SOURCE}/3 applied\n1 applied, 0 dead letters left\n");
    assert_eq!((rest.code, rest.out), (Some(0), expected));
    assert_eq!(operated.events(&["dead-letters"]).out, "0 dead letters\n");
    let absent = operated.events(&["retry", "mypage", &id]);
    assert_eq!(absent.code, Some(1));
    assert!(absent.errors.starts_with(&format!("{id}: there is no such dead letter")));

    let views = get(&operated.system.mypage(), "/mypages?size=10").await;
    assert_eq!(items(&views, "mypages").len(), 3);
    assert_eq!(operated.metric("anticorona_events_retried_total ").await, "2");
    assert_eq!(operated.metric("anticorona_events_dead_lettered ").await, "0");
}

#[tokio::test]
async fn a_dismissed_dead_letter_is_listed_apart() {
    let operated = Operated::start().await;
    operated.publish(event(SOURCE, 1, "Booked", &json!({"bookingId": "seven"}))).await;
    let id = format!("{SOURCE}/1");
    let refused = operated.events(&["dismiss", "mypage", &id, "--reason", " "]);
    let detail = format!("{id}: one line of 1 to 500 characters\n");
    assert_eq!((refused.code, refused.errors), (Some(1), detail));
    for _ in 0..2 {
        let dismissed = operated.events(&["dismiss", "mypage", &id, "--reason", "a test"]);
        assert_eq!((dismissed.code, dismissed.out), (Some(0), format!("{id} dismissed\n")));
    }
    assert_eq!(operated.events(&["dead-letters"]).out, "0 dead letters\n");
    let listed = operated.events(&["dead-letters", "--dismissed"]).out;
    assert!(listed.contains(&format!("\tBooked\t{id}\t")), "{listed}");
    assert!(listed.ends_with("\ta test\n1 dismissed dead letters\n"), "{listed}");
    assert_eq!(
        operated.events(&["retry", "mypage", &id]).errors,
        format!("{id}: it was dismissed\n")
    );
    assert_eq!(operated.metric("anticorona_events_dismissed_total ").await, "1");
    assert_eq!(operated.metric("anticorona_events_dead_lettered ").await, "0");
}

#[test]
fn a_dead_letter_is_named_by_a_service_that_owns_data_and_its_id() {
    for (arguments, error) in [
        (["retry", "gateway", "--all"], "gateway owns no data"),
        (["retry", "mypage", "1"], "not the id of a store, a slash and a number"),
    ] {
        let output = anticorona(&[&["events"], &arguments[..]].concat());
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.contains(error), "{printed}");
    }
}

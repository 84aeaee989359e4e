//! `anticorona demo`: what it offers can be booked, with the requests that it prints.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use drill::{Request, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::requests::{eventually, get, items, send};

/// The last line that a demo prints.
const LAST_LINE: &str = "Ctrl-C ends it";

/// A demo that is ready. It is killed on drop, and its data removed.
struct Demo {
    child: Child,
    folder: TempDir,
    port_offset: u16,
    printed: String,
}

impl Demo {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port_offset = drill::free_port_offset().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_anticorona"))
            .args(["demo", "--port-offset", &port_offset.to_string()])
            .args(options)
            .env_clear()
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut demo = Self { child, folder, port_offset, printed: String::new() };
        let mut out = BufReader::new(demo.child.stdout.take().unwrap());
        while !demo.printed.contains(LAST_LINE) {
            let length = out.read_line(&mut demo.printed).unwrap();
            assert!(length > 0, "the demo has ended: {}", demo.printed);
        }
        demo
    }

    fn gateway(&self) -> Target {
        let port = gateway::SERVICE.port + self.port_offset;
        Target::parse(&format!("http://127.0.0.1:{port}")).unwrap()
    }

    /// The bodies of the bookings that it prints.
    fn bookings(&self) -> Vec<Value> {
        let bodies = self.printed.lines().filter_map(|line| line.trim().strip_prefix("-d '"));
        bodies.map(|body| serde_json::from_str(body.strip_suffix('\'').unwrap()).unwrap()).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[tokio::test]
async fn the_demo_offers_a_city_and_the_bookings_that_it_prints_succeed() {
    let demo = Demo::start(&[]);
    let gateway = &demo.gateway();
    let sites = get(gateway, "/sites?size=100").await;
    let is_complete = |site: &&Value| {
        let fields = [&site["name"]["en"], &site["position"]["latitude"], &site["openingHours"][0]];
        fields.iter().all(|field| !field.is_null())
    };
    assert_eq!(items(&sites, "sites").iter().filter(is_complete).count(), 12, "{sites}");
    for (id, doses, sites) in [(1, "CENTRAL", 4), (2, "SITE_LOTS", 9)] {
        let campaign = get(gateway, &format!("/campaigns/{id}")).await;
        assert_eq!((&campaign["status"], &campaign["doses"]), (&json!("OPEN"), &json!(doses)));
        assert_eq!(campaign["sites"].as_array().unwrap().len(), sites, "{campaign}");
    }
    let bodies = demo.bookings();
    assert_eq!(bodies.len(), 3, "{}", demo.printed);
    for body in bodies {
        let booked = send(gateway, Request::post_json("/bookings", &body)).await;
        let booking: Value = booked.json().unwrap();
        assert_eq!(booked.status, 201, "{body}: {booking}");
        assert_eq!(booking["otherDoseBookingId"].is_i64(), body["plan"] == "series", "{booking}");
        assert_eq!(booking["slotId"], body["slotId"]);
    }
    let has_four = |page: &Value| items(page, "mypages").len() == 4;
    eventually(gateway, "/mypages/search/findByUserId?userId=5", has_four).await;
    let stock = get(gateway, "/stocks/1/3").await;
    let pools = stock["pools"].as_array().unwrap();
    assert_eq!((pools.len(), &pools[0]), (3, &json!({"doses": 320, "taken": 1})), "{stock}");
}

#[tokio::test]
async fn an_empty_demo_has_no_data_and_leaves_none_behind() {
    let mut demo = Demo::start(&["--empty"]);
    for collection in ["vaccines", "sites", "campaigns"] {
        let page = get(&demo.gateway(), &format!("/{collection}")).await;
        assert!(items(&page, collection).is_empty(), "{page}");
    }
    assert!(demo.bookings().is_empty(), "{}", demo.printed);
    let ended = Command::new("kill").arg(demo.child.id().to_string()).status().unwrap();
    assert!(ended.success() && demo.child.wait().unwrap().success());
    assert_eq!(demo.folder.path().read_dir().unwrap().count(), 0);
}

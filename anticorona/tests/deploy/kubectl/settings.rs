//! What each overlay gives to a part is what the part needs.

use std::process::Command;

use serde_json::Value;

use super::overlays;
use crate::{
    checked,
    overlay::{object, objects},
};

const PARTS: [&str; 5] = ["vaccine", "booking", "injection", "mypage", "gateway"];

/// Where parts find each other.
const NEIGHBOURS: &str = "neighbours";

/// `anticorona config check`, with the arguments and the settings that the part gets there.
fn config_check(objects: &[Value], part: &str) -> Result<String, String> {
    let container =
        &object(objects, "Deployment", part)["spec"]["template"]["spec"]["containers"][0];
    let mut command = Command::new(env!("CARGO_BIN_EXE_anticorona"));
    command.args(["config", "check"]).env_clear();
    command.args(list(&container["args"]).iter().map(|word| word.as_str().unwrap()));
    for source in list(&container["envFrom"]) {
        let reference = &source["configMapRef"];
        let map = objects
            .iter()
            .find(|it| it["kind"] == "ConfigMap" && it["metadata"]["name"] == reference["name"]);
        let is_optional = reference["optional"] == true;
        assert!(map.is_some() || is_optional, "the container of {part} would not even be made");
        let settings = map.and_then(|map| map["data"].as_object()).into_iter().flatten();
        command.envs(settings.map(|(name, value)| (name, value.as_str().unwrap())));
    }
    for setting in list(&container["env"]) {
        let secret = &setting["valueFrom"]["secretKeyRef"];
        let value = match secret["key"].as_str() {
            Some("events") => "nats://nats:4222",
            Some(_) => "postgres://user:secret@postgres:5432/anticorona",
            None => setting["value"].as_str().unwrap(),
        };
        command.env(setting["name"].as_str().unwrap(), value);
    }
    checked(&mut command)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn every_part_could_start_with_what_it_gets() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for part in PARTS {
            if let Err(said) = config_check(&objects, part) {
                panic!("{overlay}, {part}: {said}");
            }
        }
    }
}

#[test]
fn without_the_addresses_of_its_neighbours_booking_says_which_is_missing() {
    let mut objects = objects("seed");
    objects.retain(|it| it["metadata"]["name"] != NEIGHBOURS);
    let said = config_check(&objects, "booking").expect_err("it cannot start");
    assert!(said.contains("VACCINE_URL is not set: where vaccine listens"), "{said}");
    // What it says last is what `kubectl describe pod` shows.
    let deployment = object(&objects, "Deployment", "booking");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError");
}

#[test]
fn every_address_in_an_overlay_is_that_of_a_service() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        let settings = object(&objects, "ConfigMap", NEIGHBOURS)["data"].as_object().unwrap();
        let urls =
            settings.iter().filter(|(name, _)| name.ends_with("_URL") && *name != "EVENTS_URL");
        for (name, url) in urls {
            let address = url.as_str().unwrap().strip_prefix("http://").unwrap();
            let (host, port) = address.split_once(':').unwrap();
            let service = object(&objects, "Service", host);
            let served = &service["spec"]["ports"][0]["port"];
            assert_eq!(served.to_string(), port, "{overlay}: {name}");
            let behind = &service["spec"]["selector"]["app.kubernetes.io/name"];
            object(&objects, "Deployment", behind.as_str().unwrap());
        }
    }
}

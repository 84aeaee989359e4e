//! Each overlay sets what each service needs.

use std::{fs, process::Command};

use serde_json::Value;

use super::overlays;
use crate::{
    SERVICES, checked,
    overlay::{deploy, object, objects},
};

/// The `ConfigMap` with the base URLs of the services.
const SERVICE_URLS: &str = "service-urls";

fn container<'a>(objects: &'a [Value], service: &str) -> &'a Value {
    &object(objects, "Deployment", service)["spec"]["template"]["spec"]["containers"][0]
}

/// `anticorona config check`, with the arguments and the environment of the service's container.
fn config_check(objects: &[Value], service: &str) -> Result<String, String> {
    let arguments = list(&container(objects, service)["args"]).iter();
    let arguments: Vec<_> = arguments.map(|word| word.as_str().unwrap()).collect();
    config_check_inside(objects, service, &arguments)
}

/// The same with other arguments, as `kubectl exec` runs it: with the environment of the container.
fn config_check_inside(
    objects: &[Value],
    service: &str,
    arguments: &[&str],
) -> Result<String, String> {
    let container = container(objects, service);
    let mut command = Command::new(env!("CARGO_BIN_EXE_anticorona"));
    command.args(["config", "check"]).env_clear();
    command.args(arguments);
    for source in list(&container["envFrom"]) {
        let reference = &source["configMapRef"];
        let map = objects
            .iter()
            .find(|it| it["kind"] == "ConfigMap" && it["metadata"]["name"] == reference["name"]);
        let is_optional = reference["optional"] == true;
        assert!(map.is_some() || is_optional, "the container of {service} cannot be created");
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
fn every_service_has_the_settings_that_it_needs() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for service in SERVICES.map(|(service, _)| service.name) {
            if let Err(error) = config_check(&objects, service) {
                panic!("{overlay}, {service}: {error}");
            }
        }
    }
}

#[test]
fn in_the_container_config_check_prints_the_address_that_the_service_listens_on() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for (service, _) in SERVICES {
            let with_arguments = config_check(&objects, service.name).unwrap();
            let inside = config_check_inside(&objects, service.name, &[service.name]).unwrap();
            let listens = format!("listens on 0.0.0.0:{}\n", service.port);
            for printed in [with_arguments, inside] {
                assert!(printed.contains(&listens), "{overlay}: {printed}");
            }
        }
    }
    let image = fs::read_to_string(deploy("image/Dockerfile")).unwrap();
    assert!(image.contains("\nENV BIND_ADDRESS=0.0.0.0\n"), "as in the image: {image}");
}

#[test]
fn without_the_url_of_vaccine_booking_names_the_missing_setting() {
    let mut objects = objects("reference");
    objects.retain(|it| it["metadata"]["name"] != SERVICE_URLS);
    let error = config_check(&objects, "booking").expect_err("it cannot start");
    assert!(error.contains("VACCINE_URL is not set: where vaccine listens"), "{error}");
    // `kubectl describe pod` shows the last line of the log.
    assert_eq!(container(&objects, "booking")["terminationMessagePolicy"], "FallbackToLogsOnError");
}

#[test]
fn every_image_has_a_tag() {
    for overlay in overlays() {
        for workload in objects(&overlay).iter().filter(|it| it["spec"]["template"].is_object()) {
            for container in list(&workload["spec"]["template"]["spec"]["containers"]) {
                let image = container["image"].as_str().unwrap();
                let name = image.rsplit('/').next().unwrap();
                assert!(name.contains(':'), "{overlay}: {image} is in no list of images");
            }
        }
    }
}

#[test]
fn every_url_in_an_overlay_is_that_of_a_kubernetes_service() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        let settings = object(&objects, "ConfigMap", SERVICE_URLS)["data"].as_object().unwrap();
        let urls =
            settings.iter().filter(|(name, _)| name.ends_with("_URL") && *name != "EVENTS_URL");
        for (name, url) in urls {
            let address = url.as_str().unwrap().strip_prefix("http://").unwrap();
            let (host, port) = address.split_once(':').unwrap();
            let service = object(&objects, "Service", host);
            let served = &service["spec"]["ports"][0]["port"];
            assert_eq!(served.to_string(), port, "{overlay}: {name}");
            let deployment = &service["spec"]["selector"]["app.kubernetes.io/name"];
            object(&objects, "Deployment", deployment.as_str().unwrap());
        }
    }
}

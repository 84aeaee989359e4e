//! Starting: what an operator sees when something is wrong.

use std::process::{Command, Output};

use crate::town::{Part, Town};

/// Runs it to its end, without neighbours.
pub(crate) fn anticorona(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anticorona"))
        .args(arguments)
        .env_remove("VACCINE_URL")
        .env_remove("BOOKING_URL")
        .output()
        .unwrap()
}

fn refused(arguments: &[&str], code: i32, says: &str) {
    let output = anticorona(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "{said}");
}

#[test]
fn a_missing_address_is_named_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    refused(
        &["booking", "--data", data],
        64,
        "VACCINE_URL is not set: where vaccine listens, for instance VACCINE_URL=http://127.0.0.1:8081",
    );
}

#[tokio::test]
async fn a_second_process_on_the_same_ports_is_refused() {
    let town = Town::together().await;
    let folder = tempfile::tempdir().unwrap();
    let (data, offset) = (folder.path().to_str().unwrap(), town.offset().to_string());
    refused(&["serve", "--data", data, "--port-offset", &offset], 1, "cannot listen on 127.0.0.1");
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let town = Town::together().await;
    let data = town.data(Part::Together);
    let offset = drill::free_offset().unwrap().to_string();
    let arguments = ["serve", "--data", data.to_str().unwrap(), "--port-offset", &offset];
    refused(&arguments, 1, "is in use by another process");
}

#[test]
fn the_committed_asyncapi_document_is_what_the_program_says() {
    let path = format!("{}/../docs/asyncapi.json", env!("CARGO_MANIFEST_DIR"));
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let output = anticorona(&["asyncapi"]);
    assert!(
        committed.as_bytes() == output.stdout,
        "docs/asyncapi.json is not up to date: run `cargo xtask openapi`"
    );
}

#[test]
fn every_route_of_the_followers_stands_in_their_documents() {
    for (part, router) in [
        ("injection", include_str!("../../../injection/src/api.rs")),
        ("mypage", include_str!("../../../mypage/src/api.rs")),
    ] {
        let calls = router.split(".route(").skip(1);
        let mut routed: Vec<_> = calls.map(|call| call.split('"').nth(1).unwrap()).collect();
        routed.sort_unstable();
        let document: serde_json::Value =
            serde_json::from_slice(&anticorona(&["openapi", part]).stdout).unwrap();
        let mut documented: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        documented.sort_unstable();
        assert_eq!(documented, routed, "{part}");
    }
}

#[test]
fn the_committed_openapi_documents_are_what_the_parts_say() {
    for part in ["vaccine", "booking", "injection", "mypage"] {
        let output = anticorona(&["openapi", part]);
        let path = format!("{}/../docs/openapi/{part}.json", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed.as_bytes() == output.stdout,
            "docs/openapi/{part}.json is not up to date: run `cargo xtask openapi`"
        );
    }
}

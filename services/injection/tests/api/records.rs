//! The record of an injection.

use injection::SERVICE;
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::{EventRecorder, TestApp};

use super::{COMPLETED, start_with_three, with_three};

/// The body that completes an injection with these fields.
fn completed_with(fields: &Value) -> String {
    let mut body = json!({"status": "INJECTION_COMPLETED"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body.to_string()
}

fn record() -> Value {
    json!({
        "lotNumber": "EW0150", "bodySite": "LEFT_DELTOID", "doseNumber": "2", "performer": "김간호",
    })
}

#[tokio::test]
async fn a_record_is_shown_and_published_with_the_completion() {
    let vaccine = EventRecorder::start();
    let app = TestApp::start(&SERVICE, &[("VACCINE_URL", vaccine.url())]);
    let app = with_three(app).await;
    let first = app.request("PATCH /injections/1", completed_with(&record())).await;
    assert_eq!(first.status, 200, "{first}");
    let again = app.request("PATCH /injections/1", completed_with(&record())).await;
    let whole = app.request("PUT /injections/1", first.body()).await;
    for reply in [again, whole, app.request("GET /injections/1", "").await] {
        assert_eq!((reply.status.as_u16(), reply.body()), (200, first.body()));
    }
    app.request("PATCH /injections/2", COMPLETED).await;
    let published = vaccine.events(2).await;
    let mut shown = first.json();
    assert_eq!(shown["occurredAt"], published[0].time.to_string());
    shown["occurredAt"] = json!("(time)");
    shown.as_object_mut().unwrap().remove("_links");
    assert_snapshot!(shown, @r#"{"bodySite":"LEFT_DELTOID","bookingId":1,"doseNumber":2,"injectionId":1,"lotNumber":"EW0150","occurredAt":"(time)","performer":"김간호","status":"INJECTION_COMPLETED","userId":101,"vaccineId":1}"#);
    for field in ["lotNumber", "bodySite", "doseNumber", "performer", "occurredAt", "status"] {
        let data: Value = serde_json::from_str(published[0].data.get()).unwrap();
        assert_eq!(data[field], first.json()[field], "{field}");
    }
    assert!(!published[1].data.get().contains("occurredAt"), "nothing was recorded");
}

#[tokio::test]
async fn another_record_of_a_completed_injection_is_refused() {
    let app = start_with_three().await;
    app.request("PATCH /injections/1", completed_with(&record())).await;
    let mut other = record();
    other["doseNumber"] = json!(1);
    let mut refused = Vec::new();
    for body in [completed_with(&other), COMPLETED.to_owned()] {
        refused.push(app.request("PATCH /injections/1", body).await.in_short());
    }
    let completed = "409 injection-completed; it was completed before";
    assert_eq!(refused, [completed, completed]);
}

#[tokio::test]
async fn a_wrong_record_is_refused_with_its_field_and_nothing_is_completed() {
    let app = start_with_three().await;
    let mut refused = Vec::new();
    for fields in [
        json!({"lotNumber": "x\ty"}),
        json!({"bodySite": "NOSE"}),
        json!({"doseNumber": 10}),
        json!({"performer": ""}),
        json!({"occurredAt": "2999-01-01T00:00:00Z"}),
        json!({"occurredAt": "2000-01-01T00:00:00Z"}),
        json!({"occurredAt": "yesterday"}),
        json!({"status": "CHECKED_IN", "performer": "x"}),
    ] {
        let reply = app.request("PATCH /injections/1", completed_with(&fields)).await;
        refused.push(reply.in_short());
    }
    assert_snapshot!(refused.join("\n"), @"
    422 invalid-field; lotNumber: must have 1 to 32 printable characters of ASCII
    422 invalid-field; bodySite: unknown variant `NOSE`, expected one of `LEFT_DELTOID`, `RIGHT_DELTOID`, `LEFT_THIGH`, `RIGHT_THIGH` at line 1 column 18
    422 invalid-field; doseNumber: must be a number from 1 to 9
    422 invalid-field; performer: must have 1 to 100 characters and no control characters
    422 invalid-field; occurredAt: must not be in the future
    422 invalid-field; occurredAt: must be at most 7 days ago
    422 invalid-field; occurredAt: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y at line 1 column 25
    422 invalid-field; performer: can be given with INJECTION_COMPLETED only
    ");
    assert_eq!(super::status(&app, 1).await, "INJECTION_READY");
}

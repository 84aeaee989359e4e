//! The sheet of a day.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::{Reply, TestApp};

use super::{COMPLETED, cancelled, day::start_with_a_day};

const DAY: &str = "siteId=7&from=2026-12-01T00:00:00Z&to=2026-12-01T15:00:00Z";

async fn download(app: &TestApp) -> String {
    let sheet = app.request(&format!("GET /injections/sheet?{DAY}"), "").await;
    assert_eq!(sheet.status, 200, "{sheet}");
    sheet.body().trim_start_matches('\u{feff}').to_owned()
}

async fn upload(app: &TestApp, query: &str, sheet: &str) -> Reply {
    let headers = [("content-type", "text/csv")];
    app.request_with(&headers, &format!("POST /injections/sheet{query}"), sheet).await
}

/// The result of each row.
fn results(reply: &Reply) -> Vec<String> {
    let rows = reply.json()["rows"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let result = |row: &Value| {
        let [result, column, reason] =
            ["result", "column", "reason"].map(|field| text(&row[field]));
        format!("{} {result} {column} {reason}", row["line"]).trim().to_owned()
    };
    rows.iter().map(result).collect()
}

/// The sheet with other ends of its rows, of which each has five empty cells.
fn filled(sheet: &str, ends: &[&str]) -> String {
    let mut lines = sheet.lines();
    let header = lines.next().unwrap().to_owned();
    let rows = lines.zip(ends).map(|(row, end)| {
        let start = row.strip_suffix(",,,,,").unwrap();
        format!("{start},{end}")
    });
    [header].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_sheet_has_a_row_for_each_appointment_and_the_same_ids_each_time() {
    let app = start_with_a_day().await;
    let sheet = app.request(&format!("GET /injections/sheet?{DAY}"), "").await;
    assert_eq!(sheet.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(sheet.header("cache-control"), Some("no-store"));
    assert_eq!(sheet.header("link"), None);
    assert!(sheet.body().starts_with('\u{feff}'));
    let sheet = download(&app).await;
    assert_eq!(download(&app).await, sheet);
    assert_snapshot!(sheet, @"
    rowId,injectionId,bookingId,userId,vaccineId,startsAt,status,lotNumber,bodySite,doseNumber,performer,occurredAt
    cc9d63b5-03d4-8eb2-9ecb-83b463def7be,2,2,102,1,2026-12-01T01:00:00Z,INJECTION_READY,,,,,
    3bad7e30-033d-862b-ad04-c2ca23dc9b5d,1,1,101,1,2026-12-01T02:00:00Z,INJECTION_READY,,,,,
    4ac473e0-d2b7-8268-b4de-3124b549a655,3,3,103,1,2026-12-01T02:00:00Z,INJECTION_READY,,,,,
    ");
    assert!(!sheet.contains("00000000-0000-0000-0000"), "no reservation is shown");
}

#[tokio::test]
async fn a_filled_in_sheet_is_recorded_once_and_a_dry_run_writes_nothing() {
    let app = start_with_a_day().await;
    let ends = ["EW0150,LEFT_DELTOID,1,김간호,", ",,,,", "EW0150,,,,"];
    let sheet = filled(&download(&app).await, &ends);
    let dry = upload(&app, "?dryRun=true", &sheet).await;
    assert_eq!(dry.json()["dryRun"], true);
    let expected = ["2 RECORDED", "3 UNCHANGED", "4 RECORDED"];
    assert_eq!(results(&dry), expected);
    assert_eq!(super::status(&app, 2).await, "INJECTION_READY");
    let done = upload(&app, "", &sheet).await;
    assert_eq!(results(&done), expected);
    assert_eq!(done.json()["rows"][0]["injectionId"], 2);
    assert_eq!(done.header("cache-control"), Some("no-store"));
    let shown = app.request("GET /injections/2", "").await;
    assert_eq!(shown.json()["performer"], "김간호");
    let again = ["2 RECORDED_BEFORE", "3 UNCHANGED", "4 RECORDED_BEFORE"];
    assert_eq!(results(&upload(&app, "", &sheet).await), again);
    let filled_in = download(&app).await;
    assert!(filled_in.contains("INJECTION_COMPLETED,EW0150,LEFT_DELTOID,1,김간호,2"));
    assert_eq!(results(&upload(&app, "", &filled_in).await), again, "downloaded with its records");
    assert_eq!(app.request("GET /injections/2", "").await.body(), shown.body());
}

#[tokio::test]
async fn a_refused_row_names_its_column_and_does_not_prevent_the_others() {
    let app = start_with_a_day().await;
    let sheet = download(&app).await;
    let ends = [",NOSE,,,", ",,ten,,", ",,,,10:30"];
    assert_snapshot!(results(&upload(&app, "", &filled(&sheet, &ends)).await).join("\n"), @"
    2 REFUSED bodySite unknown variant `NOSE`, expected one of `LEFT_DELTOID`, `RIGHT_DELTOID`, `LEFT_THIGH`, `RIGHT_THIGH`
    3 REFUSED doseNumber must be a whole number
    4 REFUSED occurredAt must be a time, as 2026-12-01T10:30:00+09:00
    ");
    let ends = ["x\ty,,,,", ",,,,2999-01-01T00:00:00Z", "EW0150,,,,"];
    assert_snapshot!(results(&upload(&app, "", &filled(&sheet, &ends)).await).join("\n"), @"
    2 REFUSED lotNumber must have 1 to 32 printable characters of ASCII
    3 REFUSED occurredAt must not be in the future
    4 RECORDED
    ");
    app.publish(&[cancelled(6, 2)]).await;
    app.request("PATCH /injections/1", COMPLETED).await;
    let ends = ["EW0150,,,,", "EW0150,,,,", "EW0151,,,,"];
    assert_snapshot!(results(&upload(&app, "", &filled(&sheet, &ends)).await).join("\n"), @"
    2 REFUSED status its booking was cancelled
    3 REFUSED status it was completed before
    4 REFUSED status it was completed before
    ");
}

#[tokio::test]
async fn a_row_of_another_appointment_is_refused() {
    let app = start_with_a_day().await;
    let sheet = filled(&download(&app).await, &["EW0150,,,,"]);
    let row = sheet.lines().nth(1).unwrap();
    let (id, rest) = row.split_once(",2,2,102,1,").unwrap();
    let of = |cells: &str| format!("{id},{cells},{rest}");
    let header = sheet.lines().next().unwrap();
    let rows = [
        of("1,1,101,1"),
        of("2,2,101,1"),
        of("2,1,102,1"),
        of("2,2,102,2"),
        of("9,2,102,1"),
        of("two,2,102,1"),
        row.replacen(id, "", 1),
        row.replacen(id, "x", 1),
        ",,,,,,,,,,,".to_owned(),
        of("2,,,"),
    ];
    let sheet = format!("{header}\n{}\n", rows.join("\n"));
    assert_snapshot!(results(&upload(&app, "", &sheet).await).join("\n"), @"
    2 REFUSED rowId is that of another appointment
    3 REFUSED userId is that of another appointment
    4 REFUSED bookingId is that of another appointment
    5 REFUSED vaccineId is that of another appointment
    6 REFUSED injectionId there is no such injection
    7 REFUSED injectionId must be the number of an injection
    8 REFUSED rowId must be the rowId of the downloaded sheet
    9 REFUSED rowId must be the rowId of the downloaded sheet
    10 UNCHANGED
    11 RECORDED
    ");
    assert_eq!(super::status(&app, 1).await, "INJECTION_READY");
}

#[tokio::test]
async fn a_text_that_begins_like_a_formula_is_safe_in_a_spreadsheet_and_is_read_as_it_was() {
    let app = start_with_a_day().await;
    let body = json!({
        "status": "INJECTION_COMPLETED", "lotNumber": "-1", "performer": "=HYPERLINK(\"x\")",
    });
    app.request("PATCH /injections/2", body.to_string()).await;
    let sheet = download(&app).await;
    assert!(sheet.contains(r#",'-1,,,"'=HYPERLINK(""x"")","#), "{sheet}");
    assert_eq!(results(&upload(&app, "", &sheet).await)[0], "2 RECORDED_BEFORE");
}

#[tokio::test]
async fn a_file_that_is_no_sheet_is_refused_whole() {
    let app = start_with_a_day().await;
    let sheet = download(&app).await;
    let mut refused = Vec::new();
    for table in ["name\nx\n", "rowId,rowId\n", "rowId,status\nx\n"] {
        refused.push(upload(&app, "", table).await.in_short());
    }
    let header = sheet.lines().next().unwrap();
    let many = format!("{header}\n{}", ",,,,,,,,,,,\n".repeat(501));
    refused.push(upload(&app, "", &many).await.in_short());
    refused.push(app.request("POST /injections/sheet", sheet).await.in_short());
    refused.push(app.request("GET /injections/sheet?siteId=7", "").await.in_short());
    assert_snapshot!(refused.join("\n"), @"
    422 invalid-field; name: must be one of rowId, injectionId, bookingId, userId, vaccineId, startsAt, status, lotNumber, bodySite, doseNumber, performer, occurredAt, once
    422 invalid-field; rowId: must be one of rowId, injectionId, bookingId, userId, vaccineId, startsAt, status, lotNumber, bodySite, doseNumber, performer, occurredAt, once
    400 malformed; not CSV: CSV error: record 1 (line: 2, byte: 13): found record with 1 fields, but the previous record has 2 fields
    422 invalid-field; must have at most 500 rows
    415 unsupported-media-type; Content-Type: send Content-Type: text/csv
    422 invalid-field; from: must be a time, as 2026-12-01T00:00:00Z
    ");
}

#[tokio::test]
async fn a_long_sheet_is_downloaded_in_parts() {
    let app = super::start();
    let events: Vec<_> =
        (1..=201).map(|n| super::day::booked_at(n, "2026-12-01T01:00:00Z")).collect();
    app.publish(&events).await;
    let first = app.request(&format!("GET /injections/sheet?{DAY}"), "").await;
    assert_eq!(first.body().lines().count(), 201, "a header and 200 rows");
    let next = first.header("link").unwrap().strip_prefix('<').unwrap();
    let next = next.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    let rest = app.request(&format!("GET {next}"), "").await;
    assert_eq!((rest.body().lines().count(), rest.header("link")), (2, None));
    assert!(rest.body().contains(",201,201,301,1,"));
}

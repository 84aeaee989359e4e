//! Sites as CSV.

use insta::assert_snapshot;
use serde_json::json;
use testkit::TestApp;

use super::{site_json, start, with};

const HEADER: &str = "system,externalId,nameKo,line,city,region,phone,timeZone,openingHours";

async fn import(app: &TestApp, query: &str, body: &str) -> testkit::Reply {
    let headers = [("content-type", "text/csv")];
    app.request_with(&headers, &format!("POST /sites/import{query}"), body).await
}

fn file(rows: &[&str]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

const RIGHT: &str =
    "hira,7,보건소,1 Teheran-ro,Seoul,KR-11,+82 2 123,Asia/Seoul,MON 09:00-12:00; TUE 13:00-24:00";
const OTHER: &str = "hira,8,보건소,\"2, Teheran-ro\",Seoul,KR-11,'+82 2 123,Asia/Seoul,";
const WRONG_ZONE: &str = "hira,9,보건소,1,Seoul,KR-11,112,Asia/Soul,";
const WRONG_HOURS: &str = "hira,9,보건소,1,Seoul,KR-11,112,Asia/Seoul,MON 9-12";
const WITHOUT_NAME: &str = "hira,9,,1,Seoul,KR-11,112,Asia/Seoul,";
const WITHOUT_ID: &str = ",,보건소,1,Seoul,KR-11,112,Asia/Seoul,";

#[tokio::test]
async fn every_row_has_a_result_and_a_dry_run_writes_nothing() {
    let app = start();
    let rows = file(&[RIGHT, WRONG_ZONE, OTHER, WRONG_HOURS, RIGHT, WITHOUT_NAME, WITHOUT_ID]);
    let dry = import(&app, "?dryRun=true", &rows).await;
    assert_snapshot!(dry.body(), @r#"
    {"dryRun":true,"rows":[{"line":2,"result":"created","siteId":1},{"line":3,"result":"error","field":"timeZone","reason":"must be the IANA name of a time zone, as Asia/Seoul"},{"line":4,"result":"created","siteId":2},{"line":5,"result":"error","field":"openingHours","reason":"must be as MON 09:00-12:00; MON 13:00-17:30"},{"line":6,"result":"unchanged","siteId":1},{"line":7,"result":"error","field":"nameKo","reason":"must be given"},{"line":8,"result":"error","field":"externalId","reason":"must be given, with its system, or siteId"}]}
    "#);
    assert_eq!(app.request("GET /sites", "").await.numbers("sites", "siteId"), [0_i64; 0]);
    let done = import(&app, "", &rows).await;
    assert_eq!(done.json()["rows"], dry.json()["rows"], "as the dry run said");
    assert_eq!(app.request("GET /sites", "").await.numbers("sites", "siteId"), [1, 2]);
    let changed = import(&app, "", &file(&[&RIGHT.replace("Seoul,KR-11", "Busan,KR-26")])).await;
    assert_eq!(changed.json()["rows"][0]["result"], "updated");
    let site = app.request("GET /sites/1", "").await.json();
    assert_eq!((&site["address"]["city"], &site["phone"]), (&json!("Busan"), &json!("+82 2 123")));
}

#[tokio::test]
async fn a_latitude_beyond_a_pole_is_named_by_its_column() {
    let app = start();
    let file = format!("{HEADER},latitude,longitude\n{OTHER},90.1,127\n{OTHER},-90,127\n");
    let done = import(&app, "", &file).await;
    assert_snapshot!(done.body(), @r#"
    {"dryRun":false,"rows":[{"line":2,"result":"error","field":"latitude","reason":"must be from -90 to 90"},{"line":3,"result":"created","siteId":1}]}
    "#);
}

/// It takes several commits; a row may be about a site that one of them has created.
#[tokio::test]
async fn a_long_file_is_imported_as_its_dry_run_said() {
    let app = start();
    let row = |id: usize| format!("hira,{id},보건소,1,Seoul,KR-11,112,Asia/Seoul,");
    let rows: Vec<_> = (0..700).map(|number| row(number % 600)).collect();
    let rows = file(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let dry = import(&app, "?dryRun=true", &rows).await.json();
    let done = import(&app, "", &rows).await.json();
    assert_eq!(dry["rows"], done["rows"]);
    assert_eq!(done["rows"][599], json!({"line": 601, "result": "created", "siteId": 600}));
    assert_eq!(done["rows"][699], json!({"line": 701, "result": "unchanged", "siteId": 100}));
}

#[tokio::test]
async fn a_file_that_is_no_table_of_sites_is_refused_whole() {
    let app = start();
    let mut refused = Vec::new();
    for body in ["name,phone\nx,112\n", "city,city\nx,y\n", "city,line\nx\n"] {
        refused.push(import(&app, "", body).await.in_short());
    }
    refused.push(app.request("POST /sites/import", file(&[RIGHT])).await.in_short());
    refused.push(import(&app, "?dryRun=perhaps", &file(&[RIGHT])).await.in_short());
    let many = format!("{HEADER}\n{}", ",,,,,,,,\n".repeat(2_001));
    refused.push(import(&app, "", &many).await.in_short());
    assert_snapshot!(refused.join("\n"), @r#"
    422 invalid-field; name: must be one of siteId, system, externalId, nameKo, nameEn, line, city, region, postalCode, phone, timeZone, latitude, longitude, accessibility, openingHours, once
    422 invalid-field; city: must be one of siteId, system, externalId, nameKo, nameEn, line, city, region, postalCode, phone, timeZone, latitude, longitude, accessibility, openingHours, once
    400 malformed; not CSV: CSV error: record 1 (line: 2, byte: 10): found record with 1 fields, but the previous record has 2 fields
    415 unsupported-media-type; Content-Type: send Content-Type: text/csv
    422 invalid-field; dryRun: provided string was not `true` or `false`
    422 invalid-field; must have at most 2000 rows
    "#);
}

#[tokio::test]
async fn an_export_is_imported_again_and_changes_nothing() {
    let app = start();
    let fields = [
        json!({"identifiers": [{"system": "hira", "value": "=7"}, {"system": "b", "value": "1"}]}),
        json!({
            "name": {"ko": "=1+1", "en": "'@home, \"sweet\" home"}, "accessibility": "-",
            "position": {"latitude": -33.447_487, "longitude": -70.673_676},
            "exceptions": [{"date": "2999-01-01", "hours": []}],
        }),
    ];
    for fields in fields {
        let created = app.request("POST /sites", with(site_json(), fields).to_string()).await;
        assert_eq!(created.status, 201, "{}", created.body());
    }
    let export = app.request("GET /sites/export", "").await;
    assert_eq!(export.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(export.body().starts_with('\u{feff}'));
    assert_snapshot!(export.body().trim_start_matches('\u{feff}'), @r#"
    siteId,system,externalId,nameKo,nameEn,line,city,region,postalCode,phone,timeZone,latitude,longitude,accessibility,openingHours
    1,b,1,강남구 보건소,,1 Teheran-ro,Seoul,KR-11,,'+82 2 123 4567,Asia/Seoul,,,,TUE 09:00-10:00
    2,,,'=1+1,"''@home, ""sweet"" home",1 Teheran-ro,Seoul,KR-11,,'+82 2 123 4567,Asia/Seoul,'-33.447487,'-70.673676,'-,TUE 09:00-10:00
    "#);
    let before = app.request("GET /sites", "").await;
    let again = import(&app, "", export.body()).await.json();
    let results: Vec<_> =
        again["rows"].as_array().unwrap().iter().map(|row| &row["result"]).collect();
    assert_eq!(results, ["unchanged", "unchanged"], "{again}");
    assert_eq!(app.request("GET /sites", "").await.body(), before.body());
    let rest = app.request("GET /sites/export?after=1", "").await;
    assert_eq!(rest.body().lines().count(), 2, "a header and one site");
    let wrong = ["-1", "x", "", "9223372036854775808"];
    for after in wrong {
        let refused = app.request(&format!("GET /sites/export?after={after}"), "").await;
        let expected = "422 invalid-field; after: must be the number of a site";
        assert_eq!(refused.in_short(), expected, "{after}");
    }
}

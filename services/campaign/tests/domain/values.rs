//! What is checked at the edge.

use campaign::domain::{CheckedCampaign, CheckedSite};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::commands::{campaign_details, campaign_json, site_details, site_json, with};

fn refusals(check: impl Fn(Value) -> Option<String>, cases: &[Value]) -> String {
    let lines = cases.iter().map(|fields| {
        let refusal = check(fields.clone()).unwrap_or_else(|| "accepted".to_owned());
        format!("{fields}: {refusal}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_field_of_a_site_is_named() {
    let check = |fields| {
        let details = site_details(with(site_json(), fields));
        CheckedSite::parse(details).err().map(|error| error.to_string())
    };
    let overlapping = json!([
        {"day": "MON", "from": "09:00", "to": "12:00"}, {"day": "MON", "from": "11:59", "to": "13:00"}
    ]);
    let twice = json!([{"date": "2026-12-25", "hours": []}, {"date": "2026-12-25", "hours": []}]);
    let refused = refusals(
        check,
        &[
            json!({"name": {"ko": " "}}),
            json!({"name": {"ko": "x", "en": ""}}),
            json!({"address": {"line": "1", "city": "Seoul", "region": "Seoul"}}),
            json!({"phone": "call us"}),
            json!({"phone": "(+) -"}),
            json!({"timeZone": "Asia/Soul"}),
            json!({"timeZone": "asia/seoul"}),
            json!({"openingHours": [{"day": "MON", "from": "09:00", "to": "09:00"}]}),
            json!({"openingHours": overlapping}),
            json!({"exceptions": twice}),
            json!({"exceptions": [{"date": "1999-12-25", "hours": []}]}),
            json!({"identifiers": [{"system": "a", "value": "1"}, {"system": "a", "value": "1"}]}),
        ],
    );
    assert_snapshot!(refused, @r#"
    {"name":{"ko":" "}}: name.ko: must be 1 to 100 characters, none of them control characters
    {"name":{"en":"","ko":"x"}}: name.en: must be 1 to 100 characters, none of them control characters
    {"address":{"city":"Seoul","line":"1","region":"Seoul"}}: address.region: must be of ISO 3166-2, as KR-11
    {"phone":"call us"}: phone: must be 3 to 32 digits, spaces, or one of +-()
    {"phone":"(+) -"}: phone: must be 3 to 32 digits, spaces, or one of +-()
    {"timeZone":"Asia/Soul"}: timeZone: must be the IANA name of a time zone, as Asia/Seoul
    {"timeZone":"asia/seoul"}: timeZone: must be the IANA name of a time zone, as Asia/Seoul
    {"openingHours":[{"day":"MON","from":"09:00","to":"09:00"}]}: openingHours[0].to: must be after from
    {"openingHours":[{"day":"MON","from":"09:00","to":"12:00"},{"day":"MON","from":"11:59","to":"13:00"}]}: openingHours: must not overlap
    {"exceptions":[{"date":"2026-12-25","hours":[]},{"date":"2026-12-25","hours":[]}]}: exceptions: must not have the same date twice
    {"exceptions":[{"date":"1999-12-25","hours":[]}]}: exceptions[0].date: must be from 2000-01-01 to 2999-12-31
    {"identifiers":[{"system":"a","value":"1"},{"system":"a","value":"1"}]}: identifiers: must not have the same identifier twice
    "#);
}

#[test]
fn a_wrong_field_of_a_campaign_is_named() {
    let check = |fields| {
        let details = campaign_details(with(campaign_json(), fields));
        CheckedCampaign::parse(details).err().map(|error| error.to_string())
    };
    let refused = refusals(
        check,
        &[
            json!({"vaccineIds": []}),
            json!({"vaccineIds": [1, 1]}),
            json!({"vaccineIds": [0]}),
            json!({"to": "2026-11-30"}),
            json!({"to": "2027-03-03"}),
            json!({"to": "2027-03-02"}),
            json!({"slotMinutes": 4}),
            json!({"capacity": 0}),
            json!({"heldBackPercent": 91}),
            json!({"bookingsPerPerson": 0}),
            json!({"bookFrom": "2026-11-02T00:00:00Z", "bookUntil": "2026-11-01T00:00:00Z"}),
            json!({"bookFrom": "1999-12-31T23:59:59Z"}),
            json!({"bookUntil": "3000-01-01T08:59:59+09:00"}),
            json!({"bookUntil": "3000-01-01T00:00:00Z"}),
            json!({"sites": [{"siteId": 1}, {"siteId": 1}]}),
            json!({"sites": [{"siteId": 0}]}),
            json!({"sites": [{"siteId": 1, "capacity": 0}]}),
        ],
    );
    assert_snapshot!(refused, @r#"
    {"vaccineIds":[]}: vaccineIds: must have 1 to 16 items
    {"vaccineIds":[1,1]}: vaccineIds: must not have the same vaccine twice
    {"vaccineIds":[0]}: vaccineIds: must be numbers from 1
    {"to":"2026-11-30"}: to: must not be before from
    {"to":"2027-03-03"}: to: must be at most 92 days, both ends included
    {"to":"2027-03-02"}: accepted
    {"slotMinutes":4}: slotMinutes: must be from 5 to 240
    {"capacity":0}: capacity: must be from 1 to 10000
    {"heldBackPercent":91}: heldBackPercent: must be from 0 to 90
    {"bookingsPerPerson":0}: bookingsPerPerson: must be from 1 to 10
    {"bookFrom":"2026-11-02T00:00:00Z","bookUntil":"2026-11-01T00:00:00Z"}: bookUntil: must be after bookFrom
    {"bookFrom":"1999-12-31T23:59:59Z"}: bookFrom: must be from 2000-01-01 to 2999-12-31
    {"bookUntil":"3000-01-01T08:59:59+09:00"}: accepted
    {"bookUntil":"3000-01-01T00:00:00Z"}: bookUntil: must be from 2000-01-01 to 2999-12-31
    {"sites":[{"siteId":1},{"siteId":1}]}: sites: must not have the same site twice
    {"sites":[{"siteId":0}]}: sites[0].siteId: must be a number from 1
    {"sites":[{"capacity":0,"siteId":1}]}: sites[0].capacity: must be from 1 to 10000
    "#);
}

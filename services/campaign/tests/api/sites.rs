//! Sites.

use insta::assert_snapshot;
use serde_json::json;

use super::{SCHEDULED, site_json, start, start_with_draft, wait_for_slots, with};

#[tokio::test]
async fn a_site_is_created_shown_replaced_and_deleted() {
    let app = start();
    let site = site_json().to_string();
    let renamed = with(site_json(), json!({"phone": "112", "siteId": 7, "_links": {}})).to_string();
    let transcript = app
        .transcript(&[
            ("POST /sites", &site),
            ("GET /sites/1", ""),
            ("PUT /sites/1", &renamed),
            ("GET /sites", ""),
            ("DELETE /sites/1", ""),
            ("GET /sites/1", ""),
            ("PUT /sites/1", &site),
            ("DELETE /sites/1", ""),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 201 {"siteId":1,"name":{"ko":"강남구 보건소"},"address":{"line":"1 Teheran-ro","city":"Seoul","region":"KR-11"},"phone":"+82 2 123 4567","timeZone":"Asia/Seoul","identifiers":[],"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"exceptions":[],"_links":{"self":{"href":"http://campaign.test/sites/1"},"site":{"href":"http://campaign.test/sites/1"}}}
    GET /sites/1: 200 {"siteId":1,"name":{"ko":"강남구 보건소"},"address":{"line":"1 Teheran-ro","city":"Seoul","region":"KR-11"},"phone":"+82 2 123 4567","timeZone":"Asia/Seoul","identifiers":[],"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"exceptions":[],"_links":{"self":{"href":"http://campaign.test/sites/1"},"site":{"href":"http://campaign.test/sites/1"}}}
    PUT /sites/1 {"_links":{},"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"112","siteId":7,"timeZone":"Asia/Seoul"}: 200 {"siteId":1,"name":{"ko":"강남구 보건소"},"address":{"line":"1 Teheran-ro","city":"Seoul","region":"KR-11"},"phone":"112","timeZone":"Asia/Seoul","identifiers":[],"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"exceptions":[],"_links":{"self":{"href":"http://campaign.test/sites/1"},"site":{"href":"http://campaign.test/sites/1"}}}
    GET /sites: 200 {"_embedded":{"sites":[{"siteId":1,"name":{"ko":"강남구 보건소"},"address":{"line":"1 Teheran-ro","city":"Seoul","region":"KR-11"},"phone":"112","timeZone":"Asia/Seoul","identifiers":[],"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"exceptions":[],"_links":{"self":{"href":"http://campaign.test/sites/1"},"site":{"href":"http://campaign.test/sites/1"}}}]},"_links":{"first":{"href":"http://campaign.test/sites?size=20"},"self":{"href":"http://campaign.test/sites?page=0&size=20"},"last":{"href":"http://campaign.test/sites?cursor=before-9223372036854775807&size=20"},"profile":{"href":"http://campaign.test/profile/sites"}},"page":{"size":20,"number":0}}
    DELETE /sites/1: 204
    GET /sites/1: 404 no-such-site; there is no such site
    PUT /sites/1 {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 404 no-such-site; there is no such site
    DELETE /sites/1: 404 no-such-site; there is no such site
    "#);
}

#[tokio::test]
async fn a_wrong_body_is_refused_with_its_field() {
    let app = start();
    let body = |fields| with(site_json(), fields).to_string();
    let identified = json!({"identifiers": [{"system": "hira", "value": "7"}]});
    let transcript = app
        .transcript(&[
            ("POST /sites", "{}"),
            ("POST /sites", &body(json!({"openinghours": []}))),
            ("POST /sites", &body(json!({"timeZone": "Seoul"}))),
            (
                "POST /sites",
                &body(json!({"openingHours": [{"day": "MON", "from": "9", "to": "10:00"}]})),
            ),
            ("POST /sites", &body(json!({"position": {"latitude": "north", "longitude": 1}}))),
            ("POST /sites", &body(json!({"position": {"latitude": 90.000_000_1, "longitude": 1}}))),
            ("POST /sites", &body(json!({"position": null}))),
            ("POST /sites", &body(json!({"name": {"ko": "x", "en": null}}))),
            ("POST /sites", &body(identified.clone())),
            ("POST /sites", &body(identified)),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    POST /sites {}: 422 invalid-field; name: missing field `name` at line 1 column 2
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"openinghours":[],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 422 invalid-field; openinghours: unknown field `openinghours`, expected one of `siteId`, `_links`, `name`, `address`, `phone`, `timeZone`, `position`, `accessibility`, `identifiers`, `openingHours`, `exceptions` at line 1 column 176
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Seoul"}: 422 invalid-field; timeZone: must be the IANA name of a time zone, as Asia/Seoul
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"MON","from":"9","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 422 invalid-field; openingHours[0].from: invalid value: string "9", expected a time from 00:00 to 24:00 at line 1 column 142
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","position":{"latitude":"north","longitude":1},"timeZone":"Asia/Seoul"}: 422 invalid-field; position.latitude: invalid type: string "north", expected f64 at line 1 column 217
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","position":{"latitude":90.0000001,"longitude":1},"timeZone":"Asia/Seoul"}: 422 invalid-field; position.latitude: invalid value: floating point `90.0000001`, expected degrees from -90 to 90 at line 1 column 220
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","position":null,"timeZone":"Asia/Seoul"}: 422 invalid-field; position: invalid type: null, expected struct GeoPosition at line 1 column 202
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"en":null,"ko":"x"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 422 invalid-field; name.en: invalid type: null, expected a string at line 1 column 84
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"identifiers":[{"system":"hira","value":"7"}],"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 201 {"siteId":1,"name":{"ko":"강남구 보건소"},"address":{"line":"1 Teheran-ro","city":"Seoul","region":"KR-11"},"phone":"+82 2 123 4567","timeZone":"Asia/Seoul","identifiers":[{"system":"hira","value":"7"}],"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"exceptions":[],"_links":{"self":{"href":"http://campaign.test/sites/1"},"site":{"href":"http://campaign.test/sites/1"}}}
    POST /sites {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"identifiers":[{"system":"hira","value":"7"}],"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Seoul"}: 409 identifier-taken; site 1 has the identifier 7 of hira
    "#);
}

#[tokio::test]
async fn a_site_is_changed_under_the_condition_of_its_tag() {
    let app = start_with_draft().await;
    let tag = app.request("GET /sites/1", "").await.header("etag").unwrap().to_owned();
    let change = |tag: &str, path: &str, body: &str| {
        let (tag, path, body) = (tag.to_owned(), path.to_owned(), body.to_owned());
        let app = &app;
        async move {
            let headers = [("content-type", "application/json"), ("if-match", &*tag)];
            app.request_with(&headers, &path, body).await
        }
    };
    let changed = change(&tag, "PUT /sites/1/exceptions/2999-01-01", r#"{"hours":[]}"#).await;
    assert_eq!(changed.status, 200);
    let new_tag = changed.header("etag").unwrap();
    for path in ["PUT /sites/1/exceptions/2999-01-08", "DELETE /sites/1/exceptions/2999-01-01"] {
        assert_eq!(change(&tag, path, r#"{"hours":[]}"#).await.status, 412, "{path}");
    }
    assert_eq!(change(&tag, "PUT /sites/1", &site_json().to_string()).await.status, 412);
    assert_eq!(change(&tag, "DELETE /sites/1", "").await.status, 412);
    assert_eq!(change(new_tag, "PUT /sites/1", &site_json().to_string()).await.status, 200);
}

#[tokio::test]
async fn a_site_of_a_campaign_is_not_deleted_and_keeps_its_time_zone_once_it_has_slots() {
    let app = start_with_draft().await;
    let moved = with(site_json(), json!({"timeZone": "Asia/Tokyo"})).to_string();
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    let refused = app.transcript(&[("DELETE /sites/1", ""), ("PUT /sites/1", &moved)]).await;
    assert_snapshot!(refused, @r#"
    DELETE /sites/1: 409 site-in-campaign; it is in campaign 1
    PUT /sites/1 {"address":{"city":"Seoul","line":"1 Teheran-ro","region":"KR-11"},"name":{"ko":"강남구 보건소"},"openingHours":[{"day":"TUE","from":"09:00","to":"10:00"}],"phone":"+82 2 123 4567","timeZone":"Asia/Tokyo"}: 409 unchangeable-field; timeZone: it has slots of campaign 1
    "#);
}

#[tokio::test]
async fn a_site_that_closes_for_a_day_has_no_places_in_the_next_response() {
    let app = start_with_draft().await;
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    let [first, second] = ["2999-01-01", "2999-01-08"];
    let all = |places: u64| {
        let day = |date, places| {
            [(date, "09:00", places), (date, "09:20", places), (date, "09:40", places)]
        };
        [day(first, places), day(second, 9)].concat()
    };
    wait_for_slots(&app, &all(9)).await;
    let exception = "PUT /sites/1/exceptions/2999-01-01";
    let closed = app.request(exception, r#"{"hours":[],"note":"no water"}"#).await;
    assert_eq!(closed.status, 200, "{}", closed.body());
    let slots = super::slots(&app).await;
    let slots: Vec<_> =
        slots.iter().map(|(date, from, places)| (&**date, &**from, *places)).collect();
    assert_eq!(slots, all(0));
    assert_eq!(app.request("DELETE /sites/1/exceptions/2999-01-01", "").await.status, 200);
    wait_for_slots(&app, &all(9)).await;
    let refused = app
        .transcript(&[
            ("PUT /sites/1/exceptions/2999-01-32", r#"{"hours":[]}"#),
            ("PUT /sites/1/exceptions/1999-01-01", r#"{"hours":[]}"#),
            ("PUT /sites/2/exceptions/2999-01-01", r#"{"hours":[]}"#),
            ("PUT /sites/-1/exceptions/2999-01-01", r#"{"hours":[]}"#),
            ("DELETE /sites/1/exceptions/2999-01-32", ""),
            ("DELETE /sites/1/exceptions/1999-01-01", ""),
            (exception, r#"{"hours":[],"note":null}"#),
            (exception, r#"{"hours":[{"from":"10:00","to":"10:00"}]}"#),
            (exception, "{}"),
        ])
        .await;
    assert_snapshot!(refused, @r#"
    PUT /sites/1/exceptions/2999-01-32 {"hours":[]}: 404 not-found; nothing at /sites/1/exceptions/2999-01-32
    PUT /sites/1/exceptions/1999-01-01 {"hours":[]}: 422 invalid-field; date: must be from 2000-01-01 to 2999-12-31
    PUT /sites/2/exceptions/2999-01-01 {"hours":[]}: 404 no-such-site; there is no such site
    PUT /sites/-1/exceptions/2999-01-01 {"hours":[]}: 404 not-found; nothing at /sites/-1/exceptions/2999-01-01
    DELETE /sites/1/exceptions/2999-01-32: 404 not-found; nothing at /sites/1/exceptions/2999-01-32
    DELETE /sites/1/exceptions/1999-01-01: 422 invalid-field; date: must be from 2000-01-01 to 2999-12-31
    PUT /sites/1/exceptions/2999-01-01 {"hours":[],"note":null}: 422 invalid-field; note: invalid type: null, expected a string at line 1 column 23
    PUT /sites/1/exceptions/2999-01-01 {"hours":[{"from":"10:00","to":"10:00"}]}: 422 invalid-field; hours[0].to: must be after from
    PUT /sites/1/exceptions/2999-01-01 {}: 422 invalid-field; hours: missing field `hours` at line 1 column 2
    "#);
}

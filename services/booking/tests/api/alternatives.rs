//! A refusal says what is free instead, if that is known at once.

use contracts::vaccine::HoldOutcome;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    app::BookingApp,
    vaccine::{FakeReply, FakeVaccine, HOLDS, refusals_expire},
};

const OF_SLOT_7: &str = "GET /slots/7/alternatives";

/// A booking service with a `campaign` that answers as the test decides.
struct WithCampaign {
    app: BookingApp,
    /// Its replies are scripted as those of a fake `vaccine`.
    campaign: FakeVaccine,
}

impl WithCampaign {
    fn start() -> Self {
        let campaign = FakeVaccine::start();
        let (folder, url) = (TempDir::new().unwrap(), campaign.url());
        let settings = [("CAMPAIGN_URL", &*url)];
        let app = BookingApp::start_with_settings(folder, FakeVaccine::start(), &settings);
        Self { app, campaign }
    }

    /// What the request is answered, where the ledger answers so.
    async fn refused(&self, outcome: HoldOutcome, line: &str, body: &str) -> Value {
        self.app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
        let reply = self.app.request(line, body).await;
        assert_eq!(reply.status, 409, "{reply}");
        reply.json()
    }
}

fn alternatives() -> Value {
    json!({
        "asOf": "2099-01-05T00:00:00Z",
        "incomplete": false,
        "sameSite": [
            {"slotId": 8, "siteId": 1, "startsAt": "2099-01-05T01:00:00Z", "free": 3}
        ],
        "otherSites": [{
            "slotId": 90, "siteId": 2, "startsAt": "2099-01-05T00:00:00Z", "free": 1,
            "distanceMetres": 1_800
        }]
    })
}

const SLOT_7: &str = r#"{"vaccineId":1,"slotId":7,"userId":5}"#;

#[tokio::test]
async fn a_full_slot_is_refused_with_what_is_free_instead_which_is_kept_for_others() {
    let test = WithCampaign::start();
    test.campaign.reply_next(OF_SLOT_7, FakeReply::json(&alternatives()));
    for outcome in [HoldOutcome::SlotFull, HoldOutcome::SoldOut] {
        let problem = test.refused(outcome, "POST /bookings", SLOT_7).await;
        assert_eq!(problem["alternatives"], alternatives(), "{problem}");
        refusals_expire().await;
    }
    let requests = test.campaign.requests(OF_SLOT_7);
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].line.contains("vaccineId=1"), "{requests:?}");
}

#[tokio::test]
async fn of_a_series_it_is_the_slot_that_is_full() {
    let test = WithCampaign::start();
    let of_slot_205 = "GET /slots/205/alternatives";
    test.campaign.reply_next(of_slot_205, FakeReply::json(&alternatives()));
    let series = r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":205}"#;
    let problem = test.refused(HoldOutcome::NextSlotFull, "POST /bookings", series).await;
    assert_eq!(problem["type"], "urn:anticorona:next-slot-full");
    assert_eq!(problem["alternatives"], alternatives());
}

#[tokio::test]
async fn a_move_to_a_full_slot_is_refused_with_them_too() {
    let test = WithCampaign::start();
    let booked = test.app.request("POST /bookings", r#"{"vaccineId":1,"userId":5}"#).await;
    assert_eq!(booked.status, 201);
    test.campaign.reply_next(OF_SLOT_7, FakeReply::json(&alternatives()));
    let problem = test.refused(HoldOutcome::SlotFull, "PATCH /bookings/1", r#"{"slotId":7}"#).await;
    assert_eq!(problem["alternatives"], alternatives());
}

#[tokio::test]
async fn a_refusal_of_another_kind_has_none() {
    let test = WithCampaign::start();
    test.campaign.reply_next(OF_SLOT_7, FakeReply::json(&alternatives()));
    for (outcome, body) in
        [(HoldOutcome::NotOpen, SLOT_7), (HoldOutcome::SoldOut, r#"{"vaccineId":1,"userId":5}"#)]
    {
        let problem = test.refused(outcome, "POST /bookings", body).await;
        assert_eq!(problem.get("alternatives"), None, "{problem}");
    }
    assert!(test.campaign.requests(OF_SLOT_7).is_empty());
}

#[tokio::test]
async fn where_campaign_does_not_answer_the_refusal_is_sent_without() {
    for reply in [
        FakeReply::Disconnect,
        FakeReply::Response(503, "{}".to_owned()),
        FakeReply::Response(200, "not JSON".to_owned()),
    ] {
        let test = WithCampaign::start();
        test.campaign.reply_next(OF_SLOT_7, reply);
        let problem = test.refused(HoldOutcome::SlotFull, "POST /bookings", SLOT_7).await;
        assert_eq!(problem["type"], "urn:anticorona:slot-full");
        assert_eq!(problem.get("alternatives"), None, "{problem}");
    }
    let test = WithCampaign::start();
    let _never = test.campaign.delay_next(OF_SLOT_7);
    let problem = test.refused(HoldOutcome::SlotFull, "POST /bookings", SLOT_7).await;
    assert_eq!(problem.get("alternatives"), None, "{problem}");
}
